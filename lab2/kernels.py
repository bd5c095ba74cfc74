"""The loops that numpy cannot fuse, compiled by numba; each has a plain twin in the tests.

All release the interpreter's lock. They are compiled once and cached beside this file. Re-association of sums is
allowed (it lets the compiler vectorise them); infinities and NaN keep their meaning.
"""

import numpy as np
from numba import njit

__all__ = [
    "OPTIONS",
    "all_usable",
    "backward",
    "cholesky",
    "forward",
    "gradient_sums",
    "log_sums",
    "solve_normal",
    "squared_norm_solved",
    "star_weights",
    "weigh",
]

OPTIONS = {"nogil": True, "cache": True, "fastmath": {"reassoc", "contract", "arcp", "nsz"}}


@njit(**OPTIONS)
def weigh(ivar, flux, s2, weight, weighted_flux, log_sum, chi_zero):
    """Weights of a block of pixels at given s2, and the sums of the likelihood that need no model.

    weight = ivar / (1 + ivar s2); log_sum = sum ln(1 + ivar s2); chi_zero = sum weight flux^2.
    Arrays are (n_pixels, n_stars); s2, log_sum, chi_zero are (n_pixels,).
    """
    for p in range(ivar.shape[0]):
        log_total, chi = 0.0, 0.0
        product = 1.0
        for n in range(ivar.shape[1]):
            inflation = 1.0 + ivar[p, n] * s2[p]
            w = ivar[p, n] / inflation
            wf = w * flux[p, n]
            weight[p, n] = w
            weighted_flux[p, n] = wf
            chi += wf * flux[p, n]
            # the logarithm of a product: one call in eight, far from overflow
            product *= inflation
            if n % 8 == 7:
                log_total += np.log(product)
                product = 1.0
        log_sum[p] = log_total + np.log(product)
        chi_zero[p] = chi


@njit(**OPTIONS)
def log_sums(ivar, s2, out):
    """sum ln(1 + ivar s2) over the stars of each pixel, for one s2: ivar (n_pixels, n_stars), out (n_pixels,)."""
    for p in range(ivar.shape[0]):
        total, product = 0.0, 1.0
        for n in range(ivar.shape[1]):
            product *= 1.0 + ivar[p, n] * s2
            if n % 8 == 7:
                total += np.log(product)
                product = 1.0
        out[p] = total + np.log(product)


@njit(**OPTIONS)
def gradient_sums(weight, residual, first, second):
    """Sums for the derivatives of -2 ln L by s2; `residual` becomes weight^2 residual.

    first = sum w - sum (w r)^2; second = -sum w^2 + 2 sum w (w r)^2.
    """
    for p in range(weight.shape[0]):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for n in range(weight.shape[1]):
            w = weight[p, n]
            wr = w * residual[p, n]
            a += w
            b += wr * wr
            c += w * w
            d += w * wr * wr
            residual[p, n] = w * wr
        first[p] = a - b
        second[p] = 2.0 * d - c


@njit(**OPTIONS)
def cholesky(matrix, factor):
    """Lower Cholesky factor; False when a pivot vanishes against its diagonal element."""
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            s = matrix[i, j]
            for k in range(j):
                s -= factor[i, k] * factor[j, k]
            if i == j:
                if not s > 1e-13 * matrix[i, i]:
                    return False
                factor[i, i] = np.sqrt(s)
            else:
                factor[i, j] = s / factor[j, j]
    return True


@njit(**OPTIONS)
def forward(factor, right, out):
    """out = L^-1 right."""
    for i in range(right.shape[0]):
        s = right[i]
        for k in range(i):
            s -= factor[i, k] * out[k]
        out[i] = s / factor[i, i]


@njit(**OPTIONS)
def backward(factor, out):
    """out = L^-T out."""
    for i in range(out.shape[0] - 1, -1, -1):
        s = out[i]
        for k in range(i + 1, out.shape[0]):
            s -= factor[k, i] * out[k]
        out[i] = s / factor[i, i]


@njit(**OPTIONS)
def solve_normal(monomials, place, right, factor, theta, solved):
    """Solve each pixel's normal equations.

    monomials (n_pixels, n_monomials) are the weighted sums that `place` (n_terms, n_terms) spreads over the
    matrix; `factor` receives the Cholesky factors, `solved` whether there was one.
    """
    n_terms = right.shape[1]
    matrix = np.empty((n_terms, n_terms))
    for p in range(right.shape[0]):
        for t in range(n_terms):
            for u in range(t + 1):
                matrix[t, u] = monomials[p, place[t, u]]
        solved[p] = cholesky(matrix, factor[p])
        theta[p] = 0.0
        if solved[p]:
            forward(factor[p], right[p], theta[p])
            backward(factor[p], theta[p])


@njit(**OPTIONS)
def squared_norm_solved(factor, vector, out):
    """|L^-1 vector|^2 for each pixel, that is vector . (L L^T)^-1 vector."""
    y = np.empty(vector.shape[1])
    for p in range(vector.shape[0]):
        forward(factor[p], vector[p], y)
        out[p] = np.dot(y, y)


@njit(**OPTIONS)
def star_weights(ivar, flux, s2, flux_zero, start, stop, weight, weighted, chi_zero, n_pixels):
    """Weights of a block of stars in the pixels from start to stop, and the sums over them that need no labels.

    weight = 1 / (1 / ivar + s2), 0 where ivar is 0 or s2 infinite; weighted = weight (flux - flux_zero); both (n_stars,
    at least stop - start). sum weight (flux - flux_zero)^2 is added to chi_zero and the number of pixels with weight to
    n_pixels, (n_stars,). A value that may not be used leaves NaN in chi_zero.
    """
    for s in range(ivar.shape[0]):
        chi = 0.0
        seen = 0
        wrong = 0
        for p in range(start, stop):
            iv = np.float64(ivar[s, p])
            has = iv > 0.0
            w = iv / (1.0 + iv * s2[p]) if has else 0.0
            r = np.float64(flux[s, p]) - flux_zero[p] if has else 0.0
            weight[s, p - start] = w
            weighted[s, p - start] = w * r
            chi += w * r * r
            seen += w > 0.0
            wrong += not iv >= 0.0
        chi_zero[s] += chi if wrong == 0 else np.nan
        n_pixels[s] += seen


@njit(**OPTIONS)
def all_usable(flux, ivar):
    """Whether every ivar is finite and not negative, and every flux with weight finite; (n, m) arrays."""
    for i in range(ivar.shape[0]):
        usable = True
        for j in range(ivar.shape[1]):
            usable &= np.isfinite(ivar[i, j]) and ivar[i, j] >= 0 and (ivar[i, j] == 0 or np.isfinite(flux[i, j]))
        if not usable:
            return False
    return True
