"""Loops over stars and pixels that numpy cannot fuse, compiled by numba; the tests check each against plain numpy.

All release the global interpreter lock. They are compiled once and cached (`lab2._caching`). Sums may be reordered, and
a division by zero gives an infinity instead of an exception; the compiler needs both to vectorize. Infinities and NaN
are treated correctly.
"""

import numpy as np
from numba import float64, njit, vectorize

from lab2._caching import CACHE

__all__ = [
    "INLINE",
    "OPTIONS",
    "count_seen",
    "gradient_sums",
    "misfit_sums",
    "star_weights",
    "step_scatter",
    "sum_products",
    "take_pixels",
    "weigh",
    "weight",
]

OPTIONS = {
    "nogil": True,
    "cache": CACHE,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}

# For functions that other compiled functions call: they are inlined and have no symbol of their own. A symbol would
# exist twice, in its own module and in its caller's, optimized separately. Which one is linked, and so the last digit
# of the result, would depend on what was cached.
INLINE = {**OPTIONS, "inline": "always"}

_TILE = 16  # stars: their cache lines stay in the L1 cache while a block of them is transposed
_PIXELS = 256  # for this many pixels all coefficients and their products fit in the L2 cache
# The logarithm of a product is taken once the product exceeds _LARGE. Up to that point, _FACTORS more factors of up to
# 10^12 each cannot make it overflow.
_FACTORS, _LARGE = 16, 1e100
_SMALLEST_S2, _FELT_S2 = 1e-12, 1e-8


def _weight(ivar, s2):
    """Inverse variance of a pixel about the model, 1 / (sigma^2 + s^2); 0 where ivar is 0 or s2 infinite."""
    return ivar / (1.0 + ivar * s2) if ivar > 0.0 else 0.0


_each_weight = vectorize([float64(float64, float64)], cache=CACHE)(_weight)
_weight = njit(**INLINE)(_weight)


def weight(ivar, s2):
    """`_weight` for arrays that broadcast against each other, in double precision."""
    with np.errstate(invalid="ignore"):  # 0 times infinity is computed but not used
        return _each_weight(ivar, s2)


@njit(**OPTIONS)
def take_pixels(flux, ivar, flux_out, ivar_out):
    """Transpose a block of spectra; return whether all its values are valid.

    flux, ivar (n_stars, n_pixels) of any dtype; flux_out, ivar_out (n_pixels, n_stars) in double precision. flux_out is
    flux - 1, or 0 where the pixel has no weight.
    """
    n_stars, n_pixels = flux.shape
    for first in range(0, n_stars, _TILE):
        for p in range(n_pixels):
            for n in range(first, min(first + _TILE, n_stars)):
                flux_out[p, n], ivar_out[p, n] = flux[n, p], ivar[n, p]
    wrong = 0  # counted along the rows, where the compiler can vectorize
    for p in range(n_pixels):
        f, iv = flux_out[p], ivar_out[p]
        for n in range(n_stars):
            f[n] = f[n] - 1.0 if iv[n] > 0.0 else 0.0
            wrong += not (iv[n] >= 0.0 and np.isfinite(iv[n]) and np.isfinite(f[n]))
    return wrong == 0


@njit(**INLINE)
def _log_sum(ivar, s2):
    """sum ln(1 + ivar s2) of one pixel, from logarithms of products."""
    total, product, n_stars = 0.0, 1.0, ivar.shape[0]
    whole = n_stars - n_stars % _FACTORS
    for first in range(0, whole, _FACTORS):
        factors = 1.0
        for k in range(_FACTORS):
            factors *= 1.0 + ivar[first + k] * s2
        product *= factors
        if product > _LARGE:
            total += np.log(product)
            product = 1.0
    for n in range(whole, n_stars):
        product *= 1.0 + ivar[n] * s2
    return total + np.log(product)


@njit(**INLINE)
def _scatter_sums(ivar, square, s2):
    """sum ln(1 + ivar s2) + sum w square of one pixel, and its first and second derivatives with respect to s2."""
    chi, first, second = 0.0, 0.0, 0.0
    for n in range(ivar.shape[0]):
        w = _weight(ivar[n], s2)
        chi += w * square[n]
        first += w - w * w * square[n]
        second += 2.0 * w * w * w * square[n] - w * w
    return chi + _log_sum(ivar, s2), first, second


@njit(**OPTIONS)
def count_seen(ivar, per_full):
    """Number of stars that observed each pixel; a star with very low weight there counts as a fraction.

    ivar (n_pixels, n_stars); per_full (n_stars,), as from `lab2.spectra.per_full_weight`.
    """
    out = np.zeros(ivar.shape[0])
    for p in range(ivar.shape[0]):
        for n in range(ivar.shape[1]):
            out[p] += min(ivar[p, n] * per_full[n], 1.0)
    return out


@njit(**OPTIONS)
def weigh(ivar, flux, which, s2, weight, weighted):
    """Weights of some pixels at given s2, and the sums in the likelihood that do not depend on theta.

    Fills weight = 1 / (1 / ivar + s2) and weighted = weight flux; returns sum ln(1 + ivar s2) and sum weight flux^2.
    ivar and flux are (n_pixels, n_stars); `which` selects rows, and all other arrays have one row or element for each.
    """
    log_sum, chi_zero = np.empty(which.shape[0]), np.empty(which.shape[0])
    for m in range(which.shape[0]):
        iv, f, w, wf, s = ivar[which[m]], flux[which[m]], weight[m], weighted[m], s2[m]
        chi = 0.0
        for n in range(iv.shape[0]):
            w[n] = _weight(iv[n], s)
            wf[n] = w[n] * f[n]
            chi += wf[n] * f[n]
        chi_zero[m] = chi
        log_sum[m] = _log_sum(iv, s)
    return log_sum, chi_zero


@njit(**OPTIONS)
def gradient_sums(flux, which, weight, model, first, second):
    """Sums for the derivatives of -2 ln L with respect to s2; `model` is overwritten by weight^2 residual.

    With r = flux - model: first = sum w - sum (w r)^2; second = -sum w^2 + 2 sum w (w r)^2. Rows as for `weigh`.
    """
    for m in range(which.shape[0]):
        f, w, r = flux[which[m]], weight[m], model[m]
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for n in range(f.shape[0]):
            wr = w[n] * (f[n] - r[n])
            a += w[n]
            b += wr * wr
            c += w[n] * w[n]
            d += w[n] * wr * wr
            r[n] = w[n] * wr
        first[m] = a - b
        second[m] = 2.0 * d - c


@njit(**OPTIONS)
def step_scatter(ivar, square, s2):
    """Improve each pixel's s2 by two Newton steps in ln s2, given the expected squares of its residuals.

    -2 ln L = sum ln(1 + ivar s2) + sum w square, w = ivar / (1 + ivar s2), is never larger at the returned s2
    (n_pixels,) than at the given one; ivar, square (n_pixels, n_stars). An infinite s2 is kept.
    """
    out = s2.copy()
    for p in range(s2.shape[0]):
        if np.isfinite(s2[p]):
            value, first, second = _scatter_sums(ivar[p], square[p], s2[p])
            for _ in range(2):
                s = out[p]
                slope, bend = first * s, second * s * s + first * s
                step = -slope / bend if bend > 0.0 else -np.sign(slope)
                target = s * np.exp(min(max(step, -2.0), 2.0))
                if s < _SMALLEST_S2:  # -2 ln L is flat in ln s2 here: go up to where s2 matters, or to zero
                    target = _FELT_S2 if first < 0.0 else 0.0
                new_value, new_first, new_second = _scatter_sums(ivar[p], square[p], target)
                if new_value > value:
                    break
                out[p], value, first, second = target, new_value, new_first, new_second
    return out


@njit(**OPTIONS)
def sum_products(theta, place, out):
    """Add theta theta^T of each pixel, summed over the elements that share a monomial, to `out`.

    theta (n_terms, n_pixels); place (n_terms, n_terms) symmetric; out (n_monomials, n_pixels).
    """
    for first in range(0, theta.shape[1], _PIXELS):
        stop = min(first + _PIXELS, theta.shape[1])
        for t in range(theta.shape[0]):
            for u in range(t + 1):
                left, right, total = theta[t, first:stop], theta[u, first:stop], out[place[t, u], first:stop]
                times = 1.0 if t == u else 2.0
                for p in range(stop - first):
                    total[p] += times * left[p] * right[p]


@njit(**OPTIONS)
def star_weights(spectra, count, pixels, window, work, sums):
    """Weights of a block of stars in a window of pixels, and the sums over these pixels that do not depend on labels.

    spectra = (flux, ivar), each (n_stars, n_pixels); count = (per_full, scatter), where per_full (n_stars,) is
    `lab2.spectra.per_full_weight` for that scatter; pixels = (flux_zero, s2), each (n_pixels,); window = (start, stop).
    Fills work = (weight, weighted), each (n_stars, at least stop - start): weight = 1 / (1 / ivar + s2), 0 where ivar
    is 0 or s2 infinite, and weighted = weight (flux - flux_zero). Adds to sums = (chi_zero, n_pixels), each (n_stars,):
    sum weight (flux - flux_zero)^2, and the number of pixels with weight, where one of very low weight counts as a
    fraction. An invalid value makes chi_zero NaN.
    """
    (flux, ivar), (per_full, scatter), (flux_zero, s2), (start, stop) = spectra, count, pixels, window
    (weight, weighted), (chi_zero, n_pixels) = work, sums
    for s in range(ivar.shape[0]):
        chi = 0.0
        seen = 0.0
        wrong = 0
        for p in range(start, stop):
            iv = np.float64(ivar[s, p])
            w = _weight(iv, s2[p])
            r = np.float64(flux[s, p]) - flux_zero[p] if iv > 0.0 else 0.0
            weight[s, p - start] = w
            weighted[s, p - start] = w * r
            chi += w * r * r
            seen += min(_weight(iv, scatter) * per_full[s], 1.0) if w > 0.0 else 0.0
            wrong += not iv >= 0.0
        chi_zero[s] += chi if wrong == 0 else np.nan
        n_pixels[s] += seen


@njit(**OPTIONS)
def misfit_sums(flux, ivar, best, s2):
    """Of each star, max(0, sum w r^2 - n) and sum w over its n pixels with weight w = 1 / (1 / ivar + s2).

    flux, ivar (n_stars, n_pixels); r = flux - best (n_stars, n_pixels); s2 (n_pixels,).
    """
    excess, total = np.zeros(flux.shape[0]), np.zeros(flux.shape[0])
    for s in range(flux.shape[0]):
        chi, weights = 0.0, 0.0
        for p in range(flux.shape[1]):
            w = _weight(np.float64(ivar[s, p]), s2[p])
            r = np.float64(flux[s, p]) - best[s, p]
            chi += w * r * r - 1.0 if w > 0.0 else 0.0
            weights += w
        excess[s], total[s] = max(chi, 0.0), weights
    return excess, total
