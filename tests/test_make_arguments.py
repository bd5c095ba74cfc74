"""What make hands on: names and paths with any characters, and nothing where a name will not do."""

import os
import shutil
import subprocess

import pytest

from lab2.survey import root

# Stands for the environment's Python: it keeps its arguments, one a line.
PYTHON = """#!/bin/sh
for argument in "$@"; do printf '%s\\n' "$argument"; done >> asked
"""
FILES = ("*.py", "*.typ", "*.mplstyle", "*.ecsv", "*.ipynb", "*.txt", "pyproject.toml")

PATHS = ["star.fits", 'it\'s a $x; "star" `é` #1 %.fits', "$(shell touch made).fits", "a\\b.fits"]
NO_NAMES = ["", "a b", "a/b", "../x", "a$b", "$(shell touch made)", "`touch made`", 'a"b', "a;b", "a#", "-x"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path):
    """The project's files, empty, in a folder of an odd name, and an environment that notes what it is asked."""
    folder = tmp_path / 'it\'s a $HOME; "folder" é'
    for pattern in FILES:
        for source in (found for top in ("lab2", "notebooks", ".") for found in _found(top, pattern)):
            (folder / source).parent.mkdir(parents=True, exist_ok=True)
            (folder / source).touch()
    shutil.copy(root() / "Makefile", folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").write_text(PYTHON)
    (folder / ".venv" / "bin" / "python").chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder


def _found(top, pattern):
    paths = (root() / top).glob(pattern) if top == "." else (root() / top).rglob(pattern)
    return [path.relative_to(root()) for path in paths]


def make(*arguments, cwd):
    # GNU make believes the environment of the make that runs the tests
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment | {"PWD": str(cwd)}, capture_output=True, text=True)


def asked(checkout):
    """The arguments of every call of Python."""
    path = checkout / "asked"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("name", PATHS)
def test_a_path_reaches_the_notebook_whole(checkout, name):
    (checkout / name).write_text("x")
    done = make("lab", f"mystery={name}", cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert asked(checkout).count(f"mystery={checkout / name}") == 1
    assert not (checkout / "made").exists()


def test_a_relative_path_is_relative_to_where_make_was_called(checkout, tmp_path):
    (tmp_path / "my star.fits").write_text("x")
    for path in ("my star.fits", str(tmp_path / "my star.fits")):
        done = make("-C", str(checkout), "lab", f"mystery={path}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert asked(checkout).count(f"mystery={tmp_path / 'my star.fits'}") == 2


def test_another_file_or_another_content_is_another_mystery(checkout):
    stamp = checkout / "build" / "simulated" / ".mystery"

    def stamped(*arguments):
        assert make(str(stamp.relative_to(checkout)), *arguments, cwd=checkout).returncode == 0
        return stamp.read_text(), stamp.stat().st_mtime_ns

    (checkout / "a b.fits").write_text("x")
    first = stamped("mystery=a b.fits")
    assert stamped("mystery=a b.fits") == first
    (checkout / "a b.fits").write_text("y")
    assert stamped("mystery=a b.fits")[0] != first[0]
    assert stamped()[0] != first[0]
    assert make("lab", "mystery=no such.fits", cwd=checkout).returncode != 0


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
    assert asked(checkout).count("Jane_O'Hara-Núñez") == 3
    assert set(asked(checkout)) >= {"my_fields.2+3"}
