"""Comparison of fitted temperatures on the giant branch with isochrones.

At each star's log g and [Fe/H] an isochrone gives one temperature on the first ascent of the giant branch. The
difference from the fitted temperature tests the temperature scale. The change of temperature with [Fe/H] at fixed log g
tests the trend, independent of an offset of that scale.
"""

from collections.abc import Sequence

import numpy as np
from astropy import units as u
from astropy.table import QTable

from lab2._label_arrays import LabelArray, named_labels
from lab2.isochrones import teff_on_rgb
from lab2.validation.residuals import robust_scatter, slope_with_error

__all__ = ["LOGG", "against_isochrones", "on_branch"]

LOGG = (1.0, 3.3)  # range of log g for the comparison
_CLUMP = (2.25, 2.65)  # where red clump stars outnumber those of the giant branch
_FEH = (-1.0, 0.5)  # metallicity range of the available isochrones
_FEWEST = 20  # a slope needs more stars than this


def on_branch(labels: LabelArray) -> np.ndarray:
    """Which stars lie on the giant branch, within the range of the isochrones and outside the red clump.

    Parameters
    ----------
    labels : xarray.DataArray, pandas.DataFrame or astropy.table.Table
        (star, label) with logg and fe_h.

    Returns
    -------
    numpy.ndarray of bool, shape (n_stars,)
        log g between 1.0 and 3.3 but not 2.25 to 2.65, [Fe/H] between -1 and 0.5.
    """
    labels = named_labels(labels, ("logg", "fe_h"))
    logg, fe_h = (labels.sel(label=name).values for name in ("logg", "fe_h"))
    clump = (logg > _CLUMP[0]) & (logg < _CLUMP[1])
    return (logg > LOGG[0]) & (logg < LOGG[1]) & ~clump & (fe_h > _FEH[0]) & (fe_h < _FEH[1])


def against_isochrones(
    labels: LabelArray,
    ranges: Sequence[tuple[float, float]] = (LOGG,),
    age_gyr: float = 6.0,
    seed: int = 128,
    resamples: int = 300,
) -> QTable:
    """Fitted temperatures on the giant branch less those of isochrones, and how both change with metallicity.

    Parameters
    ----------
    labels : xarray.DataArray, pandas.DataFrame or astropy.table.Table
        (star, label) with teff [K], logg and fe_h; stars off the branch (`on_branch`) are ignored.
    ranges : sequence of tuple of float
        Ranges of log g, one row each; a range with 20 stars or fewer is left out, and the table may be
        empty.
    age_gyr : float
        Of the isochrones [Gyr].
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        low and high, the range of log g; n, the stars in it; median and scatter (`robust_scatter`) of
        Teff(fitted) - Teff(isochrone) [K]; slope and slope_error [K/dex] of Teff(fitted) with [Fe/H] at fixed log g,
        by a line through Teff less that of the isochrone of [Fe/H] = 0 at the same log g; isochrone_slope and
        isochrone_slope_error, the same of Teff(isochrone) for the same stars.

    Raises
    ------
    ValueError
        If there is no isochrone of that age.
    """
    labels = named_labels(labels, ("teff", "logg", "fe_h"))
    teff, logg, fe_h = (labels.sel(label=name).values[on_branch(labels)] for name in ("teff", "logg", "fe_h"))
    model = np.array([teff_on_rgb(g, metals, age_gyr).value for g, metals in zip(logg, fe_h, strict=True)])
    solar = teff_on_rgb(logg, 0.0, age_gyr).value
    rng = np.random.default_rng(seed)
    rows = []
    for low, high in ranges:
        inside = (logg >= low) & (logg < high)
        if inside.sum() <= _FEWEST:
            continue
        residual, metals = (teff - model)[inside], fe_h[inside]
        slopes = [slope_with_error(metals, (some - solar)[inside], rng, resamples) for some in (teff, model)]
        rows.append((low, high, inside.sum(), np.median(residual), robust_scatter(residual), *slopes[0], *slopes[1]))
    names = ("low", "high", "n", "median", "scatter")
    names += ("slope", "slope_error", "isochrone_slope", "isochrone_slope_error")
    units = dict.fromkeys(names[3:5], u.K) | dict.fromkeys(names[5:], u.K / u.dex)
    return QTable(rows=rows or None, names=names, units=units, dtype=[float, float, int, *[float] * 6])
