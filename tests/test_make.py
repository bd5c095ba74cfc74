"""The Makefile: what it hands on, with any characters, and what it refuses before anything is made."""

import os
import shutil
import subprocess

import pytest

from lab2.survey import root

# Stands for the environment's Python: it keeps its arguments, one a line.
PYTHON = """#!/bin/sh
for argument in "$@"; do printf '%s\\n' "$argument"; done >> asked
"""

PATHS = ["star.fits", 'it\'s a $x; "star" `é` #1 %.fits', "$(shell touch made).fits", "a\\b.fits", "survey .fits"]
NO_NAMES = ["", "a b", "a/b", "../x", "a$b", "$(shell touch made)", "`touch made`", 'a"b', "a;b", "a#", "-x"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path):
    """The Makefile in a folder of an odd name, and an environment that notes what it is asked."""
    folder = tmp_path / 'it\'s a $HOME; "folder" é'
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(root() / "Makefile", folder)
    for name in ("requirements.lock.txt", "pyproject.toml"):
        (folder / name).touch()
    (folder / ".venv" / "bin" / "python").write_text(PYTHON)
    (folder / ".venv" / "bin" / "python").chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder


def make(*arguments, cwd):
    # GNU make believes the environment of the make that runs the tests
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment |= {"PWD": str(cwd), "LAB2_HOME": "/elsewhere"}
    return subprocess.run(["make", *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def asked(checkout):
    """The arguments of every call of Python."""
    path = checkout / "asked"
    return path.read_text().splitlines() if path.exists() else []


def test_a_target_is_handed_on_with_what_was_given_and_nothing_else(checkout):
    assert make("report", cwd=checkout).returncode == 0
    plain = ["-m", "lab2", "make", "report", "--survey", "simulated", "--name", "Firstname_Lastname"]
    assert asked(checkout) == plain
    (checkout / "asked").unlink()
    assert make("cp2", "SEED=7", "N_STARS=300", "SURVEY=v7", cwd=checkout).returncode == 0
    given = ["--survey", "v7", "--name", "Firstname_Lastname", "--seed", "7", "--n-stars", "300"]
    assert asked(checkout) == ["-m", "lab2", "make", "cp2", *given]


def test_dr17_is_fetched_where_it_is_not(checkout):
    assert make("lab", "SURVEY=dr17", cwd=checkout).returncode == 0
    assert asked(checkout)[:5] == ["-m", "lab2", "fetch", "--survey", "dr17"]
    (checkout / "asked").unlink()
    (checkout / "data" / "dr17").mkdir(parents=True)
    (checkout / "data" / "dr17" / "manifest.json").touch()
    assert make("lab", "SURVEY=dr17", cwd=checkout).returncode == 0
    assert "fetch" not in asked(checkout)


@pytest.mark.parametrize("name", PATHS)
def test_the_path_of_a_mystery_star_is_handed_on_whole(checkout, name):
    assert make("lab", f"mystery={name}", cwd=checkout).returncode == 0
    assert asked(checkout)[-2:] == ["--mystery", str(checkout / name)]
    assert not (checkout / "made").exists()


def test_a_relative_path_is_relative_to_where_make_was_called(checkout, tmp_path):
    for path in ("my star.fits", str(tmp_path / "my star.fits")):
        assert make("-C", str(checkout), "lab", f"mystery={path}", cwd=tmp_path).returncode == 0
    assert asked(checkout).count(str(tmp_path / "my star.fits")) == 2


def test_the_surveys_own_mystery_star_is_no_path(checkout):
    assert make("cp3", "mystery=survey", cwd=checkout).returncode == 0
    assert asked(checkout)[-2:] == ["--mystery", "survey"]


@pytest.mark.parametrize("survey", [*NO_NAMES, "it's", "é", ".x"])
@pytest.mark.parametrize("flags", [(), ("-n",)])
def test_a_survey_of_odd_characters_is_refused_before_anything_is_made(checkout, survey, flags):
    before = sorted(checkout.rglob("*"))
    done = make(*flags, "checkpoints", f"SURVEY={survey}", cwd=checkout)
    assert done.returncode != 0
    assert "SURVEY is one plain word" in done.stderr
    assert sorted(checkout.rglob("*")) == before


@pytest.mark.parametrize("name", [*NO_NAMES, "a:b", "a%", "_x"])
def test_a_name_that_is_no_part_of_a_file_name_is_refused_before_anything_is_made(checkout, name):
    before = sorted(checkout.rglob("*"))
    done = make("checkpoints", f"NAME={name}", cwd=checkout)
    assert done.returncode != 0
    assert "NAME is written like Firstname_Lastname" in done.stderr
    assert sorted(checkout.rglob("*")) == before


def test_names_of_any_alphabet_are_handed_on(checkout):
    assert make("checkpoints", "NAME=Jane_O'Hara-Núñez", "SURVEY=my_fields.2+3", cwd=checkout).returncode == 0
    assert asked(checkout)[4:8] == ["--survey", "my_fields.2+3", "--name", "Jane_O'Hara-Núñez"]
