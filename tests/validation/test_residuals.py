import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from lab2 import from_arrays, validation
from lab2.validation import robust_scatter, statistics

# --- statistics ---------------------------------------------------------------------------------------------

# Of a normal distribution, standard deviation over median absolute deviation.
NORMAL = 1.0 / norm.ppf(0.75)


def fitted(labels, names=("a", "b")):
    labels = np.asarray(labels, dtype=float)
    star = [f"star {k}" for k in range(len(labels))]
    return xr.Dataset({"labels": (("star", "label"), labels)}, coords={"star": star, "label": list(names)})


def test_robust_scatter():
    assert robust_scatter(np.array([[1.0], [2.0], [3.0], [4.0], [100.0]])) == pytest.approx(NORMAL)
    normal = np.random.default_rng(94).normal(5, 3, 200_001)
    assert robust_scatter(normal) == pytest.approx(3.0, rel=0.01)
    spoiled = normal.copy()
    spoiled[:2000] = 1e6
    assert robust_scatter(spoiled) == pytest.approx(3.0, rel=0.03)
    assert robust_scatter([1.0, 2.0, 3.0, np.nan]) == pytest.approx(NORMAL)


def test_statistics_of_known_residuals():
    truth = np.random.default_rng(95).normal(size=(5, 2))
    residual = np.array([[1.0, 10.0], [2.0, 10.0], [3.0, 10.0], [4.0, 20.0], [10.0, 30.0]])
    table = statistics(fitted(truth + residual), fitted(truth).labels)
    assert table["label"].tolist() == ["a", "b"]
    assert table["n"].tolist() == [5, 5]
    np.testing.assert_allclose(table["bias"], [4.0, 16.0])
    np.testing.assert_allclose(table["std"], [np.sqrt(10), 8.0])
    np.testing.assert_allclose(table["scatter"], [NORMAL, 0.0], atol=1e-12)


def test_errors_of_statistics_are_the_textbooks():
    n, sigma = 4000, 2.0
    residual = np.random.default_rng(96).normal(0.3, sigma, (n, 2))
    table = statistics(fitted(residual), fitted(np.zeros((n, 2))).labels)
    np.testing.assert_allclose(table["bias_error"], sigma / np.sqrt(n), rtol=0.12)
    np.testing.assert_allclose(table["std_error"], sigma / np.sqrt(2 * n), rtol=0.15)
    # the scatter from the median absolute deviation has 37 % of the standard deviation's efficiency
    np.testing.assert_allclose(table["scatter_error"], sigma / np.sqrt(2 * n * 0.368), rtol=0.15)
    again = statistics(fitted(residual), fitted(np.zeros((n, 2))).labels)
    np.testing.assert_array_equal(table["scatter_error"], again["scatter_error"])


def test_stars_without_labels_are_left_out_and_counted():
    residual = np.arange(20.0).reshape(10, 2)
    residual[3, 1] = np.nan
    table = statistics(fitted(residual), fitted(np.zeros((10, 2))).labels)
    assert table["n"].tolist() == [9, 9]
    np.testing.assert_allclose(table["bias"][0], np.delete(residual[:, 0], 3).mean())


def test_statistics_refuses_other_stars_and_too_few():
    fits = fitted(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="do not have the same stars in the same order"):
        statistics(fits, fits.labels[::-1])
    with pytest.raises(ValueError, match="only 2 stars have both labels"):
        statistics(fits.isel(star=slice(2)), fits.labels[:2])


def test_statistics_matches_labels_by_name():
    truth = fitted(np.tile([1.0, 2.0], (5, 1)))
    table = statistics(fitted(np.tile([1.5, 2.5], (5, 1))), truth.labels.isel(label=[1, 0]))
    np.testing.assert_allclose(table["bias"], [0.5, 0.5])


# --- trends -------------------------------------------------------------------------------------------------


def test_a_planted_trend_is_found_with_its_error_and_outliers_have_no_say():
    rng = np.random.default_rng(99)
    n = 1500
    x = rng.uniform(0, 3, n)
    residual = np.column_stack([rng.normal(0, 2.0, n), 0.5 * x + rng.normal(0, 0.3, n)])
    residual[:20] += np.array([500.0, 40.0]) * x[:20, None]
    table = validation.trends(fitted(residual), fitted(np.zeros((n, 2))).labels, {"x": x, "noise": rng.normal(size=n)})
    assert table["per"].tolist() == ["x", "x", "noise", "noise"]
    assert table["label"].tolist() == ["a", "b", "a", "b"]
    expected = np.array([0.0, 0.5, 0.0, 0.0])
    assert (np.abs(table["slope"] - expected) < 4 * table["slope_error"]).all()
    # of a straight line through n points: sigma / (sqrt(n) std(x))
    np.testing.assert_allclose(table["slope_error"][:2], np.array([2.0, 0.3]) / np.sqrt(n) / x.std(), rtol=0.15)


def test_a_trend_needs_stars():
    fits = fitted(np.random.default_rng(90).normal(size=(12, 2)))
    with pytest.raises(ValueError, match="only 5 stars have x and a"):
        validation.trends(fits, fitted(np.zeros((12, 2))).labels, {"x": [1.0, 2, 3, 4, 5, *[np.nan] * 7]})


# --- twins --------------------------------------------------------------------------------------------------


def test_twins_are_alike_up_to_noise():
    rng = np.random.default_rng(98)
    labels = np.repeat(rng.normal(size=(40, 2)), 2, axis=0) + rng.normal(0, 1e-4, (80, 2))
    clean = 0.8 + labels @ rng.normal(0, 0.1, (2, 300))
    flux = clean + rng.normal(0, 0.01, clean.shape)
    ivar = np.full(flux.shape, 1e4)
    flux[:, 100:150], ivar[:, 100:150] = rng.normal(size=(80, 50)), 0.0  # what nobody saw does not count
    grid = ("star", "wavelength")
    spectra = xr.Dataset({"flux": (grid, flux), "ivar": (grid, ivar), "labels": (("star", "label"), labels)})
    spectra = spectra.assign_coords(star=np.arange(80), wavelength=np.arange(300.0))
    found = validation.twin_differences(spectra)
    assert found["noise"] == pytest.approx(0.01 * np.sqrt(2), rel=1e-6)
    assert found["twins"] == pytest.approx(found["noise"], rel=0.05)
    assert found["random"] > 5 * found["twins"]
    assert validation.twin_differences(spectra) == found


def test_twins_differ_by_noise_alone_where_labels_explain_all():
    rng = np.random.default_rng(31)
    labels = np.repeat(rng.normal(size=(40, 2)), 2, axis=0)  # each star has an exact twin
    slopes = rng.normal(0, 0.05, (2, 200))
    sigma = 0.01
    flux = 1 + labels @ slopes + rng.normal(0, sigma, (80, 200))
    spectra = from_arrays(flux, np.full(flux.shape, sigma**-2), np.arange(200.0) + 16000, labels)
    differences = validation.twin_differences(spectra, seed=1)
    assert differences["noise"] == pytest.approx(np.sqrt(2) * sigma)
    assert differences["twins"] == pytest.approx(differences["noise"], rel=0.05)
    assert differences["random"] > 5 * differences["twins"]


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
    fits = fitted(answers)
    reference = fits.labels.copy(data=truth)
    np.testing.assert_allclose(validation.shrinkage(fits, reference), [0.0, -0.3], atol=1e-10)


def test_the_robust_scatter_is_the_standard_deviation_of_normal_residuals():
    values = np.random.default_rng(9).normal(0, [1.0, 5.0], (40_000, 2))
    values[::20] = 1e6
    values[1::20] = np.nan
    np.testing.assert_allclose(validation.robust_scatter(values), [1.0, 5.0], rtol=0.1)
