"""MIST isochrones: the locus of stars of one age in effective temperature and surface gravity.

The package includes one age, 6 Gyr, at seven metallicities (lab2/tables/README.md gives the source;
tools/isochrone_table.py makes such a table). The points of an isochrone are numbered by equivalent evolutionary phase
(EEP): equal numbers mean equal evolutionary states, whatever the mass. Sort by EEP, never by log g: on the giant branch
log g is not monotonic.
"""

from functools import cache
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import QTable
from numpy.typing import ArrayLike

__all__ = ["bump", "mist", "teff_on_rgb"]

TABLE = Path(__file__).with_name("tables") / "isochrones_mist_6gyr.ecsv"

# Primary EEPs (Dotter 2016, ApJS 222, 8): the ends of the main sequence and of the helium flash. The tip of
# the giant branch is 605, the end of core helium burning 707.
TAMS, ZACHEB = 454, 631
# Dotter (2016) defines no EEP for the base of the giant branch. The luminosity has a minimum there, within 3 EEPs of
# this one on each of the seven isochrones.
RGB_BASE = 500


@cache
def _table():
    return QTable.read(TABLE, format="ascii.ecsv")


def _phase(eep):
    names = np.array(["MS", "SGB", "RGB", "CHeB"])
    return names[np.searchsorted([TAMS, RGB_BASE, ZACHEB], eep, side="right")]


def mist(age_gyr: float, feh: float) -> QTable:
    """Isochrone of the MIST stellar models, in evolutionary order.

    The included table is interpolated linearly in [Fe/H] at fixed EEP (Dotter 2016). The models rotate (v/v_crit = 0.4
    at birth) and have solar-scaled abundances.

    Parameters
    ----------
    age_gyr : float
        Age in Gyr; only 6 is included.
    feh : float
        Initial [Fe/H] in dex, from -1 to +0.5.

    Returns
    -------
    astropy.table.QTable
        One row per EEP, from main-sequence stars of about half a solar mass to the end of core helium
        burning: `eep`, `initial_mass` [Msun], `teff` [K], `logg` [dex(cm/s2)], `log_luminosity` [dex(Lsun)]
        and `phase`, which is "MS" (EEP 301-453), "SGB" (454-499), "RGB" (500-605) or "CHeB" (631-707). The
        few million years from the tip of the giant branch to the clump are left out: plot "CHeB" as a separate
        line. The table's `meta` gives the source of the numbers.

    Raises
    ------
    ValueError
        If the age or the metallicity is not in the included table; the message gives its range and the tool that
        extends it.

    References
    ----------
    Dotter 2016, ApJS 222, 8 (the EEPs and the interpolation); Choi et al. 2016, ApJ 823, 102 (the models).

    Examples
    --------
    >>> isochrone = mist(6, 0.0)
    >>> branch = isochrone[isochrone["phase"] == "RGB"]
    >>> bool((np.diff(branch["log_luminosity"].value)[-20:] > 0).all())  # up to its tip
    True
    """
    table = _table()
    carried, age = np.unique(table["feh"]), table.meta["age_gyr"]
    if not (age_gyr == age and carried[0] <= feh <= carried[-1]):
        raise ValueError(
            f"isochrones are included for {age:g} Gyr and [Fe/H] from {carried[0]:+g} to {carried[-1]:+g}; got "
            f"{age_gyr:g} Gyr and {feh:+g}. For others, edit the constants in tools/isochrone_table.py and run it"
        )
    result = _interpolated(table, carried, feh)
    result["phase"] = _phase(result["eep"])
    return result


def _interpolated(table, carried, feh):
    """The included isochrones of the two nearest metallicities, joined."""
    upper = max(int(np.searchsorted(carried, feh)), 1)
    weight = (feh - carried[upper - 1]) / (carried[upper] - carried[upper - 1])
    poor, rich = (table[table["feh"] == carried[i]] for i in (upper - 1, upper))
    result = QTable(meta={**table.meta, "feh": float(feh)})
    result["eep"] = poor["eep"]
    for name in ("initial_mass", "teff", "logg", "log_luminosity"):
        values = (1 - weight) * poor[name].value + weight * rich[name].value
        result[name] = u.Quantity(values, poor[name].unit, subok=True)
    return result


def bump(isochrone: QTable) -> tuple[float, float]:
    """Where an isochrone has the bump of the giant branch: there the star turns back for a while.

    Parameters
    ----------
    isochrone : astropy.table.QTable
        As from `mist`.

    Returns
    -------
    teff, logg : float
        [K], [dex]: the mean of the stretch of the branch on which log g rises.

    Raises
    ------
    ValueError
        If log g does not rise anywhere on its giant branch.

    Examples
    --------
    >>> teff, logg = bump(mist(6, 0.0))
    >>> 2.3 < logg < 2.8
    True
    """
    branch = isochrone[isochrone["phase"] == "RGB"]
    rising = np.flatnonzero(np.diff(branch["logg"].value) > 0)
    if not len(rising):
        raise ValueError("log g does not rise anywhere on this giant branch: it has no bump")
    stretch = branch[rising[0] : rising[-1] + 2]
    return float(stretch["teff"].value.mean()), float(stretch["logg"].value.mean())


def teff_on_rgb(logg: ArrayLike, feh: float, age_gyr: float = 6) -> u.Quantity:
    """Effective temperature at a given surface gravity on the first ascent of the giant branch.

    At the red-giant-branch bump the star contracts for a while and passes through some gravities three times (an
    interval of about 0.05 dex near log g = 2.5). The temperature of the first passage is returned, so that Teff is a
    single-valued, continuous and non-decreasing function of log g.

    Parameters
    ----------
    logg : float or array_like
        log10 of the surface gravity in cm/s2.
    feh : float
        Initial [Fe/H] in dex.
    age_gyr : float
        Age in Gyr; as for `mist`.

    Returns
    -------
    astropy.units.Quantity
        Teff in K, of the shape of `logg`.

    Raises
    ------
    ValueError
        If the age or the metallicity is not in the included table, or the giant branch does not reach a gravity.

    Examples
    --------
    >>> cool, warm = teff_on_rgb([1.5, 2.5], 0.0)
    >>> bool(cool < warm)
    True
    """
    isochrone = mist(age_gyr, feh)
    branch = isochrone[isochrone["phase"] == "RGB"]
    gravity = branch["logg"].value
    lowest_before = np.minimum.accumulate(np.r_[np.inf, gravity[:-1]])
    first_passage = gravity < lowest_before
    gravity, teff = gravity[first_passage][::-1], branch["teff"][first_passage][::-1]

    logg = np.asarray(logg, dtype=float)
    inside = (logg >= gravity[0]) & (logg <= gravity[-1])
    if not inside.all():
        raise ValueError(
            f"the giant branch of {age_gyr:g} Gyr and [Fe/H] = {feh:+g} runs from "
            f"log g = {gravity[-1]:.2f} to {gravity[0]:.2f}; "
            f"got {logg[~inside][0]:g}. Choose gravities in this range."
        )
    return np.interp(logg, gravity, teff.value) * teff.unit
