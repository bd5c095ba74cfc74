"""Leave-one-out by downdating against what it stands for: training again without the star."""

import numpy as np
import pytest
from twins import drawn_survey, spoil

import lab2
from lab2 import cannon, validation
from lab2.spectra import from_arrays
from lab2.validation import _leave_one_out


@pytest.fixture(scope="module")
def spectra():
    rng = np.random.default_rng(21)
    n_stars, n_pixels = 150, 90
    labels = rng.normal([4500.0, 2.0], [200.0, 0.5], (n_stars, 2))
    x = (labels - labels.mean(axis=0)) / labels.std(axis=0)
    slopes = rng.normal(0, 0.03, (n_pixels, 2))
    flux = 1 - 0.1 * rng.random(n_pixels) + x @ slopes.T + (x**2) @ rng.normal(0, 0.004, (2, n_pixels))
    flux += rng.normal(0, 0.004, flux.shape)  # intrinsic scatter
    ivar = 1 / rng.uniform(0.003, 0.02, (n_stars, 1)) ** 2 * np.ones(n_pixels)
    flux += rng.normal(size=flux.shape) / np.sqrt(ivar)
    ivar[rng.random(ivar.shape) < 0.05] = 0.0
    ivar[:, 7] = 0.0  # a pixel that nobody saw
    return from_arrays(flux, ivar, 16000.0 + np.arange(n_pixels), labels, label=["teff", "logg"])


def test_theta_without_a_star_is_that_of_the_others(spectra):
    model = cannon.train(spectra)
    terms = model.design(spectra.labels.values)
    inverse = _leave_one_out._inverse_normal_matrices(model, spectra, terms)
    flux, ivar = spectra.flux.values, spectra.ivar.values
    seen = np.isfinite(model.s2.values)
    assert not seen[7]
    s2 = model.s2.values[seen]
    for star in (0, 17, 149):
        weight = ivar[star, seen] / (1 + ivar[star, seen] * s2)
        theta = _leave_one_out.theta_without(
            terms[star], flux[star, seen], weight, model.theta.values[seen], inverse[seen]
        )
        others = np.delete(np.arange(len(flux)), star)
        for k, pixel in enumerate(np.flatnonzero(seen)):
            w = ivar[others, pixel] / (1 + ivar[others, pixel] * s2[k])
            normal = (terms[others] * w[:, None]).T @ terms[others]
            expected = np.linalg.solve(normal, terms[others].T @ (w * flux[others, pixel]))
            np.testing.assert_allclose(theta[k], expected, rtol=1e-6, atol=1e-9)


def test_labels_are_those_of_training_again_without_the_star(spectra):
    fits = validation.cross_validate(spectra, "star")
    with_itself = cannon.fit_labels(cannon.train(spectra), spectra)
    moved, close = [], []
    for star in range(0, 150, 10):
        others = spectra.isel(star=np.delete(np.arange(150), star))
        again = cannon.fit_labels(cannon.train(others), spectra.isel(star=[star]))
        sigma = np.sqrt(np.diagonal(again.covariance.values[0]))
        close.append(np.abs(fits.labels.values[star] - again.labels.values[0]) / sigma)
        moved.append(np.abs(with_itself.labels.values[star] - again.labels.values[0]) / sigma)
    # s2 is kept, all else is exact; a star's own weight in its training moves it much further
    assert np.max(close) < 0.2
    assert np.median(close) < 0.02
    assert np.median(moved) > 10 * np.median(close)
    assert fits.fold.values.tolist() == list(range(150))
    assert list(fits.star.values) == list(spectra.star.values)


def test_with_hidden_factors_too():
    rng = np.random.default_rng(22)
    spectra, _, _ = drawn_survey(rng, 150, 2, 120)
    loadings, scores = 0.02 * rng.normal(size=(120, 2)), rng.normal(size=(150, 2))
    spectra = spectra.assign(flux=spectra.flux + np.where(spectra.ivar > 0, scores @ loadings.T, 0.0))
    fits = validation.cross_validate(spectra, "star", factors=2)
    model = cannon.train(spectra, factors=2)
    with_itself = cannon.fit_labels(model, spectra)
    moved, close = [], []
    for star in range(0, 150, 10):
        others = spectra.isel(star=np.delete(np.arange(150), star))
        again = cannon.fit_labels(cannon.train(others, factors=2), spectra.isel(star=[star]))
        sigma = np.sqrt(np.diagonal(again.covariance.values[0]))
        close.append(np.abs(fits.labels.values[star] - again.labels.values[0]) / sigma)
        moved.append(np.abs(with_itself.labels.values[star] - again.labels.values[0]) / sigma)
    # the rounds of the other training end elsewhere, and the scores are taken as known
    assert np.median(close) < 0.5 * np.median(moved)
    assert np.quantile(close, 0.9) < 0.1
    assert fits.factors.shape == (150, 2)


def test_a_star_that_was_not_trained_on_is_fitted_by_the_model_as_it_is():
    rng = np.random.default_rng(23)
    spectra, _, _ = drawn_survey(rng, 150, 2, 120)
    loadings, scores = 0.02 * rng.normal(size=(120, 2)), rng.normal(size=(150, 2))
    flux = spectra.flux + np.where(spectra.ivar > 0, scores @ loadings.T, 0.0)
    flux[31] += 0.2 * np.sin(np.arange(120))
    spectra = spectra.assign(flux=flux)
    model = cannon.train(spectra, factors=2)
    assert not model.trained_on[31]
    found = validation.cross_validate(spectra, "star", factors=2)
    expected = cannon.fit_labels(model, spectra)
    np.testing.assert_allclose(found.labels[31], expected.labels[31], rtol=1e-9)
    assert not np.allclose(found.labels[30], expected.labels[30], rtol=1e-9)


def test_a_star_without_pixels_is_a_flag(spectra):
    empty = spectra.copy(deep=True)
    empty["ivar"][3] = 0.0
    fits = validation.cross_validate(empty, "star")
    assert fits.flag.values[3] == cannon.Flag.NO_DATA
    assert np.isnan(fits.labels.values[3]).all()
    assert np.isfinite(np.delete(fits.labels.values, 3, axis=0)).all()


def test_leaving_one_out_counts_as_a_fit_does():
    spectra, _, _ = drawn_survey(np.random.default_rng(11), 120, 2, 200, unseen=0.0)
    few = spoil(spectra, np.arange(2, 200), [0], 1e4)
    fits = lab2.validation.cross_validate(few, "star")
    assert fits.n_pixels.values[:2].tolist() == [2, 200]
    assert fits.flag.values[0] & lab2.cannon.Flag.NO_DATA
