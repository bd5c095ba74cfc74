"""Spectra linear in two labels, on two chips."""

import numpy as np

from lab2.spectra import from_arrays

WAVELENGTH = np.concatenate([np.linspace(15000.0, 15100.0, 60), np.linspace(15500.0, 15600.0, 60)])
MEAN, SCALE = np.array([4800.0, -0.2]), np.array([250.0, 0.3])
ERROR = 0.01


def made(n_stars, seed, noise=ERROR, unseen=None, factors=0.0):
    """Spectra; `unseen` pixels have no information and a senseless flux; `factors` is the size of a third shape."""
    shapes = 0.05 * np.random.default_rng(0).normal(size=(3, WAVELENGTH.size))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_stars, 2))
    flux = 1.0 + x @ shapes[:2] + factors * rng.normal(size=(n_stars, 1)) * shapes[2]
    flux += noise * rng.normal(size=flux.shape)
    ivar = np.full(flux.shape, ERROR**-2)
    if unseen is not None:
        flux[:, unseen], ivar[:, unseen] = 50.0, 0.0
    return from_arrays(flux, ivar, WAVELENGTH, labels=MEAN + SCALE * x, label=["teff", "fe_h"])


def linear_errors():
    """Errors of the best linear estimate of the scaled labels, (2,): the Cramer-Rao bound of these spectra."""
    shapes = 0.05 * np.random.default_rng(0).normal(size=(3, WAVELENGTH.size))[:2]
    return np.sqrt(np.diagonal(np.linalg.inv(shapes @ shapes.T / ERROR**2)))
