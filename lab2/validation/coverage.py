"""Are the errors right? Tests on stars that neither the model nor the calibration has seen."""

import numpy as np
import xarray as xr
from astropy.table import QTable
from scipy.stats import kstest

from lab2.validation.calibration import calibrate
from lab2.validation.residuals import paired_residuals, robust_scatter

__all__ = ["calibrate_held_out", "coverage", "ranks"]


def calibrate_held_out(fits, truth, seed=128) -> xr.Dataset:
    """Fits with covariances that were calibrated without them: each random half of the stars by the other half.

    For testing a calibration; later stars get that of `lab2.validation.calibrate`, from all.

    Parameters
    ----------
    fits, truth
        As for `lab2.validation.calibrate`.
    seed : int
        Of the halves.

    Returns
    -------
    xarray.Dataset
        The fits in their order, as from `lab2.validation.Calibration.apply`.
    """
    half = np.random.default_rng(seed).permutation(fits.sizes["star"]) % 2
    parts = []
    for side in (0, 1):
        learned = calibrate(fits.isel(star=half != side), truth[half != side])
        parts.append(learned.apply(fits.isel(star=half == side)))
    order = np.argsort(np.concatenate([np.flatnonzero(half == side) for side in (0, 1)]))
    return xr.concat(parts, dim="star", combine_attrs="override").isel(star=order)


def coverage(fits, truth) -> QTable:
    """How often the truth lies within one and two standard errors of the fit.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` and ``covariance``, calibrated or not.
    truth : xarray.DataArray
        (star, label), of the same stars in the same order.

    Returns
    -------
    astropy.table.QTable
        A row a label: label, n (stars), pull_scatter (robust scatter of residual over error; 1 is right), within_68 and
        within_95, the fractions of stars within 1 and 2 standard errors (nominally 0.683 and 0.954), and ks, the
        p-value of Kolmogorov and Smirnov's test that the pulls are of the standard normal distribution.

    Raises
    ------
    ValueError
        If the stars differ.
    """
    pulls = paired_residuals(fits, truth) / np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
    pulls = pulls[np.isfinite(pulls).all(axis=1)]
    return QTable(
        {
            "label": fits.label.values.astype(str),
            "n": np.full(pulls.shape[1], len(pulls)),
            "pull_scatter": robust_scatter(pulls),
            "within_68": (np.abs(pulls) < 1).mean(axis=0),
            "within_95": (np.abs(pulls) < 2).mean(axis=0),
            "ks": [kstest(pull, "norm").pvalue for pull in pulls.T],
        }
    )


def ranks(fits, truth, draws=99, seed=128) -> xr.DataArray:
    """Rank of the true label among draws from the fit: simulation-based calibration.

    Where the errors are right every rank from 0 to `draws` is equally probable. Too small errors fill the ends of the
    histogram of the ranks, too large ones its middle; a slope is a bias (Talts et al. 2018, arXiv:1804.06788).

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` and ``covariance``: each draw is from that normal distribution.
    truth : xarray.DataArray
        (star, label), of the same stars in the same order.
    draws, seed : int

    Returns
    -------
    xarray.DataArray of int
        (star, label), of the stars that have a fit and a truth.

    Raises
    ------
    ValueError
        If the stars differ.
    """
    residual = paired_residuals(fits, truth)
    good = np.flatnonzero(np.isfinite(residual).all(axis=1))
    factor = np.linalg.cholesky(fits.covariance.values[good])
    noise = np.random.default_rng(seed).normal(size=(draws, len(good), residual.shape[1]))
    drawn = residual[good] + np.einsum("nkl,dnl->dnk", factor, noise)  # less the truth
    return fits.labels.isel(star=good).copy(data=(drawn < 0).sum(axis=0)).rename("rank")
