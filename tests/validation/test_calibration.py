"""Calibrated errors against residuals drawn with a known scale, floor and fraction of outliers."""

import numpy as np
import pytest
import xarray as xr
from drawn_fits import FLOOR, LABELS, SCALE, SIZE, drawn
from twins import drawn_survey

from lab2 import cannon, validation
from lab2.cannon import Flag
from lab2.files import write_dataset
from lab2.validation import calibrate, coverage
from lab2.validation.calibration import Calibration


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
    assert found.dataset.term.values.tolist() == [*LABELS, *(f"{name}^2" for name in LABELS), "noise"]
    assert float(found.dataset.slope[0, 0]) == pytest.approx(0.4, abs=0.03)
    np.testing.assert_allclose(found.dataset.slope[0, 1:], 0.0, atol=0.04)
    hot, cool = (found.covariance(1e-12 * np.eye(3), [teff, 2.3, -0.2])[0, 0] for teff in (4900.0, 4300.0))
    assert np.sqrt(hot / cool) == pytest.approx(np.exp(0.8), rel=0.08)


def test_a_floor_that_is_wider_at_both_ends_is_recovered():
    fits, truth, _ = drawn(6000, 12)
    x = (truth.values[:, 0] - 4600.0) / 300.0
    residual = (fits.labels - truth).values
    residual[:, 0] = np.random.default_rng(13).normal(size=6000) * np.exp(0.2 * (np.clip(x, -3, 3) ** 2 - 1)) * SIZE[0]
    fits["labels"] = truth + residual
    fits["covariance"] = fits.covariance * 1e-4
    found = calibrate(fits, truth)
    assert float(found.dataset.slope.sel(term="teff^2")[0]) == pytest.approx(0.2, abs=0.03)


def test_a_floor_that_grows_with_the_noise_is_recovered():
    fits, truth, _ = drawn(6000, 12)
    fits["covariance"] = fits.covariance * 1e-4
    logs = 0.5 * np.log(np.diagonal(fits.covariance.values, axis1=1, axis2=2)).mean(axis=1)
    residual = (fits.labels - truth).values
    residual[:, 1] = np.random.default_rng(17).normal(size=6000) * np.exp(0.3 * (logs - logs.mean())) * SIZE[1]
    fits["labels"] = truth + residual
    assert float(calibrate(fits, truth).dataset.slope.sel(term="noise")[1]) == pytest.approx(0.3, abs=0.03)


def test_no_error_falls_below_the_formal_one():
    """Residuals far smaller than the formal errors: the plain maximum of the likelihood would shrink these."""
    fits, truth, _ = drawn(2000, 14)
    fits["labels"] = truth + 0.2 * (fits.labels - truth)
    fits["covariance"] = fits.covariance * 4.0
    found = calibrate(fits, truth)
    assert (found.dataset.scale >= 1).all()
    formal, calibrated = (np.diagonal(x.covariance.values, axis1=1, axis2=2) for x in (fits, found.apply(fits)))
    assert (calibrated >= formal).all()


def test_a_star_noisier_than_any_calibrated_is_flagged():
    fits, truth, _ = drawn(400, 15)
    found = calibrate(fits, truth)
    assert not found.apply(fits).flag.any()
    noisy = fits.isel(star=[0, 1]).copy(deep=True)
    largest = np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2)).max(axis=0)
    noisy["covariance"][1] = np.diag((largest * [0.9, 1.1, 0.9]) ** 2)
    assert found.apply(noisy).flag.values.tolist() == [0, Flag.UNCALIBRATED]
    noisy["covariance"][1] = np.diag((largest * 0.99) ** 2)
    assert found.apply(noisy).flag.values.tolist() == [0, 0]


def test_a_star_fitted_worse_than_those_of_the_calibration_is_flagged():
    fits, truth, _ = drawn(400, 16)
    # one star in a hundred and fifty is odd, the others' reduced chi^2 reaches to 3
    fits["reduced_chi2"] = fits.reduced_chi2 * np.where(np.arange(400) % 150 == 0, 50.0, 2.5)
    found = calibrate(fits, truth)
    limit = np.percentile(fits.reduced_chi2, 99)
    assert 2.5 < limit < 3.5
    assert float(found.dataset.largest_chi2) == pytest.approx(limit)
    two = fits.isel(star=[1, 2]).copy(deep=True)
    two["reduced_chi2"] = ("star", [limit * 0.99, limit * 1.01])
    assert found.misfits(two).tolist() == [False, True]
    assert found.apply(two).flag.values.tolist() == [0, Flag.UNCALIBRATED]
    # where all fits are good, an ordinary star is not refused
    assert float(calibrate(*drawn(400, 16)[:2]).dataset.largest_chi2) == 2.0


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


def test_calibrated_covariances_travel_with_the_fits():
    fits, truth, _ = drawn(400, 6)
    found = calibrate(fits, truth)
    calibrated = found.apply(fits.isel(star=[3, 7]))
    scale = found.dataset.scale.values
    x = (fits.labels.values[3] - found.dataset.label_mean.values) / found.dataset.label_scale.values
    noise = np.mean(0.5 * np.log(np.diag(fits.covariance.values[3])) - found.dataset.log_error.values)
    x = np.concatenate([x, x**2 - 1, [noise]])
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
    with pytest.raises(FileNotFoundError, match="no such lab2 calibration file"):
        Calibration.load(tmp_path / "none.nc")


def test_senseless_requests_are_refused():
    fits, truth, _ = drawn(300, 11)
    found = calibrate(fits, truth)
    calibrated = found.apply(fits)
    with pytest.raises(ValueError, match="calibrated already"):
        found.apply(calibrated)
    with pytest.raises(ValueError, match="calibrated already"):
        calibrate(calibrated, truth)
    with pytest.raises(ValueError, match="do not have the same stars"):
        calibrate(fits, truth[::-1])
    with pytest.raises(ValueError, match="20 stars with fit and truth are too few for 11 parameters"):
        calibrate(fits.isel(star=slice(20)), truth[:20])
    with pytest.raises(ValueError, match="the calibration is of the labels"):
        found.apply(fits.isel(label=[1, 0, 2]))
    assert validation.calibrate is calibrate


@pytest.fixture(scope="module")
def learned():
    """A calibration."""
    return calibrate(*drawn(300, 21)[:2])


def test_the_correlations_of_a_floor(learned):
    floor = np.array([[4.0, -1.2, 0.0], [-1.2, 9.0, 0.0], [0.0, 0.0, 1.0]])
    found = Calibration(learned.dataset.assign(floor=(("label", "label_2"), floor)))
    np.testing.assert_allclose(found.floor_correlations, [[1.0, -0.2, 0.0], [-0.2, 1.0, 0.0], [0.0, 0.0, 1.0]])


def turned(floor):
    """A symmetric matrix of the same diagonal that is no covariance."""
    size = np.sqrt(np.diag(floor))
    return floor.copy(data=np.outer(size, size) * (2.0 * np.eye(3) - 1.0) * np.where(np.eye(3) > 0, 1.0, 0.9))


DAMAGE = {
    "floor must have no negative eigenvalue": lambda d: d.assign(floor=turned(d.floor)),
    "floor must have no negative.eigenvalue": lambda d: d.assign(floor=-d.floor),
    "floor must be symmetric": lambda d: d.assign(floor=d.floor + np.triu(np.ones((3, 3)))),
    "floor must be finite": lambda d: d.assign(floor=d.floor * np.inf),
    "scale must be 1 or more": lambda d: d.assign(scale=d.scale * 0.1),
    "scale must be finite and more than 0": lambda d: d.assign(scale=-d.scale),
    "offset must be finite": lambda d: d.assign(offset=d.offset * np.nan),
    "slope must be finite": lambda d: d.assign(slope=d.slope * np.nan),
    "it has no slope": lambda d: d.drop_vars("slope"),
    "term must be teff, logg, fe_h, teff.2": lambda d: d.isel(term=slice(6)),
    "label_2 must be the labels in the same order": lambda d: d.assign_coords(label_2=d.label_2.values[::-1]),
    "term must be logg, teff, fe_h": lambda d: d.assign_coords(
        label=["logg", "teff", "fe_h"], label_2=["logg", "teff", "fe_h"]
    ),
    "largest must be finite": lambda d: d.assign(largest=d.largest * np.inf),
    "largest_chi2 must be finite": lambda d: d.assign(largest_chi2=np.nan),
    "label_scale must be finite and more than 0": lambda d: d.assign(label_scale=d.label_scale * 0),
    "outliers must be a fraction below 1": lambda d: d.assign(outliers=1.5),
    "outliers must be 0 or more": lambda d: d.assign(outliers=-0.1),
    "outlier_width 1 or more": lambda d: d.assign(outlier_width=0.5),
    "'n_stars' must be a number": lambda d: d.drop_attrs(),
}


@pytest.mark.parametrize("words", DAMAGE)
def test_what_is_no_calibration_is_refused_with_the_reason(learned, tmp_path, words):
    path = tmp_path / "calibration.nc"
    write_dataset(path, DAMAGE[words](learned.dataset), Calibration.kind, Calibration.version)
    with pytest.raises(
        ValueError, match=rf"calibration\.nc is damaged: this is not a valid lab2 calibration: .*{words}"
    ):
        Calibration.load(path)


# --- the model that it belongs to ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def survey():
    """Spectra with labels, and which of them are ordinary."""
    spectra = drawn_survey(np.random.default_rng(23), n_stars=90, n_labels=2, n_pixels=30)[0]
    return spectra.assign(snr=("star", np.full(90, 100.0))), np.arange(90) % 9 != 0


def test_a_calibration_from_folds_belongs_to_the_model_of_all_their_stars(survey, tmp_path):
    spectra, ordinary = survey
    model = cannon.train(spectra.isel(star=ordinary), factors=1)
    folds = validation.split(spectra, 3)
    fits, noisy = (
        validation.cross_validate(spectra, folds, 1, train_on=ordinary, fit=some)
        for some in (None, validation.degrade(spectra, 10, 1))
    )
    both, truth = (xr.concat(parts, "star") for parts in ((fits, noisy), (spectra.labels, spectra.labels)))
    calibrate(both, truth).save(tmp_path / "calibration.nc")
    found = Calibration.load(tmp_path / "calibration.nc")
    assert found.dataset.attrs["model"] == model.fingerprint
    new = cannon.fit_labels(model, spectra.isel(star=slice(5)))
    assert found.apply(new).attrs["calibrated"] == "from residuals of 180 stars"
    assert found.apply(fits).sizes["star"] == 90


def test_a_calibration_refuses_the_fits_of_another_model(survey):
    spectra, ordinary = survey
    found = calibrate(validation.cross_validate(spectra, 2, 1), spectra.labels)
    few = spectra.isel(star=slice(5))
    others = {
        "90 training stars": cannon.train(spectra),
        "80 training stars": cannon.train(spectra.isel(star=ordinary), factors=1),
        "degree 1, 2 labels, 1 factors": cannon.train(spectra, degree=1, factors=1),
    }
    for words, model in others.items():
        fits = cannon.fit_labels(model, few)
        for use in (found.apply, found.misfits, lambda fits: found.outlier_probability(fits, few.labels)):
            with pytest.raises(ValueError, match=f"belongs to another model .* than these fits .*{words}"):
                use(fits)
    with pytest.raises(ValueError, match=r"than these fits \(unknown\)"):
        found.apply(cannon.fit_labels(cannon.train(spectra, factors=1), few).drop_attrs())
    leave_one_out = validation.cross_validate(spectra, "star", 1)
    assert found.apply(leave_one_out).sizes["star"] == 90
