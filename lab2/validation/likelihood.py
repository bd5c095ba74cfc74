"""Held-out likelihood: how well models with different numbers of factors predict spectra not trained on."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2 import cannon
from lab2._arguments import expect, groups
from lab2._blocks import map_blocks

__all__ = ["fewest_factors", "held_out_likelihood", "log_likelihood"]

_STARS = 64  # stars worked on at a time by one thread


def log_likelihood(model: cannon.Cannon, spectra: xr.Dataset, fits: xr.Dataset) -> np.ndarray:
    """ln L of each spectrum, marginalized over its labels and hidden factors.

    Parameters
    ----------
    model : lab2.Cannon
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength).
    fits : xarray.Dataset
        Fits of these spectra with this model.

    Returns
    -------
    numpy.ndarray, shape (n_stars,)
        Up to a constant that is the same for all models with the same labels and pixels; NaN where there is no fit.

    Notes
    -----
    The labels have flat priors, and the likelihood is approximated by a normal distribution about their best values
    (Laplace's method, MacKay 2003, Information Theory, Inference, and Learning Algorithms, chapter 27):

        -2 ln L = chi^2 + ln det C - ln det V + constant,

    with C = diag(1 / ivar + s^2) + U U^T the covariance of the pixels and V that of the labels. With flat priors a
    model gains nothing by describing the errors of the catalog labels, so a factor for them does not increase the
    likelihood.
    """
    expect(model=model, spectra=spectra, fits=fits)
    loadings = model.loadings.values
    first, second = np.triu_indices(loadings.shape[1])
    products = loadings[:, first] * loadings[:, second]

    def of_block(stars):
        weight = cannon.weights(model, spectra.ivar.values[stars])
        normal = np.zeros((len(weight), loadings.shape[1], loadings.shape[1]))
        normal[:, first, second] = normal[:, second, first] = weight @ products
        logs = np.log(weight, out=np.zeros_like(weight), where=weight > 0).sum(axis=1)
        return np.linalg.slogdet(normal + np.eye(loadings.shape[1]))[1] - logs

    of_pixels = np.concatenate(map_blocks(of_block, spectra.sizes["star"], _STARS))
    return -0.5 * (fits.chi2.values + of_pixels - np.linalg.slogdet(fits.covariance.values)[1])


def held_out_likelihood(
    spectra: xr.Dataset, folds: ArrayLike, factors: Sequence[int], progress: bool = False
) -> xr.DataArray:
    """ln L of every star for models with different numbers of hidden factors, each trained without the star.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels``.
    folds : array_like of int, shape (n_stars,)
        The group that each star is left out with, as from `lab2.validation.split`.
    factors : sequence of int
        Numbers of factors to try.
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.DataArray
        (factors, star), as from `log_likelihood`. Only differences between numbers of factors are meaningful; their
        median over the stars is not affected by the few stars that no model describes.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> folds = lab2.validation.split(spectra)
    >>> likelihood = held_out_likelihood(spectra, folds, factors=[0, 2])
    >>> dict(likelihood.sizes)
    {'factors': 2, 'star': 60}
    """
    expect(spectra=spectra)
    group = groups(folds, spectra.sizes["star"])
    found = np.empty((len(factors), spectra.sizes["star"]))
    for fold in np.unique(group):
        left_out = group == fold
        training, rest = (spectra.isel(star=np.flatnonzero(some)) for some in (~left_out, left_out))
        for k, number in enumerate(factors):
            model = cannon.train(training, factors=number, progress=progress)
            found[k, left_out] = log_likelihood(model, rest, cannon.fit_labels(model, rest))
    return xr.DataArray(found, dims=("factors", "star"), coords={"factors": list(factors), "star": spectra.star.values})


def fewest_factors(likelihood: xr.DataArray, share: float = 0.98) -> int:
    """The smallest number of factors that achieves nearly the maximum gain in likelihood.

    Parameters
    ----------
    likelihood : xarray.DataArray
        (factors, star), as from `held_out_likelihood`, with 0 factors among them.
    share : float
        Required fraction of the largest median gain relative to no factors.

    Returns
    -------
    int
        0 if factors do not increase the likelihood.

    Examples
    --------
    >>> gains = xr.DataArray([[0.0, 0.0], [99.0, 99.0], [100.0, 100.0]], dims=("factors", "star"))
    >>> fewest_factors(gains.assign_coords(factors=[0, 5, 10]))
    5
    """
    gain = (likelihood - likelihood.sel(factors=0)).median("star")
    enough = gain.values >= share * gain.values.max()
    return int(likelihood.factors.values[enough].min()) if gain.values.max() > 0 else 0
