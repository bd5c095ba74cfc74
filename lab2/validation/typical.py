"""Stars that a model predicts about as well as the others: the ones to train on."""

import numpy as np
import xarray as xr
from astropy.stats import mad_std

from lab2._arguments import expect
from lab2.cannon import Cannon, weights

__all__ = ["well_predicted"]


def well_predicted(model: Cannon, spectra: xr.Dataset, limit: float = 3.0) -> np.ndarray:
    """Which stars the model predicts from their catalog labels about as well as it predicts the others.

    A binary, a wrong radial velocity or a wrong label in the catalog makes a spectrum differ from its prediction in
    most lines. A star that differs only in an abundance without a label differs in few, and stays.

    Parameters
    ----------
    model : lab2.Cannon
    spectra : xarray.Dataset
        With ``flux``, ``ivar`` and ``labels``.
    limit : float
        In robust standard deviations of ln(chi^2 / n) above its median.

    Returns
    -------
    numpy.ndarray of bool, shape (n_stars,)
        False where chi^2 / n = mean[(f - F(labels))^2 / (1 / ivar + s^2)] over the star's n good pixels lies above the
        limit, and where a star has no good pixel or lacks a label.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> odd = spectra.assign(flux=spectra.flux.copy())
    >>> odd.flux[7] = odd.flux[7].values[::-1]
    >>> np.flatnonzero(~well_predicted(model, odd)).tolist()
    [7]
    """
    expect(model=model, spectra=spectra)
    weight = weights(model, spectra.ivar.transpose("star", "wavelength").values.astype(float))
    flux = spectra.flux.transpose("star", "wavelength").values
    square = weight * (np.where(weight > 0, flux, 0.0) - model.predict(spectra.labels).values) ** 2
    pixels = (weight > 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log(square.sum(axis=1) / pixels)
    known = np.isfinite(level)
    if not known.any():
        return known
    highest = np.median(level[known]) + limit * mad_std(level[known])
    return known & (np.where(known, level, np.inf) <= highest)
