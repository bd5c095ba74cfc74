"""Calibrated errors against residuals drawn with a known scale, floor and fraction of outliers."""

import numpy as np
import pytest
import xarray as xr

from lab2 import validation
from lab2.validation import calibrate, calibrate_held_out, coverage, ranks
from lab2.validation.calibration import Calibration

LABELS = ["teff", "logg", "fe_h"]
SIZE = np.array([30.0, 0.1, 0.03])
SCALE = np.array([3.0, 1.0, 2.0])
FLOOR = np.outer(SIZE, SIZE) * np.array([[1.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 1.0]])


def drawn(n_stars, seed, outliers=0.0, scale=SCALE, floor=FLOOR):
    """Fits whose errors are what the calibration says, formal errors over a factor of 30, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal([4600.0, 2.3, -0.2], [300.0, 0.7, 0.3], (n_stars, 3))
    shape = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, -0.2], [0.3, -0.2, 1.0]])
    formal = np.exp(rng.uniform(-3.0, 0.5, n_stars))[:, None, None] ** 2 * np.outer(SIZE, SIZE) * shape
    factor = np.linalg.cholesky(formal * np.outer(scale, scale) + floor)
    residual = np.einsum("nkl,nl->nk", factor, rng.normal(size=(n_stars, 3)))
    odd = rng.random(n_stars) < outliers
    residual[odd] *= 15.0
    star = [str(n) for n in range(n_stars)]
    fits = xr.Dataset(
        {
            "labels": (("star", "label"), truth + residual),
            "covariance": (("star", "label", "label_2"), formal),
        },
        coords={"star": star, "label": LABELS, "label_2": LABELS},
    )
    return fits, xr.DataArray(truth, dims=("star", "label"), coords={"star": star, "label": LABELS}), odd


def correlation(matrix):
    sd = np.sqrt(np.diag(matrix))
    return matrix / np.outer(sd, sd)


@pytest.mark.parametrize("outliers", [0.0, 0.03])
def test_a_known_scale_and_floor_are_recovered_with_and_without_outliers(outliers):
    fits, truth, odd = drawn(6000, 1, outliers)
    found = calibrate(fits, truth)
    np.testing.assert_allclose(found.dataset.scale, SCALE, rtol=0.07)
    np.testing.assert_allclose(found.floor_errors, SIZE, rtol=0.05)
    np.testing.assert_allclose(correlation(found.dataset.floor.values), correlation(FLOOR), atol=0.08)
    assert float(found.dataset.outliers) == pytest.approx(outliers, abs=0.008)
    assert found.dataset.attrs["n_stars"] == 6000
    if outliers:
        probability = found.outlier_probability(fits, truth)
        assert (probability[odd] > 0.5).mean() > 0.9
        assert (probability[~odd] > 0.5).mean() < 0.002


def test_an_offset_that_all_stars_share_is_taken_off():
    fits, truth, odd = drawn(3000, 17, 0.03)
    shifted = fits.assign(labels=fits.labels + 2.0 * SIZE)
    plain, found = calibrate(fits, truth), calibrate(shifted, truth)
    np.testing.assert_allclose(found.dataset.offset / SIZE, 2.0 + plain.dataset.offset / SIZE, atol=1e-3)
    assert (np.abs(plain.dataset.offset / SIZE) < 5 * 1.5 / np.sqrt(3000)).all()
    np.testing.assert_allclose(found.floor_errors, plain.floor_errors, rtol=1e-2)
    residual = (found.apply(shifted).labels - truth).values[~odd]
    assert (np.abs(residual.mean(axis=0)) < 0.1 * SIZE).all()


def test_a_floor_that_changes_with_the_labels_is_recovered():
    fits, truth, _ = drawn(6000, 12)
    x = (truth.values[:, 0] - 4600.0) / 300.0
    growth = np.exp(0.4 * np.clip(x, -3, 3))
    residual = (fits.labels - truth).values
    residual[:, 0] = np.random.default_rng(13).normal(size=6000) * growth * SIZE[0]
    fits["labels"] = truth + residual
    fits["covariance"] = fits.covariance * 1e-4  # the floor is all there is
    found = calibrate(fits, truth)
    # scaled by the fitted labels' mean and standard deviation
    assert float(found.dataset.slope[0, 0]) == pytest.approx(0.4, abs=0.03)
    np.testing.assert_allclose(found.dataset.slope[0, 1:], 0.0, atol=0.04)
    hot, cool = (found.covariance(np.zeros((3, 3)), [teff, 2.3, -0.2])[0, 0] for teff in (4900.0, 4300.0))
    assert np.sqrt(hot / cool) == pytest.approx(np.exp(0.8), rel=0.08)


def test_outliers_would_spoil_a_plain_estimate():
    fits, truth, _ = drawn(3000, 2, 0.03)
    floor = calibrate(fits, truth).floor_errors.values
    residual = (fits.labels - truth).values
    assert (residual.std(axis=0) > 2.0 * floor).all()


def test_errors_that_are_right_already_stay():
    fits, truth, _ = drawn(4000, 3, scale=np.ones(3), floor=np.zeros((3, 3)))
    found = calibrate(fits, truth)
    np.testing.assert_allclose(found.dataset.scale, 1.0, rtol=0.05)
    assert (found.floor_errors.values < 0.05 * SIZE).all()


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
    half = np.random.default_rng(3).permutation(600) % 2 == 0
    spoiled = fits.assign(labels=truth + (fits.labels - truth) * np.where(half, 10.0, 1.0)[:, None])
    growth = np.sqrt(calibrate_held_out(spoiled, truth, seed=3).covariance / before.covariance).values[:, 0, 0]
    assert (growth[~half] > 4).all()
    np.testing.assert_allclose(growth[half], 1.0, rtol=0.3)


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


def test_calibrated_covariances_travel_with_the_fits():
    fits, truth, _ = drawn(400, 6)
    found = calibrate(fits, truth)
    calibrated = found.apply(fits.isel(star=[3, 7]))
    scale = found.dataset.scale.values
    x = (fits.labels.values[3] - found.dataset.label_mean.values) / found.dataset.label_scale.values
    width = np.diag(np.exp(found.dataset.slope.values @ x))
    expected = np.diag(scale) @ fits.covariance.values[3] @ np.diag(scale) + width @ found.dataset.floor.values @ width
    np.testing.assert_allclose(calibrated.covariance[0], expected)
    np.testing.assert_array_equal(calibrated.formal_covariance, fits.covariance[[3, 7]])
    np.testing.assert_allclose(calibrated.labels, fits.labels[[3, 7]] - found.dataset.offset)
    assert calibrated.attrs["calibrated"] == "from residuals of 400 stars"
    assert "calibrated" not in fits.attrs


def test_widened_draws_have_the_calibrated_covariance_and_keep_their_shape():
    fits, truth, _ = drawn(400, 7)
    found = calibrate(fits, truth)
    rng = np.random.default_rng(8)
    skew = rng.exponential(size=(40_000, 3)) * 0.3 * SIZE
    wide = found.widen(skew, seed=1)
    expected = found.covariance(np.cov(skew.T), skew.mean(axis=0))
    np.testing.assert_allclose(np.cov(wide.T) / np.outer(SIZE, SIZE), expected / np.outer(SIZE, SIZE), atol=0.05)
    np.testing.assert_allclose(wide.mean(axis=0), skew.mean(axis=0) - found.dataset.offset, atol=0.03 * SIZE.max())
    np.testing.assert_array_equal(found.widen(skew, seed=1), wide)


def test_a_star_without_a_fit_is_left_out():
    fits, truth, _ = drawn(300, 9)
    fits["labels"][5] = np.nan
    fits["covariance"][5] = np.nan
    found = calibrate(fits, truth)
    assert found.dataset.attrs["n_stars"] == 299
    assert found.outlier_probability(fits, truth)[5] == 1.0
    assert np.isnan(found.apply(fits).covariance[5]).all()
    assert coverage(found.apply(fits), truth)["n"].tolist() == [299] * 3


def test_a_calibration_is_saved_and_read(tmp_path):
    fits, truth, _ = drawn(300, 10)
    found = calibrate(fits, truth)
    found.save(tmp_path / "calibration.nc")
    read = Calibration.load(tmp_path / "calibration.nc")
    xr.testing.assert_equal(read.dataset, found.dataset)
    with pytest.raises(FileNotFoundError, match="no such file of a lab2 calibration"):
        Calibration.load(tmp_path / "none.nc")


def test_senseless_requests_are_refused():
    fits, truth, _ = drawn(300, 11)
    found = calibrate(fits, truth)
    calibrated = found.apply(fits)
    with pytest.raises(ValueError, match="calibrated already"):
        found.apply(calibrated)
    with pytest.raises(ValueError, match="calibrated already"):
        calibrate(calibrated, truth)
    with pytest.raises(ValueError, match="not of the same stars"):
        calibrate(fits, truth[::-1])
    with pytest.raises(ValueError, match="20 stars with fit and truth are too few for 11 parameters"):
        calibrate(fits.isel(star=slice(20)), truth[:20])
    with pytest.raises(ValueError, match="the calibration is of the labels"):
        found.apply(fits.isel(label=[1, 0, 2]))
    assert validation.calibrate is calibrate
