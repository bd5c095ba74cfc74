"""Are the errors right? Tests on stars that neither the model nor the calibration has seen."""

import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.typing import ArrayLike
from scipy.stats import ecdf, kstest, norm, randint

from lab2.validation.calibration import calibrate
from lab2.validation.residuals import paired_residuals, robust_scatter

__all__ = [
    "band",
    "calibrate_held_out",
    "coverage",
    "coverage_deviation",
    "median_errors",
    "pulls",
    "rank_distance",
    "ranks",
    "within_band",
]


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
    names, row = np.unique(fits.star.values.astype(str), return_inverse=True)  # all rows of a star on one side
    half = (np.random.default_rng(seed).permutation(len(names)) % 2)[row]
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
    pull = pulls(fits, truth)
    return QTable(
        {
            "label": fits.label.values.astype(str),
            "n": np.full(pull.shape[1], len(pull)),
            "pull_scatter": robust_scatter(pull),
            "within_68": (np.abs(pull) < 1).mean(axis=0),
            "within_95": (np.abs(pull) < 2).mean(axis=0),
            "ks": [kstest(of_label, "norm").pvalue for of_label in pull.T],
        }
    )


def pulls(fits: xr.Dataset, truth: xr.DataArray) -> np.ndarray:
    """Residuals over their standard errors: of standard normal distribution where the errors are right.

    Parameters
    ----------
    fits, truth
        As for `coverage`.

    Returns
    -------
    numpy.ndarray, shape (n, n_labels)
        Of the n stars that have a fit and a truth.

    Raises
    ------
    ValueError
        If the stars differ.
    """
    pull = paired_residuals(fits, truth) / _standard_errors(fits)
    return pull[np.isfinite(pull).all(axis=1)]


def median_errors(fits: xr.Dataset) -> np.ndarray:
    """Median over the stars of each label's standard error, as the covariances of the fits have it.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``covariance`` (star, label, label_2), calibrated or not; NaN where a star has no fit.

    Returns
    -------
    numpy.ndarray, shape (n_labels,)
        In the labels' units.
    """
    return np.nanmedian(_standard_errors(fits), axis=0)


def coverage_deviation(*tables: QTable) -> float:
    """The largest difference of tables of `coverage` from what normal errors promise.

    Parameters
    ----------
    *tables : astropy.table.QTable
        As from `coverage`.

    Returns
    -------
    float
        Over all labels, and over the fractions within one and two standard errors, of which a normal distribution has
        0.6827 and 0.9545.

    Raises
    ------
    ValueError
        If there is no table.

    Examples
    --------
    >>> round(coverage_deviation({"within_68": np.array([0.6827, 0.70]), "within_95": np.array([0.9545, 0.90])}), 4)
    0.0545
    """
    if not tables:
        raise ValueError("give at least one table of coverage")
    nominal = {name: norm.cdf(sd) - norm.cdf(-sd) for name, sd in (("within_68", 1), ("within_95", 2))}
    return float(max(np.abs(table[name] - share).max() for table in tables for name, share in nominal.items()))


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


def rank_distance(ranks: xr.DataArray, draws: int = 99) -> np.ndarray:
    """How far the ranks of each label are from uniform: the distance of Kolmogorov and Smirnov.

    Parameters
    ----------
    ranks : xarray.DataArray of int
        (star, label), each 0 to `draws`, as from `ranks`.
    draws : int

    Returns
    -------
    numpy.ndarray, shape (n_labels,)
        The largest difference between the fraction of stars with a rank up to k and (k + 1) / (draws + 1), over all k.
        Ranks are whole numbers, so both distributions are step functions and are compared after each step;
        `scipy.stats.kstest` is for continuous ones and would count half a step more. For n stars the quantiles of
        `scipy.stats.kstwo` bound what chance alone makes of it (for step functions it makes less).

    Raises
    ------
    ValueError
        If a rank is not from 0 to `draws`.

    Examples
    --------
    >>> all_alike = xr.DataArray(np.full((8, 1), 99), dims=("star", "label"))
    >>> rank_distance(all_alike).round(4).tolist()
    [0.99]
    """
    values = ranks.transpose("star", "label").values
    if values.min() < 0 or values.max() > draws:
        raise ValueError(f"ranks among {draws} draws are 0 to {draws}; got {values.min()} to {values.max()}")
    steps = np.arange(draws + 1)
    uniform = randint(0, draws + 1).cdf(steps)
    return np.array([np.abs(ecdf(of_label).cdf.evaluate(steps) - uniform).max() for of_label in values.T])


def band(drawn: ArrayLike, level: float = 0.95) -> np.ndarray:
    """The central interval that holds a fraction `level` of the draws, and their median.

    Parameters
    ----------
    drawn : array_like, shape (n_draws, ...)
        Such as spectra from `lab2.posterior.predictive`; NaN in a place stays NaN there.
    level : float
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray, shape (3, ...)
        Lower end, median, upper end.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1.

    Examples
    --------
    >>> band(np.arange(201.0)[:, None]).ravel().round(6).tolist()
    [5.0, 100.0, 195.0]
    """
    if not 0 < level < 1:
        raise ValueError(f"the level is a fraction between 0 and 1, not {level!r}")
    return np.percentile(np.asarray(drawn), [50 * (1 - level), 50, 50 * (1 + level)], axis=0)


def within_band(values: ArrayLike, limits: ArrayLike) -> float:
    """Fraction of values inside a band, of those that are known.

    Parameters
    ----------
    values : array_like, shape (n,)
        NaN where there is none.
    limits : array_like, shape (3, n)
        As from `band`; NaN where there is none.

    Returns
    -------
    float
        NaN if nothing is known.

    Examples
    --------
    >>> within_band([0.5, 3.0, float("nan")], [[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1]])
    0.5
    """
    low, _, high = np.asarray(limits, dtype=float)
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values) & np.isfinite(low) & np.isfinite(high)
    return float(((values > low) & (values < high))[known].mean()) if known.any() else float("nan")


def _standard_errors(fits):
    """(n_stars, n_labels), in the labels' units."""
    return np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
