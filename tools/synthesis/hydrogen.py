"""Stark broadening of the Brackett lines: the unified theory of Vidal, Cooper & Smith in the tables of Lemke 1997.

Lemke (1997, A&AS 122, 285) tabulates log10 S(alpha), alpha = (distance from the line's center [Angstrom]) / F0, with
the thermal Doppler profile folded in, over electron density and temperature. F0 = 1.25e-9 ne^(2/3) is the normal field
of Holtsmark. The far wing falls as distance^-2.5 and grows in proportion to the electron density, where a Lorentzian
of the same width falls as distance^-2: it makes the lines of warm giants too strong.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from tools.synthesis.inputs import brackett_tables

__all__ = ["LOWER", "Profile", "normal_field", "profile", "upper_level"]

LOWER = 4
_RYDBERG = 109677.58  # 1/cm


@dataclass(frozen=True)
class Profile:
    """One line's table: log10 of S per unit of alpha, `values` (n_density, n_temperature, n_alpha), over log10 ne
    [cm-3], log10 T [K] and log10 alpha [Angstrom per unit of field]."""

    density: np.ndarray
    temperature: np.ndarray
    alpha: np.ndarray
    values: np.ndarray


def upper_level(wavelength):
    """Principal quantum number of the upper level of a Brackett line [vacuum Angstrom]."""
    return round(1 / np.sqrt(1 / LOWER**2 - 1e8 / _RYDBERG / wavelength))


def normal_field(electrons):
    """F0 = 1.25e-9 ne^(2/3) [esu], at an electron density [cm-3]."""
    return 1.25e-9 * electrons ** (2 / 3)


@cache
def _tables():
    return {upper: _finer(Profile(*arrays)) for upper, arrays in brackett_tables().items()}


def _finer(table, steps=10):
    """The table at ten times as many distances: between its own, straight lines would cut off 3 % of the area."""
    alpha = np.linspace(table.alpha[0], table.alpha[-1], steps * (len(table.alpha) - 1) + 1)
    return replace(table, alpha=alpha, values=PchipInterpolator(table.alpha, table.values, axis=-1)(alpha))


def profile(upper, distance, electrons, temperature):
    """Profile of the line from the upper level to level 4.

    Interpolated linearly in the electron density at the same distance, and in log T at the same distance over sqrt(T):
    this keeps the area at 1, the Doppler core in its shape, and the wing in proportion to the density. Below the
    table's lowest density (1e10 cm-3), where hydrogen's lines have no wings left, the lowest is used.

    Parameters
    ----------
    upper : int
        5 to 22.
    distance : numpy.ndarray, shape (n,)
        From the line's center [Angstrom], positive.
    electrons, temperature : numpy.ndarray, shape (n_depth,)
        [cm-3], [K].

    Returns
    -------
    numpy.ndarray, shape (n_depth, n)
        [1/Angstrom]; its integral over both wings is 1.
    """
    table = _tables()[upper]
    density, hot = 10**table.density, 10**table.temperature
    i, u = _place(electrons, density)
    j, v = _place(np.log10(temperature), table.temperature)
    result = np.zeros((len(electrons), len(distance)))
    for row, weight in ((j, 1 - v), (j + 1, v)):
        stretch = np.sqrt(hot[row] / temperature)
        for column, share in ((i, 1 - u), (i + 1, u)):
            scale = stretch / normal_field(density[column])  # alpha per Angstrom
            for d in range(len(electrons)):
                log_s = _log_profile(np.log10(distance * scale[d]), table.alpha, table.values[column[d], row[d]])
                result[d] += weight[d] * share[d] * scale[d] * 10**log_s
    return result


def _place(x, nodes):
    """Index of the node below each value, and how far the value lies toward the next; values outside go to the ends."""
    index = np.clip(np.searchsorted(nodes, x) - 1, 0, len(nodes) - 2)
    return index, np.clip((x - nodes[index]) / (nodes[index + 1] - nodes[index]), 0, 1)


def _log_profile(at, alpha, values):
    """Linear between the tabulated logarithms; flat below the table, alpha^-2.5 above it."""
    return np.interp(at, alpha, values) - 2.5 * np.maximum(at - alpha[-1], 0)
