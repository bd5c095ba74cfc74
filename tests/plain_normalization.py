"""Masking and normalization by whole arrays in numpy: what the compiled loops must agree with."""

import numpy as np
from numpy.polynomial import chebyshev

from lab2.grid import CHIPS, WAVELENGTH, chip_of
from lab2.spectra import credible_errors, seen

FLOAT = np.finfo("f4")


def good_errors(raw, edges, chip, bits):
    """Twin of lab2._pixel_kernels.good_errors."""
    flux, error, bitmask = raw
    pixel = np.arange(flux.shape[1])
    good = ((bitmask & bits) == 0) & np.isfinite(flux) & (flux != 0) & np.isfinite(error) & (error > 0)
    inside = (pixel >= edges[:, chip, 0]) & (pixel <= edges[:, chip, 1])
    return np.where(good & inside, error, np.inf)


def normalized(flux, error, trusted, degree):
    """Flux, ivar and continuum (n_stars, 8575), and numbers of pixels used and clipped and whether a chip is bad."""
    errors, chips = credible_errors(error.astype(float)), chip_of(WAVELENGTH)
    out, counts = np.ones((3, *flux.shape)), np.zeros((3, len(flux), len(CHIPS)), int)
    for k, chip in enumerate(CHIPS):
        here = chips == chip
        raw = flux[:, here].astype(float)
        sigma = np.where(np.abs(raw) < FLOAT.max, errors[:, here], np.inf)
        level, n_used, n_clipped = fit_chip(raw, sigma, trusted[here], degree)
        bad = (n_used < 5 * (degree + 1)) | ~((level > FLOAT.tiny) & (level < FLOAT.max)).all(axis=1)
        level[bad] = 1.0
        signal = np.where(bad[:, None], 0.0, level / sigma)
        value = np.where(signal > 0, raw, level) / level
        good = (signal > 1e-5) & (signal < 1e10) & (value * signal > -5) & ((value - 1.5) * signal < 5)
        out[0][:, here], out[1][:, here] = np.where(good, value, 1.0), np.where(good, signal, 0.0) ** 2
        out[2][:, here] = level
        counts[:, :, k] = n_used, n_clipped, bad
    return out, counts


def fit_chip(flux, error, trusted, degree):
    """The continuum of one chip for all stars at once, clipped until the same pixels remain."""
    basis = chebyshev.chebvander(np.linspace(-1, 1, flux.shape[1]), degree)
    at, weight = basis[trusted], 1 / error[:, trusted] ** 2
    value = np.where(weight > 0, flux[:, trusted], 0.0)
    counts, used = seen(weight), weight > 0
    coefficients = np.zeros((len(flux), degree + 1))
    for _ in range(10):
        solvable = (counts * used).sum(axis=1) > 5 * (degree + 1) - 0.5
        w = weight * used
        normal, right = np.einsum("np,pt,pu->ntu", w, at, at), np.einsum("np,pt->nt", w * value, at)
        coefficients[:] = 0.0
        coefficients[solvable] = np.linalg.solve(normal[solvable], right[solvable][..., None])[..., 0]
        residual = np.where(weight > 0, (value - coefficients @ at.T) * np.sqrt(weight), np.nan)
        keep = weight > 0
        scatter = 1.4826 * np.nanmedian(np.abs(residual[solvable]), axis=1)
        with np.errstate(invalid="ignore"):
            keep[solvable] &= np.abs(residual[solvable]) <= 3 * np.maximum(scatter, 1.0)[:, None]
        if (keep == used).all():
            break
        used = keep
    n_used, n_clipped = (np.rint((counts * part).sum(axis=1)).astype(int) for part in (used, ~used))
    return coefficients @ basis.T, n_used, n_clipped
