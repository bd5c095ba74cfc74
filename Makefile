# The lab by one command: `make report`. `make help` says what else there is.
# Nothing is done twice: a notebook is executed again when it, the code, the data, the lock, or a notebook that it
# builds on has changed.

SURVEY  = simulated
NAME    = Firstname_Lastname
N_STARS =
mystery =
PYTHON  = python3

# Both become parts of file names. $(value) takes the characters as they were given, $ too.
PLAIN := a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z \
         0 1 2 3 4 5 6 7 8 9 _ . + -
# A text without these characters: $(call without,characters,text)
without = $(if $(1),$(call without,$(wordlist 2,99,$(1)),$(subst $(firstword $(1)),,$(2))),$(2))
ifneq ($(call without,$(PLAIN),$(value SURVEY))$(filter .% +% -%,$(value SURVEY))$(if $(value SURVEY),,none),)
  $(error SURVEY is one plain word (letters, digits, _ . + -), not '$(value SURVEY)')
endif
ODD := ! " \# $$ % & ( ) * + , / : ; < = > ? @ [ \ ] ^ ` { | } ~
odd_in = $(foreach c,$(ODD),$(findstring $(c),$(1)))$(word 2,$(1))$(filter .% -% _% '%,$(1))$(if $(1),,none)
ifneq ($(strip $(call odd_in,$(value NAME))),)
  $(error NAME is written like Firstname_Lastname, in letters, digits and .'-_ only, not '$(value NAME)')
endif

# A path is relative to where make was called, which -C leaves. Its characters reach the shell by the environment.
ifneq ($(value mystery),)
  CALLED_IN := $(if $(findstring w,$(firstword -$(MAKEFLAGS))),$(PWD),$(CURDIR))
  override mystery := $(if $(filter /%,$(firstword $(value mystery))),,$(CALLED_IN)/)$(value mystery)
endif
export mystery

PY = .venv/bin/python
B  = build/$(SURVEY)

# Every path below is under the project's root.
unexport LAB2_HOME

MANIFEST  = data/$(SURVEY)/manifest.json
NOTEBOOKS := $(sort $(notdir $(wildcard notebooks/[0-9][0-9]_*.ipynb)))
EXECUTED  := $(NOTEBOOKS:%=$(B)/%)
# The executed notebook of a number: $(call nb,04)
nb = $(filter $(B)/$(1)_%,$(EXECUTED))

PDF_CODE := lab2/report/checkpoints.py lab2/report/credits.py lab2/report/typst.py lab2/report/typeset.py lab2/report/template.typ
RUN_CODE := $(filter-out lab2/__main__.py lab2/simulate/% $(PDF_CODE),$(wildcard lab2/*.py lab2/*/*.py)) \
            $(wildcard lab2/*.mplstyle lab2/*/*.mplstyle lab2/tables/*)

# An argument for the shell, whatever characters are in it.
quoted = '$(subst ','\'',$(1))'

ifneq ($(mystery),)
  ifneq ($(shell test -f $(call quoted,$(mystery)) && echo there),there)
    $(error mystery is the path of an apStar file, and there is no file $(mystery))
  endif
endif

.PHONY: help setup survey checked lab checkpoints cp1 cp2 cp3 report notebook lint test bench clean distclean FORCE
.DEFAULT_GOAL := help

help:  ## Show this help
	@echo "Astro 128, Lab 2: modeling stellar spectra"
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "Variables:"
	@echo "  SURVEY=$(SURVEY)   the data: simulated, or a folder in data/ such as dr17"
	@echo "  NAME=$(NAME)   your name in the checkpoints' file names"
	@echo "  N_STARS=   about how many stars the simulated survey keeps (default: as many as the lab)"
	@echo "  mystery=   an apStar file for notebook 07, instead of the survey's own"
	@echo "  PYTHON=$(PYTHON)   Python 3.11, 3.12 or 3.13, to make .venv with"

setup: .venv/.installed  ## Install everything into .venv

.venv/.installed: requirements.lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --require-hashes --no-deps -r requirements.lock.txt
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

survey: $(MANIFEST)  ## Make the simulated survey, fetch dr17, or check the files of another

ifeq ($(SURVEY),simulated)
$(MANIFEST): $(wildcard lab2/simulate/*.py lab2/tables/*) lab2/apstar.py lab2/grid.py data/.n_stars | .venv/.installed
	$(PY) -m lab2 simulate --survey $(SURVEY) $(if $(N_STARS),--n-stars $(call quoted,$(N_STARS)))
else ifeq ($(SURVEY),dr17)
$(MANIFEST): | .venv/.installed
	$(PY) -m lab2 fetch --survey $(SURVEY)
else
$(MANIFEST): | .venv/.installed
	$(PY) -m lab2 survey --survey $(SURVEY)
endif

# What was asked for the last time. Each file is written only when that changes, and what depends on it is made again
# then. (Looking is done while this file is read, and writing by recipes: `make -n` tells the truth and changes nothing.)
ifneq ($(shell cat data/.n_stars 2>&1),$(N_STARS))
data/.n_stars: FORCE
endif
data/.n_stars:
	@mkdir -p $(@D); printf '%s\n' $(call quoted,$(N_STARS)) > $@

# The mystery spectrum by its content, not as a prerequisite: its name may have spaces.
MYSTERY := $(if $(mystery),$(mystery) $(shell cksum < $(call quoted,$(mystery))))
ifneq ($(shell cat $(B)/.mystery 2>&1),$(MYSTERY))
$(B)/.mystery: FORCE
endif
$(B)/.mystery:
	@mkdir -p $(@D); printf '%s\n' $(call quoted,$(MYSTERY)) > $@

# What is newer than what it was made from and yet not whole: notebooks of which a product was deleted or changed, or
# that were executed on another state of the survey, and PDFs that were cut. They are made again.
BROKEN := $(if $(filter lab checkpoints cp1 cp2 cp3 report $(B)/%,$(MAKECMDGOALS)),\
            $(shell test ! -d $(B) || env -u LAB2_HOME $(PY) -B -c 'from lab2.report.provenance import broken; print(*broken("$(SURVEY)"))'))
$(BROKEN): FORCE

# Every file of the survey is compared with its manifest, whether or not anything is to be made.
checked: $(MANIFEST)
	@$(PY) -m lab2 survey --survey $(SURVEY)

FOR_MYSTERY = $(if $(mystery), --parameters mystery="$$mystery")

lab: $(EXECUTED)  ## Execute the notebooks

$(EXECUTED): $(B)/%: notebooks/% $(RUN_CODE) $(MANIFEST) requirements.lock.txt | .venv/.installed checked
	$(PY) -m lab2 run $(basename $*) --survey $(SURVEY)$(if $(filter 07_%,$*),$(FOR_MYSTERY))

# Which notebook reads what which other one saved.
$(call nb,02): $(call nb,01)
$(call nb,03): $(call nb,01)
$(call nb,04): $(call nb,03)
$(call nb,05): $(call nb,04)
$(call nb,06): $(call nb,05)
$(call nb,07): $(B)/.mystery $(call nb,05)
$(call nb,08): $(call nb,04)
$(call nb,09): $(call nb,05)

CP1 = $(B)/$(NAME)_lab2_cp1.pdf
CP2 = $(B)/$(NAME)_lab2_cp2.pdf
CP3 = $(B)/$(NAME)_lab1_cp3.pdf

checkpoints: cp1 cp2 cp3  ## Make the three checkpoints' PDFs
cp1: $(CP1)  ## Make checkpoint 1, from just the notebooks that it needs
cp2: $(CP2)  ## Make checkpoint 2, likewise
cp3: $(CP3)  ## Make checkpoint 3, likewise

$(CP1): $(call nb,01) $(call nb,03)
$(CP2): $(call nb,04) $(call nb,05)
$(CP3): $(call nb,06) $(call nb,07)
$(CP1): NUMBER = 1
$(CP2): NUMBER = 2
$(CP3): NUMBER = 3
$(CP1) $(CP2) $(CP3): $(PDF_CODE) | .venv/.installed checked
	$(PY) -m lab2 checkpoints --number $(NUMBER) --survey $(SURVEY) --name $(call quoted,$(NAME))

report: checkpoints $(B)/report.pdf  ## Make everything: the lab, the checkpoints and the report

$(B)/report.pdf: $(EXECUTED) $(PDF_CODE) | .venv/.installed checked
	$(PY) -m lab2 report --survey $(SURVEY)

notebook: .venv/.installed  ## Open the notebooks in JupyterLab
	$(PY) -m jupyterlab notebooks

lint: .venv/.installed  ## Check the style of the code
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

test: lint  ## Check everything, from nothing: style, tests, every notebook on a small survey
	$(PY) -m pytest

bench: benchmarks/.peers/annieslasso/.installed benchmarks/.peers/TheCannon/.installed  ## Compare speed with the peers
	$(PY) -m benchmarks.run

# Beside .venv, not in it, and each by itself: their folders differ in case alone, which some file systems ignore.
benchmarks/.peers/%/.installed: benchmarks/requirements.txt | .venv/.installed
	rm -rf $(@D)
	mkdir -p $(@D)
	grep '^$*==' $< > $(@D)/requirements.txt
	$(PY) -m pip install --quiet --require-hashes --no-deps --target $(@D) -r $(@D)/requirements.txt
	@touch $@

clean:  ## Remove what the lab has made, but not the data
	rm -rf build
	-find figures -mindepth 1 -maxdepth 1 ! -name gallery -exec rm -rf {} +

distclean: clean  ## Remove the simulated survey and .venv too
	rm -rf data/simulated data/.n_stars .venv benchmarks/.peers
