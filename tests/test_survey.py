import hashlib
import json

import pytest
from astropy.io import fits
from astropy.table import QTable
from plain_catalog import plain_catalog

from lab2 import _origin, apstar, catalog, survey
from lab2.__main__ import main


def test_home_is_what_the_environment_names_else_the_project_else_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("LAB2_HOME", raising=False)
    monkeypatch.chdir(survey.root() / "notebooks")
    assert survey.home() == survey.project() == survey.root()
    for name in ("notebooks/deep", "lab2", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert survey.home() == tmp_path / "elsewhere"
    assert survey.survey_folder("x") == tmp_path / "elsewhere" / "data" / "x"
    (tmp_path / "lab2" / "survey.py").touch()  # another checkout
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    assert survey.home() == survey.project() == tmp_path
    assert survey.notebook_folder() == tmp_path / "notebooks"
    monkeypatch.setenv("LAB2_HOME", str(tmp_path / "elsewhere"))
    assert survey.build_folder("x") == tmp_path / "elsewhere" / "build" / "x"
    assert survey.figure_folder("x") == tmp_path / "elsewhere" / "figures" / "x"


def test_an_installed_package_is_no_project(tmp_path, monkeypatch):
    monkeypatch.delenv("LAB2_HOME", raising=False)
    monkeypatch.setattr(survey, "root", lambda: tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert survey.home() == tmp_path
    with pytest.raises(FileNotFoundError, match=r"no notebooks here: .* change to the checkout, or give the paths"):
        survey.notebook_folder()


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".", "..", ".hidden", "-x", "a b", "a\\b", "a\n", 3, None])
def test_a_name_that_is_no_folder_is_refused_everywhere(home, name):
    for function in (survey.survey_folder, survey.build_folder, survey.figure_folder, survey.manifest):
        with pytest.raises(ValueError, match=r"one plain word.*data/<survey>"):
            function(name)


def test_a_survey_that_was_never_made(home):
    with pytest.raises(FileNotFoundError, match=r"survey 'simulated' does not exist.*python -m lab2 simulate"):
        survey.survey_folder("simulated", must_exist=True)
    with pytest.raises(FileNotFoundError, match=r"survey 'dr17' does not exist.*allStar"):
        survey.manifest("dr17")
    (home / "data" / "dr17").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no manifest\.json.*python -m lab2 survey --survey dr17"):
        survey.manifest("dr17")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"simulated": "yes", "files": {}}',
        '{"simulated": true}',
        '{"simulated": true, "files": {"allStar.fits": {"size": 3}}}',
    ],
)
def test_a_manifest_that_is_none(home, text):
    (home / "data" / "x").mkdir(parents=True)
    (home / "data" / "x" / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json.*python -m lab2 survey --survey x --adopt"):
        survey.manifest("x")


@pytest.fixture
def own_survey(home):
    folder = home / "data" / "dr17"
    (folder / "apStar" / "M15").mkdir(parents=True)
    plain_catalog("apogee.apo25m.synspec_rev1.dr17.M15.2M1").write(folder / "allStar.fits")
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


def test_a_survey_that_changed_is_refused(own_survey):
    catalog.adopt("dr17")
    (own_survey / "allStar.fits").write_bytes(b"Catalog")
    (own_survey / "apStar" / "M15" / "apStar-dr17-2M1.fits").rename(own_survey / "apStar" / "M15" / "new.fits")
    with pytest.raises(ValueError, match=r"2M1\.fits is missing; .*new\.fits is not in.*; allStar\.fits has changed"):
        survey.check("dr17")


def test_a_change_of_content_alone_is_named_by_check_and_by_the_catalog(own_survey, capsys):
    catalog.adopt("dr17")
    path = own_survey / "allStar.fits"
    path.write_bytes(path.read_bytes().replace(b"synspec_rev1", b"synspec_rev2"))
    for reading in (survey.check, catalog.load):
        with pytest.raises(ValueError, match=r"allStar\.fits has changed\. Put .*survey --survey dr17 --adopt"):
            reading("dr17")
    assert main(["survey", "--survey", "dr17"]) == 2
    assert main(["survey", "--survey", "dr17", "--adopt"]) == 0  # on purpose
    assert "manifest.json written" in capsys.readouterr().out
    assert survey.check("dr17")["label_tree"] == "synspec_rev2"
    assert len(catalog.load("dr17")) == 1


def test_what_cannot_be_a_manifests_file_is_not_read(own_survey):
    catalog.adopt("dr17")
    listed = json.loads((own_survey / "manifest.json").read_text())
    del listed["files"]["allStar.fits"]
    (own_survey / "manifest.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match=r"allStar\.fits is not in the manifest"):
        catalog.load("dr17")


def test_fields_that_are_links_to_another_disk_are_listed(own_survey, tmp_path):
    (own_survey / "apStar" / "M15").rename(tmp_path / "elsewhere")
    (own_survey / "apStar" / "M15").symlink_to(tmp_path / "elsewhere")
    (own_survey / "apStar" / "loop").symlink_to(own_survey)
    assert "apStar/M15/apStar-dr17-2M1.fits" in catalog.adopt("dr17")["files"]


# --- simulated stays simulated ------------------------------------------------------------------------------


@pytest.fixture
def copied(home, tiny_survey):
    """Fields and catalog of the simulated survey under another name, without manifest and true labels."""
    folder = home / "data" / "myfields"
    for source in [tiny_survey / "allStar.fits", *sorted(tiny_survey.glob("apStar/*/*.fits"))[:5]]:
        path = folder / source.relative_to(tiny_survey)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
    return folder


def test_the_card_is_that_of_the_spectra():
    assert _origin.SIMULATED == apstar.SIMULATED


def test_copied_files_stay_simulated(copied):
    written = catalog.adopt("myfields")
    assert (written["simulated"], written["label_tree"]) == (True, "simulated")


def test_a_catalog_stays_simulated_when_its_rows_are_written_again(copied):
    path = copied / "allStar.fits"
    QTable.read(path, hdu=1)[:40].write(path, overwrite=True)
    assert _origin.says_simulated(path, headers=2) is True
    assert catalog.adopt("myfields")["simulated"] is True


def test_compressed_spectra_stay_simulated(copied):
    import gzip

    for path in copied.glob("apStar/*/*.fits"):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    assert all(_origin.says_simulated(path) is True for path in copied.glob("apStar/*/*.gz"))


def test_damaged_spectra_say_nothing(copied):
    one, two, *_ = sorted(copied.glob("apStar/*/*.fits"))
    one.write_bytes(b"")
    two.write_bytes(two.read_bytes()[:2000])
    assert [_origin.says_simulated(path) for path in (one, two)] == [None, None]
    assert catalog.adopt("myfields")["simulated"] is True


def test_simulated_and_observed_spectra_are_not_mixed(copied, real_spectra):
    (field := copied / "apStar" / "real").mkdir()
    (field / "apStar-real.fits").write_bytes(real_spectra["giant"].read_bytes())
    message = r"5 are simulated, such as apStar/.*, and 1 are not, such as apStar/real/apStar-real\.fits"
    with pytest.raises(ValueError, match=message):
        catalog.adopt("myfields")
    assert not (copied / "manifest.json").exists()


def test_a_simulated_catalog_is_not_used_for_observed_spectra_nor_the_reverse(copied, real_spectra):
    table = QTable.read(copied / "allStar.fits", hdu=1)
    del table.meta["SIMULATE"]
    table.write(copied / "allStar.fits", overwrite=True)
    with pytest.raises(ValueError, match=r"allStar\.fits is observed .* 5 spectra are simulated, such as apStar/"):
        catalog.adopt("myfields")
    for path in copied.glob("apStar/*/*.fits"):
        path.write_bytes(real_spectra["giant"].read_bytes())
    assert catalog.adopt("myfields")["simulated"] is False
    table.meta["SIMULATE"] = True
    table.write(copied / "allStar.fits", overwrite=True)
    with pytest.raises(ValueError, match=r"allStar\.fits is simulated .* 5 spectra are observed, such as apStar/"):
        catalog.adopt("myfields")


def test_nobody_calls_simulated_files_observed(copied):
    with pytest.raises(ValueError, match="are simulated according to their headers"):
        survey.write_manifest(copied, simulated=False)


def test_every_header_and_table_of_a_simulated_survey_says_so(tiny_survey):
    for path in [tiny_survey / "mystery.fits", *tiny_survey.glob("apStar/*/*.fits")]:
        assert fits.getheader(path)["SIMULATE"] is True
    assert fits.getheader(tiny_survey / "allStar.fits", 1)["SIMULATE"] is True
    assert QTable.read(tiny_survey / "truth.ecsv").meta["simulated"] is True


@pytest.mark.parametrize(
    ("lost", "what"), [("allStar.fits", "catalog"), ("apStar/M15/apStar-dr17-2M1.fits", "spectra")]
)
def test_a_folder_that_is_no_survey_is_refused(own_survey, lost, what):
    (own_survey / lost).unlink()
    with pytest.raises(FileNotFoundError, match=f"'dr17' lacks the {what}"):
        catalog.adopt("dr17")
