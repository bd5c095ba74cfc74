"""Compiled solvers for small symmetric positive-definite systems: one at a time, or many side by side.

Side by side, 64 systems lie along the innermost axis. Each operation of the Cholesky factorization is then the same for
64 neighbors in memory, which takes a few vector instructions, and the loops over rows and columns cost little. The
tests compare with solving one system after the other.
"""

import numpy as np
from numba import njit

from lab2.cannon._kernels import INLINE, OPTIONS

__all__ = ["LANES", "backward", "cholesky", "factors", "forward", "solve_normal", "squared_norm_solved"]

LANES = 64  # 21 x 21 matrices for this many pixels, half of each used, fit in the L2 cache
_SINGULAR = 1e-13  # a pivot this small relative to its diagonal element counts as zero


def factors(n_systems, n_terms):
    """Empty array for the Cholesky factors of `solve_normal`: (n_groups, n_terms, n_terms, LANES)."""
    return np.empty((-(-n_systems // LANES), n_terms, n_terms, LANES))


@njit(**INLINE)
def cholesky(matrix, factor):
    """Lower Cholesky factor with inverted diagonal; False if a pivot is zero to rounding."""
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            s = matrix[i, j]
            for k in range(j):
                s -= factor[i, k] * factor[j, k]
            if i == j:
                if not s > _SINGULAR * matrix[i, i]:
                    return False
                factor[i, i] = 1.0 / np.sqrt(s)
            else:
                factor[i, j] = s * factor[j, j]
    return True


@njit(**INLINE)
def forward(factor, right, out):
    """out = L^-1 right."""
    for i in range(right.shape[0]):
        s = right[i]
        for k in range(i):
            s -= factor[i, k] * out[k]
        out[i] = s * factor[i, i]


@njit(**INLINE)
def backward(factor, out):
    """out = L^-T out."""
    for i in range(out.shape[0] - 1, -1, -1):
        s = out[i]
        for k in range(i + 1, out.shape[0]):
            s -= factor[k, i] * out[k]
        out[i] = s * factor[i, i]


@njit(**INLINE)
def _cholesky_beside(sums, place, factor, solved):
    """Write the Cholesky factors of the matrices sums[place], diagonals inverted, to `factor`; `solved` says whether
    each exists. sums (n_monomials, n), factor (n_terms, n_terms, LANES), solved (n,)."""
    n = solved.shape[0]
    solved[:] = True
    for i in range(place.shape[0]):
        for j in range(i + 1):
            s, element = factor[i, j], sums[place[i, j]]
            for lane in range(n):
                s[lane] = element[lane]
            for k in range(j):
                left, right = factor[i, k], factor[j, k]
                for lane in range(n):
                    s[lane] -= left[lane] * right[lane]
            if i == j:
                for lane in range(n):
                    positive = s[lane] > _SINGULAR * element[lane]
                    solved[lane] &= positive
                    s[lane] = 1.0 / np.sqrt(s[lane] if positive else 1.0)
            else:
                inverse = factor[j, j]
                for lane in range(n):
                    s[lane] *= inverse[lane]


@njit(**INLINE)
def _forward_beside(factor, out):
    """out = L^-1 out for systems side by side: factor (n_terms, n_terms, LANES), out (n_terms, n)."""
    for i in range(out.shape[0]):
        s, inverse = out[i], factor[i, i]
        for k in range(i):
            left, right = factor[i, k], out[k]
            for lane in range(s.shape[0]):
                s[lane] -= left[lane] * right[lane]
        for lane in range(s.shape[0]):
            s[lane] *= inverse[lane]


@njit(**INLINE)
def _backward_beside(factor, out):
    """out = L^-T out; shapes as in `_forward_beside`."""
    for i in range(out.shape[0] - 1, -1, -1):
        s, inverse = out[i], factor[i, i]
        for k in range(i + 1, out.shape[0]):
            left, right = factor[k, i], out[k]
            for lane in range(s.shape[0]):
                s[lane] -= left[lane] * right[lane]
        for lane in range(s.shape[0]):
            s[lane] *= inverse[lane]


@njit(**OPTIONS)
def solve_normal(sums, place, right, factor, theta, solved):
    """Solve the normal equations of many pixels.

    sums (n_monomials, n_pixels) are the weighted sums that `place` (n_terms, n_terms) spreads over each matrix; right
    and theta are (n_terms, n_pixels). `factor`, made by `factors`, receives the Cholesky factors for
    `squared_norm_solved`; `solved` (n_pixels,) says whether the matrix is positive definite. Where it is not, theta
    is 0.
    """
    for first in range(0, right.shape[1], LANES):
        group = slice(first, min(first + LANES, right.shape[1]))
        _cholesky_beside(sums[:, group], place, factor[first // LANES], solved[group])
        out = theta[:, group]
        out[:] = right[:, group]
        _forward_beside(factor[first // LANES], out)
        _backward_beside(factor[first // LANES], out)
        for p in range(first, group.stop):
            if not solved[p]:
                theta[:, p] = 0.0


@njit(**OPTIONS)
def squared_norm_solved(factor, vector, out):
    """|L^-1 vector|^2 = vector . (L L^T)^-1 vector for each pixel; vector (n_terms, n_pixels) is overwritten."""
    for first in range(0, vector.shape[1], LANES):
        group = slice(first, min(first + LANES, vector.shape[1]))
        y, norm = vector[:, group], out[group]
        _forward_beside(factor[first // LANES], y)
        norm[:] = 0.0
        for i in range(y.shape[0]):
            for lane in range(norm.shape[0]):
                norm[lane] += y[i, lane] * y[i, lane]
