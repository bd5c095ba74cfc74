"""Leave-one-out cross-validation for nearly nothing: one training, downdated for each star.

At fixed s^2 a pixel's theta solves normal equations A theta = b. Taking star n out of the training set subtracts
w v v^T from A and w f v from b, and by Sherman and Morrison (1950, Ann. Math. Statist. 21, 124)

    theta_without_n = theta - w r / (1 - h) A^-1 v,    r = f - theta . v,  h = w v . A^-1 v,

exactly. s^2 is that of the whole training set: one star of hundreds changes it by about one part in their number.
"""

import numpy as np

from lab2 import cannon
from lab2._blocks import map_blocks
from lab2.cannon import polynomial
from lab2.cannon.quartics import Precision, Quartics, count_pixels, star_quartic
from lab2.spectra import check

__all__ = ["fit_each_without_itself", "theta_without"]

_BLOCK = 256  # pixels whose normal matrices are summed at a time by one thread
_STARS = 16  # fitted at a time by one thread


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
        As from `lab2.fit_labels`.
    """
    model = cannon.train(spectra, progress=progress)
    check(spectra)
    terms = model.design(spectra.labels.transpose("star", "label").values)
    inverse = _inverse_normal_matrices(model, spectra)
    form = polynomial.symmetric_form(len(model.labels))

    def of_block(stars):
        flux, ivar = spectra.flux.values[stars], spectra.ivar.values[stars]
        rows = []
        for f, w, v in zip(flux, cannon.weights(model, ivar), terms[stars], strict=True):
            good = w > 0
            theta = theta_without(v, f[good], w[good], model.theta.values[good], inverse[good])
            no_nuisance = np.zeros((good.sum(), 0)), np.zeros(0)
            rows.append(star_quartic(theta, f[good], Precision(w[good], *no_nuisance), form))
        return np.array(rows), count_pixels(model, ivar)

    parts = map_blocks(of_block, len(terms), _STARS, "leaving out each star" if progress else None)
    found = Quartics(*(np.concatenate(part) for part in zip(*parts, strict=True)), len(model.labels))
    return cannon.fit_quartics(model, found, spectra, progress)


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
    weight_of_all = cannon.weights(model, spectra.ivar.values)

    def invert(pixels):
        trained = model.trained.values[pixels]
        weight = weight_of_all[:, pixels].T[trained]
        inverse = np.zeros((len(trained), *place.shape))
        inverse[trained] = np.linalg.inv((weight @ monomials)[:, place])
        return inverse

    return np.concatenate(map_blocks(invert, spectra.sizes["wavelength"], _BLOCK))
