import hashlib
import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.table import QTable

from lab2 import apstar, catalog
from lab2 import survey as survey_module
from lab2.files import sha256
from lab2.report import Page, checkpoints, provenance


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "root", lambda: tmp_path)
    assert provenance.commit() == (None, None)  # no checkout
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == (None, None)  # no git


def test_the_commit_and_whether_files_differ(tmp_path, monkeypatch):
    folder = tmp_path / "it's é "  # a space ends it
    folder.mkdir()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # a hook's git would mislead this one
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(provenance, "root", lambda: folder)

    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    git("init")
    assert provenance.commit() == (None, None)  # nothing committed yet
    git("commit", "--allow-empty", "-m", "one")
    head, dirty = provenance.commit()
    assert len(head) == 40
    assert dirty is False
    (folder / "new").write_text("x")
    assert provenance.commit() == (head, True)


# --- what was made, and of what -----------------------------------------------------------------------------


@pytest.fixture
def copied(home, tiny_survey):
    """A catalog and spectra of the simulated survey under another name, adopted."""
    for source in [tiny_survey / "allStar.fits", *sorted(tiny_survey.glob("apStar/*/*.fits"))[:3]]:
        path = home / "data" / "myfields" / source.relative_to(tiny_survey)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
    catalog.adopt("myfields")
    return home / "data" / "myfields"


def test_copied_simulated_data_are_called_simulated_on_pages_and_in_tables(copied, home):
    sheet = Page("01_training_set", "myfields", 1)
    assert "*simulated* spectra and catalog" in sheet.statement
    table = QTable({"a": [1]})
    sheet.save(table, "01_giants.ecsv")
    read = QTable.read(home / "build" / "myfields" / "01_giants.ecsv")
    assert (read.meta["simulated"], read.meta["survey"]) == (True, "myfields")
    assert not table.meta  # the table that was given stays as it was
    assert "Survey: myfields (a simulated survey, made by lab2; not observations)" in checkpoints._described("myfields")


def test_what_is_saved_does_not_say_where_the_checkout_lies(copied, home):
    spectra = apstar.read_many(sorted(copied.glob("apStar/*/*.fits")), progress=False)
    sheet = Page("03_continuum", "myfields", 1)
    sheet.save(spectra, "03_spectra.nc")
    read = sheet.open("03_spectra.nc").load()
    assert list(read.path.values) == [Path(path).relative_to(home).as_posix() for path in spectra.path.values]
    assert read.path.values[0].startswith("data/myfields/apStar/")


def test_a_notebook_refuses_a_catalog_or_spectrum_that_changed(copied):
    path = copied / "allStar.fits"
    with fits.open(path, mode="update") as hdus:
        hdus[1].data["TEFF"][:30] += 500
    with pytest.raises(ValueError, match=r"'myfields' is not what its manifest says: allStar\.fits has changed"):
        Page("01_training_set", "myfields", 1)
    catalog.adopt("myfields")
    Page("01_training_set", "myfields", 1)
    spectrum = sorted(copied.glob("apStar/*/*.fits"))[1]
    with fits.open(spectrum, mode="update") as hdus:
        hdus[1].data[0, 4000:5000] *= 1.5
    with pytest.raises(ValueError, match=rf"{re.escape(spectrum.name)} has changed\."):
        Page("03_continuum", "myfields", 1)


def test_the_check_is_silent_on_a_notebooks_page(copied, capfd, monkeypatch):
    monkeypatch.setattr(survey_module, "_is_as_listed", lambda *given: time.sleep(0.4) or True)
    Page("01_training_set", "myfields", 1)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def executed(copied, home):
    """Notebook 03 as if it had been executed, with a product and a figure."""
    build, figures = home / "build" / "myfields", home / "figures" / "myfields"
    for folder in (build, figures):
        folder.mkdir(parents=True)
    (build / "03_spectra.nc").write_text("spectra")
    (build / "04_model.nc").write_text("another notebook's")
    (build / "03_continuum.failed.ipynb").write_text("of an earlier run")
    (figures / "03_snr.png").write_text("figure")
    path = build / "03_continuum.ipynb"
    path.write_text(json.dumps({"metadata": {"lab2": provenance.made("03_continuum", "myfields")}}))
    return path


def test_the_record_of_a_notebook_names_all_that_it_made(executed, copied):
    record = json.loads(executed.read_text())["metadata"]["lab2"]
    assert record["manifest"] == sha256(copied / "manifest.json")
    assert record["products"] == {
        "build/myfields/03_spectra.nc": hashlib.sha256(b"spectra").hexdigest(),
        "figures/myfields/03_snr.png": hashlib.sha256(b"figure").hexdigest(),
    }


def test_what_is_not_whole_is_found(executed, copied, home):
    assert provenance.broken("myfields") == []
    name, whole = "build/myfields/03_continuum.ipynb", executed.read_text()
    for path in (executed.with_name("03_spectra.nc"), home / "figures" / "myfields" / "03_snr.png"):
        right = path.read_bytes()
        path.write_bytes(right[:-1])
        assert provenance.broken("myfields") == [name]
        path.unlink()
        assert provenance.broken("myfields") == [name]
        path.write_bytes(right)
    for text in ("", whole[:-5], "[]", '{"metadata": {}}', '{"metadata": {"lab2": {"products": []}}}'):
        executed.write_text(text)
        assert provenance.broken("myfields") == [name]
    executed.write_text(whole)
    (executed.parent / "report.pdf").write_bytes(b"%PDF-1.7 cut")
    assert provenance.broken("myfields") == ["build/myfields/report.pdf"]
    (executed.parent / "report.pdf").write_bytes(b"%PDF-1.7\n%%EOF\n")
    assert provenance.broken("myfields") == []
    catalog.adopt("myfields")  # the same files: nothing has changed
    assert provenance.broken("myfields") == []
    (copied / "notes.txt").write_text("a note")
    catalog.adopt("myfields")
    assert provenance.broken("myfields") == [name]
    (copied / "manifest.json").unlink()
    assert provenance.broken("myfields") == []
