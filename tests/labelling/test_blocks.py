"""A block of files as a table: the numbers are those of the plain way, and every file has its row."""

import importlib
import warnings

import numpy as np
import pytest

from lab2 import apstar, cannon, continuum, survey
from lab2.cannon import Flag
from lab2.labelling import label_block


def plainly(paths, model):
    """The same stars by the functions for one dataset in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", apstar.UnreadableSpectrumWarning)
        raw = apstar.read_many(paths, progress=False)
    spectra = continuum.normalize(apstar.mask_bad_pixels(raw), model.trusted)
    return spectra, cannon.fit_labels(model, spectra)


def test_every_file_has_a_row_in_the_given_order(mixed, trained):
    table = label_block(mixed, trained.model)
    assert list(table["file"]) == [str(path) for path in mixed]
    bad = [3, 4, 5, 6]
    assert np.flatnonzero(~table["read"]).tolist() == bad
    assert np.flatnonzero(np.isnan(table["teff"])).tolist() == bad
    assert np.flatnonzero(table["flag"] & Flag.NO_DATA).tolist() == bad
    assert [text.split(": ")[0] for text in table["reason"][[0, 3]]] == ["-", "no such spectrum file"]
    assert table["reason"][4].startswith(f"{mixed[4]}: not an apStar file")
    assert table["reason"][5].startswith(f"{mixed[5]}: not a complete FITS file")
    # the star that is given twice has two rows, with the same numbers
    assert table["apogee_id"][0] == table["apogee_id"][-1]
    assert table["teff"][0] == pytest.approx(table["teff"][-1], rel=1e-12)


def test_the_labels_are_those_of_fit_labels(mixed, trained):
    table, (spectra, fits) = label_block(mixed, trained.model), plainly(mixed, trained.model)
    # matrix products of another number of stars may differ in the last digits
    for k, name in enumerate(trained.model.labels):
        np.testing.assert_allclose(table[name], fits.labels[:, k], rtol=1e-10)
        np.testing.assert_allclose(table[f"sigma_{name}"] ** 2, fits.covariance[:, k, k], rtol=1e-8)
    product = table["correlation_teff_logg"] * table["sigma_teff"] * table["sigma_logg"]
    np.testing.assert_allclose(product, fits.covariance[:, 0, 1], rtol=1e-7)
    np.testing.assert_allclose(table["chi2"], fits.chi2, rtol=1e-10)
    assert np.array_equal(table["flag"], fits.flag)
    assert np.array_equal(table["n_pixels"], fits.n_pixels)
    assert np.array_equal(table["snr"], spectra.snr, equal_nan=True)


def test_a_script_of_astropy_numpy_and_scipy_finds_the_same(giants, trained, monkeypatch):
    monkeypatch.syspath_prepend(survey.root())
    script, model = importlib.import_module("benchmarks.plain_script"), trained.model
    table = label_block(giants.files[:12], model)
    ours = model.scale(np.stack([table[name] for name in model.labels], axis=1))
    rest = model.theta.values, model.s2.values, model.trusted.values
    found = [script.label(path, *rest) for path in giants.files[:12]]
    ordinary = (table["reduced_chi2"] < 2) & (table["n_minima"] == 1)
    apart = np.array([np.abs(theirs - x) / error for (theirs, error), x in zip(found, ours, strict=True)])[ordinary]
    assert len(apart) > 8
    # they differ in a few pixels: which errors are absurd, and which trusted pixels are clipped
    assert np.median(apart) < 0.01
    assert apart.max() < 0.5


def test_what_the_file_says_of_its_star(giants, trained):
    table, rows = label_block(giants.files, trained.model), giants.rows
    assert list(table["apogee_id"]) == list(rows["APOGEE_ID"])
    assert list(table["field"]) == list(rows["FIELD"])
    for ours, theirs in {"ra": "RA", "dec": "DEC", "snr": "SNR"}.items():
        np.testing.assert_allclose(table[ours], np.asarray(rows[theirs]), rtol=1e-5, atol=1e-4)
    assert np.array_equal(table["starflag"], rows["STARFLAG"])
    assert table["simulated"].all()
    assert (table["ra"].unit, table["teff"].unit, table["sigma_logg"].unit) == ("deg", "K", "dex")
    assert all(column.description for column in table.itercols())


@pytest.mark.parametrize(
    ("place", "telescope"),
    [
        ("apStar-dr17-a.fits", "apo"),
        ("asStar-dr17-a.fits", "lco25m"),
        ("stars/apo1m/M15/apStar-dr17-a.fits", "apo1m"),
        ("mystery.fits", "-"),
    ],
)
def test_the_telescope_is_said_as_far_as_it_is_known(giants, trained, tmp_path, place, telescope):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(giants.files[0])
    assert label_block([path], trained.model)["telescope"][0] == telescope


def test_a_calibration_widens_the_errors_and_moves_the_labels(giants, trained):
    formal = label_block(giants.files[:40], trained.model)
    table = label_block(giants.files[:40], trained.model, trained.calibration)
    quoted = np.isfinite(table["sigma_teff"])
    assert quoted.sum() > 30
    assert (table["sigma_teff"][quoted] > formal["sigma_teff"][quoted]).all()
    np.testing.assert_allclose(table["formal_sigma_teff"], formal["sigma_teff"], rtol=1e-10)
    offset = float(trained.calibration.dataset.offset[0])
    np.testing.assert_allclose(table["teff"], formal["teff"] - offset, rtol=1e-12)
    # where the fit is worse than those of the calibration, no error is quoted, and the flag says so
    assert ((table["flag"][~quoted] & Flag.UNCALIBRATED) != 0).all()


def test_real_stars_and_dwarfs_are_flagged(real_spectra, giants, trained):
    table = label_block([real_spectra["giant"], real_spectra["dwarf"], giants.files[0]], trained.model)
    assert [bool(flag & Flag.SIMULATED_MODEL) for flag in table["flag"]] == [True, True, False]
    assert [bool(flag & Flag.DWARF) for flag in table["flag"]] == [False, True, False]
    assert "SIMULATED_MODEL" in table["flag_words"][0]
    observed = cannon.Cannon(trained.model.dataset.assign_attrs(simulated=0))
    assert not label_block([real_spectra["giant"]], observed)["flag"][0] & Flag.SIMULATED_MODEL
