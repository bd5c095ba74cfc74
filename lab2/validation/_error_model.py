"""The likelihood of residuals under the model of `lab2.validation.calibration`, and its maximum."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

__all__ = ["densities", "most_likely"]

# The broad component is at least this many times as wide as the calibrated errors; otherwise it would also describe
# ordinary stars. For five labels, a width of 3 and a few per cent of outliers, a star is more probably an outlier than
# not where chi^2 exceeds about 20, which happens for 1 of 1000 ordinary stars.
_LEAST_WIDTH, _MOST_WIDTH = 3.0, 100.0
# Prior standard deviation of a slope: the typical change of the logarithm of the floor for a change of a label by one
# standard deviation.
_SLOPE = 0.3


def most_likely(residual, formal, x):
    """Maximum-likelihood scale, Cholesky factor of the floor, slopes, and fraction and width of the outliers.

    residual is (n_stars, n_labels), formal (n_stars, n_labels, n_labels), in units of the scatter; x has the
    variables of the floor, (n_stars, n_terms).
    """
    n_labels = residual.shape[1]
    lower = np.tril_indices(n_labels)
    formal_scatter = np.sqrt(np.median(np.diagonal(formal, axis1=1, axis2=2), axis=0))
    start = [
        *np.log(np.maximum(0.7 / formal_scatter, 1.0)),
        *(0.7 * np.eye(n_labels))[lower],
        *np.zeros(n_labels * x.shape[1]),
        np.log(0.02 / 0.98),
        np.log(5.0),
    ]
    # photon noise is always present: no error is smaller than the formal one
    bounds = [(0.0, None)] * n_labels + [(None, None)] * (len(start) - n_labels - 2)
    bounds += [(-12.0, 0.0), tuple(np.log([_LEAST_WIDTH, _MOST_WIDTH]))]
    best = minimize(
        _minus_log_likelihood,
        start,
        args=(residual, formal, x),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 2000},
    )
    if not best.success:
        raise ValueError(f"the likelihood of the calibration has no maximum that could be found: {best.message}")
    return _unpack(best.x, lower)


def _minus_log_likelihood(parameters, residual, formal, x):
    """-ln of the likelihood of the residuals times the slopes' prior, per star, and its gradient."""
    n_labels = residual.shape[1]
    lower = np.tril_indices(n_labels)
    scale, factor, slope, q, outlier_width = _unpack(parameters, lower)
    width = np.exp(x @ slope.T)
    added = factor @ factor.T * width[:, :, None] * width[:, None, :]
    broad, both, inverse, along = densities(residual, formal * np.outer(scale, scale) + added, q, outlier_width)
    weight = np.exp(broad - both)
    # d ln L / d V_n = -(V^-1 - u V^-1 r r^T V^-1) / 2, u the mean of 1 and 1/w^2 weighted by the components' shares
    share = 1.0 - weight + weight / outlier_width**2
    by_variance = -0.5 * (inverse - share[:, None, None] * along[:, :, None] * along[:, None, :])
    by_scale = 2.0 * np.einsum("nkl,nkl,l->k", by_variance, formal, scale) * scale
    by_floor = np.einsum("nkl,nk,nl->kl", by_variance, width, width)
    by_slope = 2.0 * np.einsum("nkl,nkl,nj->kj", by_variance, added, x) - slope / _SLOPE**2
    chi2 = np.einsum("nk,nk->n", along, residual)
    by_outliers = [np.sum(weight - q), np.sum(weight * (chi2 / outlier_width**2 - n_labels))]
    gradient = [by_scale, (2.0 * by_floor @ factor)[lower], by_slope.ravel(), by_outliers]
    value = both.sum() - 0.5 * ((slope / _SLOPE) ** 2).sum()
    return -value / len(residual), -np.concatenate(gradient) / len(residual)


def _unpack(parameters, lower):
    """The parts of the parameter vector, as returned by `most_likely`."""
    n_labels = lower[0].max() + 1
    scale, factor, slope, (q, width) = np.split(parameters, [n_labels, n_labels + len(lower[0]), -2])
    triangle = np.zeros((n_labels, n_labels))
    triangle[lower] = factor
    return np.exp(scale), triangle, slope.reshape(n_labels, -1), expit(q), np.exp(width)


def densities(residual, variance, q, width):
    """Log densities of the residuals for the broad component and for both components, with V^-1 and V^-1 r."""
    inverse = np.linalg.inv(variance)
    along = np.einsum("nkl,nl->nk", inverse, residual)
    chi2 = np.einsum("nk,nk->n", along, residual)
    n_labels = residual.shape[1]
    constant = -0.5 * (np.linalg.slogdet(variance)[1] + n_labels * np.log(2.0 * np.pi))
    core = np.log1p(-q) + constant - 0.5 * chi2
    broad = np.log(q) + constant - n_labels * np.log(width) - 0.5 * chi2 / width**2
    return broad, np.logaddexp(core, broad), inverse, along
