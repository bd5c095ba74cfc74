"""Spectra unlike any in the training set, made from ordinary ones, to test whether a method flags them."""

import numpy as np
import xarray as xr

from lab2 import cannon
from lab2.grid import KM_S_PER_PIXEL

__all__ = ["flagged", "strangers"]

_SHIFT = 30.0  # km/s, a line's width
_DOUBT = cannon.Flag.OUTSIDE_TRAINING | cannon.Flag.POOR_FIT | cannon.Flag.UNCONSTRAINED | cannon.Flag.NO_DATA


def strangers(spectra: xr.Dataset, seed: int = 128) -> dict[str, xr.Dataset]:
    """Changed spectra that are unlike any in the training set, from those of ordinary stars on the apStar grid.

    Parameters
    ----------
    spectra : xarray.Dataset
        Spectra of at least two stars; only flux and ivar are used.
    seed : int

    Returns
    -------
    dict of str to xarray.Dataset
        By type of change, applied to all stars: "nothing"; "shifted by 30 km/s", a wrong radial velocity; "two stars",
        the mean of two spectra, the second shifted by 60 km/s; "half the lines", added light without lines; "no lines",
        a continuum with the star's noise; "pixels shuffled", the same values in another order.
    """
    rng = np.random.default_rng(seed)
    flux, ivar = spectra.flux.values.astype(float), spectra.ivar.values.astype(float)
    pixels = round(_SHIFT / KM_S_PER_PIXEL)
    noise = np.where(ivar > 0, rng.normal(size=flux.shape) / np.sqrt(np.where(ivar > 0, ivar, 1.0)), 0.0)
    other = np.roll(np.roll(flux, 1, axis=0), 2 * pixels, axis=1)
    also = np.roll(np.roll(ivar, 1, axis=0), 2 * pixels, axis=1)
    order = rng.permutation(flux.shape[1])
    both = (ivar > 0) & (also > 0)
    made = {
        "nothing": (flux, ivar),
        "shifted by 30 km/s": (np.roll(flux, pixels, axis=1), np.roll(ivar, pixels, axis=1)),
        "two stars": (np.where(both, (flux + other) / 2, 1.0), np.where(both, ivar, 0.0)),
        "half the lines": ((flux + 1) / 2, 4 * ivar),
        "no lines": (1 + noise, ivar),
        "pixels shuffled": (flux[:, order], ivar[:, order]),
    }
    plain = spectra[["flux", "ivar"]]
    dims = ("star", "wavelength")
    return {name: plain.assign(flux=(dims, f), ivar=(dims, iv)) for name, (f, iv) in made.items()}


def flagged(fits: xr.Dataset) -> float:
    """Fraction of the stars that are flagged: outside the training set, fitted badly, unconstrained, or without
    data."""
    return float(np.mean((fits.flag.values & int(_DOUBT)) != 0))
