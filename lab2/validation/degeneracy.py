"""Degeneracies between labels: stars with different labels and the same mean flux, and what tells them apart."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from lab2._arguments import expect
from lab2.cannon import Cannon

__all__ = ["match_absorption", "matched_pairs", "mean_absorption"]

_EQUAL = 1e-9  # of normalized flux
_TOLERANCE = 0.001  # of mean flux, in which two stars count as equal
_COMMON = 0.9  # fraction of the stars that must have a pixel for mean fluxes to be comparable


def match_absorption(
    model: Cannon, labels: ArrayLike, target: ArrayLike, label: str, bounds: tuple[float, float], pixels: ArrayLike
) -> tuple[np.ndarray, bool]:
    """Change one label until the model's mean flux equals that of a target.

    Parameters
    ----------
    model : lab2.Cannon
    labels : array_like, shape (n_labels,)
        Of the star to change, in the labels' units.
    target : array_like, shape (n_labels,)
        Of the star to match.
    label : str
        The label to change, such as "fe_h".
    bounds : tuple of float
        Range to search, in the label's unit.
    pixels : array_like, shape (n_pixels,)
        Mask or indices of the pixels whose mean flux is compared.

    Returns
    -------
    labels : numpy.ndarray, shape (n_labels,)
        With the label changed.
    equal : bool
        Whether the mean fluxes are equal; otherwise the label minimizes their difference.

    Raises
    ------
    ValueError
        If the model has no such label, or the bounds are not in order.

    Notes
    -----
    If the difference changes sign between the bounds, Brent's method (`scipy.optimize.brentq`) finds its root. The mean
    flux is quadratic in the label, so otherwise there are two roots or none between the bounds, and
    `scipy.optimize.minimize_scalar` finds the smallest difference.
    """
    expect(model=model)
    if label not in model.labels:
        raise ValueError(f"the model has no label {label!r}; it has {model.labels}")
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds are (low, high), not {bounds!r}")
    place, pixels = model.labels.index(label), np.asarray(pixels)
    wanted = model.predict(np.asarray(target, dtype=float)).values[pixels].mean()

    def changed(value):
        star = np.array(labels, dtype=float)
        star[place] = value
        return star

    def difference(value):
        return model.predict(changed(value)).values[pixels].mean() - wanted

    if difference(low) * difference(high) <= 0:
        return changed(brentq(difference, low, high)), True
    found = minimize_scalar(lambda value: difference(value) ** 2, bounds=bounds, method="bounded").x
    least = min((low, high, found), key=lambda value: abs(difference(value)))
    return changed(least), bool(abs(difference(least)) < _EQUAL)


def mean_absorption(
    flux: ArrayLike, groups: Mapping[str, ArrayLike], ivar: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of the light that spectra lack on average in each of several groups of pixels.

    Parameters
    ----------
    flux : array_like, shape (n_spectra, n_pixels)
        Normalized.
    groups : dict of str to array_like of bool, shape (n_pixels,)
        Name to the pixels of a group, such as those of the lines of one element.
    ivar : array_like, shape (n_spectra, n_pixels), optional
        Inverse variance. Pixels where that of any spectrum is 0 are left out of all; default: all pixels are exact.

    Returns
    -------
    absorption, error : numpy.ndarray, shape (n_spectra, n_groups)
        Mean of 1 - flux, and its standard error from the noise; NaN for a group without pixels.

    Examples
    --------
    >>> flux, groups = [[0.8, 0.6, 1.0]], {"line": [True, True, False], "none": [False, False, True]}
    >>> absorption, error = mean_absorption(flux, groups, [[400.0, 400.0, 400.0]])
    >>> absorption.round(3).tolist(), error.round(3).tolist()
    ([[0.3, 0.0]], [[0.035, 0.05]])
    """
    flux = np.asarray(flux, dtype=float)
    ivar = np.full(flux.shape, np.inf) if ivar is None else np.asarray(ivar, dtype=float)
    good = (ivar > 0).all(axis=0)
    pixels = np.array([np.asarray(group, dtype=bool) & good for group in groups.values()], dtype=float)
    number = np.where(pixels.any(axis=1), pixels.sum(axis=1), np.nan)
    missing = np.where(good, 1.0 - flux, 0.0) @ pixels.T
    variance = np.divide(1.0, ivar, out=np.zeros_like(ivar), where=ivar > 0) @ pixels.T
    return missing / number, np.sqrt(variance) / number


def matched_pairs(
    spectra: xr.Dataset, targets: ArrayLike, widths: ArrayLike, pixels: ArrayLike, count: int = 10
) -> list[tuple[str, str]]:
    """Pairs of observed stars near two points of label space, with the same mean flux in a set of pixels.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` and ``labels`` of at least two stars.
    targets : array_like, shape (2, n_labels)
        The two points, in the labels' units.
    widths : array_like, shape (n_labels,)
        Differences of the labels that count as much as a difference of 0.001 in mean flux.
    pixels : array_like of bool, shape (n_pixels,)
        Whose mean flux is compared; only pixels that are good in at least 90 % of the stars are used.
    count : int
        Number of pairs; fewer are returned if there are not enough stars.

    Returns
    -------
    list of tuple of str
        The stars near the first and the second target. The pairs are those with the smallest sums of squares of both
        distances from the targets and of the difference of mean flux, best first; no star is in two pairs.

    Raises
    ------
    ValueError
        If there are fewer than two stars with labels and good pixels.
    """
    expect(spectra=spectra)
    labels = spectra.labels.transpose("star", "label").values
    flux, good = spectra.flux.values, spectra.ivar.values > 0
    common = np.asarray(pixels, dtype=bool) & (good.mean(axis=0) >= _COMMON)
    mean = np.ma.masked_array(flux[:, common], ~good[:, common]).mean(axis=1).filled(np.nan)
    usable = np.flatnonzero(np.isfinite(mean) & np.isfinite(labels).all(axis=1))
    if len(usable) < 2:
        raise ValueError(f"a pair needs two stars with labels and good pixels; there are {len(usable)}")
    labels, mean, stars = labels[usable], mean[usable], spectra.star.values[usable]
    near = [(((labels - target) / np.asarray(widths)) ** 2).sum(axis=1) for target in np.asarray(targets, dtype=float)]
    cost = near[0][:, None] + near[1] + ((mean[:, None] - mean) / _TOLERANCE) ** 2
    np.fill_diagonal(cost, np.inf)
    pairs = []
    for _ in range(min(count, len(stars) // 2)):
        first, second = np.unravel_index(cost.argmin(), cost.shape)
        pairs.append((str(stars[first]), str(stars[second])))
        cost[[first, second]] = cost[:, [first, second]] = np.inf
    return pairs
