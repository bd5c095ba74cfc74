"""Stars put on the giant branch, with an offset and a slope that must be found again."""

import numpy as np
import pytest
import xarray as xr
from astropy import units as u

from lab2.isochrones import teff_on_rgb
from lab2.validation import against_isochrones, clump, on_branch, slopes


def giants(n=400, offset=0.0, slope=0.0, noise=0.0, seed=3):
    """Labels on the 6 Gyr branch of each star's [Fe/H], moved by offset + slope [Fe/H] and noise [K]."""
    rng = np.random.default_rng(seed)
    logg = np.concatenate([rng.uniform(1.05, 2.2, n // 2), rng.uniform(2.7, 3.25, n - n // 2)])
    fe_h = rng.uniform(-0.9, 0.4, n)
    teff = np.array([teff_on_rgb(g, metals).value for g, metals in zip(logg, fe_h, strict=True)])
    teff += offset + slope * fe_h + rng.normal(0, noise, n)
    return xr.DataArray(
        np.column_stack([teff, logg, fe_h]), dims=("star", "label"), coords={"label": ["teff", "logg", "fe_h"]}
    )


def test_stars_on_the_isochrones_agree_with_them():
    (row,) = against_isochrones(giants())
    assert row["n"] == 400
    assert abs(row["median"]) < 1e-6 * u.K
    assert row["slope"] == row["isochrone_slope"]
    assert row["slope"] < -200 * u.K / u.dex  # metal-poor giants are hotter
    assert row["median"].unit == u.K


def test_an_offset_and_a_slope_are_found():
    found = against_isochrones(giants(offset=40.0, slope=-60.0, noise=25.0))
    mean_metals = -0.25
    assert found["median"][0].value == pytest.approx(40 - 60 * mean_metals, abs=5)
    assert found["scatter"][0].value == pytest.approx(np.hypot(25, 60 * 1.3 / np.sqrt(12)), rel=0.15)
    change = (found["slope"] - found["isochrone_slope"])[0].value
    error = found["slope_error"][0].value
    assert change == pytest.approx(-60, abs=4 * 25 / (1.3 / np.sqrt(12) * np.sqrt(400)))
    # noise alone gives 25 / (0.375 sqrt(400)) = 3.3; the curvature of the isochrones' own trend comes on top
    assert 3 < error < 10


def test_ranges_with_few_stars_are_left_out():
    found = against_isochrones(giants(60), [(1.0, 3.3), (1.0, 1.05), (2.65, 3.3)])
    assert found["low"].tolist() == [1.0, 2.65]
    assert found["n"].tolist() == [60, 30]
    empty = against_isochrones(giants(20))
    assert len(empty) == 0
    assert empty.colnames == found.colnames
    assert empty["slope"].unit == found["slope"].unit


def test_the_clump_and_what_no_isochrone_reaches_are_not_on_the_branch():
    labels = giants(8)
    labels[:, 1] = [0.9, 1.1, 2.2, 2.3, 2.6, 2.7, 3.2, 3.4]
    labels[:, 2] = 0.0
    assert on_branch(labels).tolist() == [False, True, True, False, False, True, True, False]
    labels[:, 2] = [0, -1.1, 0.6, 0, 0, 0, 0, 0]
    assert on_branch(labels).tolist() == [False, False, False, False, False, True, True, False]


def test_another_age_is_refused():
    with pytest.raises(ValueError, match="isochrones are included for 6 Gyr"):
        against_isochrones(giants(), age_gyr=3.0)


def test_the_clump_is_where_stars_are_densest():
    rng = np.random.default_rng(5)
    branch = np.column_stack([rng.uniform(4400, 5000, 300), rng.uniform(2.0, 3.0, 300)])
    packed = rng.normal((4820.0, 2.45), (25.0, 0.02), (300, 2))
    labels = xr.DataArray(np.vstack([branch, packed]), dims=("star", "label"), coords={"label": ["teff", "logg"]})
    teff, logg = clump(labels)
    assert teff == pytest.approx(4820, abs=25)
    assert logg == pytest.approx(2.45, abs=0.03)
    assert np.isnan(clump(labels[:15])).all()


def test_a_slope_with_metals_is_found_where_alpha_elements_follow_them():
    rng = np.random.default_rng(7)
    labels = giants(400)
    fe_h = labels.sel(label="fe_h").values
    mg_fe = 0.1 - 0.25 * fe_h + rng.normal(0, 0.05, 400)
    solar = teff_on_rgb(labels.sel(label="logg").values, 0.0).value
    teff = solar - 400 * fe_h - 700 * mg_fe + rng.normal(0, 20, 400)
    values = np.column_stack([teff, labels.values[:, 1], fe_h, mg_fe])
    known = xr.DataArray(values, dims=("star", "label"), coords={"label": ["teff", "logg", "fe_h", "mg_fe"]})
    table = slopes(known)
    for slope, row in zip((-400 + 0.25 * 700, -400, -700, -0.25), table, strict=True):
        assert row["slope"] == pytest.approx(slope, abs=4 * row["slope_error"])
    alone, fixed, alpha, along = table["slope"]
    assert alone == pytest.approx(fixed + alpha * along)  # exact for least squares
    with pytest.raises(ValueError, match="only 10 stars"):
        slopes(known[:10])
