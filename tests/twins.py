"""The slow, plain way of what lab2 does fast, for tests to compare with; and spectra of known truth."""

import numpy as np
from scipy.optimize import curve_fit, minimize

from lab2 import from_arrays
from lab2.cannon import polynomial

# The handout's own way of training: try every s2 of a fine grid.
S2_GRID = np.concatenate([[0.0], np.geomspace(1e-10, 1e-1, 400)])


def weigh(ivar, flux, s2):
    """Twin of lab2.cannon._kernels.weigh: weight, weighted flux, log sum, chi zero."""
    weight, weighted = np.zeros_like(ivar), np.zeros_like(ivar)
    log_sum, chi_zero = np.zeros(len(ivar)), np.zeros(len(ivar))
    for p in range(ivar.shape[0]):
        for n in range(ivar.shape[1]):
            if ivar[p, n] > 0:
                weight[p, n] = 1 / (1 / ivar[p, n] + s2[p])
            weighted[p, n] = weight[p, n] * flux[p, n]
            log_sum[p] += np.log(1 + ivar[p, n] * s2[p])
            chi_zero[p] += weight[p, n] * flux[p, n] ** 2
    return weight, weighted, log_sum, chi_zero


def misfit_sums(flux, ivar, best, s2):
    """Twin of lab2.cannon._kernels.misfit_sums: excess and total weight of each star."""
    excess, total = np.zeros(len(flux)), np.zeros(len(flux))
    for n in range(len(flux)):
        for p in range(flux.shape[1]):
            if ivar[n, p] > 0 and np.isfinite(s2[p]):
                w = 1 / (1 / ivar[n, p] + s2[p])
                excess[n] += w * (flux[n, p] - best[n, p]) ** 2 - 1
                total[n] += w
    return np.maximum(excess, 0.0), total


def gradient_sums(weight, residual):
    """Twin of lab2.cannon._kernels.gradient_sums: weight^2 residual, first, second."""
    bent = np.zeros_like(weight)
    first, second = np.zeros(len(weight)), np.zeros(len(weight))
    for p in range(weight.shape[0]):
        for n in range(weight.shape[1]):
            w, r = weight[p, n], residual[p, n]
            bent[p, n] = w**2 * r
            first[p] += w - (w * r) ** 2
            second[p] += -(w**2) + 2 * w * (w * r) ** 2
    return bent, first, second


def solve_normal(monomials, place, right):
    """Twin of lab2.cannon._linear.solve_normal, pixels first: theta."""
    theta = np.zeros_like(right)
    for p in range(len(right)):
        matrix = np.zeros(place.shape)
        for t in range(place.shape[0]):
            for u in range(place.shape[1]):
                matrix[t, u] = monomials[p, place[t, u]]
        theta[p] = np.linalg.solve(matrix, right[p])
    return theta


def sum_products(theta, place):
    """Twin of lab2.cannon._kernels.sum_products."""
    out = np.zeros((place.max() + 1, theta.shape[1]))
    for p in range(theta.shape[1]):
        for t in range(len(theta)):
            for u in range(len(theta)):
                out[place[t, u], p] += theta[t, p] * theta[u, p]
    return out


def star_weights(ivar, flux, count, s2, flux_zero):
    """Twin of lab2.cannon._kernels.star_weights: weight, weighted residual, chi zero, how many pixels were seen."""
    weight, weighted = np.zeros_like(ivar), np.zeros_like(ivar)
    chi_zero, n_pixels = np.zeros((2, len(ivar)))
    per_full, scatter = count
    for s in range(ivar.shape[0]):
        for p in range(ivar.shape[1]):
            if ivar[s, p] > 0 and s2[p] < np.inf:
                weight[s, p] = 1 / (1 / ivar[s, p] + s2[p])
                n_pixels[s] += min(per_full[s] / (1 / ivar[s, p] + scatter), 1.0)
                weighted[s, p] = weight[s, p] * (flux[s, p] - flux_zero[p])
                chi_zero[s] += weight[s, p] * (flux[s, p] - flux_zero[p]) ** 2
    return weight, weighted, chi_zero, n_pixels


def quartic_value(x, matrix, right, constant, pairs, wall):
    """chi^2 of one star from its statistics, with the soft wall, term by term."""
    y = [1.0, *x]
    u = [0.0] + [y[i] * y[j] for i, j in pairs[1:]]
    value = constant
    for t in range(len(u)):
        value -= 2 * right[t] * u[t]
        for s in range(len(u)):
            value += u[t] * matrix[t, s] * u[s]
    precision, radius2, stiffness = wall
    beyond = max(0.0, x @ precision @ x - radius2)
    return value + stiffness * beyond**2


def minimize_quartic(start, *statistics):
    """Twin of lab2.cannon._minima.find_minima for one star and start: BFGS, then a simplex."""
    rough = minimize(quartic_value, start, args=statistics, method="BFGS", options={"gtol": 1e-6})
    return minimize(
        quartic_value, rough.x, args=statistics, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11}
    )


def minus_two_log_likelihood(flux, ivar, terms, s2):
    """-2 ln L of problem 6 at one pixel and s2, with theta at its optimum: value, theta."""
    seen = ivar > 0
    variance = 1 / ivar[seen] + s2
    inverse = np.diag(1 / variance)
    design = terms[seen]
    theta = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ flux[seen])
    residual = flux[seen] - design @ theta
    return np.sum(residual**2 / variance) + np.sum(np.log(variance)), theta


def train_pixel(flux, ivar, terms, grid=S2_GRID):
    """Problem 6 as the handout does it: a loop over a grid of s2. Least -2 ln L, its s2 and theta."""
    best = (np.inf, np.nan, None)
    for s2 in grid:
        value, theta = minus_two_log_likelihood(flux, ivar, terms, s2)
        if value < best[0]:
            best = (value, s2, theta)
    return best


def pixel_chi2(model, flux, ivar, labels):
    """chi^2 of one star at given labels, pixel by pixel."""
    s2, total = model.s2.values, 0.0
    predicted = model.predict(labels).values
    for p in range(len(flux)):
        if ivar[p] > 0 and np.isfinite(s2[p]):
            total += (flux[p] - predicted[p]) ** 2 / (1 / ivar[p] + s2[p])
    return total


def marginal_chi2(model, flux, ivar, labels, columns, sd):
    """chi^2 of one star at given labels, its nuisances integrated out, by the full covariance of the pixels.

    It is quadratic in the residual, with C = D + N P N^T. An amplitude of which nothing is known is left out of the
    covariance and fitted instead: the limit of a prior that grows without bound.
    """
    seen = (ivar > 0) & np.isfinite(model.s2.values)
    variance = 1 / ivar[seen] + model.s2.values[seen]
    columns, known = columns[seen], np.isfinite(sd)
    covariance = np.diag(variance) + (columns[:, known] * sd[known] ** 2) @ columns[:, known].T
    inverse = np.linalg.inv(covariance)
    residual = flux[seen] - model.predict(labels).values[seen]
    free = columns[:, ~known]
    if free.shape[1]:
        residual = residual - free @ np.linalg.solve(free.T @ inverse @ free, free.T @ inverse @ residual)
    return residual @ inverse @ residual


def fit_star(model, flux, ivar, starts):
    """Problem 8 as the handout does it: scipy's curve_fit from several starts.

    Returns
    -------
    labels, covariance, chi2
        Of the best of them.
    """
    good = (ivar > 0) & np.isfinite(model.s2.values)
    theta, s2 = model.theta.values[good], model.s2.values[good]
    sigma = np.sqrt(1 / ivar[good] + s2)

    def spectrum(_, *x):
        return theta @ polynomial.design(np.array(x), model.pairs)

    def slope(_, *x):
        return theta @ polynomial.jacobian(np.array(x), model.pairs)

    best = (None, None, np.inf)
    for start in model.scale(starts):
        x, covariance = curve_fit(
            spectrum, None, flux[good], p0=start, sigma=sigma, absolute_sigma=True, jac=slope, method="trf",
            ftol=1e-14, xtol=1e-14, gtol=1e-14, max_nfev=2000,
        )  # fmt: skip
        chi2 = np.sum(((flux[good] - spectrum(None, *x)) / sigma) ** 2)
        if chi2 < best[2]:
            best = (x, covariance, chi2)
    x, covariance, chi2 = best
    scale = model.label_scale.values
    return model.label_mean.values + scale * x, covariance * np.outer(scale, scale), chi2


def spoil(spectra, pixels, stars, factor):
    """The spectra with errors `factor` times as large in some pixels of some stars."""
    ivar = spectra.ivar.values.copy()
    ivar[np.ix_(stars, pixels)] /= factor**2
    return spectra.assign(ivar=(spectra.ivar.dims, ivar))


def drawn_survey(rng, n_stars, n_labels, n_pixels, degree=2, errors=(0.004, 0.02), unseen=0.03):
    """Spectra drawn from a known quadratic model with scatter.

    The labels have the mean 100 (k + 1) and the standard deviation k + 1 exactly, so that the model's scaling
    is known. Some pixels have no scatter at all, some far more than noise.

    Returns
    -------
    spectra, theta, s2
    """
    x = rng.normal(size=(n_stars, n_labels))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    spread = np.arange(1.0, n_labels + 1)
    pairs = polynomial.terms(n_labels, degree)
    theta = rng.normal(size=(n_pixels, len(pairs))) * np.where(pairs[:, 0] == 0, 0.04, 0.008)
    theta[:, 0] = rng.uniform(0.6, 1.0, n_pixels)
    s2 = np.where(rng.random(n_pixels) < 0.2, 0.0, np.exp(rng.uniform(np.log(1e-6), np.log(1e-3), n_pixels)))
    sigma = rng.uniform(*errors, size=(n_stars, 1)) * rng.uniform(0.7, 1.4, size=(1, n_pixels))
    clean = polynomial.design(x, pairs) @ theta.T
    flux = clean + rng.normal(size=clean.shape) * np.sqrt(sigma**2 + s2)
    ivar = 1 / sigma**2
    hidden = rng.random(flux.shape) < unseen
    flux[hidden], ivar[hidden] = 7.0, 0.0
    labels = 100 * spread + spread * x
    wavelength = np.linspace(15200.0, 16900.0, n_pixels)
    return from_arrays(flux, ivar, wavelength, labels), theta, s2


__all__ = [
    "S2_GRID",
    "drawn_survey",
    "fit_star",
    "gradient_sums",
    "marginal_chi2",
    "minimize_quartic",
    "minus_two_log_likelihood",
    "pixel_chi2",
    "quartic_value",
    "solve_normal",
    "spoil",
    "star_weights",
    "sum_products",
    "train_pixel",
    "weigh",
]
