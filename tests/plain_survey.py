"""Spectra that are linear in two labels, so that what is expected of them can be written down."""

import numpy as np

from lab2 import from_arrays, train

WAVELENGTH = 10 ** np.linspace(4.1805, 4.2292, 300)  # the three chips
MEAN, SPREAD = np.array([4500.0, 2.0]), np.array([300.0, 0.5])
ERROR = 0.005


def slopes(n_pixels=300, seed=1):
    """Change of flux for one standard deviation of each label, (2, n_pixels)."""
    return np.random.default_rng(seed).normal(0, 0.03, (2, n_pixels))


def spectra(n_stars=80, seed=2, error=ERROR, scatter=0.0):
    """Stars with labels "teff" and "logg"."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_stars, 2))
    clean = 0.9 + x @ slopes()
    flux = clean + rng.normal(0, np.hypot(error, scatter), clean.shape)
    made = from_arrays(flux, np.full(flux.shape, error**-2), WAVELENGTH, MEAN + SPREAD * x, label=["teff", "logg"])
    chips = np.select([WAVELENGTH < 15825, WAVELENGTH < 16455], ["blue", "green"], "red")
    return made.assign_coords(chip=("wavelength", chips))


def model(**kwargs):
    """The Cannon, trained on such stars."""
    return train(spectra(**kwargs))


__all__ = ["ERROR", "MEAN", "SPREAD", "WAVELENGTH", "model", "slopes", "spectra"]
