"""Fast leave-one-out cross-validation: the model is trained once and downdated for each star.

At fixed s^2 a pixel's theta solves the normal equations A theta = b. Removing star n from the training set subtracts
w v v^T from A and w f v from b. The formula of Sherman and Morrison (1950, Ann. Math. Statist. 21, 124) then gives

    theta_without_n = theta - w r / (1 - h) A^-1 v,    r = f - theta . v,  h = w v . A^-1 v,

exactly. s^2 is kept at its value for the whole training set: one star among N changes it by about 1/N of its value.

With hidden factors, theta and the loadings are downdated together: v is extended by the star's scores z at its catalog
labels. The scores are treated as known (their errors are a few per cent of their spread).
"""

import numpy as np

from lab2 import cannon
from lab2._blocks import map_blocks
from lab2.cannon import polynomial
from lab2.cannon.nuisances import Precision
from lab2.cannon.quartics import Quartics, count_pixels, star_quartic
from lab2.spectra import check

__all__ = ["fit_each_without_itself", "theta_without"]

_BLOCK = 256  # pixels whose normal matrices are summed at a time by one thread
_STARS = 16  # stars fitted at a time by one thread


def fit_each_without_itself(spectra, factors=0, progress=False):
    """Fit every star with a model trained on all other stars.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels``.
    factors : int
        Number of hidden factors.
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.Dataset
        As from `lab2.fit_labels`.
    """
    model = cannon.train(spectra, factors=factors, progress=progress)
    check(spectra)
    labels = spectra.labels.transpose("star", "label").values
    scores = cannon.quartics(model, spectra).factors(model.scale(labels))
    rows = np.concatenate([model.design(labels), scores], axis=1)
    inverse = _inverse_normal_matrices(model, spectra, rows)
    both = np.concatenate([model.theta.values, model.loadings.values], axis=1)
    form, n_terms = polynomial.symmetric_form(len(model.labels)), len(model.pairs)

    def of_star(flux, weight, row, trained_on):
        good = weight > 0
        flux, weight, own = flux[good], weight[good], both[good]
        if trained_on:
            own = theta_without(row, flux, weight, own, inverse[good])
        theta, loadings = np.split(own, [n_terms], axis=1)
        return star_quartic(theta, flux, Precision(weight, loadings, np.ones(factors)), form)

    def of_block(stars):
        ivar = spectra.ivar.values[stars]
        each = spectra.flux.values[stars], cannon.weights(model, ivar), rows[stars], model.trained_on.values[stars]
        coefficients, responses = zip(*(of_star(*star) for star in zip(*each, strict=True)), strict=True)
        return np.array(coefficients), count_pixels(model, ivar), np.array(responses)

    parts = map_blocks(of_block, len(rows), _STARS, "leaving out each star" if progress else None)
    coefficients, n_pixels, responses = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = Quartics(coefficients, n_pixels, len(model.labels), responses)
    return cannon.fit_quartics(model, found, spectra, progress)


def theta_without(terms, flux, weight, theta, inverse):
    """Coefficients of each pixel with one star taken out of the training set.

    Parameters
    ----------
    terms : numpy.ndarray, shape (n_terms,)
        Terms of the star, followed by its scores if the model has hidden factors.
    flux, weight : numpy.ndarray, shape (n_pixels,)
        Of the star; weight = 1 / (sigma^2 + s^2).
    theta : numpy.ndarray, shape (n_pixels, n_terms)
        Coefficients from the whole training set, followed by the loadings.
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


def _inverse_normal_matrices(model, spectra, rows):
    """(sum_n w v v^T)^-1 of each pixel, with v the rows (n_stars, n): (n_pixels, n, n); zero in untrained pixels."""
    n_columns = rows.shape[1]
    first, second = np.triu_indices(n_columns)
    products = rows[:, first] * rows[:, second]
    place = np.zeros((n_columns, n_columns), dtype=int)
    place[first, second] = place[second, first] = np.arange(len(first))
    weight_of_all = cannon.weights(model, spectra.ivar.values) * model.trained_on.values[:, None]

    def invert(pixels):
        trained = model.trained.values[pixels]
        weight = weight_of_all[:, pixels].T[trained]
        inverse = np.zeros((len(trained), *place.shape))
        inverse[trained] = np.linalg.inv((weight @ products)[:, place])
        return inverse

    return np.concatenate(map_blocks(invert, spectra.sizes["wavelength"], _BLOCK))
