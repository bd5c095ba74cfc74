"""The error dial: every case is a fit that the package makes, and the cases stand in the order of the switches."""

import itertools

import numpy as np
import pytest

from lab2 import cannon, posterior, validation
from lab2.explorer import dial, model
from lab2.explorer.products import Products


@pytest.fixture(scope="module")
def described(read):
    return dial.described(read)


@pytest.fixture(scope="module")
def cases(read, described):
    """Each case by the positions of its switches."""
    positions = [switch.positions for switch in dial.switches(read)]
    return dict(zip(itertools.product(*positions), described["cases"], strict=True))


def test_the_first_case_is_the_fit_of_the_final_model(read, described):
    fit = cannon.fit_labels(read.model, read.mystery)
    np.testing.assert_allclose(described["cases"][0]["labels"], fit.labels.values[0], rtol=1e-5)
    calibrated = read.calibration.apply(fit)
    first = described["cases"][0]["calibrated"]
    np.testing.assert_allclose(first["labels"], calibrated.labels.values[0], rtol=1e-5)
    np.testing.assert_allclose(first["covariance"], calibrated.covariance.values[0], rtol=1e-3)
    assert described["truth"] == read.mystery_truth.tolist()


def test_without_a_chip_it_is_what_refits_finds(read, cases):
    snr = float(read.mystery.snr[0])
    halves = np.arange(read.spectra.sizes["star"]) % 2
    ordinary = np.flatnonzero(read.fits.kind.values == "")
    found = validation.refits(read.model, read.mystery, read.spectra.isel(star=ordinary), halves[ordinary])
    for chip in ("blue", "green", "red"):
        case = cases[2, False, False, chip, snr]
        np.testing.assert_allclose(case["labels"], found.sel(change=f"without {chip}"), rtol=1e-5)


def test_other_models_are_trained_as_said(read, cases):
    snr = float(read.mystery.snr[0])
    ordinary = np.flatnonzero(read.fits.kind.values == "")
    for k, odd in ((0, False), (0, True), (2, True)):
        chosen = read.spectra if odd else read.spectra.isel(star=ordinary)
        fit = cannon.fit_labels(cannon.train(chosen, factors=k), read.mystery)
        case = cases[k, odd, False, "", snr]
        np.testing.assert_allclose(case["labels"], fit.labels.values[0], rtol=1e-5)
        assert "calibrated" not in case


def test_a_free_continuum_is_a_nuisance_of_the_fit(read, cases):
    snr = float(read.mystery.snr[0])
    fit = cannon.fit_labels(read.model, read.mystery)
    slop = posterior.continuum_slop(read.model, read.mystery, fit.labels.values)
    wanted = cannon.fit_labels(read.model, read.mystery, [slop])
    np.testing.assert_allclose(cases[2, False, True, "", snr]["labels"], wanted.labels.values[0], rtol=1e-5)
    np.testing.assert_allclose(cases[2, False, True, "", snr]["covariance"], wanted.covariance.values[0], rtol=1e-3)


def test_formal_errors_grow_with_noise(cases):
    size = {key: np.sqrt(np.diag(case["covariance"])) for key, case in cases.items()}
    own = max(key[4] for key in cases)
    for *others, snr in cases:
        if snr < own:
            assert (size[(*others, snr)] > size[(*others, own)]).all()


def test_a_survey_without_a_mystery_star_has_no_dial(read):
    without = Products(**{**read.__dict__, "mystery": None})
    assert dial.described(without) is None


def test_a_model_without_factors_and_a_survey_without_odd_stars_have_fewer_switches(read):
    plain = cannon.train(read.spectra)
    ordinary = read.fits.assign(kind=("star", np.full(read.fits.sizes["star"], "")))
    found = dial.switches(Products(**{**read.__dict__, "model": plain, "fits": ordinary}))
    assert [len(switch.positions) for switch in found[:2]] == [1, 1]
    assert model.described(plain)["loadings"]["steps"] == []
