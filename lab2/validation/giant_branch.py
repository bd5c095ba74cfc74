"""Comparison of fitted temperatures on the giant branch with isochrones.

At each star's log g and [Fe/H] an isochrone gives one temperature on the first ascent of the giant branch. The
difference from the fitted temperature tests the temperature scale. The change of temperature with [Fe/H] at fixed log g
tests the trend, independent of an offset of that scale.
"""

from collections.abc import Sequence

import numpy as np
from astropy import units as u
from astropy.table import QTable
from scipy.stats import gaussian_kde

from lab2._label_arrays import LabelArray, named_labels
from lab2.isochrones import teff_on_rgb
from lab2.validation.residuals import robust_scatter, slope_with_error

__all__ = ["LOGG", "against_isochrones", "clump", "on_branch", "slopes"]

LOGG = (1.0, 3.3)  # range of log g for the comparison
_CLUMP = (2.25, 2.65)  # where red clump stars outnumber those of the giant branch
_FEH = (-1.0, 0.5)  # metallicity range of the available isochrones
_FEWEST = 20  # a slope needs more stars than this
_CLUMP_SEARCH = (2.2, 2.8)  # range of log g in which the clump is looked for
_GRID = 120  # steps of Teff and of log g in which its density is evaluated


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


def clump(labels: LabelArray) -> tuple[float, float]:
    """The red clump: where stars lie most densely in Teff and log g.

    Parameters
    ----------
    labels : xarray.DataArray, pandas.DataFrame or astropy.table.Table
        (star, label) with teff [K] and logg.

    Returns
    -------
    teff, logg : float
        [K], [dex]: the maximum of the density between log g 2.2 and 2.8, from a Gaussian kernel with Scott's bandwidth;
        NaN if there are no more than 20 stars.
    """
    labels = named_labels(labels, ("teff", "logg"))
    stars = np.array([labels.sel(label=name).values for name in ("teff", "logg")])
    stars = stars[:, (stars[1] > _CLUMP_SEARCH[0]) & (stars[1] < _CLUMP_SEARCH[1])]
    if stars.shape[1] <= _FEWEST:
        return np.nan, np.nan
    grid = np.array([x.ravel() for x in np.meshgrid(*(np.linspace(x.min(), x.max(), _GRID) for x in stars))])
    teff, logg = grid[:, gaussian_kde(stars)(grid).argmax()]
    return float(teff), float(logg)


def slopes(labels: LabelArray, age_gyr: float = 6.0, seed: int = 128, resamples: int = 300) -> QTable:
    """How Teff changes with [Fe/H] at fixed log g, whatever [Mg/Fe] does and at fixed [Mg/Fe], beside an isochrone.

    Isochrones are solar-scaled; metal-poor stars are rich in alpha elements, which makes them cooler. A regression on
    [Fe/H] alone mixes the two.

    Parameters
    ----------
    labels : xarray.DataArray, pandas.DataFrame or astropy.table.Table
        (star, label) with teff [K], logg, fe_h and mg_fe; stars off the branch (`on_branch`) are ignored.
    age_gyr : float
        Of the isochrones [Gyr].
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        One row per quantity, "fe_h", "fe_h at fixed mg_fe", "mg_fe at fixed fe_h" and "mg_fe per fe_h": slope and
        slope_error; the first three in K per dex, of Teff less that of the solar isochrone at the same log g, by least
        squares; the last is the slope of [Mg/Fe] with [Fe/H]. The first slope is the second plus the product of the
        other two.

    Raises
    ------
    ValueError
        If there is no isochrone of that age, or no more than 20 stars are on the branch.
    """
    labels = named_labels(labels, ("teff", "logg", "fe_h", "mg_fe"))
    names = ("teff", "logg", "fe_h", "mg_fe")
    teff, logg, fe_h, mg_fe = (labels.sel(label=name).values[on_branch(labels)] for name in names)
    if len(teff) <= _FEWEST:
        raise ValueError(f"only {len(teff)} stars are on the giant branch: too few for slopes")
    excess = teff - teff_on_rgb(logg, 0.0, age_gyr).value
    picks = np.random.default_rng(seed).integers(len(teff), size=(resamples, len(teff)))
    found = _regressions(excess, fe_h, mg_fe)
    errors = np.std([_regressions(excess[pick], fe_h[pick], mg_fe[pick]) for pick in picks], axis=0)
    quantities = ["fe_h", "fe_h at fixed mg_fe", "mg_fe at fixed fe_h", "mg_fe per fe_h"]
    return QTable({"slope of": quantities, "slope": found, "slope_error": errors})


def _regressions(excess, fe_h, mg_fe):
    one = np.ones(len(excess))
    alone = np.linalg.lstsq(np.column_stack([one, fe_h]), excess, rcond=None)[0][1]
    both = np.linalg.lstsq(np.column_stack([one, fe_h, mg_fe]), excess, rcond=None)[0][1:]
    along = np.linalg.lstsq(np.column_stack([one, fe_h]), mg_fe, rcond=None)[0][1]
    return np.array([alone, *both, along])
