import json
import os
import re

import nbformat
import pytest
import xarray as xr
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from pdfs import text_of

from lab2.report.checkpoints import checkpoint
from lab2.report.document import report
from lab2.report.run import NotebookError, find, run

PARAMETERS = 'survey = "simulated"\nseed = 1'


SHOW = """
import matplotlib.pyplot as plt
from lab2.report import Page
page = Page("{stem}", survey, seed)
page.show(plt.figure(), "one", "A caption of {stem}.")
page.say(f"The survey is {{survey}}, the seed {{seed}}.")
"""


def cell(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


@pytest.fixture
def notebooks(home, survey, monkeypatch):
    """A folder of notebooks of our own; returns what adds one."""
    folder = home / "notebooks"
    folder.mkdir()
    monkeypatch.setattr("lab2.report.run.notebook_folder", lambda: folder)

    def add(stem, *cells, parameters=PARAMETERS):
        head = [new_markdown_cell(f"# About {stem}", id="title"), cell(parameters, "parameters")]
        nbformat.write(new_notebook(cells=[*head, *cells]), folder / f"{stem}.ipynb")

    return add


def test_notebooks_run_and_make_a_report(home, notebooks, monkeypatch):
    notebooks("01_first", cell(SHOW.format(stem="01_first"), "checkpoint-1"))
    notebooks("02_second", new_markdown_cell("An answer.", metadata={"tags": ["checkpoint-1", "checkpoint-3"]}))
    build = home / "build" / "simulated"
    with pytest.raises(FileNotFoundError, match=r"01_first, 02_second; run: make cp1 \(or .*python -m lab2 run 01 02"):
        checkpoint(1)
    with pytest.raises(ValueError, match="no notebook has a cell tagged checkpoint-2"):
        checkpoint(2)
    assert run(progress=False, parameters={"seed": 5}) == [
        build / "01_first.ipynb",
        build / "02_second.ipynb",
    ]
    made = nbformat.read(build / "01_first.ipynb", as_version=4)
    assert made.metadata["lab2"]["simulated"] is True
    assert made.metadata["lab2"]["survey"] == "simulated"
    assert not list(build.glob("*.failed.ipynb"))
    os.remove(build / "02_second.ipynb")
    run(["02"], progress=False)  # by its number
    assert list(json.loads((build / "01_first.ipynb").read_text())["metadata"]["lab2"]["products"]) == [
        f"figures/simulated/01_one.{kind}" for kind in ("json", "pdf", "png")
    ]
    products = [build / "01_first.ipynb", *sorted((home / "figures" / "simulated").iterdir())]
    before = [product.read_bytes() for product in products]
    run(["01"], progress=False, parameters={"seed": 5})
    assert [product.read_bytes() for product in products] == before

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1762650000")  # 2025 November 9, 01:00
    path = checkpoint(1, name="Jane_O'Hara-Núñez")
    before = path.read_bytes()
    assert checkpoint(1, name="Jane_O'Hara-Núñez").read_bytes() == before
    (dated,) = re.findall(rb"/CreationDate ?\((.*?)\)", before)
    assert dated == b"D:20251109000000Z"  # the day, and no time of day
    assert path == build / "Jane_O'Hara-Núñez_lab2_cp1.pdf"
    text = "\n".join(text_of(path.read_bytes()))
    for there in [
        "Astro 128, Lab 2: checkpoint 1",
        "Jane O'Hara-Núñez",
        "Simulated survey",
        "Survey: simulated",
        "Figure 1. A caption of 01_first.",
        "The survey is simulated, the seed 5.",
        "An answer.",
    ]:
        assert there.replace("'", "’") in text.replace("'", "’")
    assert "import" not in text
    assert checkpoint(3).name == "Firstname_Lastname_lab1_cp3.pdf"

    text = "\n".join(text_of(report().read_bytes()))
    for there in [
        "Contents",
        "About 01_first",
        "About 02_second",
        "Figure 1. A caption of 01_first.",
        "Release 17",
    ]:
        assert there in text
    assert "import" not in text


def test_a_survey_that_was_observed_is_not_called_simulated(home, notebooks, make_survey):
    make_survey("dr17", simulated=False)
    notebooks("01_first", cell(SHOW.format(stem="01_first"), "checkpoint-1"))
    run(survey="dr17", progress=False)
    text = "\n".join(text_of(checkpoint(1, "dr17").read_bytes()) + text_of(report("dr17").read_bytes()))
    text = " ".join(text.split()).replace("’", "'")
    for there in [
        "Survey: dr17 (observed; labels of the pipeline's run synspec)",
        "those of the Sloan Digital Sky Survey IV, Data Release 17",
        "2780 rows in the fields M15, N6791, with the labels of the pipeline's run synspec; from here",
        "in the public domain",
        "Alfred P. Sloan Foundation",
        "Abdurro'uf et al. 2022",
    ]:
        assert there in text
    assert "https://www.sdss4.org/collaboration/citing-sdss/" in text.replace(" ", "")  # it goes over two lines
    assert "imulated" not in text


def test_a_failed_run_names_the_cell_and_keeps_the_notebook(home, notebooks):
    notebooks("03_bad", cell("x = 1"), cell("# why\nraise KeyError('no such star')"), cell("y = 2"))
    with pytest.raises(NotebookError) as caught:
        run(progress=False)
    lines = str(caught.value).split("\n")
    assert len(lines) == 3
    assert "03_bad" in lines[0]
    assert "03_bad.failed.ipynb" in lines[0]
    assert lines[1].split(": ", 1)[1] == "In [4]: # why"
    assert lines[2].split(": ", 1)[1] == "KeyError: 'no such star'"
    assert [path.name for path in (home / "build" / "simulated").iterdir()] == ["03_bad.failed.ipynb"]
    with pytest.raises(FileNotFoundError, match="03_bad"):
        report()


def test_a_kernel_that_dies_is_named_too(notebooks):
    notebooks("03_dead", cell("import os\nos._exit(9)"))
    with pytest.raises(NotebookError, match=r"(?s)03_dead.*cell: import os.*kernel died"):
        run(progress=False)


def test_a_notebook_that_ends_itself_has_not_passed(notebooks):
    notebooks("03_early", cell("x = 1"), cell("raise SystemExit"), cell("1 / 0"))
    with pytest.raises(NotebookError, match=r"(?s)03_early.*cell: raise SystemExit.*ended itself"):
        run(progress=False)


def test_nothing_runs_when_something_given_is_wrong(home, notebooks):
    notebooks("01_first", cell("1"))
    notebooks("02_second", cell("2"), parameters="seed = 1")
    with pytest.raises(ValueError, match="no parameter `survey`"):
        run(progress=False)
    with pytest.raises(ValueError, match=r"01_first has a parameter 'sead'; they have seed, survey"):
        run(["01"], parameters={"sead": 2}, progress=False)
    with pytest.raises(ValueError, match="no notebook 07; there are 01_first, 02_second"):
        run(["07"], progress=False)
    with pytest.raises(FileNotFoundError, match="'dr17' does not exist"):
        run(["01"], survey="dr17", progress=False)
    assert not (home / "build").exists()


SAVE = """
import xarray
from lab2.report import Page
page = Page("{stem}", survey, seed)
value = {value}
page.save(xarray.Dataset({{"value": value}}), "{stem}.nc")
"""
READ = 'float(Page("04_second", survey, seed).open("03_first.nc").value)'


def test_notebooks_of_others_run_by_their_paths_and_overwrite_nothing(home, notebooks, tmp_path):
    notebooks("03_first", cell(SAVE.format(stem="03_first", value="3")))
    notebooks("04_second")
    run(["03"], progress=False)
    build = home / "build" / "simulated"
    for name in ("04_second.ipynb", "04_second.nc"):
        (build / name).write_text("the project's own")
    before = {path: path.read_bytes() for path in build.rglob("*")}
    given = {}
    saved = (SAVE.format(stem="04_second", value=f"{number} + {READ}") for number in (10, 20))
    for who, code in zip(("ann {x}", "it's $bob", "cy"), (*saved, "1 / 0"), strict=True):
        (home / who).mkdir()
        given[who] = home / who / "04_second.ipynb"
        nbformat.write(new_notebook(cells=[cell(PARAMETERS, "parameters"), cell(code)]), given[who])
    made = run(list(given.values())[:2], progress=False)
    with pytest.raises(NotebookError, match=rf"(?s){given['cy']} .*ZeroDivisionError"):
        run([given["cy"]], progress=False)
    assert len({*made, build / "04_second.ipynb"}) == 3
    for path, who, value in zip(made, list(given)[:2], (13.0, 23.0), strict=True):
        assert path.parent.parent == build
        assert path.parent.name.startswith(f"{who}-04_second-")
        assert path.name == "04_second.ipynb"
        with xr.open_dataset(path.parent / "build" / "simulated" / "04_second.nc", engine="h5netcdf") as saved:
            assert float(saved.value) == value
    assert {path: path.read_bytes() for path in before} == before
    assert os.environ["LAB2_HOME"] == str(home)
    assert run([given["ann {x}"]], progress=False) == made[:1]  # again, in the same place


def test_a_path_of_the_projects_own_notebook_is_that_notebook(home, notebooks, monkeypatch):
    notebooks("03_first")
    monkeypatch.chdir(home / "notebooks")
    assert find(["03_first.ipynb"]) == find(["03"]) == find([home / "notebooks" / "03_first.ipynb"])
    monkeypatch.chdir(home)
    for name in ("03_first.ipynb", "elsewhere/03_first.ipynb", "notebooks/03_first", home):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*; the project's notebooks are 03_first"):
            find([name])


@pytest.mark.parametrize(
    "content", ["", "x", "[]", "{}", '{"nbformat": 4}', '{"nbformat": 4, "cells": 3}', "\x00", "漢"]
)
def test_a_file_that_is_no_notebook_is_refused_by_name(home, notebooks, content):
    path = home / "03 mine.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"03 mine\.ipynb"):
        run([path], progress=False)


def test_what_the_runner_sets_itself_is_no_parameter(notebooks):
    notebooks("03_first")
    with pytest.raises(ValueError, match="choose it by --survey"):
        run(parameters={"survey": "dr17"}, progress=False)


def test_a_relative_path_is_the_callers(home, notebooks, monkeypatch):
    name = 'it\'s "a" $x; {y} é.fits'
    notebooks("07_star", cell("assert open(mystery).read() == 'here'"), parameters=f"{PARAMETERS}\nmystery = None")
    (home / "sub").mkdir()
    (home / "sub" / name).write_text("here")
    monkeypatch.chdir(home / "sub")
    run(parameters={"mystery": name}, progress=False)
    monkeypatch.chdir(home)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*which was given as mystery"):
        run(parameters={"mystery": name}, progress=False)


def test_the_cause_of_a_failure_moves_no_cursor(notebooks):
    notebooks("03_bad", cell("raise ValueError('a\\x1b[2Jb\\u202ec' + 'd' * 9999)"))
    with pytest.raises(NotebookError) as caught:
        run(progress=False)
    cause = str(caught.value).split("\n")[2]
    assert r"a\x1b[2Jb\u202ecddd" in cause
    assert len(cause) < 600


def test_the_notebooks_are_found_in_order():
    stems = [path.stem for path in find()]
    assert stems == sorted(stems)
    assert all(stem[:2].isdigit() for stem in stems)
