"""Every command that a README names can be typed as it stands: it is parsed here, or run where that is quick."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import tomllib

import numpy as np
import pytest
from astropy.table import Table

from lab2 import apstar, survey
from lab2.__main__ import _parser

ROOT = survey.root()
TRACKED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout.split()
PAGES = [name for name in TRACKED or ["README.md", "data/README.md"] if name != "CHANGELOG.md"]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# Programs that are not the project's, in commands that set it up.
FOREIGN = {"git", "conda", "cd", "source"}
PYTHON = (".venv/bin/python", "python")


def parts(text):
    """Fenced blocks as pairs of language and content, and the text outside of them."""
    found, outside, language = [], [], None
    for line in text.splitlines(keepends=True):
        if language is None and (fence := re.match(r"```+ *(\S*)", line)):
            language, content = fence[1], []
        elif language is not None and line.startswith("```"):
            found.append((language, "".join(content)))
            language = None
        else:
            (outside if language is None else content).append(line)
    return found, "".join(outside)


def commands(page):
    """The commands of a page: the lines of its shell blocks, and pieces of code in its text that begin like one."""
    blocks, prose = parts((ROOT / page).read_text(encoding="utf-8"))
    shell = "".join(content for language, content in blocks if language in ("", "sh", "bash", "console"))
    lines = shell.replace("\\\n", " ").splitlines()
    lines += re.findall(r"^    (\S.*)$", prose, flags=re.M)
    lines += re.findall(r"`((?:make|\.venv/bin/python|python|pip) [^`]*)`", prose)
    starts = (*FOREIGN, "make", "pip", "lab2", *PYTHON)
    return [line for line in lines if re.match(rf"([A-Z0-9_]+=\S+ )*({'|'.join(map(re.escape, starts))}) ", line + " ")]


def words(command):
    """Each program of a command line with its arguments; without comments and settings of the environment."""
    found = [[]]
    for word in shlex.split(command.removeprefix("$ "), comments=True):
        if word == "&&":
            found.append([])
        elif found[-1] or not re.match(r"[A-Z0-9_]+=", word):
            found[-1].append(word)
    return [program for program in found if program]


def check(program, arguments, checkout):
    """Raise, or end as argparse does, if this cannot be typed."""
    if program == "make":
        done = subprocess.run(["make", "-n", *arguments], cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif program == "pip":
        check_pip(arguments)
    elif program == "lab2":
        _parser().parse_args(arguments)
    elif program in PYTHON and arguments[0] == "-m":
        check_module(arguments[1], arguments[2:])
    elif program in PYTHON:
        assert (ROOT / arguments[0]).is_file(), f"there is no {arguments[0]}"
    else:
        assert program in FOREIGN, f"who knows {program}?"


def check_module(module, arguments):
    if module == "lab2":
        _parser().parse_args(arguments)
    elif module == "pip":
        check_pip(arguments)
    else:
        assert importlib.util.find_spec(module), f"there is no module {module}"


def check_pip(arguments):
    for extras in re.findall(r"lab2\[([^\]]*)\]", " ".join(arguments)):
        assert set(extras.split(",")) <= EXTRAS.keys()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The Makefile in a folder where everything is installed, to ask it what it would do."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "Makefile", folder)
    (folder / ".venv").mkdir()
    for name in ("requirements.lock.txt", "pyproject.toml", ".venv/.installed", ".venv/.docs"):
        (folder / name).touch()
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    return folder


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_can_be_typed(page, checkout):
    wrong = {}
    for command in commands(page):
        for program, *arguments in words(command):
            try:
                check(program, arguments, checkout)
            except SystemExit as end:  # argparse: 0 is --help
                if end.code:
                    wrong[command] = f"status {end.code}"
            except AssertionError as problem:
                wrong[command] = str(problem)
    assert wrong == {}


def test_the_pages_name_commands():
    assert len(commands("README.md")) > 10
    assert len(commands("data/README.md")) > 5


@pytest.mark.parametrize("page", PAGES)
def test_pythons_of_no_environment_are_not_named(page):
    """`python` alone is found only where an environment is active, which `make setup` leaves to the user."""
    bare = [line for line in commands(page) if re.match(r"(\w+=\S+ )*python ", line)]
    assert bare == []


def test_a_wrong_command_would_be_found(checkout):
    for wrong in ("make nothing", "lab2 labels x.fits", "pip install 'lab2[all]'", ".venv/bin/python -m tools.no"):
        with pytest.raises((AssertionError, SystemExit)):
            check(*next((program, arguments, checkout) for program, *arguments in words(wrong)))


def test_the_example_of_the_library_runs(tiny_survey, tmp_path, monkeypatch):
    blocks, _ = parts((ROOT / "README.md").read_text())
    (example,) = [code for language, code in blocks if language == "python" and "lab2.train" in code]
    truth = Table.read(tiny_survey / "truth.ecsv")
    truth = truth[[star.startswith("2M") for star in truth["apogee_id"]]][:60]
    files = [tiny_survey / "apStar" / field / f"apStar-dr17-{star}.fits" for star, field in truth["apogee_id", "field"]]
    files = [file for file in files if file.is_file()]
    labels = np.array([[row[name] for name in ("teff", "logg", "fe_h")] for row in truth])[: len(files)]
    monkeypatch.chdir(tmp_path)
    names = {"files": files, "labels": (("star", "label"), labels)}
    exec(compile(example, "README.md", "exec"), names)
    assert (tmp_path / "model.nc").is_file()
    assert names["fits"].sizes["star"] == apstar.read_many(files, progress=False).sizes["star"]
