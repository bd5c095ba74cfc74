"""The loops over stars and pixels that numpy cannot fuse, compiled by numba; each has a plain twin in the tests.

All release the interpreter's lock. They are compiled once and cached beside this file. Re-association of sums is
allowed and a division by zero gives an infinity instead of an exception: without either the compiler could not
vectorise. Infinities and NaN keep their meaning.
"""

import numpy as np
from numba import float64, njit, vectorize

__all__ = [
    "INLINE",
    "OPTIONS",
    "count_seen",
    "gradient_sums",
    "star_weights",
    "step_scatter",
    "sum_products",
    "take_pixels",
    "weigh",
    "weight",
]

OPTIONS = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}

# For functions that other compiled ones call: they are inlined, and are no symbols of their own. Such a symbol would
# exist twice, in its own module and in its caller's, optimized apart; which one is linked depends on what was cached,
# and so would the last digit of the result.
INLINE = {**OPTIONS, "inline": "always"}

_TILE = 16  # stars: their lines of memory stay in the first cache while a block of them is transposed
_PIXELS = 256  # of all coefficients and their products, in the second cache
# The logarithm of a product is taken once it is large. Sixteen more factors, of 10^12 each, do not make it overflow.
_FACTORS, _LARGE = 16, 1e100
_SMALLEST_S2, _FELT_S2 = 1e-12, 1e-8


def _weight(ivar, s2):
    """1 / (sigma^2 + s^2), the inverse variance of a pixel about the model: 0 where ivar is 0 or s2 infinite."""
    return ivar / (1.0 + ivar * s2) if ivar > 0.0 else 0.0


_each_weight = vectorize([float64(float64, float64)], cache=True)(_weight)
_weight = njit(**INLINE)(_weight)


def weight(ivar, s2):
    """`_weight` of arrays that broadcast against each other, in double precision."""
    with np.errstate(invalid="ignore"):  # 0 times infinity is computed, and not taken
        return _each_weight(ivar, s2)


@njit(**OPTIONS)
def take_pixels(flux, ivar, flux_out, ivar_out):
    """Transpose a block of spectra, flux less 1 and 0 where it has no weight; whether all its values may be used.

    flux, ivar (n_stars, n_pixels) of any kind; flux_out, ivar_out (n_pixels, n_stars) in double precision.
    """
    n_stars, n_pixels = flux.shape
    for first in range(0, n_stars, _TILE):
        for p in range(n_pixels):
            for n in range(first, min(first + _TILE, n_stars)):
                flux_out[p, n], ivar_out[p, n] = flux[n, p], ivar[n, p]
    wrong = 0  # told along the rows, where the compiler can vectorise
    for p in range(n_pixels):
        f, iv = flux_out[p], ivar_out[p]
        for n in range(n_stars):
            f[n] = f[n] - 1.0 if iv[n] > 0.0 else 0.0
            wrong += not (iv[n] >= 0.0 and np.isfinite(iv[n]) and np.isfinite(f[n]))
    return wrong == 0


@njit(**INLINE)
def _log_sum(ivar, s2):
    """sum ln(1 + ivar s2) of one pixel, by logarithms of products."""
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
    """Of one pixel: sum ln(1 + ivar s2) + sum w square, and its first and second derivative by s2."""
    chi, first, second = 0.0, 0.0, 0.0
    for n in range(ivar.shape[0]):
        w = _weight(ivar[n], s2)
        chi += w * square[n]
        first += w - w * w * square[n]
        second += 2.0 * w * w * w * square[n] - w * w
    return chi + _log_sum(ivar, s2), first, second


@njit(**OPTIONS)
def count_seen(ivar, per_full):
    """How many stars saw each pixel, each counting as far as it did: ivar (n_pixels, n_stars), per_full (n_stars,)."""
    out = np.zeros(ivar.shape[0])
    for p in range(ivar.shape[0]):
        for n in range(ivar.shape[1]):
            out[p] += min(ivar[p, n] * per_full[n], 1.0)
    return out


@njit(**OPTIONS)
def weigh(ivar, flux, which, s2, weight, weighted):
    """Weights of some pixels at given s2, and the sums of the likelihood that need no model.

    weight = 1 / (1 / ivar + s2), weighted = weight flux; returned are sum ln(1 + ivar s2) and sum weight flux^2. ivar
    and flux are (n_pixels, n_stars); `which` are the rows to do, and all else has a row or an element for each.
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
    """Sums for the derivatives of -2 ln L by s2; `model` becomes weight^2 residual.

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
    """A larger likelihood of each pixel's s2, given the expected squares of its residuals: two Newton steps in ln s2.

    -2 ln L = sum ln(1 + ivar s2) + sum w square, w = ivar / (1 + ivar s2), of which the new s2 (n_pixels,) is never
    worse than the old one; ivar, square (n_pixels, n_stars). An infinite s2 stays.
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
                if s < _SMALLEST_S2:  # where ln s2 is flat: up to where it can be felt, or to nothing
                    target = _FELT_S2 if first < 0.0 else 0.0
                new_value, new_first, new_second = _scatter_sums(ivar[p], square[p], target)
                if new_value > value:
                    break
                out[p], value, first, second = target, new_value, new_first, new_second
    return out


@njit(**OPTIONS)
def sum_products(theta, place, out):
    """theta theta^T of each pixel, summed over the places that share a monomial: added to `out`.

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
    """Weights of a block of stars in the pixels of a window, and the sums over them that need no labels.

    spectra = (flux, ivar), each (n_stars, n_pixels); count = (per_full, scatter): (n_stars,) as from
    `lab2.spectra.per_full_weight` for that scatter; pixels = (flux_zero, s2), each (n_pixels,); window = (start, stop).
    Filled are work
    = (weight, weighted), each (n_stars, at least stop - start): weight = 1 / (1 / ivar + s2), 0 where ivar is 0 or s2
    infinite, and weight (flux - flux_zero). Added to are sums = (chi_zero, n_pixels), each (n_stars,): sum weight (flux
    - flux_zero)^2, and how far the star saw the pixels with weight. A value that may not be used leaves NaN in
    chi_zero.
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
