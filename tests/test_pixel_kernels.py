"""The compiled loops of masking and normalization against plain numpy, on spectra with all that goes wrong."""

import numpy as np
import plain_normalization as plain
import pytest
import xarray as xr

from lab2 import continuum
from lab2._pixel_kernels import good_errors, replace_beyond
from lab2.grid import CHIPS, N_PIXELS, WAVELENGTH, chip_of

CHIP = np.searchsorted(CHIPS, chip_of(WAVELENGTH))  # their names are in the order of the alphabet
EDGES = np.array([[201, 3320], [3538, 6127], [6295, 8380]])


def odd_spectra(n_stars, seed):
    """Flux, error and bitmask with bad values everywhere, of every kind, and outliers."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(200, 3000, (n_stars, 1)) * (1 + 0.2 * np.linspace(-1, 1, N_PIXELS) ** rng.integers(1, 4))
    error = level * rng.uniform(0.005, 0.05, (n_stars, N_PIXELS))
    flux = level + error * rng.standard_t(3, (n_stars, N_PIXELS))
    for array in (flux, error):
        for value in (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e-30):
            array[rng.random(array.shape) < 0.002] = value
    bitmask = np.where(rng.random(flux.shape) < 0.02, 1 << rng.integers(0, 15, flux.shape), 0)
    return flux.astype("f4"), error.astype("f4"), bitmask.astype("i4")


def test_good_errors():
    raw = odd_spectra(6, 301)
    edges = np.broadcast_to(EDGES, (6, 3, 2)).copy()
    edges[2, 1] = 0, -1  # a chip without data
    out = np.empty_like(raw[1])
    good_errors(raw, edges, CHIP, np.int32(0b1000011111111), out)
    expected = plain.good_errors(raw, edges, CHIP, 0b1000011111111)
    assert np.array_equal(out, expected)
    assert 0.5 < np.isfinite(out).mean() < 0.95
    assert np.isinf(out[2, CHIP == 1]).all()


def test_replace_beyond():
    row = np.array([0.5, 1.0, 2.0, 3.0, np.inf])
    replace_beyond(row, 1.0, 2.0)
    assert row.tolist() == [np.inf, 1.0, 2.0, np.inf, np.inf]


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:.*encountered")  # of the plain way, where a flux is infinite
def test_normalization(degree):
    flux, error, bitmask = odd_spectra(12, 302 + degree)
    edges = np.broadcast_to(EDGES, (12, 3, 2))
    error = plain.good_errors((flux, error, bitmask), edges, CHIP, 255).astype("f4")
    trusted = np.zeros(N_PIXELS, dtype=bool)
    for first, last in EDGES:
        trusted[first + 10 : last : 17] = True
    error[3, 6295:] = np.inf  # a dark chip
    error[4, :3320], flux[4, :3320] = 1.0, -50.0  # and one below zero
    faint = np.flatnonzero(trusted[:3000])[6:]
    error[5, faint] *= 30  # too few pixels say something: fractions of pixels are counted
    grid = ("star", "wavelength")
    raw = xr.Dataset(
        {"flux": (grid, flux), "error": (grid, error)},
        coords={"star": [str(n) for n in range(12)], "wavelength": WAVELENGTH},
    )
    found = continuum.normalize(raw, trusted, degree)
    (value, ivar, level), (n_used, n_clipped, bad) = plain.normalized(flux, error, trusted, degree)
    assert np.array_equal(found.n_trusted, n_used)
    assert np.array_equal(found.n_clipped, n_clipped)
    assert np.array_equal(found.bad_continuum, bad)
    assert n_clipped.sum() > 100
    assert bad.sum() >= 2
    for ours, theirs in ((found.flux, value), (found.ivar, ivar), (found.continuum, level)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
