"""Slopes, pulls, ranks and bands, against closed forms and injected truth."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import kstwo

from lab2 import validation
from lab2.validation import Calibration

NAMES = ["teff", "logg"]


def fits_of(labels, errors=None):
    """A dataset of fits, with a diagonal covariance."""
    labels = np.asarray(labels, dtype=float)
    errors = np.ones_like(labels) if errors is None else np.broadcast_to(errors, labels.shape)
    covariance = np.einsum("nk,kl->nkl", errors**2, np.eye(labels.shape[1]))
    return xr.Dataset(
        {"labels": (("star", "label"), labels), "covariance": (("star", "label", "label_2"), covariance)},
        coords={"star": np.arange(len(labels)).astype(str), "label": NAMES, "label_2": NAMES},
    )


def test_a_slope_is_that_of_polyfit_and_its_error_that_of_least_squares():
    rng = np.random.default_rng(4)
    x = rng.normal(size=900)
    y = 3.0 - 0.5 * x + rng.normal(0, 0.2, 900)
    slope, error = validation.slope_with_error(x, y, 7)
    assert slope == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-12)
    assert error == pytest.approx(0.2 / np.sqrt(900), rel=0.12)


def test_a_generator_goes_on_and_a_seed_begins_again():
    x, y = np.random.default_rng(4).normal(size=(2, 50))
    rng = np.random.default_rng(7)
    first, second = (validation.slope_with_error(x, y, rng)[1] for _ in range(2))
    assert first == validation.slope_with_error(x, y, 7)[1]
    assert first != second


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([[1, 2, 3]], [[1, 2, 3]])])
def test_a_slope_needs_points(x, y):
    with pytest.raises(ValueError, match="at least 3 points"):
        validation.slope_with_error(x, y)


def test_answers_drawn_to_the_mean_are_found_out():
    truth = np.random.default_rng(5).normal([4500, 2], [300, 0.5], (500, 2))
    answers = truth.copy()
    answers[:, 1] = 2 + 0.7 * (truth[:, 1] - 2)
    answers[0] = np.nan
    fits = fits_of(answers)
    reference = fits.labels.copy(data=truth)
    np.testing.assert_allclose(validation.shrinkage(fits, reference), [0.0, -0.3], atol=1e-10)


def test_pulls_and_errors_of_stars_that_have_both():
    fits = fits_of([[2.0, 4.0], [np.nan, 0.0], [6.0, 8.0]], [2.0, 4.0])
    zero = xr.zeros_like(fits.labels)
    np.testing.assert_allclose(validation.pulls(fits, zero), [[1.0, 1.0], [3.0, 2.0]])
    np.testing.assert_allclose(validation.median_errors(fits), [2.0, 4.0])


def test_the_worst_coverage_is_the_larger_difference():
    good = {"within_68": np.array([0.6827]), "within_95": np.array([0.9545])}
    bad = {"within_68": np.array([0.70]), "within_95": np.array([0.85])}
    assert validation.coverage_deviation(good) < 1e-4
    assert validation.coverage_deviation(good, bad) == pytest.approx(0.9545 - 0.85, abs=1e-4)
    with pytest.raises(ValueError, match="at least one"):
        validation.coverage_deviation()


def test_uniform_ranks_are_near_and_wrong_errors_far():
    rng = np.random.default_rng(6)
    truth = fits_of(np.zeros((800, 2))).labels
    # the second label's errors are half of what they should be
    fits = fits_of(rng.normal(0, [1.0, 2.0], (800, 2)))
    near, far = validation.rank_distance(validation.ranks(fits, truth))
    assert near < kstwo.ppf(0.99, 800)
    assert far > 2 * kstwo.ppf(0.99, 800)
    # P(rank 0 to 49 of 99) is right; the largest difference is that of N(0, 2) and N(0, 1) at their crossing
    assert far == pytest.approx(0.161, abs=0.04)


def test_every_rank_once_is_exactly_uniform():
    ranks = xr.DataArray(np.arange(100)[:, None], dims=("star", "label"))
    np.testing.assert_allclose(validation.rank_distance(ranks), [0.0], atol=1e-12)
    with pytest.raises(ValueError, match="0 to 49"):
        validation.rank_distance(ranks, draws=49)


def test_a_band_holds_what_it_promises():
    drawn = np.random.default_rng(7).normal(2.0, 3.0, (4000, 3))
    low, middle, high = validation.band(drawn, 0.6827)
    np.testing.assert_allclose(low, -1.0, atol=0.2)
    np.testing.assert_allclose(middle, 2.0, atol=0.2)
    np.testing.assert_allclose(high, 5.0, atol=0.2)
    values = np.random.default_rng(8).normal(2.0, 3.0, 3000)
    limits = np.repeat([[-1.0], [2.0], [5.0]], 3000, axis=1)
    assert validation.within_band(values, limits) == pytest.approx(0.6827, abs=0.03)
    with pytest.raises(ValueError, match="fraction"):
        validation.band(drawn, 95)


def test_what_is_unknown_is_neither_inside_nor_outside():
    limits = np.array([[0.0, 0.0, np.nan], [0.5, 0.5, np.nan], [1.0, 1.0, np.nan]])
    assert validation.within_band([0.5, np.nan, 0.5], limits) == 1.0
    assert np.isnan(validation.within_band([np.nan] * 3, limits))


def test_the_correlations_of_a_floor():
    floor = np.array([[4.0, -1.2], [-1.2, 9.0]])
    dataset = xr.Dataset({"floor": (("label", "label_2"), floor)}, coords={"label": NAMES, "label_2": NAMES})
    np.testing.assert_allclose(Calibration(dataset).floor_correlations, [[1.0, -0.2], [-0.2, 1.0]])


def test_the_robust_scatter_is_the_standard_deviation_of_normal_residuals():
    values = np.random.default_rng(9).normal(0, [1.0, 5.0], (40_000, 2))
    values[::20] = 1e6
    values[1::20] = np.nan
    np.testing.assert_allclose(validation.robust_scatter(values), [1.0, 5.0], rtol=0.1)
