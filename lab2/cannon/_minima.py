"""The minima of a star's chi^2, which is a quartic in its scaled labels: compiled loops, a plain twin in the tests.

With y = (1, x_1, ..., x_L) a quartic is a symmetric form of fourth order, chi^2 = sum S_ijkl y_i y_j y_k y_l. One
contraction, M_ij = sum_kl S_ijkl y_k y_l, gives everything that Newton's method asks for: chi^2 = y.M.y, its gradient
4 M y and its Hessian 12 M, exactly. Steps that would go up are damped; several starts are tried. A path that comes
close to a minimum already found ends there, so that further starts cost little; what is left are the distinct minima.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lab2.cannon._kernels import INLINE, OPTIONS
from lab2.cannon._linear import backward, cholesky, forward

__all__ = ["Minima", "Search", "Surface", "Wall", "find_minima", "quartic"]

_MAX_STEPS = 100
_MAX_DAMPING = 1e12
# In formal standard deviations squared: a path this near to a known minimum, where chi^2 is convex, leads there ...
_JOINED = 0.01
# ... and two minima nearer than this are one.
_DISTINCT = 1.0


class Wall(NamedTuple):
    """Soft bounds, so that no fit runs away: stiffness (d^2 - radius2)^2 is added to chi^2 where the Mahalanobis
    distance d from the training set's mean, for its `precision` (n_labels, n_labels), exceeds the radius."""

    precision: np.ndarray
    radius2: float
    stiffness: float


class Surface(NamedTuple):
    """chi^2 of one star: `form` (n_pairs, n_pairs) is S with its index pairs (i, j), (k, l) as rows and columns;
    `pairs` (n_pairs, 2) lists them, i <= j."""

    form: np.ndarray
    pairs: np.ndarray
    wall: Wall


class Search(NamedTuple):
    """Where to look for minima: starts (n_starts, n_labels) in scaled labels; a path ends where the predicted decrease
    of chi^2 falls below the tolerance."""

    starts: np.ndarray
    wall: Wall
    tolerance: float


class Minima(NamedTuple):
    """Of each star the best minimum, x (n_stars, n_labels), with its chi2 and `fisher` (n_stars, n_labels, n_labels),
    half the Hessian, the inverse covariance; n_minima, the number of distinct ones, 0 where none was reached; delta,
    how far up the second lies, infinite where there is none."""

    x: np.ndarray
    chi2: np.ndarray
    fisher: np.ndarray
    n_minima: np.ndarray
    delta: np.ndarray


@njit(**INLINE)
def quartic(x, surface, gradient, hessian, products):
    """chi^2 at x, with half its gradient and half its Hessian; products (n_pairs,) is for the products y_k y_l."""
    form, pairs, wall = surface
    n_labels, n_pairs = x.shape[0], pairs.shape[0]
    for t in range(n_pairs):
        i, j = pairs[t, 0], pairs[t, 1]
        left = 1.0 if i == 0 else x[i - 1]
        right = 1.0 if j == 0 else x[j - 1]
        products[t] = left * right * (1.0 if i == j else 2.0)
    value = 0.0
    gradient[:] = 0.0
    for t in range(n_pairs):
        m = 0.0
        for u in range(n_pairs):
            m += form[t, u] * products[u]
        value += m * products[t]
        i, j = pairs[t, 0], pairs[t, 1]
        if j > 0:
            gradient[j - 1] += 2.0 * m * (1.0 if i == 0 else x[i - 1])
            if i > 0:
                hessian[i - 1, j - 1] = 6.0 * m
                hessian[j - 1, i - 1] = 6.0 * m
                if i != j:
                    gradient[i - 1] += 2.0 * m * x[j - 1]
    precision, radius2, stiffness = wall
    distance2 = 0.0
    for k in range(n_labels):
        for m in range(n_labels):
            distance2 += x[k] * precision[k, m] * x[m]
    beyond = distance2 - radius2
    if beyond > 0:
        slope = precision @ x
        value += stiffness * beyond * beyond
        for k in range(n_labels):
            gradient[k] += 2.0 * stiffness * beyond * slope[k]
            for m in range(n_labels):
                hessian[k, m] += stiffness * (4.0 * slope[k] * slope[m] + 2.0 * beyond * precision[k, m])
    return value


@njit(**INLINE)
def _distance2(x, other, precision):
    total = 0.0
    for k in range(x.shape[0]):
        for m in range(x.shape[0]):
            total += (x[k] - other[k]) * precision[k, m] * (x[m] - other[m])
    return total


@njit(**INLINE)
def _descend(x, surface, tolerance, known, space):
    """Go down from x, which is changed. Returns chi^2 and whether x is a new minimum (or one found before, or lost).

    known = (places, precisions) of the minima found so far.
    """
    gradient, hessian, trial_gradient, trial_hessian, damped, factor, step, trial, products = space
    places, precisions = known
    value = quartic(x, surface, gradient, hessian, products)
    n_labels = x.shape[0]
    damping = 0.0
    for _ in range(_MAX_STEPS):
        damped[:] = hessian
        for i in range(n_labels):
            damped[i, i] += damping * (np.abs(hessian[i, i]) + 1.0)
        if not cholesky(damped, factor):
            # not convex here: with enough on the diagonal the step points downhill
            damping = max(1e-2, 10.0 * damping)
            if damping > _MAX_DAMPING:
                return value, False
            continue
        if damping == 0.0:
            for m in range(places.shape[0]):
                if _distance2(x, places[m], precisions[m]) < _JOINED:
                    return value, False
        forward(factor, gradient, step)
        backward(factor, step)
        decrease = 0.0
        for k in range(n_labels):
            decrease += step[k] * gradient[k]
            trial[k] = x[k] - step[k]
        new = quartic(trial, surface, trial_gradient, trial_hessian, products)
        if new <= value or decrease < tolerance:
            x[:] = trial
            value = new
            gradient[:], hessian[:] = trial_gradient, trial_hessian
            if decrease < tolerance:
                return value, cholesky(hessian, factor)  # where it is not convex this is a saddle
            damping = 0.0 if damping < 1e-3 else 0.1 * damping
        else:
            damping = max(1e-2, 10.0 * damping)
            if damping > _MAX_DAMPING:
                return value, False
    return value, False


@njit(**OPTIONS)
def find_minima(coefficients, form, search):
    """The minima of every star.

    coefficients (n_stars, n_monomials) are those of chi^2; `form` (`lab2.cannon.polynomial.Form`) spreads them over the
    symmetric form.
    """
    pairs, place, share = form
    starts, wall, tolerance = search
    n_stars, n_pairs, (n_starts, n_labels) = coefficients.shape[0], pairs.shape[0], starts.shape
    x_best, fisher = np.zeros((n_stars, n_labels)), np.zeros((n_stars, n_labels, n_labels))
    chi2, delta = np.full(n_stars, np.inf), np.full(n_stars, np.inf)
    n_minima = np.zeros(n_stars, dtype=np.int64)
    shape = (n_labels, n_labels)
    here = (np.empty(n_labels), np.empty(shape))
    there = (np.empty(n_labels), np.empty(shape))
    space = (*here, *there, np.empty(shape), np.zeros(shape), np.empty(n_labels), np.empty(n_labels), np.empty(n_pairs))
    places, values, precisions = np.empty((n_starts, n_labels)), np.empty(n_starts), np.empty((n_starts, *shape))
    spread, x = np.empty((n_pairs, n_pairs)), np.empty(n_labels)
    for n in range(n_stars):
        for t in range(n_pairs):
            for u in range(n_pairs):
                spread[t, u] = coefficients[n, place[t, u]] * share[t, u]
        surface = Surface(spread, pairs, wall)
        found = 0
        for start in range(n_starts):
            x[:] = starts[start]
            value, new = _descend(x, surface, tolerance, (places[:found], precisions[:found]), space)
            for m in range(found):
                new &= _distance2(x, places[m], precisions[m]) > _DISTINCT
            if new:
                places[found], values[found], precisions[found] = x, value, here[1]
                found += 1
        n_minima[n] = found
        if found > 0:
            best = np.argmin(values[:found])
            x_best[n], chi2[n], fisher[n] = places[best], values[best], precisions[best]
            for m in range(found):
                if m != best:
                    delta[n] = min(delta[n], values[m] - values[best])
    return Minima(x_best, chi2, fisher, n_minima, delta)
