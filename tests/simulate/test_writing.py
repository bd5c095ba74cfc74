"""The files of the simulated survey."""

import json

import numpy as np
import pytest
from astropy.table import QTable, Table

from lab2 import apstar, catalog, labels
from lab2.simulate import make_survey
from lab2.simulate.population import FIELDS
from lab2.simulate.stars import NAMED


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return make_survey(tmp_path_factory.mktemp("data") / "small", seed=7, n_stars=24, progress=False)


def test_folder_is_whole_and_as_its_manifest_says(survey):
    about = json.loads((survey / "manifest.json").read_text())
    on_disk = {p.relative_to(survey).as_posix() for p in survey.rglob("*") if p.is_file()}
    assert set(about["files"]) == on_disk - {"manifest.json"}
    assert about["simulated"] is True
    assert about["survey"] == "small"
    assert (about["seed"], about["n_stars"], about["label_tree"]) == (7, 24, "simulated")
    assert not survey.with_name("small.partial").exists()


def test_cuts_leave_the_number_asked_for_and_each_removes_something(survey):
    table = QTable.read(survey / "allStar.fits", hdu=1)
    giants, cutflow = catalog.select_giants(table)
    assert len(giants) == 24
    assert (cutflow["removed"][1:] > 0).all()
    assert set(NAMED.values()) <= set(np.asarray(giants["APOGEE_ID"], str))
    assert set(np.asarray(giants["FIELD"], str)) == {field.name for field in FIELDS}


def test_catalog_has_types_and_null_of_dr17(survey):
    table = Table.read(survey / "allStar.fits", hdu=1)
    kinds = {"TEFF": "f4", "SNR": "f4", "NVISITS": "i4", "EXTRATARG": "i4", "ASPCAPFLAG": "i8", "RA": "f8"}
    assert {name: table[name].dtype.newbyteorder("=").str[1:] for name in kinds} == kinds
    assert (table["TEFF"] == labels.CATALOG_NULL).any()
    assert np.isfinite(table["SI_FE"]).all()
    lesser = table[(table["EXTRATARG"] & 1 << 4) > 0]
    assert len(lesser) == 2
    assert set(lesser["APOGEE_ID"]) <= set(table["APOGEE_ID"][table["EXTRATARG"] == 0])
    assert set(lesser["TELESCOPE"]) == {"apo25m", "apo1m"}
    assert len(set(table["APSTAR_ID"])) == len(table)


def test_every_selected_star_has_a_spectrum_and_a_truth(survey):
    giants, _ = catalog.select_giants(QTable.read(survey / "allStar.fits", hdu=1))
    truth = QTable.read(survey / "truth.ecsv")
    paths = {str(g["APOGEE_ID"]): survey / "apStar" / g["FIELD"] / g["FILE"] for g in giants}
    assert set(truth["apogee_id"]) == set(paths) | {"MYSTERY"}
    raw = apstar.read_many(paths.values(), progress=False)
    assert list(raw.star.values) == list(paths)
    np.testing.assert_allclose(raw.snr, giants["SNR"], rtol=1e-5)
    masked = np.isinf(apstar.mask_bad_pixels(raw).error).sum("wavelength")
    assert 790 < float(masked.mean()) < 1250
    # the level of a star of magnitude H
    flux = raw.flux.where((raw.bitmask & 0x0FFF) == 0).median("wavelength")
    np.testing.assert_allclose(flux, 1.12e7 * 10 ** (-0.4 * np.asarray(giants["H"])), rtol=0.25)


def test_mystery_star_is_in_no_catalog(survey):
    raw = apstar.read(survey / "mystery.fits")
    assert raw.star.item() == "MYSTERY"
    assert raw.snr.item() > 300
    assert "MYSTERY" not in set(Table.read(survey / "allStar.fits", hdu=1)["APOGEE_ID"])


def test_same_seed_same_bytes_another_seed_others(survey, tmp_path):
    again = make_survey(tmp_path / "again", seed=7, n_stars=24, progress=False)
    other = make_survey(tmp_path / "other", seed=8, n_stars=24, progress=False)
    files = [json.loads((folder / "manifest.json").read_text())["files"] for folder in (survey, again, other)]
    assert files[0] == files[1]
    assert files[0]["mystery.fits"] != files[2]["mystery.fits"]


def test_an_older_survey_stays_until_the_new_one_is_complete(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    (folder / "manifest.json").write_text('{"simulated": true}')

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lab2.simulate.writing.observe_star", stop)
        with pytest.raises(KeyboardInterrupt):
            make_survey(folder, n_stars=20, progress=False)
    assert (folder / "old.txt").read_text() == "old"
    make_survey(folder, n_stars=20, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]
    assert not (folder / "old.txt").exists()


@pytest.mark.parametrize("about", [None, '{"simulated": false, "files": {}}'])
def test_what_was_not_simulated_is_not_replaced(tmp_path, about):
    folder = tmp_path / "dr17"
    (folder / "apStar" / "M15").mkdir(parents=True)
    if about:
        (folder / "manifest.json").write_text(about)
    with pytest.raises(ValueError, match="files that are no simulated survey, and would be replaced"):
        make_survey(folder, n_stars=20, progress=False)
    assert (folder / "apStar" / "M15").is_dir()


@pytest.mark.parametrize(("options", "error"), [
    ({"n_stars": 19}, ValueError), ({"seed": -1}, ValueError), ({"seed": 1.5}, TypeError),
    ({"n_stars": True}, TypeError),
])  # fmt: skip
def test_bad_arguments_are_refused(options, error, tmp_path):
    with pytest.raises(error, match=next(iter(options))):
        make_survey(tmp_path / "none", progress=False, **options)
    assert not list(tmp_path.iterdir())
