import json
import os
import subprocess

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from pdfs import text_of

from lab2.files import sha256
from lab2.report import Page, page, provenance
from lab2.report.checkpoints import checkpoint, checkpoint_path, report
from lab2.report.html import html_table
from lab2.report.run import NotebookError, find, run
from lab2.survey import write_manifest


def make_survey(home, name="simulated", simulated=True):
    folder = home / "data" / name
    folder.mkdir(parents=True)
    (folder / "allStar.fits").write_bytes(b"x")
    about = {"label_tree": "synspec"}
    if not simulated:
        about["catalogue"] = {"rows": 2780, "fields": ["M15", "N6791"], "label_tree": "synspec", "source": "here"}
    write_manifest(folder, simulated=simulated, **about)
    return folder


@pytest.fixture
def survey(home):
    return make_survey(home)


@pytest.fixture
def displays(monkeypatch):
    """What a page displays, as (thing, metadata)."""
    seen = []
    monkeypatch.setattr(page, "display", lambda thing, raw=False, metadata=None: seen.append((thing, metadata)))
    return seen


def drawn():
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.plot([1, 2])
    return figure


def test_a_figure_keeps_where_it_came_from(home, survey, displays):
    sheet = Page("04_spectral_model", "simulated", 11)
    sheet.input(survey / "allStar.fits")
    figure = drawn()
    sheet.show(figure, "theta", "The *coefficients*.")
    folder = home / "figures" / "simulated"
    assert sorted(path.name for path in folder.iterdir()) == ["04_theta.json", "04_theta.pdf", "04_theta.png"]
    assert not plt.fignum_exists(figure.number)
    record = json.loads((folder / "04_theta.json").read_text())
    assert record["notebook"] == "04_spectral_model"
    assert record["seed"] == 11
    assert record["caption"] == "The *coefficients*."
    assert record["inputs"]["data/simulated/allStar.fits"] == sha256(survey / "allStar.fits")
    assert set(record["inputs"]) == {"data/simulated/allStar.fits", "data/simulated/manifest.json"}
    assert record["versions"]["numpy"] == np.__version__
    (bundle, about), (said, caption) = displays
    assert {"image/png", "application/pdf"} <= set(bundle)
    assert about["image/png"]["width"] == pytest.approx(400, rel=0.1)
    assert said.data == "The *coefficients*."
    assert caption == {"lab2": {"role": "caption"}}


@pytest.mark.parametrize(
    ("simulated", "real", "stamped"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_what_is_simulated_says_so(home, displays, simulated, real, stamped):
    make_survey(home, simulated=simulated)
    Page("02_spectra", "simulated", 1).show(drawn(), "one", "A star.", real=real)
    (text,) = text_of((home / "figures" / "simulated" / "02_one.pdf").read_bytes())
    assert ("simulated survey" in text) is stamped


def test_equal_figures_are_equal_bytes(home, survey, displays):
    pdfs = set()
    for _ in range(2):
        Page("02_spectra", "simulated", 1).show(drawn(), "one", "A star.")
        pdfs.add((home / "figures" / "simulated" / "02_one.pdf").read_bytes())
    assert len(pdfs) == 1


def test_results_go_from_notebook_to_notebook(home, survey):
    first, second = Page("03_continuum", "simulated", 1), Page("04_spectral_model", "simulated", 1)
    spectra = xr.Dataset({"flux": (("star", "w"), np.eye(3)), "bad": ("star", [True, False, True])})
    path = first.save(spectra.assign_coords(star=["a", "b", "cc"]), "03_spectra.nc")
    assert path == home / "build" / "simulated" / "03_spectra.nc"
    read = second.open("03_spectra.nc").load()
    xr.testing.assert_identical(read, spectra.assign_coords(star=["a", "b", "cc"]))
    assert read.flux.encoding["zlib"]
    table = QTable({"star": ["a"], "teff": [4800.0] * u.K})
    first.save(table, "03_table.ecsv")
    assert second.table("03_table.ecsv")["teff"][0] == 4800 * u.K
    assert set(second._inputs) >= {"build/simulated/03_spectra.nc", "build/simulated/03_table.ecsv"}
    first.save(read, "03_spectra.nc")  # what was read from a file can be saved in its place
    assert sorted(p.name for p in path.parent.iterdir()) == ["03_spectra.nc", "03_table.ecsv"]


def test_a_model_saves_itself_and_half_a_file_is_never_seen(home, survey):
    class Model:
        def save(self, path):
            path.write_text("half")
            raise OSError("the disk is full")

    sheet = Page("04_spectral_model", "simulated", 1)
    with pytest.raises(OSError, match="full"):
        sheet.save(Model(), "04_model.nc")
    assert list((home / "build" / "simulated").iterdir()) == []


def test_bad_arguments_of_a_page(home, survey, displays):
    with pytest.raises(ValueError, match="named like '04_spectral_model', not 'model'"):
        Page("model", "simulated", 1)
    with pytest.raises(FileNotFoundError, match="never made"):
        Page("04_model", "dr17", 1)
    sheet = Page("04_spectral_model", "simulated", 1)
    with pytest.raises(FileNotFoundError, match=r"notebook 03 makes it; run: python -m lab2 run 03 --survey simulated"):
        sheet.open("03_spectra.nc")
    with pytest.raises(FileNotFoundError, match="no notebook makes it"):
        sheet.table("giants.ecsv")
    with pytest.raises(FileNotFoundError, match="which notebook 04_spectral_model reads"):
        sheet.input(home / "nothing")
    with pytest.raises(ValueError, match=r"saves files named 04_"):
        sheet.save(xr.Dataset(), "05_model.nc")
    with pytest.raises(TypeError, match="cannot save a list"):
        sheet.save([1], "04_model.nc")
    with pytest.raises(ValueError, match="no caption"):
        sheet.show(drawn(), "x", " ")
    with pytest.raises(ValueError, match="figure's name"):
        sheet.show(drawn(), "a/b", "C.")
    plt.close("all")
    with pytest.raises(ValueError, match="lacks: bias"):
        sheet.display_table(QTable({"a": [1]}), "C.", {"bias": ".2f"})


def test_tables_show_numbers_units_and_gaps():
    masked = MaskedColumn([1, 2, 3], mask=[False, True, False])
    table = QTable({"star": ["a<b", "-c", "d"], "teff": [-2.345, np.nan, 4.0] * u.K, "n": masked})
    html = html_table(table, {"teff": ".1f"})
    assert "<tr><th></th><th>K</th><th></th></tr>" in html
    assert "<tr><td>a&lt;b</td><td>−2.3</td><td>1</td></tr>" in html
    assert "<tr><td>-c</td><td>–</td><td>–</td></tr>" in html
    frame = pd.DataFrame({"bias": [0.123456], "good": [True]}, index=["x"])
    assert "<td>x</td><td>0.1235</td><td>True</td>" in html_table(frame)
    assert "<tr><td>0.1235</td>" in html_table(frame.reset_index(drop=True))


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "root", lambda: tmp_path)
    assert provenance.commit() == (None, None)  # no checkout
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == (None, None)  # no git


def test_the_commit_and_whether_files_differ(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # a hook's git would mislead this one
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(provenance, "root", lambda: tmp_path)

    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    assert provenance.commit() == (None, None)  # nothing committed yet
    git("commit", "--allow-empty", "-m", "one")
    head, dirty = provenance.commit()
    assert len(head) == 40
    assert dirty is False
    (tmp_path / "new").write_text("x")
    assert provenance.commit() == (head, True)


# ---- running notebooks ----

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
        head = [new_markdown_cell(f"# About {stem}"), cell(parameters, "parameters")]
        nbformat.write(new_notebook(cells=[*head, *cells]), folder / f"{stem}.ipynb")

    return add


def test_notebooks_run_and_make_a_report(home, notebooks):
    notebooks("01_first", cell(SHOW.format(stem="01_first"), "checkpoint-1"))
    notebooks("02_second", new_markdown_cell("An answer.", metadata={"tags": ["checkpoint-1", "checkpoint-3"]}))
    build = home / "build" / "simulated"
    with pytest.raises(FileNotFoundError, match=r"01_first, 02_second; run: make cp1 \(or python -m lab2 run 01 02"):
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

    path = checkpoint(1, name="Jane_O'Hara-Núñez")
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


def test_a_survey_that_was_observed_is_not_called_simulated(home, notebooks):
    make_survey(home, "dr17", simulated=False)
    notebooks("01_first", cell(SHOW.format(stem="01_first"), "checkpoint-1"))
    run(survey="dr17", progress=False)
    text = "\n".join(text_of(checkpoint(1, "dr17").read_bytes()) + text_of(report("dr17").read_bytes()))
    text = " ".join(text.split()).replace("’", "'")
    for there in [
        "Survey: dr17 (observed; labels of the pipeline's run synspec)",
        "those of the Sloan Digital Sky Survey IV, Data Release 17",
        "2780 rows in the fields M15, N6791, with the labels of the pipeline's run synspec; from here",
        "in the public domain",
        "https://www.sdss4.org/collaboration/citing-sdss/",
        "Alfred P. Sloan Foundation",
        "Abdurro'uf et al. 2022",
    ]:
        assert there in text
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


def test_nothing_runs_when_something_given_is_wrong(home, notebooks):
    notebooks("01_first", cell("1"))
    notebooks("02_second", cell("2"), parameters="seed = 1")
    with pytest.raises(ValueError, match="no parameter `survey`"):
        run(progress=False)
    with pytest.raises(ValueError, match=r"01_first has a parameter 'sead'; they have seed, survey"):
        run(["01"], parameters={"sead": 2}, progress=False)
    with pytest.raises(ValueError, match="no notebook 07; there are 01_first, 02_second"):
        run(["07"], progress=False)
    with pytest.raises(FileNotFoundError, match="'dr17' was never made"):
        run(["01"], survey="dr17", progress=False)
    assert not (home / "build").exists()


def test_without_torch_notebook_09_is_left_out_in_one_line(notebooks, monkeypatch):
    notebooks("09_neural_network", cell("import torch"))
    monkeypatch.setattr("lab2.report.run._NEEDS", {"09": "no_such_package"})
    run(progress=False)
    text = "\n".join(text_of(report().read_bytes()))
    assert "Notebook 09_neural_network was left out: it needs no_such_package, which is not installed." in text


@pytest.mark.parametrize("name", ["", "a/b", "/etc/x", "..", "Jane Doe", "a\nb", "a\\b", "-x", "_x", "a*"])
def test_a_name_that_is_no_part_of_a_file_name(home, name):
    with pytest.raises(ValueError, match="written like Firstname_Lastname"):
        checkpoint_path(1, "simulated", name)


def test_there_are_three_checkpoints(home):
    with pytest.raises(ValueError, match="1, 2 and 3, not 4"):
        checkpoint_path(4, "simulated")


def test_the_notebooks_are_found_in_order():
    stems = [path.stem for path in find()]
    assert stems == sorted(stems)
    assert all(stem[:2].isdigit() for stem in stems)
