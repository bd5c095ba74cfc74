"""Loops over stars and pixels for masking and normalization, compiled by numba; the tests compare with plain code.

They release the global interpreter lock, are compiled once and cached, and treat infinities and NaN correctly.
"""

import numpy as np
from numba import njit

from lab2._caching import CACHE

__all__ = ["good_errors", "normalize_chip", "replace_beyond"]

_OPTIONS = {"nogil": True, "cache": CACHE, "error_model": "numpy"}
_FULL = 0.01  # as in lab2.spectra: the fraction of the typical weight at which a pixel counts fully


@njit(**_OPTIONS)
def good_errors(raw, edges, chip, bits, out):
    """Errors, set to infinity in pixels that are bad whatever the rest of the spectrum.

    raw = (flux, error, bitmask), each (n_stars, n_pixels); edges (n_stars, n_chips, 2), the first and last pixel of
    each chip; chip (n_pixels,), the chip's number. A pixel is bad if one of `bits` is set, if it is outside its chip's
    range, if its flux is not finite or 0, or if its error is not finite or not positive. Fills out (n_stars, n_pixels).
    """
    flux, error, bitmask = raw
    for s in range(flux.shape[0]):
        for p in range(flux.shape[1]):
            f, e = flux[s, p], error[s, p]
            first, last = edges[s, chip[p], 0], edges[s, chip[p], 1]
            good = (bitmask[s, p] & bits) == 0 and first <= p <= last
            out[s, p] = e if good and np.isfinite(f) and f != 0.0 and np.isfinite(e) and e > 0.0 else np.inf


@njit(**_OPTIONS)
def replace_beyond(row, least, most):
    """Replace by infinity, in place, the values of a row that are less than `least` or more than `most`."""
    for p in range(row.shape[0]):
        if row[p] < least or row[p] > most:
            row[p] = np.inf


@njit(**_OPTIONS)
def normalize_chip(raw, fit, limits, out, counts):
    """Divide the spectra of one chip by a polynomial fitted to its trusted pixels.

    raw = (flux, error), each (n_stars, n_pixels), infinite errors in bad pixels. fit = (basis, trusted, n_least, sigma,
    rounds): the polynomials (n_pixels, n_terms), the indices of the trusted pixels, the smallest number of these, and
    the limit and largest number of rounds of the clipping. limits = (tiny, huge, least_flux, most_flux, n_sigma,
    least_error, most_error), as `lab2.continuum` explains them. Fills out = (flux, ivar, continuum), each (n_stars,
    n_pixels), and counts (3, n_stars): pixels used, pixels clipped, and whether there is no continuum.
    """
    (flux, error), (basis, trusted, n_least, sigma, rounds) = raw, fit
    tiny, huge = limits[:2]
    n_trusted, n_terms = trusted.shape[0], basis.shape[1]
    at = np.empty((n_trusted, n_terms))
    for k in range(n_trusted):
        at[k] = basis[trusted[k]]
    weight, value, count = np.empty(n_trusted), np.empty(n_trusted), np.empty(n_trusted)
    used, keep = np.empty(n_trusted, dtype=np.bool_), np.empty(n_trusted, dtype=np.bool_)
    level = np.empty(flux.shape[1])
    for s in range(flux.shape[0]):
        _take_trusted((flux[s], error[s]), trusted, huge, (weight, value, count))
        used[:] = weight > 0.0
        coefficients = np.zeros(n_terms)
        for _ in range(rounds):
            coefficients[:] = 0.0
            keep[:] = weight > 0.0
            if _total(count, used, True) > n_least - 0.5:
                _solve(at, weight, value, used, coefficients)
                _clip(at, weight, value, coefficients, sigma, keep)
            if np.array_equal(keep, used):
                break
            used[:] = keep
        n_used, n_clipped = np.rint(_total(count, used, True)), np.rint(_total(count, used, False))
        bad = n_used < n_least
        for p in range(level.shape[0]):
            total = 0.0
            for t in range(n_terms):
                total += basis[p, t] * coefficients[t]
            level[p] = total
            bad |= not (total > tiny and total < huge)
        counts[0, s], counts[1, s], counts[2, s] = n_used, n_clipped, bad
        _divide((flux[s], error[s]), level, bad, limits, (out[0][s], out[1][s], out[2][s]))


@njit(**_OPTIONS)
def _take_trusted(raw, trusted, huge, out):
    """Weight, flux and count (`lab2.spectra.seen`) of the trusted pixels of a star; 0 where it has no information."""
    (flux, error), (weight, value, count) = raw, out
    total, squares = 0.0, 0.0
    for k in range(trusted.shape[0]):
        f, e = np.float64(flux[trusted[k]]), np.float64(error[trusted[k]])
        weight[k] = 1.0 / (e * e) if np.abs(f) < huge else 0.0
        value[k] = f if weight[k] > 0.0 else 0.0
        total += weight[k]
        squares += weight[k] * weight[k]
    per_full = total / (_FULL * squares) if squares > 0.0 else 0.0
    for k in range(trusted.shape[0]):
        count[k] = min(weight[k] * per_full, 1.0)


@njit(**_OPTIONS)
def _total(count, used, which):
    total = 0.0
    for k in range(count.shape[0]):
        total += count[k] if used[k] == which else 0.0
    return total


@njit(**_OPTIONS)
def _solve(at, weight, value, used, coefficients):
    """Weighted least squares by elimination; the coefficients stay as they are if the matrix is singular."""
    n = coefficients.shape[0]
    normal = np.zeros((n, n + 1))
    for k in range(weight.shape[0]):
        if used[k]:
            for t in range(n):
                for u in range(n):
                    normal[t, u] += weight[k] * at[k, t] * at[k, u]
                normal[t, n] += weight[k] * value[k] * at[k, t]
    for t in range(n):
        if not normal[t, t] > 0.0:
            return
        for u in range(t + 1, n):
            normal[u] -= normal[u, t] / normal[t, t] * normal[t]
    for t in range(n - 1, -1, -1):
        right = normal[t, n]
        for u in range(t + 1, n):
            right -= normal[t, u] * coefficients[u]
        coefficients[t] = right / normal[t, t]


@njit(**_OPTIONS)
def _clip(at, weight, value, coefficients, sigma, keep):
    """Decide which pixels are not clipped, of all that have weight: a good one may have been clipped because of an
    outlier that is now clipped itself."""
    n = 0
    residual, sizes = np.empty(weight.shape[0]), np.empty(weight.shape[0])
    for k in range(weight.shape[0]):
        total = value[k]
        for t in range(coefficients.shape[0]):
            total -= coefficients[t] * at[k, t]
        residual[k] = np.abs(total) * np.sqrt(weight[k])
        if weight[k] > 0.0:
            sizes[n] = residual[k]
            n += 1
    scatter = 1.4826 * np.median(sizes[:n])
    for k in range(weight.shape[0]):
        keep[k] = weight[k] > 0.0 and residual[k] <= sigma * max(scatter, 1.0)


@njit(**_OPTIONS)
def _divide(raw, level, bad, limits, out):
    """Flux, inverse variance and continuum of one star; flux 1 and ivar 0 in bad pixels, and if the chip is bad."""
    (flux, error), (flux_out, ivar_out, level_out) = raw, out
    _, huge, least_flux, most_flux, n_sigma, least_error, most_error = limits
    for p in range(level.shape[0]):
        f, e = np.float64(flux[p]), np.float64(error[p])
        signal = level[p] / e if not bad and np.abs(f) < huge else 0.0
        value = f / level[p]
        good = signal > 1.0 / most_error and signal < 1.0 / least_error
        good = good and (value - least_flux) * signal > -n_sigma and (value - most_flux) * signal < n_sigma
        flux_out[p] = value if good else 1.0
        ivar_out[p] = signal * signal if good else 0.0
        level_out[p] = 1.0 if bad else level[p]
