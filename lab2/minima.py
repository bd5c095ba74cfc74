"""The minima of a star's chi^2, which is a quartic in its scaled labels: compiled loops, a plain twin in the tests.

Newton's method with the exact Hessian, damped where a step would go up, from several starts. A path that comes close
to a minimum already found ends there, so that further starts cost little; what is left are the distinct minima.
"""

import numpy as np
from numba import njit

from lab2.kernels import OPTIONS, backward, cholesky, forward

__all__ = ["find_minima", "quartic"]

_MAX_STEPS = 100
_MAX_DAMPING = 1e12
# In formal standard deviations squared: a path this near to a known minimum, where chi^2 is convex, leads there ...
_JOINED = 0.01
# ... and two minima nearer than this are one.
_DISTINCT = 1.0


@njit(**OPTIONS)
def quartic(x, matrix, right, constant, pairs, wall, gradient, gauss_newton, hessian, work):
    """chi^2 at x with half its gradient and Hessian, from the statistics of one star.

    chi^2 = u.A.u - 2 b.u + c, u the terms without the constant one. `wall` = (inverse covariance of the
    training labels, radius^2, stiffness) adds stiffness (d^2 - radius^2)^2 where the Mahalanobis distance d
    exceeds the radius: soft bounds, so that no fit runs away.
    """
    n_labels, n_terms = x.shape[0], right.shape[0]
    y, u, av, aj = work
    y[0] = 1.0
    for k in range(n_labels):
        y[k + 1] = x[k]
    for t in range(n_terms):
        u[t] = y[pairs[t, 0]] * y[pairs[t, 1]]
    u[0] = 0.0
    value = constant
    gradient[:] = 0.0
    hessian[:] = 0.0
    gauss_newton[:] = 0.0
    for a in range(n_terms):
        s = 0.0
        for t in range(n_terms):
            s += matrix[a, t] * u[t]
        av[a] = s - right[a]
        value += u[a] * (s - 2.0 * right[a])
        # A J, using that each term has at most two derivatives
        for k in range(n_labels):
            aj[a, k] = 0.0
        for t in range(1, n_terms):
            i, j = pairs[t, 0], pairs[t, 1]
            if i > 0:
                aj[a, i - 1] += matrix[a, t] * y[j]
            aj[a, j - 1] += matrix[a, t] * y[i]
    for t in range(1, n_terms):
        i, j = pairs[t, 0], pairs[t, 1]
        if i > 0:
            gradient[i - 1] += av[t] * y[j]
            for k in range(n_labels):
                gauss_newton[i - 1, k] += y[j] * aj[t, k]
            hessian[i - 1, j - 1] += av[t]
            hessian[j - 1, i - 1] += av[t]
        gradient[j - 1] += av[t] * y[i]
        for k in range(n_labels):
            gauss_newton[j - 1, k] += y[i] * aj[t, k]
    for k in range(n_labels):
        for m in range(n_labels):
            hessian[k, m] += gauss_newton[k, m]
    precision, radius2, stiffness = wall
    distance2 = 0.0
    for k in range(n_labels):
        s = 0.0
        for m in range(n_labels):
            s += precision[k, m] * x[m]
        av[k] = s
        distance2 += x[k] * s
    beyond = distance2 - radius2
    if beyond > 0:
        value += stiffness * beyond * beyond
        for k in range(n_labels):
            gradient[k] += 2.0 * stiffness * beyond * av[k]
            for m in range(n_labels):
                hessian[k, m] += stiffness * (4.0 * av[k] * av[m] + 2.0 * beyond * precision[k, m])
    return value


@njit(**OPTIONS)
def _distance2(x, other, precision):
    total = 0.0
    for k in range(x.shape[0]):
        for m in range(x.shape[0]):
            total += (x[k] - other[k]) * precision[k, m] * (x[m] - other[m])
    return total


@njit(**OPTIONS)
def _descend(x, matrix, right, constant, pairs, wall, tolerance, known, precisions, n_known, space):
    """Go down from x, which is changed. Returns chi^2 and whether x is a new minimum (or one found before, or lost)."""
    gradient, gauss, hessian, trial_gradient, trial_gauss, trial_hessian, damped, factor, step, work = space
    value = quartic(x, matrix, right, constant, pairs, wall, gradient, gauss, hessian, work)
    n_labels = x.shape[0]
    damping = 0.0
    for _ in range(_MAX_STEPS):
        damped[:] = hessian
        for i in range(n_labels):
            damped[i, i] += damping * gauss[i, i]
        convex = cholesky(damped, factor)
        if convex and damping == 0.0:
            for m in range(n_known):
                if _distance2(x, known[m], precisions[m]) < _JOINED:
                    return value, False
        if not convex:
            # Gauss-Newton's matrix always points downhill
            damped[:] = gauss
            for i in range(n_labels):
                damped[i, i] = gauss[i, i] * (1.0 + damping) + 1e-12
            if not cholesky(damped, factor):
                return value, False
        forward(factor, gradient, step)
        backward(factor, step)
        decrease = np.dot(step, gradient)
        trial = x - step
        new = quartic(trial, matrix, right, constant, pairs, wall, trial_gradient, trial_gauss, trial_hessian, work)
        if new <= value or decrease < tolerance:
            x[:] = trial
            value = new
            gradient[:], gauss[:], hessian[:] = trial_gradient, trial_gauss, trial_hessian
            damping = 0.0 if damping < 1e-3 else 0.1 * damping
            if decrease < tolerance:
                return value, convex  # where it is not convex this is a saddle
        else:
            damping = max(1e-2, 10.0 * damping)
            if damping > _MAX_DAMPING:
                return value, False
    return value, False


@njit(**OPTIONS)
def find_minima(packed, right, constant, pairs, starts, wall, tolerance, x_best, chi2, fisher, n_minima, delta):
    """The best minimum of every star, the number of distinct ones, and how far up the second lies.

    packed (n_stars, n_terms (n_terms + 1) / 2) is the upper triangle of A, right (n_stars, n_terms) b and constant
    (n_stars,) c of `lab2.inference`; starts (n_starts, n_labels) are scaled labels. Newton's method ends where the
    predicted decrease of chi^2 falls below `tolerance`. Results: x_best (n_stars, n_labels), chi2 (n_stars,), fisher
    (n_stars, n_labels, n_labels) the inverse covariance J^T A J, n_minima (n_stars,), 0 where none was reached, and
    delta (n_stars,), infinite where there is no second minimum.
    """
    n_terms, n_labels, n_starts = right.shape[1], starts.shape[1], starts.shape[0]
    shape = (n_labels, n_labels)
    work = (np.empty(n_labels + 1), np.empty(n_terms), np.empty(n_terms), np.empty((n_terms, n_labels)))
    here = (np.empty(n_labels), np.empty(shape), np.empty(shape))
    there = (np.empty(n_labels), np.empty(shape), np.empty(shape))
    space = (*here, *there, np.empty(shape), np.zeros(shape), np.empty(n_labels), work)
    known, values, precisions = np.empty((n_starts, n_labels)), np.empty(n_starts), np.empty((n_starts, *shape))
    matrix, x = np.empty((n_terms, n_terms)), np.empty(n_labels)
    for n in range(right.shape[0]):
        k = 0
        for t in range(n_terms):
            for u in range(t, n_terms):
                matrix[t, u] = packed[n, k]
                matrix[u, t] = packed[n, k]
                k += 1
        found = 0
        for start in range(n_starts):
            x[:] = starts[start]
            value, new = _descend(
                x, matrix, right[n], constant[n], pairs, wall, tolerance, known, precisions, found, space
            )
            for m in range(found):
                new &= _distance2(x, known[m], precisions[m]) > _DISTINCT
            if new:
                known[found], values[found], precisions[found] = x, value, here[1]
                found += 1
        n_minima[n] = found
        chi2[n], delta[n] = np.inf, np.inf
        if found > 0:
            best = np.argmin(values[:found])
            x_best[n], chi2[n], fisher[n] = known[best], values[best], precisions[best]
            for m in range(found):
                if m != best:
                    delta[n] = min(delta[n], values[m] - values[best])
