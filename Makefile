# The lab by one command: `make report`. `make help` says what else there is.
# `lab2 make` decides what is stale, by content, and `make status` says why; this file sets up and hands on.

SURVEY  = simulated
NAME    = Firstname_Lastname
SEED    =
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
ifneq ($(filter-out survey,$(value mystery)),)
  CALLED_IN := $(if $(findstring w,$(firstword -$(MAKEFLAGS))),$(PWD),$(CURDIR))
  override mystery := $(if $(filter /%,$(firstword $(value mystery))),,$(CALLED_IN)/)$(value mystery)
endif
export mystery

PY = .venv/bin/python

# Takes out of a notebook what running and saving it in JupyterLab adds: outputs, and details of the kernel.
CLEAN_NOTEBOOK = $(PY) -m nbstripout --keep-id --extra-keys "metadata.language_info.codemirror_mode \
  metadata.language_info.file_extension metadata.language_info.mimetype metadata.language_info.nbconvert_exporter \
  metadata.language_info.pygments_lexer metadata.language_info.version"

# Every path below is under the project's root.
unexport LAB2_HOME

# An argument for the shell, whatever characters are in it.
quoted = '$(subst ','\'',$(1))'

.PHONY: help setup survey lab checkpoints cp1 cp2 cp3 report status notebook docs lint test bench clean distclean
.DEFAULT_GOAL := help

help:  ## Show this help
	@echo "Astro 128, Lab 2: modeling stellar spectra"
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "Variables, each as it is if it is not given:"
	@echo "  SURVEY=$(SURVEY)   the data: simulated, another simulated survey, or a folder in data/ such as dr17"
	@echo "  NAME=$(NAME)   your name in the checkpoints' file names"
	@echo "  SEED=   of the random numbers, those of a new simulated survey and those of the notebooks"
	@echo "  N_STARS=   about how many stars a new simulated survey keeps"
	@echo "  mystery=   an apStar file for notebook 07; mystery=survey goes back to the survey's own"
	@echo "  PYTHON=$(PYTHON)   Python 3.11, 3.12 or 3.13, to make .venv with"

setup: .venv/.installed  ## Install everything into .venv

.venv/.installed: requirements.lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --require-hashes --no-deps -r requirements.lock.txt
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@test ! -e .git || git config filter.notebook.clean '$(CLEAN_NOTEBOOK)'
	-@test ! -e .git || git update-index -q --refresh  # or git filters all notebooks whenever it is asked for changes
	@touch $@

survey:  ## Make the simulated survey, fetch dr17, or check the files of another
lab:  ## Execute the notebooks
cp1:  ## Make checkpoint 1, from just the notebooks that it needs
cp2:  ## Make checkpoint 2, likewise
cp3:  ## Make checkpoint 3, likewise
checkpoints:  ## Make the three checkpoints' PDFs
report:  ## Make everything: the lab, the checkpoints and the report

survey lab cp1 cp2 cp3 checkpoints report: .venv/.installed $(if $(filter dr17,$(SURVEY)),data/dr17/manifest.json)
	$(PY) -m lab2 make $@ --survey $(SURVEY) --name $(call quoted,$(NAME)) \
	  $(if $(SEED),--seed $(call quoted,$(SEED))) $(if $(N_STARS),--n-stars $(call quoted,$(N_STARS))) \
	  $(if $(mystery),--mystery "$$mystery")

data/dr17/manifest.json: | .venv/.installed
	$(PY) -m lab2 fetch --survey dr17

status: .venv/.installed  ## Say what is up to date, and why not
	@$(PY) -m lab2 status --survey $(SURVEY) --name $(call quoted,$(NAME))

notebook: .venv/.installed  ## Open the notebooks in JupyterLab
	$(PY) -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

docs: .venv/.installed  ## Build the documentation, in build/docs/index.html
	$(PY) -m sphinx -W --keep-going -q docs build/docs

lint: .venv/.installed  ## Check the style of the code
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

test: lint  ## Check everything, from nothing: style, tests, every notebook on a small survey
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder

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
	rm -rf data/simulated .venv benchmarks/.peers
