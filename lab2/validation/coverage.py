"""Tests of the errors on stars that neither the model nor the calibration was trained on."""

import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.typing import ArrayLike
from scipy.stats import ecdf, kstest, norm, randint

from lab2._arguments import expect
from lab2._label_arrays import LabelArray, labels_like
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


def calibrate_held_out(fits: xr.Dataset, truth: LabelArray, seed: int = 128) -> xr.Dataset:
    """Fits whose covariances are calibrated without them: each random half of the stars from the other half.

    This tests a calibration. New stars use `lab2.validation.calibrate`, with all stars.

    Parameters
    ----------
    fits, truth
        As for `lab2.validation.calibrate`.
    seed : int
        Seed of the random halves.

    Returns
    -------
    xarray.Dataset
        The fits in their original order, as from `lab2.validation.Calibration.apply`.
    """
    truth = labels_like(truth, fits)
    names, row = np.unique(fits.star.values.astype(str), return_inverse=True)  # all rows of a star in one half
    half = (np.random.default_rng(seed).permutation(len(names)) % 2)[row]
    parts = []
    for side in (0, 1):
        learned = calibrate(fits.isel(star=half != side), truth[half != side])
        parts.append(learned.apply(fits.isel(star=half == side)))
    order = np.argsort(np.concatenate([np.flatnonzero(half == side) for side in (0, 1)]))
    return xr.concat(parts, dim="star", combine_attrs="override").isel(star=order)


def coverage(fits: xr.Dataset, truth: LabelArray) -> QTable:
    """How often the truth lies within one and two standard errors of the fit.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` and ``covariance``, calibrated or not.
    truth : array_like, shape (n_stars, n_labels)
        As for `lab2.validation.calibrate`.

    Returns
    -------
    astropy.table.QTable
        One row per label: label, n (stars), pull_scatter (robust scatter of residual over error, ideally 1), within_68
        and within_95, the fractions of stars within 1 and 2 standard errors (nominally 0.683 and 0.954), and ks, the
        p-value of the Kolmogorov-Smirnov test that the pulls have a standard normal distribution.

    Raises
    ------
    ValueError
        If the stars differ.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60).sel(label=["teff", "fe_h"])
    >>> fits = lab2.validation.cross_validate(spectra)
    >>> calibrated = lab2.validation.calibrate_held_out(fits, spectra.labels)
    >>> coverage(calibrated, spectra.labels)["label"].tolist()
    ['teff', 'fe_h']
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


def pulls(fits: xr.Dataset, truth: LabelArray) -> np.ndarray:
    """Residuals divided by their standard errors: standard normal if the errors are right.

    Parameters
    ----------
    fits, truth
        As for `coverage`.

    Returns
    -------
    numpy.ndarray, shape (n, n_labels)
        Of the n stars that have a fit and true labels.

    Raises
    ------
    ValueError
        If the stars differ.
    """
    pull = paired_residuals(fits, truth) / _standard_errors(fits)
    return pull[np.isfinite(pull).all(axis=1)]


def median_errors(fits: xr.Dataset) -> np.ndarray:
    """Median over the stars of each label's standard error, from the covariances of the fits.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``covariance`` (star, label, label_2), calibrated or not; NaN where a star has no fit.

    Returns
    -------
    numpy.ndarray, shape (n_labels,)
        In the labels' units.
    """
    expect(fits=fits)
    return np.nanmedian(_standard_errors(fits), axis=0)


def coverage_deviation(*tables: QTable) -> float:
    """The largest difference between `coverage` and that expected for normal errors.

    Parameters
    ----------
    *tables : astropy.table.QTable
        As from `coverage`.

    Returns
    -------
    float
        The maximum over all labels and over the fractions within one and two standard errors, which are 0.6827 and
        0.9545 for a normal distribution.

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


def ranks(fits: xr.Dataset, truth: LabelArray, draws: int = 99, seed: int = 128) -> xr.DataArray:
    """Rank of the true label among draws from the fit: simulation-based calibration.

    If the errors are right, every rank from 0 to `draws` is equally probable. Errors that are too small give an excess
    at the ends of the rank histogram, errors that are too large in its middle; a bias gives a slope (Talts et al. 2018,
    arXiv:1804.06788).

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` and ``covariance``, the mean and covariance of the normal distribution to draw from.
    truth : array_like, shape (n_stars, n_labels)
        As for `lab2.validation.calibrate`.
    draws, seed : int

    Returns
    -------
    xarray.DataArray of int
        (star, label), of the stars that have a fit and true labels.

    Raises
    ------
    ValueError
        If the stars differ.
    """
    residual = paired_residuals(fits, truth)
    good = np.flatnonzero(np.isfinite(residual).all(axis=1))
    factor = np.linalg.cholesky(fits.covariance.values[good])
    noise = np.random.default_rng(seed).normal(size=(draws, len(good), residual.shape[1]))
    drawn = residual[good] + np.einsum("nkl,dnl->dnk", factor, noise)  # minus the true labels
    return fits.labels.isel(star=good).copy(data=(drawn < 0).sum(axis=0)).rename("rank")


def rank_distance(ranks: ArrayLike, draws: int = 99) -> np.ndarray:
    """Kolmogorov-Smirnov distance of the ranks of each label from a uniform distribution.

    Parameters
    ----------
    ranks : array_like of int, shape (n_stars, n_labels)
        Each 0 to `draws`, as from `ranks`.
    draws : int

    Returns
    -------
    numpy.ndarray, shape (n_labels,)
        The largest difference between the fraction of stars with a rank up to k and (k + 1) / (draws + 1), over all k.
        Ranks are integers, so both distributions are step functions and are compared after each step;
        `scipy.stats.kstest` is for continuous distributions and would count half a step more. For n stars the quantiles
        of `scipy.stats.kstwo` are upper limits to the distance expected by chance (it is smaller for step functions).

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
    values = ranks.transpose("star", "label").values if isinstance(ranks, xr.DataArray) else np.asarray(ranks)
    if values.min() < 0 or values.max() > draws:
        raise ValueError(f"ranks among {draws} draws are 0 to {draws}; got {values.min()} to {values.max()}")
    steps = np.arange(draws + 1)
    uniform = randint(0, draws + 1).cdf(steps)
    return np.array([np.abs(ecdf(of_label).cdf.evaluate(steps) - uniform).max() for of_label in values.T])


def band(drawn: ArrayLike, level: float = 0.95) -> np.ndarray:
    """The central interval that contains a fraction `level` of the draws, and their median.

    Parameters
    ----------
    drawn : array_like, shape (n_draws, ...)
        For example spectra from `lab2.posterior.predictive`; NaN where a draw is NaN.
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
    """Fraction of the known values that lie inside a band.

    Parameters
    ----------
    values : array_like, shape (n,)
        NaN where unknown.
    limits : array_like, shape (3, n)
        As from `band`; NaN where unknown.

    Returns
    -------
    float
        NaN if no value is known.

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
