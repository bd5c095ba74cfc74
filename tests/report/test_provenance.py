import re
import subprocess
import time
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.table import QTable

from lab2 import apstar, catalog
from lab2 import survey as survey_module
from lab2.report import Page, pdfs, provenance


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
    assert "Survey: myfields (a simulated survey, made by lab2; not observations)" in pdfs.described("myfields")


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
    with pytest.raises(ValueError, match=r"'myfields' does not match its manifest: allStar\.fits has changed"):
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
