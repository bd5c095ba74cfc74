"""Abundances guessed from factors that know one of two of them."""

import numpy as np
import pytest
import xarray as xr

from lab2.validation import guess_abundances, robust_scatter

N = 300


@pytest.fixture(scope="module")
def drawn():
    """Fits, and two abundances: carbon follows a label and the first factor, nitrogen nothing."""
    rng = np.random.default_rng(97)
    labels, factors = rng.normal(4500, 200, (N, 1)), rng.normal(size=(N, 2))
    x = (labels[:, 0] - 4500) / 200
    carbon = 0.1 * x - 0.05 * x**2 + 0.2 * factors[:, 0] + 0.01 * rng.normal(size=N)
    values = np.column_stack([carbon, 0.1 * rng.normal(size=N)])
    star = [str(n) for n in range(N)]
    fits = xr.Dataset(
        {"labels": (("star", "label"), labels), "factors": (("star", "factor"), factors)},
        coords={"star": star, "label": ["teff"]},
    )
    known = xr.DataArray(values, dims=("star", "label"), coords={"star": star, "label": ["[C/Fe]", "[N/Fe]"]})
    return fits, known, xr.DataArray(np.arange(N) % 3, dims="star")


def test_what_a_factor_knows_is_found_and_no_more(drawn):
    fits, known, folds = drawn
    left = {use: robust_scatter((guess_abundances(fits, known, folds, use).labels - known).values) for use in (0, 1)}
    np.testing.assert_allclose(left[0], [0.2, 0.1], rtol=0.2)
    np.testing.assert_allclose(left[1], [0.01, 0.1], rtol=0.2)


def test_stars_without_a_fit_or_an_abundance_stop_nothing(drawn):
    fits, known, folds = drawn
    fits, known = fits.copy(deep=True), known.copy(deep=True)
    fits["labels"][4], fits["factors"][4], known[7, 0] = np.nan, np.nan, np.nan
    guessed = guess_abundances(fits, known, folds).labels
    assert np.flatnonzero(np.isnan(guessed[:, 0])).tolist() == [4]
