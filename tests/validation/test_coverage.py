"""Pulls, coverage, ranks and bands, against closed forms and injected truth."""

import numpy as np
import pytest
import xarray as xr
from drawn_fits import SIZE, drawn
from scipy.stats import kstwo

from lab2 import validation
from lab2.validation import calibrate_held_out, coverage, ranks

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


def test_held_out_stars_are_covered_as_often_as_the_errors_say():
    fits, truth, _ = drawn(8000, 21, 0.01)
    before, after = coverage(fits, truth), coverage(calibrate_held_out(fits, truth), truth)
    np.testing.assert_allclose(after["within_68"], 0.683, atol=0.03)
    np.testing.assert_allclose(after["within_95"], 0.954, atol=0.03)
    np.testing.assert_allclose(after["pull_scatter"], 1.0, atol=0.06)
    assert (before["within_68"] < 0.5).all()
    assert (before["pull_scatter"] > 1.5).all()
    assert after["n"].tolist() == [8000] * 3


def test_each_half_is_calibrated_by_the_other():
    fits, truth, _ = drawn(600, 14)
    fits = fits.isel(star=np.argsort(np.random.default_rng(15).random(600)))
    truth = truth.sel(star=fits.star)
    before = calibrate_held_out(fits, truth, seed=3)
    assert before.star.values.tolist() == fits.star.values.tolist()
    np.testing.assert_array_equal(before.formal_covariance, fits.covariance)
    # ten times the residuals in one half: the errors of the other half alone grow
    half = (np.random.default_rng(3).permutation(600) % 2 == 0)[np.unique(fits.star.values, return_inverse=True)[1]]
    spoiled = fits.assign(labels=truth + (fits.labels - truth) * np.where(half, 10.0, 1.0)[:, None])
    growth = np.sqrt(calibrate_held_out(spoiled, truth, seed=3).covariance / before.covariance).values[:, 0, 0]
    assert (growth[~half] > 2.5).all()
    assert np.median(growth[~half]) > 4
    assert np.median(growth[half]) == pytest.approx(1.0, abs=0.1)


def test_copies_of_a_star_are_calibrated_together():
    """With a copy of itself among the others a star would take part in making its own error."""
    fits, truth, _ = drawn(300, 16)
    twice, truth_twice = xr.concat([fits, fits], "star"), xr.concat([truth, truth], "star")
    found = calibrate_held_out(twice, truth_twice).covariance.values
    np.testing.assert_array_equal(found[:300], found[300:])


def test_ranks_are_uniform_where_errors_are_right_and_bent_where_they_are_not():
    fits, truth, _ = drawn(5000, 16, scale=np.ones(3), floor=np.zeros((3, 3)))
    found = ranks(fits, truth)
    assert found.dims == ("star", "label")
    assert (int(found.min()), int(found.max())) == (0, 99)
    for rank in found.values.T:
        counts = np.bincount(rank // 10, minlength=10)
        assert ((counts - 500) ** 2 / 500).sum() < 30  # chi^2 of 9 degrees of freedom
    small = ranks(fits.assign(covariance=fits.covariance / 9), truth).values
    assert np.isin(small, [0, 99]).mean() > 0.3
    shifted = ranks(fits.assign(labels=fits.labels + 100 * SIZE), truth).values
    assert (shifted == 0).all()


def test_coverage_of_exact_errors_passes_the_test_of_kolmogorov():
    fits, truth, _ = drawn(3000, 5, scale=np.ones(3), floor=np.zeros((3, 3)))
    assert (coverage(fits, truth)["ks"] > 0.01).all()
    too_small = fits.assign(covariance=0.5 * fits.covariance)
    assert (coverage(too_small, truth)["ks"] < 1e-6).all()
