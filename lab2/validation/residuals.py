"""Statistics of residuals: bias and scatter of each label, with errors, and trends with properties of the stars."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from astropy.stats import mad_std
from astropy.table import QTable
from numpy.typing import ArrayLike

from lab2._arguments import expect
from lab2._label_arrays import LabelArray, labels_like
from lab2.spectra import seen

__all__ = [
    "paired_residuals",
    "robust_scatter",
    "shrinkage",
    "slope_with_error",
    "statistics",
    "trends",
    "twin_differences",
]

_OUTLIER = 5.0  # robust standard deviations beyond which a star is excluded from trends


def robust_scatter(residuals: ArrayLike) -> np.ndarray | float:
    """The standard deviation of a normal distribution with the same median absolute deviation, along axis 0.

    Parameters
    ----------
    residuals : array_like, shape (n_stars, ...)
        NaN counts as missing.

    Returns
    -------
    numpy.ndarray, shape (...)
        In the unit of the residuals: 1.4826 times the median absolute deviation (`astropy.stats.mad_std`).

    Examples
    --------
    >>> round(float(robust_scatter([-1.0, 0.0, 1.0, 900.0, float("nan")])), 4)
    1.4826
    """
    return mad_std(np.asarray(residuals, dtype=float), axis=0, ignore_nan=True)


def paired_residuals(fits: xr.Dataset, truth: LabelArray) -> np.ndarray:
    """Fitted minus true labels, (n_stars, n_labels); NaN where either is missing.

    Raises
    ------
    ValueError
        If the stars, labels or units differ (`lab2._label_arrays.labels_like`).
    """
    known = labels_like(truth, fits)
    return fits.labels.transpose("star", "label").values - known.values


def statistics(fits: xr.Dataset, truth: LabelArray, seed: int = 128, resamples: int = 500) -> QTable:
    """Bias and scatter of fitted labels, with errors from the bootstrap.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` (star, label).
    truth : array_like, shape (n_stars, n_labels)
        As for `lab2.validation.calibrate`.
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        One row per label: label, n (stars with a fit and true labels), bias (mean of fit minus truth), std, scatter
        (`robust_scatter`), and the standard errors of these three; in the label's unit.

    Raises
    ------
    ValueError
        If the stars differ.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60).sel(label=["teff", "fe_h"])
    >>> fits = lab2.validation.cross_validate(spectra)
    >>> statistics(fits, spectra.labels).colnames
    ['label', 'n', 'bias', 'bias_error', 'std', 'std_error', 'scatter', 'scatter_error']
    """
    residual = paired_residuals(fits, truth)
    residual = residual[np.isfinite(residual).all(axis=1)]
    if len(residual) < 3:
        raise ValueError(f"only {len(residual)} stars have both labels: too few for statistics")
    rng = np.random.default_rng(seed)
    draws = residual[rng.integers(len(residual), size=(resamples, len(residual)))]
    table = QTable({"label": fits.label.values.astype(str), "n": np.full(residual.shape[1], len(residual))})
    for name, value, resampled in (
        ("bias", residual.mean(axis=0), draws.mean(axis=1)),
        ("std", residual.std(axis=0), draws.std(axis=1)),
        ("scatter", robust_scatter(residual), mad_std(draws, axis=1)),
    ):
        table[name] = value
        table[f"{name}_error"] = resampled.std(axis=0)
    return table


def trends(
    fits: xr.Dataset, truth: LabelArray, against: Mapping[str, ArrayLike], seed: int = 128, resamples: int = 500
) -> QTable:
    """Slopes of the residuals of each label against other quantities.

    Parameters
    ----------
    fits, truth
        As for `statistics`.
    against : dict of str to array_like, shape (n_stars,)
        Name to values, such as {"log10 S/N": ...}.
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        One row per quantity and label: per (the quantity), label, slope [label's unit per unit of the quantity] and
        slope_error (bootstrap over stars). The slopes are least-squares fits without the stars beyond 5 robust standard
        deviations, so a few outliers cannot cause a trend.

    Raises
    ------
    ValueError
        If the stars differ, or fewer than 10 can be used for a slope.
    """
    residual = paired_residuals(fits, truth)
    distance = np.abs(residual - np.nanmedian(residual, axis=0)) / robust_scatter(residual)
    rng = np.random.default_rng(seed)
    rows = []
    for name, values in against.items():
        x = np.asarray(values, dtype=float)
        for label, r, d in zip(fits.label.values.astype(str), residual.T, distance.T, strict=True):
            used = np.flatnonzero(np.isfinite(x) & (d < _OUTLIER))
            if len(used) < 10:
                raise ValueError(f"only {len(used)} stars have {name} and {label}: too few for a slope")
            rows.append((name, label, *slope_with_error(x[used], r[used], rng, resamples)))
    return QTable(rows=rows, names=("per", "label", "slope", "slope_error"))


def slope_with_error(
    x: ArrayLike, y: ArrayLike, rng: int | np.random.Generator = 128, resamples: int = 500
) -> tuple[float, float]:
    """Slope of the least-squares line through points, with its error from the bootstrap.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Finite.
    rng : int or numpy.random.Generator
        Seed of the bootstrap, or a generator that continues from one call to the next.
    resamples : int

    Returns
    -------
    slope, error : float
        In the unit of y per unit of x. The error is the standard deviation of the slopes of samples of n points drawn
        with replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 9.5: pairs are resampled).

    Raises
    ------
    ValueError
        If x and y are not one-dimensional and of the same length, with at least 3 points.

    Examples
    --------
    >>> x = np.arange(10.0)
    >>> slope, error = slope_with_error(x, 3.0 - 2.0 * x)
    >>> round(slope, 9), round(error, 9)
    (-2.0, 0.0)
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3:
        raise ValueError(f"a slope needs x and y of one length, at least 3 points; got {x.shape} and {y.shape}")
    draws = np.random.default_rng(rng).integers(len(x), size=(resamples, len(x)))
    return float(_slope(x, y)), float(_slope(x[draws], y[draws]).std())


def shrinkage(fits: xr.Dataset, truth: LabelArray) -> np.ndarray:
    """Slope of fitted minus true label against the true label; negative if fits are biased toward the mean.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` (star, label).
    truth : array_like, shape (n_stars, n_labels)
        As for `lab2.validation.calibrate`.

    Returns
    -------
    numpy.ndarray, shape (n_labels,)
        Dimensionless, by least squares over all stars that have a fit and true labels: -1 if every star gets the same
        fitted label, 0 if the fitted labels follow the true ones. Errors of `truth` also make it negative.

    Raises
    ------
    ValueError
        If the stars differ.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> same = xr.Dataset({"labels": 0.0 * spectra.labels + spectra.labels.mean("star")})  # for every star
    >>> shrinkage(same, spectra.labels).round(6).tolist()
    [-1.0, -1.0, -1.0, -1.0, -1.0]
    """
    residual = paired_residuals(fits, truth)
    good = np.isfinite(residual).all(axis=1)
    x = labels_like(truth, fits).values
    return _slope(x[good].T, residual[good].T)


def twin_differences(spectra: xr.Dataset, seed: int = 128, most: int = 400) -> dict:
    """How similar the spectra of stars with similar labels are, compared with random pairs and with noise.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels``.
    seed : int
        For the random pairs, and for the choice of stars if there are more than `most`.
    most : int
        Maximum number of stars to use.

    Returns
    -------
    dict of str to float
        Median over stars of the rms difference in normalized flux, over pixels good in both: "twins" (nearest
        neighbors in labels scaled to unit variance), "random" pairs, and "noise", the difference expected
        from the errors of the twins.
    """
    expect(spectra=spectra)
    rng = np.random.default_rng(seed)
    labels = spectra.labels.transpose("star", "label").values
    x = (labels - np.nanmean(labels, axis=0)) / np.nanstd(labels, axis=0)
    informative = seen(spectra.ivar.values) == 1
    usable = np.flatnonzero(np.isfinite(x).all(axis=1) & informative.any(axis=1))
    chosen = rng.permutation(usable)[:most]
    differences = {"twins": [], "random": [], "noise": []}
    for star in chosen:
        distance = ((x[usable] - x[star]) ** 2).sum(axis=1)
        distance[usable == star] = np.inf
        twin, other = usable[distance.argmin()], rng.choice(usable[usable != star])
        for kind, partner in (("twins", twin), ("random", other)):
            pair = spectra[["flux", "ivar"]].isel(star=[star, partner])
            good = informative[[star, partner]].all(axis=0)
            flux, ivar = pair.flux.values[:, good].astype(float), pair.ivar.values[:, good].astype(float)
            differences[kind].append(np.sqrt(np.mean((flux[0] - flux[1]) ** 2)))
            if kind == "twins":
                differences["noise"].append(np.sqrt(np.mean(1 / ivar[0] + 1 / ivar[1])))
    return {kind: float(np.nanmedian(values)) for kind, values in differences.items()}


def _slope(x, y):
    """Least-squares slope along the last axis."""
    x = x - x.mean(axis=-1, keepdims=True)
    return (x * y).sum(axis=-1) / (x**2).sum(axis=-1)
