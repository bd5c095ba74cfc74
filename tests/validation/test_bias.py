"""Biases that were put in: a curve along a label, an offset that outliers make, a case that removes it."""

import numpy as np
import pytest
import xarray as xr

from lab2.validation import biases, removed_by, running_medians, worst_bin

N = 600


def fits_of(residual, x):
    star = np.arange(len(x)).astype(str)
    truth = xr.DataArray(np.column_stack([x, x]), dims=("star", "label"), coords={"star": star, "label": ["a", "b"]})
    return xr.Dataset({"labels": truth + residual}), truth


def test_a_running_median_follows_a_curve_that_a_straight_line_misses():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, N)
    curve = 0.5 * (x**2 - 1 / 3)  # no mean, no slope
    residual = np.column_stack([curve + rng.normal(0, 0.1, N), rng.normal(0, 0.1, N)])
    residual[::50, 0] = 40.0  # outliers do not move it
    fits, truth = fits_of(residual, x)
    running = running_medians(fits, truth)
    assert running.sizes == {"label": 2, "bin": 12}
    of_a = running.sel(label="a")
    expected = 0.5 * (of_a.center**2 - 1 / 3)
    # within a bin of width 1/6 the curve and 2 % of outliers move the median by up to 0.02
    assert float(np.abs(of_a["median"] - expected).max()) < 4 * float(of_a.error.max()) + 0.02
    flat = running.sel(label="b")
    assert float(np.abs(flat["median"] / flat.error).max()) < 4
    # of one bin's scatter 16 % are uncertain, of the mean of twelve 5 %
    assert float(flat.error.mean()) == pytest.approx(np.sqrt(np.pi / 2) * 0.1 / np.sqrt(50), rel=0.12)
    worst = worst_bin(running)
    assert worst["label"] == "a"
    assert abs(worst["center"]) < 0.2 or abs(worst["center"]) > 0.8
    assert 6 <= worst["n"] <= 12
    assert worst["of_n"] == 24


def test_a_bin_has_at_least_ten_stars():
    fits, truth = fits_of(np.zeros((35, 2)) + np.arange(35)[:, None] % 3, np.arange(35.0))
    assert running_medians(fits, truth).sizes["bin"] == 3
    with pytest.raises(ValueError, match="only 5 stars"):
        running_medians(fits.isel(star=slice(5)), truth[:5])


def test_a_bias_of_outliers_is_in_the_mean_alone_and_gone_where_they_are_not():
    rng = np.random.default_rng(2)
    residual = rng.normal(0, 1.0, (N, 2))
    spoiled = residual.copy()
    spoiled[:6, 0] += 60.0  # 1 % of the stars: 0.6 in the mean
    (before, truth), (after, _) = (fits_of(some, np.zeros(N)) for some in (spoiled, residual))
    table = biases({"before": (before, truth), "after": (after, truth)})
    first = table[0]
    assert (first["case"], first["label"]) == ("before", "a")
    assert first["mean"] == pytest.approx(0.6 + residual[:, 0].mean())
    assert abs(first["median"]) < 3 * first["median_error"]
    assert first["change"] == first["change_error"] == 0.0
    # the same stars are drawn in both cases, so that their common noise does not enter the change
    assert table["change"][2] == pytest.approx(-0.6)
    assert table["change_error"][3] == 0.0
    found = removed_by(table, errors=3.0)
    assert found["label"] == "a"
    assert found["case"] == "after"
    assert found["significance"] == pytest.approx(first["mean"] / first["mean_error"])
    assert removed_by(biases({"one": (before, truth), "two": (before, truth)}), errors=2.0)["case"] == ""
    with pytest.raises(ValueError, match="no star has labels"):
        biases({"one": (before.where(False), truth)})
