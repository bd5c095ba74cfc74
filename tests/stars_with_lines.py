"""Spectra with lines on a piece of the survey's grid, drawn from a known model, and ways to make one odd."""

import numpy as np
from astropy.table import Table

from lab2 import from_arrays
from lab2.cannon import polynomial
from lab2.grid import LOG_STEP, WAVELENGTH

PIXELS = slice(2700, 4300)  # the red end of the blue chip and half of the green one, with two Brackett lines
GRID = WAVELENGTH[PIXELS]
NAMES = ["teff", "logg", "fe_h"]
MEAN, SPREAD = np.array([4600.0, 2.3, -0.2]), np.array([300.0, 0.7, 0.3])
LABELS = MEAN + SPREAD * np.array([0.3, -0.4, 0.5])
COOL = MEAN + SPREAD * np.array([-0.8, 0.5, 0.5])
NOISE = 0.01
STEP = LOG_STEP * np.log(10) * 299792.458  # km/s

_rng = np.random.default_rng(40)
_pairs = polynomial.terms(3, 2)
_centers = _rng.uniform(0, len(GRID), 120)
_strength = _rng.normal(0, 1, (120, len(_pairs))) * np.where(_pairs[:, 0] == 0, 0.03, 0.004)
_strength[:, 0] = _rng.uniform(0.05, 0.35, 120)


def clean(labels, velocity=0.0, width=1.4):
    """Flux of each star, (n, n_pixels); velocity [km/s], width the standard deviation of a line in pixels."""
    x = (np.atleast_2d(labels) - MEAN) / SPREAD
    profile = np.exp(-0.5 * ((np.arange(len(GRID)) - velocity / STEP - _centers[:, None]) / width) ** 2)
    return 1.0 - polynomial.design(x, _pairs) @ _strength.T @ profile * (1.4 / width)


def labels_of(n, rng):
    return rng.normal(MEAN, SPREAD, (n, 3))


def observe(flux, labels, rng, noise=NOISE, star=None):
    """Spectra with noise and a few pixels without information; catalog labels with errors."""
    flux = flux + rng.normal(0, noise, flux.shape)
    ivar = np.full(flux.shape, noise**-2)
    hidden = rng.random(flux.shape) < 0.03
    flux[hidden], ivar[hidden] = 1.0, 0.0
    noisy = labels + rng.normal(0, 0.05 * SPREAD, labels.shape)
    return from_arrays(flux, ivar, GRID, noisy, star=star, label=NAMES)


def one(flux, seed=43):
    """A star of the labels `LABELS` with a flux of its own, observed."""
    return observe(np.atleast_2d(flux), LABELS[None], np.random.default_rng(seed))


def catalog(spectra):
    """Rows of stars of which the catalog has nothing to say."""
    n = spectra.sizes["star"]
    rows = Table({"APOGEE_ID": spectra.star.values.astype(str), "VSCATTER": np.full(n, 0.1)})
    rows["STARFLAG"], rows["ASPCAPFLAG"] = np.zeros(n, int), np.zeros(n, int)
    return rows


__all__ = [
    "COOL",
    "GRID",
    "LABELS",
    "MEAN",
    "NAMES",
    "NOISE",
    "SPREAD",
    "STEP",
    "catalog",
    "clean",
    "labels_of",
    "observe",
    "one",
]
