"""The plain way finds what the fast one finds, and closed forms say that it is right."""

import numpy as np
import pytest
from plain_survey import MEAN, model, spectra

from lab2 import fit_labels, train
from lab2.validation import fit_by_hand, scan_scatter


def test_labels_by_hand_are_those_of_the_fast_fit():
    cannon, stars = model(scatter=0.01), spectra(n_stars=3, seed=7)
    stars.ivar[:, 50:60] = 0.0
    fits = fit_labels(cannon, stars)
    for name in stars.star.values:
        labels, covariance = fit_by_hand(cannon, stars.sel(star=name))
        error = np.sqrt(np.diag(covariance))
        assert (np.abs(fits.labels.sel(star=name).values - labels) / error).max() < 0.01
        np.testing.assert_allclose(error, np.sqrt(np.diag(fits.covariance.sel(star=name))), rtol=0.1)
        assert np.abs(labels - MEAN).max() > 1  # not where it began


def test_one_star_at_a_time_and_enough_pixels():
    cannon, stars = model(), spectra(n_stars=2)
    with pytest.raises(ValueError, match="one star"):
        fit_by_hand(cannon, stars)
    one = stars.isel(star=[0])
    one.ivar[0, 2:] = 0.0
    with pytest.raises(ValueError, match="2 pixels"):
        fit_by_hand(cannon, one)


def test_the_scan_is_the_likelihood_of_weighted_least_squares():
    training = spectra(scatter=0.01)
    cannon = model(scatter=0.01)
    grid = np.array([0.0, 1e-5, 1e-4, 1e-3])
    curve, _ = scan_scatter(cannon, training, 17, grid)
    terms, flux = cannon.design(training.labels), training.flux.values[:, 17].astype(float)
    plain = []
    for s2 in grid:
        variance = 1 / training.ivar.values[:, 17] + s2
        scaled = terms / np.sqrt(variance)[:, None]
        theta = np.linalg.lstsq(scaled, flux / np.sqrt(variance), rcond=None)[0]
        plain.append(np.sum((flux - terms @ theta) ** 2 / variance + np.log(variance)))
    np.testing.assert_allclose(curve - curve[0], np.array(plain) - plain[0], atol=1e-6)


def test_training_is_not_above_the_scan():
    training, cannon = spectra(scatter=0.01), model(scatter=0.01)
    curve, trained = scan_scatter(cannon, training, 40, np.geomspace(1e-6, 1e-3, 50))
    assert trained <= curve.min() + 1e-9
    assert curve.max() > trained + 10  # it has something to find


def test_a_pixel_without_a_model_is_refused():
    training = spectra()
    training.ivar[:, 3] = 0.0
    with pytest.raises(ValueError, match="pixel 3 has no model"):
        scan_scatter(train(training), training, 3, [1e-4])
