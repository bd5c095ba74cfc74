"""Guesses without the Cannon, on spectra whose labels follow from each other and from the flux in known ways."""

import numpy as np
import pytest
import xarray as xr

from lab2 import from_arrays
from lab2.validation import ridge, without_spectrum

N = 200
NAMES = ["teff", "logg", "fe_h", "mg_fe"]


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(91)
    logg, iron = rng.uniform(1, 3, N), rng.uniform(-0.8, 0.4, N)
    teff = 3800 + 400 * logg - 100 * iron**2
    magnesium = 0.1 - 0.2 * iron + 0.1 * iron * logg
    return np.column_stack([teff, logg, iron, magnesium])


@pytest.fixture(scope="module")
def spectra(labels):
    rng = np.random.default_rng(92)
    x = (labels - labels.mean(axis=0)) / labels.std(axis=0)
    flux = 1 + 0.02 * x @ rng.normal(size=(4, 300)) + 0.001 * rng.normal(size=(N, 300))
    ivar = np.full(flux.shape, 1e6)
    ivar[rng.random(ivar.shape) < 0.05] = 0.0
    flux[ivar == 0] = 99.0
    return from_arrays(flux, ivar, np.linspace(15200, 16900, 300), labels, label=NAMES)


@pytest.fixture(scope="module")
def folds():
    return xr.DataArray(np.arange(N) % 2, dims="star")


def test_a_quadratic_of_the_other_labels_is_found(spectra, folds):
    guessed = without_spectrum(spectra.labels, folds).labels
    np.testing.assert_allclose(guessed.sel(label="teff"), spectra.labels.sel(label="teff"), atol=1e-6)
    np.testing.assert_allclose(guessed.sel(label="mg_fe"), spectra.labels.sel(label="mg_fe"), atol=1e-9)
    assert guessed.star.values.tolist() == spectra.star.values.tolist()


def test_a_guess_does_not_know_the_label_itself_nor_its_own_fold(spectra, folds):
    changed = spectra.labels.copy(deep=True)
    changed[0, 3] += 5.0  # star 0, in fold 0: no guess for fold 0 may follow
    before, after = (without_spectrum(one, folds).labels.values for one in (spectra.labels, changed))
    np.testing.assert_allclose(before[::2], after[::2], atol=1e-9)
    assert np.abs(before[1::2, 3] - after[1::2, 3]).max() > 1e-3


def test_a_guess_from_a_label_that_is_not_there_is_refused(spectra, folds):
    with pytest.raises(ValueError, match="labels must have the labels teff, c_fe; c_fe is not among"):
        without_spectrum(spectra.labels, folds, known=("teff", "c_fe"))


def test_ridge_reads_labels_off_the_flux_and_no_masked_pixel(spectra, folds):
    found = ridge(spectra, folds).labels
    scatter = (found - spectra.labels).std("star") / spectra.labels.std("star")
    assert (scatter < 0.15).all()
    other = spectra.assign(flux=spectra.flux.where(spectra.ivar > 0, -7.0))
    np.testing.assert_allclose(ridge(other, folds).labels, found)


def test_ridge_of_the_penalty_that_leave_one_out_prefers(spectra, folds):
    """The closed form of leaving out one star, against doing so."""
    from lab2.validation.baselines import _left_out

    rng = np.random.default_rng(93)
    features, known, penalty = rng.normal(size=(12, 5)), rng.normal(size=12), 0.7
    value, vector = np.linalg.eigh(features @ features.T)
    total = 0.0
    for n in range(12):
        rest = np.delete(np.arange(12), n)
        normal = features[rest].T @ features[rest] + penalty * np.eye(5)
        total += (known[n] - features[n] @ np.linalg.solve(normal, features[rest].T @ known[rest])) ** 2
    assert _left_out(penalty, np.maximum(value, 0), vector, vector.T @ known) == pytest.approx(total, rel=1e-8)
