"""An interactive run has a place of its own, which it reads first; the files of `lab2 run` stay as they are."""

import os
import re

import matplotlib.pyplot as plt
import nbformat
import papermill
import pytest
import xarray as xr
from astropy.table import QTable
from nbformat.v4 import new_code_cell, new_notebook

from lab2.files import sha256
from lab2.report import Page, pictures, places
from lab2.report import page as page_module


def product(value):
    return xr.Dataset({"value": value})


@pytest.fixture
def by_hand(monkeypatch):
    """Make pages interactive, and return what they say."""
    said = []
    monkeypatch.delenv("LAB2_RUN")
    monkeypatch.setattr(page_module, "display", lambda thing, **_: said.append(getattr(thing, "data", thing)))
    return said


def test_a_run_by_hand_saves_beside_the_official_files_and_reads_its_own_first(home, survey, by_hand, monkeypatch):
    build = home / "build" / "simulated"
    with monkeypatch.context() as patch:
        patch.setenv("LAB2_RUN", "1")
        Page("03_continuum", "simulated", 1).save(product(1.0), "03_one.nc")
        Page("03_continuum", "simulated", 1).save(product(2.0), "03_two.nc")
    before = {path: sha256(path) for path in build.iterdir()}

    page = Page("03_continuum", "simulated", 7)
    assert page.save(product(10.0), "03_one.nc") == build / "interactive" / "03_one.nc"
    page.save(QTable({"star": ["a"]}), "03_new.ecsv")
    reader = Page("04_spectral_model", "simulated", 7)
    assert [float(reader.open(name).value) for name in ("03_one.nc", "03_two.nc")] == [10.0, 2.0]
    assert len(reader.table("03_new.ecsv")) == 1
    assert {path: sha256(path) for path in before} == before
    assert places.interactive_files("simulated") == [build / "interactive" / n for n in ("03_new.ecsv", "03_one.nc")]

    with monkeypatch.context() as patch:
        patch.setenv("LAB2_RUN", "1")
        official = Page("04_spectral_model", "simulated", 7)
        assert float(official.open("03_one.nc").value) == 1.0
        with pytest.raises(FileNotFoundError, match="no 03_new"):
            official.table("03_new.ecsv")
        assert "nteractive" not in official.statement


def test_what_takes_the_place_of_an_official_file_is_said_once(home, survey, by_hand, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("LAB2_RUN", "1")
        for name in ("03_one.nc", "03_same.nc"):
            Page("03_continuum", "simulated", 1).save(product(1.0), name)
    page = Page("03_continuum", "simulated", 1)
    paths = [page.save(product(value), name) for value, name in ((5.0, "03_one.nc"), (1.0, "03_same.nc"))]
    for path in paths:
        os.utime(path, (1.7e9, 1.7e9))
    reader = Page("04_spectral_model", "simulated", 1)
    for _ in range(2):
        reader.open("03_one.nc")
        reader.path("03_one.nc")
        reader.open("03_same.nc")  # it equals the official one, so that nothing is to be said
    (notice,) = by_hand
    shown = " ".join(notice.replace(">", "").split())
    assert re.search(r"`build/simulated/interactive/03_one.nc` of 2023-11-1\d \d\d:\d\d:\d\d, which differs", shown)
    assert "delete the folder `build/simulated/interactive/`" in shown
    assert "build/simulated/interactive/03_one.nc" in reader._inputs
    assert "build/simulated/03_same.nc" in reader._inputs
    paths[0].unlink()
    assert float(reader.open("03_one.nc").value) == 1.0


def test_the_statement_says_where_results_go(home, survey, by_hand):
    statement = Page("03_continuum", "simulated", 1).statement
    assert "`build/simulated/interactive/`" in statement
    assert "`figures/simulated/interactive/`" in statement
    assert all(line.startswith(">") for line in statement.splitlines())


SOURCE = """
import matplotlib.pyplot as plt
import xarray
from lab2.report import Page
page = Page("03_first", "simulated", 1)
page.save(xarray.Dataset({"value": VALUE}), "03_first.nc")
figure, axes = plt.subplots(figsize=(2, 2))
figure = page.show(figure, "one", "A caption.", zoom=True)
"""
AGAIN = "figure.axes[0].set_xlim(0, 1)\npage.show(figure, 'two', 'C.', zoom=True)"
CELLS = [SOURCE, 'page.show(plt.figure(), "two", "Another.")', AGAIN]


def executed(folder, value, cells, patch):
    """The outputs of each cell of a notebook that is executed, as JupyterLab would, in a kernel of its own."""
    patch.setenv("PYTHONPATH", os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]))
    sources = [source.replace("VALUE", str(value)) for source in cells]
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), folder / "03_first.ipynb")
    made = papermill.execute_notebook(
        folder / "03_first.ipynb", None, kernel_name="python3", language="python", progress_bar=False
    )
    return [cell.outputs for cell in made.cells]


def test_a_notebook_executed_by_hand_leaves_official_products_and_figures_alone(home, survey, monkeypatch, tmp_path):
    outputs = executed(tmp_path, 1.0, CELLS, monkeypatch)
    folders = home / "build" / "simulated", home / "figures" / "simulated"
    official = {path: sha256(path) for folder in folders for path in folder.rglob("*")}
    assert {path.name for path in official} == {"03_first.nc", *(f"03_{n}.{e}" for n in ("one", "two") for e in KINDS)}
    assert kinds(outputs) == [["figure", "caption"]] * 3

    monkeypatch.delenv("LAB2_RUN")
    outputs = executed(tmp_path, 2.0, [*CELLS, "figure"], monkeypatch)
    assert {path: sha256(path) for path in official} == official
    own = {path.name for folder in folders for path in (folder / "interactive").iterdir()}
    assert own == {path.name for path in official}
    once = ["figure", "caption"]
    # shown once where it is the cell's value; a later cell that asks for it sees it
    assert kinds(outputs[:3]) == [[*once, "zoom"], once, [*once, "zoom"]]
    assert "application/vnd.jupyter.widget-view+json" in outputs[0][2].data
    (bare,) = outputs[3]
    assert bare.output_type == "execute_result"
    assert "image/png" in bare.data


def test_without_ipympl_a_figure_stays_a_picture(home, survey, by_hand, monkeypatch):
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    figure = plt.figure(figsize=(2, 2))
    assert Page("03_continuum", "simulated", 1).show(figure, "one", "A caption.", zoom=True) is figure
    (picture,) = by_hand  # and no view to zoom into
    assert "image/png" in picture


def test_a_figure_that_is_shown_again_is_called_simulated_once(home, survey, by_hand):
    page, figure = Page("03_continuum", "simulated", 1), plt.figure(figsize=(2, 2))
    for name in ("one", "two"):
        page.show(figure, name, "A caption.")
    assert [text.get_text() for text in figure.texts] == ["simulated survey"]


KINDS = ("png", "pdf", "json")


def kinds(outputs):
    """What each cell displays, by the page's own marks; nothing else may be there."""
    assert {output.output_type for cell in outputs for output in cell} == {"display_data"}
    return [[output.metadata["lab2"]["role"] for output in cell] for cell in outputs]
