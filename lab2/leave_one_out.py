"""Leave-one-out cross-validation for nearly nothing: one training, downdated for each star.

At fixed s^2 a pixel's theta solves normal equations A theta = b. Taking star n out of the training set subtracts
w v v^T from A and w f v from b, and by Sherman and Morrison (1950, Ann. Math. Statist. 21, 124)

    theta_without_n = theta - w r / (1 - h) A^-1 v,    r = f - theta . v,  h = w v . A^-1 v,

exactly. s^2 is that of the whole training set: one star of hundreds changes it by about one part in their number.
"""

import numpy as np

from lab2 import cannon, inference, polynomial
from lab2.blocks import map_blocks
from lab2.spectra import check

__all__ = ["fit_each_without_itself", "theta_without"]

_BLOCK = 256  # pixels whose normal matrices are summed at a time by one thread


def fit_each_without_itself(spectra, progress=False):
    """Fit every star with the model of all other stars.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels``.
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.Dataset
        As from `lab2.inference.fit_labels`.
    """
    model = cannon.train(spectra, progress=progress)
    terms = model.design(spectra.labels.transpose("star", "label").values)
    inverse = _inverse_normal_matrices(model, spectra)
    s2 = model.s2.values
    n_labels = len(model.labels)
    place, _ = polynomial.symmetric_form(n_labels)

    def coefficients(stars, block):
        check(block)
        rows = []
        for flux, ivar, v in zip(block.flux.values, block.ivar.values, terms[stars], strict=True):
            seen = (ivar > 0) & np.isfinite(s2)
            weight = ivar[seen] / (1.0 + ivar[seen] * s2[seen])
            theta = theta_without(v, flux[seen], weight, model.theta.values[seen], inverse[seen])
            residual = flux[seen] - theta[:, 0]
            theta = inference.less_constant(theta, n_labels)
            matrix = (theta * weight[:, None]).T @ theta
            summed = np.bincount(place.ravel(), matrix.ravel())
            summed[place[0]] -= 2.0 * (weight * residual) @ theta
            summed[place[0, 0]] += (weight * residual**2).sum()
            rows.append((summed, seen.sum()))
        return tuple(np.array(column) for column in zip(*rows, strict=True))

    return inference.fit_quartics(model, spectra, coefficients, progress)


def theta_without(terms, flux, weight, theta, inverse):
    """Coefficients of each pixel with one star taken out of the training set.

    Parameters
    ----------
    terms : numpy.ndarray, shape (n_terms,)
        Of the star.
    flux, weight : numpy.ndarray, shape (n_pixels,)
        Of the star; weight = 1 / (sigma^2 + s^2).
    theta : numpy.ndarray, shape (n_pixels, n_terms)
        Of the whole training set.
    inverse : numpy.ndarray, shape (n_pixels, n_terms, n_terms)
        Inverse normal matrices of the whole training set.

    Returns
    -------
    numpy.ndarray, shape (n_pixels, n_terms)
    """
    solved = inverse @ terms
    leverage = weight * (solved @ terms)
    residual = flux - theta @ terms
    return theta - (weight * residual / (1.0 - leverage))[:, None] * solved


def _inverse_normal_matrices(model, spectra):
    """(sum_n w v v^T)^-1 of each pixel, (n_pixels, n_terms, n_terms); zero where the pixel is untrained."""
    x = model.scale(spectra.labels.transpose("star", "label").values)
    monomials, place = polynomial.normal_monomials(x, model.pairs)

    def invert(pixels):
        ivar = spectra.ivar.isel(wavelength=pixels).values.T.astype(float)
        s2 = model.s2.values[pixels]
        trained = np.isfinite(s2)
        weight = ivar[trained] / (1.0 + ivar[trained] * s2[trained, None])
        inverse = np.zeros((len(s2), *place.shape))
        inverse[trained] = np.linalg.inv((weight @ monomials)[:, place])
        return inverse

    return np.concatenate(map_blocks(invert, spectra.sizes["wavelength"], _BLOCK))
