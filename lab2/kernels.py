"""The loops that numpy cannot fuse, compiled by numba; each has a plain twin in the tests.

All release the interpreter's lock. They are compiled once and cached beside this file. Re-association of sums is
allowed (it lets the compiler vectorise them); nothing here meets an infinity or a NaN.
"""

import numpy as np
from numba import njit

__all__ = ["gradient_sums", "minimize_quartics", "solve_normal", "star_weights", "weigh"]

_OPTIONS = {"nogil": True, "cache": True, "fastmath": {"reassoc", "contract", "arcp", "nsz"}}
_MAX_STEPS = 100


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
def _cholesky(matrix, factor):
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


@njit(**_OPTIONS)
def _forward(factor, right, out):
    for i in range(right.shape[0]):
        s = right[i]
        for k in range(i):
            s -= factor[i, k] * out[k]
        out[i] = s / factor[i, i]


@njit(**_OPTIONS)
def _backward(factor, out):
    for i in range(out.shape[0] - 1, -1, -1):
        s = out[i]
        for k in range(i + 1, out.shape[0]):
            s -= factor[k, i] * out[k]
        out[i] = s / factor[i, i]


@njit(**_OPTIONS)
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
        solved[p] = _cholesky(matrix, factor[p])
        theta[p] = 0.0
        if solved[p]:
            _forward(factor[p], right[p], theta[p])
            _backward(factor[p], theta[p])


@njit(**_OPTIONS)
def squared_norm_solved(factor, vector, out):
    """|L^-1 vector|^2 for each pixel, that is vector . (L L^T)^-1 vector."""
    y = np.empty(vector.shape[1])
    for p in range(vector.shape[0]):
        _forward(factor[p], vector[p], y)
        out[p] = np.dot(y, y)


@njit(**_OPTIONS)
def star_weights(ivar, flux, s2, flux_zero, weight, weighted, chi_zero, n_pixels):
    """Weights of a block of stars, (n_stars, n_pixels), and sums over pixels of w (f - f0)^2 and of w > 0."""
    for s in range(ivar.shape[0]):
        chi = 0.0
        seen = 0
        for p in range(ivar.shape[1]):
            w = ivar[s, p] / (1.0 + ivar[s, p] * s2[p])
            r = flux[s, p] - flux_zero[p]
            weight[s, p] = w
            weighted[s, p] = w * r
            chi += w * r * r
            seen += w > 0
        chi_zero[s] = chi
        n_pixels[s] = seen


@njit(**_OPTIONS)
def _quartic(x, matrix, right, constant, pairs, wall, gradient, gauss_newton, hessian, work):
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


@njit(**_OPTIONS)
def minimize_quartics(packed, right, constant, pairs, starts, wall, tolerance, x_out, chi_out, gn_out, done):
    """Minimise every star's quartic from every start by Newton's method, damped where it has to be.

    packed (n_stars, n_terms (n_terms + 1) / 2) is A's upper triangle; starts (n_starts, n_labels). Results:
    x_out (n_stars, n_starts, n_labels), chi_out and done (n_stars, n_starts), gn_out (.., n_labels, n_labels)
    half the Gauss-Newton Hessian, the inverse covariance. `done` says that the predicted decrease of chi^2 fell
    below `tolerance`.
    """
    n_terms, n_labels = right.shape[1], starts.shape[1]
    matrix = np.empty((n_terms, n_terms))
    work = (np.empty(n_labels + 1), np.empty(n_terms), np.empty(n_terms), np.empty((n_terms, n_labels)))
    gradient, new_gradient, step = np.empty(n_labels), np.empty(n_labels), np.empty(n_labels)
    shape = (n_labels, n_labels)
    gauss, hessian, new_gauss, new_hessian = np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape)
    damped, factor = np.empty(shape), np.zeros(shape)
    for n in range(right.shape[0]):
        k = 0
        for t in range(n_terms):
            for u in range(t, n_terms):
                matrix[t, u] = packed[n, k]
                matrix[u, t] = packed[n, k]
                k += 1
        for start in range(starts.shape[0]):
            x = starts[start].copy()
            value = _quartic(x, matrix, right[n], constant[n], pairs, wall, gradient, gauss, hessian, work)
            damping = 0.0
            done[n, start] = False
            for _ in range(_MAX_STEPS):
                damped[:] = hessian
                for i in range(n_labels):
                    damped[i, i] += damping * gauss[i, i]
                convex = _cholesky(damped, factor)
                if not convex:
                    # Gauss-Newton's matrix always points downhill
                    damped[:] = gauss
                    for i in range(n_labels):
                        damped[i, i] = gauss[i, i] * (1.0 + damping) + 1e-12
                    if not _cholesky(damped, factor):
                        break
                _forward(factor, gradient, step)
                _backward(factor, step)
                decrease = np.dot(step, gradient)
                trial = x - step
                new = _quartic(
                    trial, matrix, right[n], constant[n], pairs, wall, new_gradient, new_gauss, new_hessian, work
                )
                if new <= value or decrease < tolerance:
                    x = trial
                    value = new
                    gradient[:] = new_gradient
                    gauss[:] = new_gauss
                    hessian[:] = new_hessian
                    damping = 0.0 if damping < 1e-3 else 0.1 * damping
                    if decrease < tolerance:
                        done[n, start] = convex  # or it stands on a saddle
                        break
                else:
                    damping = max(1e-2, 10.0 * damping)
                    if damping > 1e12:
                        break
            x_out[n, start] = x
            chi_out[n, start] = value
            gn_out[n, start] = gauss
