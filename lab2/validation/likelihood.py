"""How well models of different size predict spectra that they were not trained on: their likelihood."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lab2 import cannon
from lab2._blocks import map_blocks

__all__ = ["fewest_factors", "held_out_likelihood", "log_likelihood"]

_STARS = 64  # worked on at a time by one thread


def log_likelihood(model: cannon.Cannon, spectra: xr.Dataset, fits: xr.Dataset) -> np.ndarray:
    """ln L of each spectrum, its labels and hidden factors integrated out.

    Parameters
    ----------
    model : lab2.Cannon
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength).
    fits : xarray.Dataset
        Of these spectra by this model.

    Returns
    -------
    numpy.ndarray, shape (n_stars,)
        Without a constant that is the same for all models of the same labels and pixels; NaN where there is no fit.

    Notes
    -----
    Nothing is known of the labels before, and the likelihood is normal about their best values (Laplace's method,
    MacKay 2003, Information Theory, Inference, and Learning Algorithms, chapter 27):

        -2 ln L = chi^2 + ln det C - ln det V + constant,

    C = diag(1 / ivar + s^2) + U U^T the covariance of the pixels, V that of the labels. With flat priors no model gains
    by knowing what the catalog's labels are wrong by, so that a factor for it does not pay.
    """
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
    spectra: xr.Dataset, folds: xr.DataArray, factors: Sequence[int], progress: bool = False
) -> xr.DataArray:
    """ln L of every star by models with different numbers of hidden factors, each trained without it.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels``.
    folds : xarray.DataArray of int
        (star), the group that is left out, as from `lab2.validation.split`.
    factors : sequence of int
        Numbers of factors to try.
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.DataArray
        (factors, star), as from `log_likelihood`. Differences between numbers of factors mean something; a median of
        them over the stars is not moved by the few that no model describes.
    """
    found = np.empty((len(factors), spectra.sizes["star"]))
    for fold in np.unique(folds.values):
        left_out = folds.values == fold
        training, rest = (spectra.isel(star=np.flatnonzero(some)) for some in (~left_out, left_out))
        for k, number in enumerate(factors):
            model = cannon.train(training, factors=number, progress=progress)
            found[k, left_out] = log_likelihood(model, rest, cannon.fit_labels(model, rest))
    return xr.DataArray(found, dims=("factors", "star"), coords={"factors": list(factors), "star": spectra.star.values})


def fewest_factors(likelihood: xr.DataArray, share: float = 0.95) -> int:
    """The smallest number of factors that has nearly all of what factors can gain.

    Parameters
    ----------
    likelihood : xarray.DataArray
        (factors, star), as from `held_out_likelihood`, with 0 factors among them.
    share : float
        Of the largest median gain over no factors.

    Returns
    -------
    int
        0 if no number gains anything.
    """
    gain = (likelihood - likelihood.sel(factors=0)).median("star")
    enough = gain.values >= share * gain.values.max()
    return int(likelihood.factors.values[enough].min()) if gain.values.max() > 0 else 0
