"""The minima of a star's chi^2, a quartic in its scaled labels: compiled loops, tested against plain ones.

With y = (1, x_1, ..., x_L) a quartic is a symmetric form of fourth order, chi^2 = sum S_ijkl y_i y_j y_k y_l. One
contraction, M_ij = sum_kl S_ijkl y_k y_l, gives all that Newton's method needs, exactly: chi^2 = y.M.y, its gradient
4 M y and its Hessian 12 M. A step that would increase chi^2 is damped. Several starting points are tried. A path that
comes close to a minimum already found stops there, so additional starts cost little. The result is the set of distinct
minima.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lab2.cannon._kernels import INLINE, OPTIONS
from lab2.cannon._linear import backward, cholesky, forward

__all__ = ["Minima", "Search", "Surface", "Wall", "find_minima", "quartic"]

_MAX_STEPS = 100
_MAX_DAMPING = 1e12
# Squared distances, in formal standard deviations. A path this close to a known minimum, where chi^2 is convex,
# converges to that minimum ...
_JOINED = 0.01
# ... and two minima closer than this count as one.
_DISTINCT = 1.0


class Wall(NamedTuple):
    """Soft bounds that keep a fit from diverging: stiffness (d^2 - radius2)^2 is added to chi^2 where d^2 > radius2.
    d is the Mahalanobis distance from the training set's mean, `precision` (n_labels, n_labels) the inverse covariance.
    """

    precision: np.ndarray
    radius2: float
    stiffness: float


class Surface(NamedTuple):
    """chi^2 of one star: `form` (n_pairs, n_pairs) is S with the index pairs (i, j) as rows and (k, l) as columns;
    `pairs` (n_pairs, 2) lists the pairs, i <= j."""

    form: np.ndarray
    pairs: np.ndarray
    wall: Wall


class Search(NamedTuple):
    """Settings of the search: starts (n_starts, n_labels) in scaled labels; a path stops when the predicted decrease of
    chi^2 falls below the tolerance."""

    starts: np.ndarray
    wall: Wall
    tolerance: float


class Minima(NamedTuple):
    """The best minimum of each star, x (n_stars, n_labels), with its chi2 and `fisher` (n_stars, n_labels, n_labels),
    half the Hessian, which is the inverse covariance; n_minima, the number of distinct minima, 0 where none was found;
    delta, chi^2 of the second-best minimum minus that of the best, infinite where there is no second."""

    x: np.ndarray
    chi2: np.ndarray
    fisher: np.ndarray
    n_minima: np.ndarray
    delta: np.ndarray


@njit(**INLINE)
def quartic(x, surface, gradient, hessian, products):
    """chi^2 at x; fills half its gradient and half its Hessian. products (n_pairs,) is scratch space for y_k y_l."""
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
    """Minimize chi^2 from x, which is overwritten. Return chi^2 and whether x is a minimum not found before.

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
            # not convex here: with enough damping the step points downhill
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
                return value, cholesky(hessian, factor)  # if not convex, this is a saddle point
            damping = 0.0 if damping < 1e-3 else 0.1 * damping
        else:
            damping = max(1e-2, 10.0 * damping)
            if damping > _MAX_DAMPING:
                return value, False
    return value, False


@njit(**OPTIONS)
def find_minima(coefficients, form, search):
    """The minima of chi^2 of every star.

    coefficients (n_stars, n_monomials) are those of chi^2; `form` (`lab2.cannon.polynomial.Form`) distributes them over
    the symmetric form.
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
