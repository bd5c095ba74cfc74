import hashlib
import json

import pytest
from astropy.table import Table

from lab2 import catalog, survey


def test_home_is_the_project_unless_the_environment_names_another(tmp_path, monkeypatch):
    monkeypatch.delenv("LAB2_HOME", raising=False)
    assert survey.home() == survey.root()
    assert (survey.home() / "lab2" / "survey.py").is_file()
    monkeypatch.setenv("LAB2_HOME", str(tmp_path))
    assert survey.survey_folder("x") == tmp_path / "data" / "x"
    assert survey.build_folder("x") == tmp_path / "build" / "x"
    assert survey.figure_folder("x") == tmp_path / "figures" / "x"


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".", "..", ".hidden", "-x", "a b", "a\\b", "a\n", 3, None])
def test_a_name_that_is_no_folder_is_refused_everywhere(home, name):
    for function in (survey.survey_folder, survey.build_folder, survey.figure_folder, survey.manifest):
        with pytest.raises(ValueError, match=r"one plain word.*data/<survey>"):
            function(name)


def test_a_survey_that_was_never_made(home):
    with pytest.raises(FileNotFoundError, match=r"survey 'simulated' was never made.*python -m lab2 simulate"):
        survey.survey_folder("simulated", must_exist=True)
    with pytest.raises(FileNotFoundError, match=r"survey 'dr17' was never made.*allStar"):
        survey.manifest("dr17")
    (home / "data" / "dr17").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no manifest\.json.*python -m lab2 survey --survey dr17"):
        survey.manifest("dr17")


@pytest.mark.parametrize("text", ["{", "[]", '{"simulated": "yes", "files": {}}', '{"simulated": true}'])
def test_a_manifest_that_is_none(home, text):
    (home / "data" / "x").mkdir(parents=True)
    (home / "data" / "x" / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json.*make the survey again"):
        survey.manifest("x")


@pytest.fixture
def own_survey(home):
    folder = home / "data" / "dr17"
    (folder / "apStar" / "M15").mkdir(parents=True)
    Table({"ASPCAP_ID": ["apogee.apo25m.synspec_rev1.dr17.M15.2M1"]}).write(folder / "allStar.fits")
    (folder / "apStar" / "M15" / "apStar-dr17-2M1.fits").write_bytes(b"spectrum")
    return folder


def test_files_of_ones_own_become_a_survey(own_survey):
    written = catalog.adopt("dr17")
    assert written["simulated"] is False
    assert written["label_tree"] == "synspec_rev1"
    assert written["files"]["apStar/M15/apStar-dr17-2M1.fits"] == {
        "size": 8,
        "sha256": hashlib.sha256(b"spectrum").hexdigest(),
    }
    assert set(written["files"]) == {"allStar.fits", "apStar/M15/apStar-dr17-2M1.fits"}
    assert (
        survey.check("dr17")
        == survey.manifest("dr17")
        == written
        == json.loads((own_survey / "manifest.json").read_text())
    )


def test_a_simulated_survey_without_its_manifest_stays_a_simulated_one(own_survey):
    (own_survey / "truth.ecsv").write_text("what no real survey has")
    written = catalog.adopt("dr17")
    assert (written["simulated"], written["label_tree"]) == (True, "simulated")


def test_a_survey_that_changed_is_refused(own_survey):
    catalog.adopt("dr17")
    (own_survey / "allStar.fits").write_bytes(b"Catalog")
    (own_survey / "apStar" / "M15" / "apStar-dr17-2M1.fits").rename(own_survey / "apStar" / "M15" / "new.fits")
    with pytest.raises(ValueError, match=r"2M1\.fits is missing; .*new\.fits is not in.*; allStar\.fits has changed"):
        survey.check("dr17")


@pytest.mark.parametrize(
    ("lost", "what"), [("allStar.fits", "catalog"), ("apStar/M15/apStar-dr17-2M1.fits", "spectra")]
)
def test_a_folder_that_is_no_survey_is_refused(own_survey, lost, what):
    (own_survey / lost).unlink()
    with pytest.raises(FileNotFoundError, match=f"'dr17' lacks the {what}"):
        catalog.adopt("dr17")
