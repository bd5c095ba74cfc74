"""Dimensionality reduction: factor analysis of the training spectra, each pixel weighted by its errors.

Every spectrum is a mean, plus multiples of a few *basis* spectra, plus noise that is independent from pixel to pixel:
flux = mean + A z + noise, z ~ N(0, 1), variance 1/ivar + s2. A and s2 maximize the likelihood, by expectation
maximization (Rubin & Thayer 1982, Psychometrika 47, 69); labels are not used. Given a spectrum, z has a normal
distribution whose mean and covariance are known in closed form (their eqs. 5 and 6):

    covariance = (1 + A' W A)^-1,  mean = covariance A' W (flux - mean),  W = 1 / (1/ivar + s2).

A masked pixel has W = 0, so neither its flux nor the basis there has any effect.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

__all__ = ["Basis", "learn", "scores"]

_ROUNDS = 8
_LEAST_S2 = 1e-7  # 0.03 % of the flux, squared
_RIDGE = 1.0  # weight, in stars, of a prior that a basis spectrum is 0 in a pixel: few stars have data in some pixels


class Basis(NamedTuple):
    """Result of the factor analysis: ``mean`` (pixel), ``spectra`` (pixel, component), ``s2`` (pixel)."""

    mean: np.ndarray
    spectra: np.ndarray
    s2: np.ndarray


def learn(flux, ivar, n_components) -> Basis:
    """Factor analysis of spectra.

    Parameters
    ----------
    flux, ivar : array_like, shape (n_stars, n_pixels)
        ivar is 0 in masked pixels, where the flux need only be finite.
    n_components : int
        Less than the numbers of stars and pixels.

    Returns
    -------
    Basis
    """
    flux, ivar = np.asarray(flux, dtype=np.float32), np.asarray(ivar, dtype=np.float32)
    weight = ivar / (1.0 + 1e-4 * ivar)
    mean = (weight * flux).sum(axis=0) / np.maximum(weight.sum(axis=0), np.float32(1e-9))
    deviation = np.where(ivar > 0, flux - mean, 0.0).astype(np.float32)
    # principal components, from the smaller of the two product matrices
    _, along = eigh(deviation @ deviation.T, subset_by_index=(len(flux) - n_components, len(flux) - 1))
    spectra = deviation.T @ along[:, ::-1] / np.float32(np.sqrt(len(flux)))
    s2 = np.full(flux.shape[1], deviation.var() / 10, dtype=np.float32)
    basis = Basis(mean, spectra.astype(np.float32), s2)
    for _ in range(_ROUNDS):
        basis = _improved(basis, deviation, ivar)
    return basis


def scores(basis, flux, ivar):
    """Posterior of the coefficients z of the basis spectra in every spectrum.

    Parameters
    ----------
    basis : Basis
    flux, ivar : array_like, shape (n_stars, n_pixels)

    Returns
    -------
    mean : numpy.ndarray, shape (n_stars, n_components)
    covariance : numpy.ndarray, shape (n_stars, n_components, n_components)
    """
    deviation = np.where(ivar > 0, flux - basis.mean, 0.0).astype(np.float32)
    return _posterior(basis, deviation, np.asarray(ivar, dtype=np.float32))[:2]


def _posterior(basis, deviation, ivar):
    n = basis.spectra.shape[1]
    weight = ivar / (1.0 + ivar * basis.s2)
    upper = np.triu_indices(n)
    precision = np.empty((len(weight), n, n), dtype=np.float32)
    precision[:, upper[0], upper[1]] = weight @ (basis.spectra[:, upper[0]] * basis.spectra[:, upper[1]])
    precision[:, upper[1], upper[0]] = precision[:, upper[0], upper[1]]
    covariance = np.linalg.inv(precision + np.eye(n, dtype=np.float32))
    mean = np.einsum("nkl,nl->nk", covariance, (weight * deviation) @ basis.spectra)
    return mean, covariance, weight


def _improved(basis, deviation, ivar):
    """One iteration: the posterior of the scores, then for every pixel the regression on them, then its variance."""
    mean, covariance, weight = _posterior(basis, deviation, ivar)
    n_stars, n = mean.shape
    upper = np.triu_indices(n)
    second = covariance + mean[:, :, None] * mean[:, None, :]
    normal = np.empty((deviation.shape[1], n, n), dtype=np.float32)
    normal[:, upper[0], upper[1]] = weight.T @ second[:, upper[0], upper[1]]
    normal[:, upper[1], upper[0]] = normal[:, upper[0], upper[1]]
    prior = _RIDGE * np.maximum(weight.sum(axis=0) / n_stars, 1e-9)
    normal += prior[:, None, None] * np.eye(n, dtype=np.float32)
    spectra = np.linalg.solve(normal, ((weight * deviation).T @ mean)[..., None])[..., 0]
    twice = np.where(upper[0] == upper[1], 1.0, 2.0).astype(np.float32)
    uncertain = (covariance[:, upper[0], upper[1]] * twice) @ (spectra[:, upper[0]] * spectra[:, upper[1]]).T
    square = (deviation - mean @ spectra.T) ** 2 + uncertain
    # one step of Fisher scoring for the maximum of the likelihood in s2
    step = ((weight**2 * square).sum(axis=0) - weight.sum(axis=0)) / np.maximum((weight**2).sum(axis=0), 1e-9)
    return basis._replace(spectra=spectra, s2=np.maximum(basis.s2 + step, _LEAST_S2).astype(np.float32))
