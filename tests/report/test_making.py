"""What is made again, and what is not: by content, whatever the dates of the files."""

import json
import os
import shutil

import nbformat
import pytest
import xarray
from astropy.table import Table
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pdfs import text_of

from lab2 import _code
from lab2 import _making as making
from lab2 import simulate as simulate_module
from lab2.__main__ import main
from lab2._making import make, status
from lab2.report import Page, freshness
from lab2.report.run import find, run
from lab2.simulate.again import arguments
from lab2.survey import write_manifest

# Without a page, which takes longer to load than all else that a kernel does here: what counts are the files.
FIRST = """
import os
from pathlib import Path
Path(os.environ["LAB2_HOME"], "build", survey, "01_first.nc").write_text("VALUE")
"""
SECOND = """
import os
from pathlib import Path
value = Path(os.environ["LAB2_HOME"], "build", survey, "01_first.nc").read_text()
print(f"The survey is {survey}, the seed {seed}, the value {value}, the star {mystery}.")
"""
THIRD = "seed"


def cell(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A home with a survey of no spectra and three executed notebooks; the second reads the first's product."""
    home = tmp_path_factory.mktemp("executed")
    folder, survey = home / "notebooks", home / "data" / "simulated"
    for path in (folder, survey):
        path.mkdir(parents=True)
    Table({"a": [1]}, meta={"SIMULATE": True}).write(survey / "allStar.fits")
    write_manifest(survey, simulated=True, label_tree="simulated")
    for stem, code in {"01_first": FIRST.replace("VALUE", "1.0"), "02_second": SECOND, "03_third": THIRD}.items():
        parameters = 'survey = "simulated"\nseed = 1' + ("\nmystery = None" if stem == "02_second" else "")
        tags = {"02_second": ["checkpoint-1"], "03_third": ["checkpoint-2", "checkpoint-3"]}.get(stem, [])
        cells = [new_markdown_cell(f"# {stem}"), cell(parameters, "parameters"), cell(code, *tags)]
        nbformat.write(new_notebook(cells=cells), folder / f"{stem}.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB2_HOME", str(home))
        patch.setattr("lab2.report.run.notebook_folder", lambda: folder)
        run(progress=False)
    return home


@pytest.fixture
def lab(executed, home, monkeypatch):
    """The notebooks of a copy of that home."""
    shutil.copytree(executed, home, dirs_exist_ok=True)
    monkeypatch.setattr("lab2.report.run.notebook_folder", lambda: home / "notebooks")
    return home / "notebooks"


def stale():
    return {name: state for name, state in status() if state != "up to date" and name[0] == "0"}


def rewritten(path, *changes):
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)


def test_what_is_up_to_date_is_not_made_again(lab, home):
    assert stale() == {}
    build = home / "build" / "simulated"
    assert [path.name for path in make("cp1")] == ["Firstname_Lastname_lab2_cp1.pdf"]
    before = {path: path.stat().st_mtime_ns for path in build.iterdir()}
    make("cp1")
    make("lab")
    assert {path: path.stat().st_mtime_ns for path in build.iterdir()} == before
    for path in lab.iterdir():
        os.utime(path)
    assert stale() == {}


def test_a_notebook_that_is_executed_by_hand_and_saved_without_a_change_is_not_stale(lab):
    path = lab / "02_second.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for number, one in enumerate(notebook.cells):
        one.metadata["collapsed"] = False
        if one.cell_type == "code":
            one.execution_count, one.outputs = number, [new_output("stream", text="something")]
    notebook.metadata["language_info"] = {"name": "python", "version": "3.99"}
    path.write_text(json.dumps(notebook, indent=4))
    assert stale() == {}


def test_a_changed_cell_makes_its_notebook_stale_and_what_reads_its_product_when_that_differs(lab, capfd):
    rewritten(lab / "01_first.ipynb", ("# 01_first", "# The first"))
    assert stale() == {"01_first": "its cells have changed", "02_second": "01_first.nc will be made again"}
    make("lab")
    said = capfd.readouterr().out
    assert "01_first: its cells have changed" in said
    assert "02_second:" not in said  # the product is the same bits
    rewritten(lab / "01_first.ipynb", ("1.0", "2.0"))
    make("lab")
    assert "02_second: 01_first.nc has changed" in capfd.readouterr().out
    assert stale() == {}


def test_other_code_and_other_versions_are_noticed(lab, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_code, "digest", lambda patterns: "another")
        assert set(stale().values()) == {"the package lab2 has changed"}
    with monkeypatch.context() as patch:
        patch.setattr("lab2.report.provenance.installed", lambda: {"python": "3.99"})
        assert "and was" in stale()["01_first"]


def test_another_state_of_the_survey_is_noticed_whatever_its_date(lab, home):
    path = home / "data" / "simulated" / "manifest.json"
    before, text = path.stat(), path.read_text()
    path.write_text(text.replace('"label_tree": "simulated"', '"label_tree": "synthetic"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert set(stale().values()) == {"the survey has changed"}


def test_products_that_were_deleted_or_changed_and_records_that_were_cut_are_noticed(lab, home):
    build = home / "build" / "simulated"
    (build / "01_first.nc").write_bytes((build / "01_first.nc").read_bytes()[:-1])
    (build / "03_third.ipynb").write_text("{")
    assert stale() == {
        "01_first": "build/simulated/01_first.nc has changed",
        "02_second": "01_first.nc has changed",
        "03_third": "its record cannot be read",
    }
    (build / "01_first.nc").unlink()
    assert stale()["01_first"] == "build/simulated/01_first.nc is missing"
    make("cp1")
    assert list(stale()) == ["03_third"]  # the checkpoint does not need it


def test_a_pdf_that_was_cut_or_is_of_other_notebooks_is_set_again(lab, home):
    (path,) = make("cp1")
    right = path.read_bytes()
    path.write_bytes(right[:-1])
    assert dict(status())[path.name] == "not of these notebooks and this code"
    make("cp1")
    assert path.read_bytes() == right
    run(["02"], parameters={"seed": 5}, progress=False)
    assert dict(status())[path.name] == "notebooks that it shows are not up to date"


def test_a_seed_that_was_tried_by_command_does_not_stay_unseen(lab):
    run(["02"], parameters={"seed": 5}, progress=False)
    assert stale() == {"02_second": "seed is not set, and was 5 when it was executed"}
    make("lab")
    assert stale() == {}


def test_a_chosen_mystery_star_stays_until_another_is_chosen(lab, home):
    (home / "my star.fits").write_text("one")
    (path,) = make("cp1", mystery=home / "my star.fits")
    assert "my star.fits" in text_of(path.read_bytes())[0]
    make("lab")
    assert stale() == {}
    (home / "my star.fits").write_text("two")
    assert stale()["02_second"] == "mystery has changed"
    make("cp1", mystery="survey")
    assert "the star None" in text_of(path.read_bytes())[0]
    with pytest.raises(FileNotFoundError, match="given as mystery"):
        make("cp1", mystery=home / "none.fits")


@pytest.fixture
def simulated(home, lab, monkeypatch):
    """A survey that says how it was simulated; the calls of `make_survey` are noted, and make such a one."""
    asked = []

    def simulate(folder, seed=128, n_stars=1886):
        asked.append((folder.name, seed, n_stars))
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "allStar.fits").exists():
            (folder / "allStar.fits").write_bytes((home / "data" / "simulated" / "allStar.fits").read_bytes())
        code = _code.digest(_code.SIMULATION)
        write_manifest(folder, simulated=True, label_tree="simulated", seed=seed, n_stars=n_stars, code=code)

    monkeypatch.setattr(making, "make_survey", simulate)
    monkeypatch.setattr(simulate_module, "make_survey", simulate)
    simulate(home / "data" / "simulated")
    asked.clear()
    return asked


def test_the_seed_of_a_survey_is_that_of_its_notebooks_and_stands_on_their_pages(simulated, home):
    for survey, seed in (("v7", 7), ("v8", 8)):
        (path,) = make("cp1", survey, seed=seed)
        text = " ".join("\n".join(text_of(path.read_bytes())).split())
        assert f"Survey: {survey} (a simulated survey, made by lab2; not observations; seed {seed})" in text
        assert f"the seed {seed}," in text
        make("cp1", survey)  # as it is
    assert simulated == [("v7", 7, 1886), ("v8", 8, 1886)]


def test_a_survey_is_never_replaced_by_a_smaller_or_another_one_without_a_word(simulated, home, capsys):
    for given, words in (({"n_stars": 300}, "--n-stars 300 --replace"), ({"seed": 7}, "--seed 7 --replace")):
        with pytest.raises(ValueError, match=rf"1886 stars; .* another survey: .*{words}"):
            make("survey", **given)
        assert main(["simulate", *words.split()[:2]]) == 2
    make("survey")
    make("survey", n_stars=1886, seed=128)
    assert simulated == []
    make("survey", n_stars=3000)
    assert "its 1886 stars are replaced by 3000" in capsys.readouterr().out
    make("survey")
    assert simulated == [("simulated", 128, 3000)]
    assert main(["simulate", "--n-stars", "300", "--replace"]) == 0
    assert main(["simulate"]) == 0  # the same again
    assert simulated[1:] == [("simulated", 128, 300)] * 2


def test_a_survey_of_other_code_is_simulated_again_from_its_own_seed(simulated, home, monkeypatch):
    make("survey", "v7", seed=7, n_stars=300)
    monkeypatch.setattr(_code, "digest", lambda patterns: "another")
    make("survey", "v7")
    assert simulated == [("v7", 7, 300)] * 2


def test_observed_surveys_keep_the_seed_of_their_notebooks(lab, make_survey, home):
    make_survey("dr17", simulated=False)
    make("lab", "dr17", seed=9)
    make("lab", "dr17")
    executed = json.loads((home / "build" / "dr17" / "03_third.ipynb").read_text())
    assert executed["metadata"]["lab2"]["made_of"]["parameters"] == {"seed": 9}
    with pytest.raises(ValueError, match="number of its stars cannot be chosen"):
        make("survey", "dr17", n_stars=30)
    assert arguments("dr17", n_stars=30) == {"n_stars": 30}


def test_a_survey_that_nobody_asked_to_simulate_is_not(home, lab):
    with pytest.raises(FileNotFoundError, match="'mine' does not exist"):
        make("lab", "mine")
    with pytest.raises(ValueError, match="the targets are survey, lab, "):
        make("everything")


def test_status_is_printed_as_a_table_and_changes_nothing(lab, home, capsys):
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["01_first", "up", "to", "date"]
    assert lines[-2].split() == ["report.pdf", "not", "made", "yet"]
    assert lines[-1].split() == ["report.html", "not", "made", "yet"]
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_what_was_made_by_hand_is_listed_and_makes_nothing_stale(lab, home, monkeypatch):
    monkeypatch.delenv("LAB2_RUN")
    page = Page("01_first", "simulated", 5)
    page.save(xarray.Dataset({"value": 5.0}), "01_first.nc")
    assert stale() == {}
    assert "read before the official one" in dict(status())["interactive: 01_first.nc"]


def test_what_the_labs_notebooks_need_is_read_off_their_code():
    sources = {source.name[:2]: source for source in find()}
    assert freshness.reads(sources["01"]) == []
    assert "03_spectra.nc" in freshness.reads(sources["04"])
    needed = freshness.with_needed([sources["07"]], list(sources.values()))
    assert [source.name[:2] for source in needed] == ["01", "03", "04", "05", "07"]
