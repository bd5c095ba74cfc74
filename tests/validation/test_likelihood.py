"""Held-out likelihood: integration over labels and factors, and the number of factors that it chooses."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import multivariate_normal
from twins import drawn_survey

from lab2 import cannon
from lab2.validation import fewest_factors, held_out_likelihood, log_likelihood


def hide(spectra, rng, n_factors):
    loadings, scores = 0.02 * rng.normal(size=(150, n_factors)), rng.normal(size=(spectra.sizes["star"], n_factors))
    return spectra.assign(flux=spectra.flux + np.where(spectra.ivar > 0, scores @ loadings.T, 0.0))


def test_it_is_the_integral_over_the_labels():
    """A linear model, whose likelihood is exactly normal in its one label, integrated on a grid."""
    rng = np.random.default_rng(94)
    spectra = hide(drawn_survey(rng, 200, 1, 150, degree=1)[0], rng, 2)
    model = cannon.train(spectra, degree=1, factors=2)
    star = spectra.isel(star=[3])
    fits = cannon.fit_labels(model, star)
    seen = (star.ivar.values[0] > 0) & model.trained.values
    loadings = model.loadings.values[seen]
    covariance = np.diag(1 / star.ivar.values[0, seen] + model.s2.values[seen]) + loadings @ loadings.T
    sd = float(np.sqrt(fits.covariance[0, 0, 0]))
    grid = float(fits.labels[0, 0]) + sd * np.linspace(-8, 8, 161)
    expected = model.predict(grid[:, None]).values[:, seen]
    density = multivariate_normal(np.zeros(seen.sum()), covariance).logpdf(star.flux.values[0, seen] - expected)
    integral = np.log(np.trapezoid(np.exp(density - density.max()), grid)) + density.max()
    constant = 0.5 * np.log(2 * np.pi) * (1 - seen.sum())
    assert log_likelihood(model, star, fits)[0] + constant == pytest.approx(integral, abs=1e-6)


@pytest.mark.parametrize("hidden", [0, 2])
def test_it_finds_how_many_factors_there_are(hidden):
    """Wrong catalog labels are not counted among them."""
    rng = np.random.default_rng(95)
    spectra = drawn_survey(rng, 400, 2, 150)[0]
    if hidden:
        spectra = hide(spectra, rng, hidden)
    wrong = 0.1 * spectra.labels.std("star").values * rng.normal(size=(400, 2))
    spectra = spectra.assign(labels=spectra.labels + wrong)
    folds = xr.DataArray(np.arange(400) % 2, dims="star")
    found = held_out_likelihood(spectra, folds, [0, 1, 2, 3])
    assert found.dims == ("factors", "star")
    assert np.isfinite(found).all()
    assert fewest_factors(found) == hidden


def test_the_fewest_factors_of_a_curve():
    stars = np.arange(3)
    curve = xr.DataArray([[0, 0, 0], [50, 60, -900], [96, 97, 0], [100, 100, 100]], dims=("factors", "star"))
    curve = curve.assign_coords(factors=[0, 2, 5, 9], star=stars)
    assert fewest_factors(curve) == 9
    assert fewest_factors(curve, 0.95) == 5
    assert fewest_factors(curve, 0.4) == 2
    assert fewest_factors(-curve) == 0
