"""Strong spectral lines of giant stars between 15100 and 17000 Angstrom.

The table is computed from a public line list by tools/synthesis, as described in lab2/tables/README.md. It is used to
identify the features of a spectrum.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

__all__ = ["concentration", "name_peaks", "spaced_lines", "strong_lines"]

TABLE = Path(__file__).with_name("tables") / "lines.ecsv"


@cache
def _table():
    table = QTable.read(TABLE, format="ascii.ecsv")
    table["source"] = table.meta["source"]
    return table


def strong_lines(element: str | None = None, minimum_strength: float | None = None) -> QTable:
    """Table of the strong lines in the H band, by wavelength.

    The strength is log10 of eta, the ratio of line-center to continuum opacity, in a giant with Teff 4600 K, log g 2.2
    and solar abundances. At -1 a line absorbs a few per cent of the light before instrumental broadening, near 0 it
    begins to saturate, and a line of 2 or more is conspicuous in any APOGEE spectrum of a giant. Use the strength only
    to rank lines: it is computed for a single layer of the atmosphere, which is too deep for CO and OH, and without
    damping wings.

    Parameters
    ----------
    element : str, optional
        Chemical symbol ("Mg", "Si", "Fe", ...) or molecule ("CO", "CN", "OH"); default: all.
    minimum_strength : float, optional
        Keep only lines at least this strong [dex]; default: all.

    Returns
    -------
    astropy.table.QTable
        `element`; `species` ("Mg I", "12CO", ...); `wavelength` in vacuum [Angstrom]; `excitation`, the
        energy of the lower level [eV]; `log_gf` and `strength` [dex]; `source` of the line data. Components
        of one line within 0.11 Angstrom, a Doppler width, are merged into one row.

    Raises
    ------
    ValueError
        If the table has no such element.

    References
    ----------
    Line data: linemake, Placco et al. 2021, RNAAS 5, 92; `log_gf` corrected with observed spectra (tools/synthesis).

    Examples
    --------
    >>> table = strong_lines("Mg", minimum_strength=2.0)
    >>> set(table["species"].tolist()), str(table["wavelength"].unit)
    ({'Mg I'}, 'Angstrom')
    """
    table = _table()
    if element is not None:
        known = sorted(set(table["element"]))
        if element not in known:
            raise ValueError(f"no lines of element {element!r} are carried; choose one of {', '.join(known)}")
        table = table[table["element"] == element]
    if minimum_strength is not None:
        table = table[table["strength"].value >= minimum_strength]
    return table.copy()


def name_peaks(
    wavelength: ArrayLike, spectrum: ArrayLike, lines: QTable, count: int = 20, within: float = 1.0
) -> QTable:
    """The strongest peaks of a spectrum, such as a gradient, and the known line nearest to each.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        Vacuum [Angstrom].
    spectrum : array_like, shape (n_pixels,)
        The peaks are those of its absolute value; NaN counts as 0.
    lines : astropy.table.QTable
        As from `strong_lines`.
    count : int
        Number of peaks.
    within : float
        Largest distance at which a peak is matched to a line [Angstrom].

    Returns
    -------
    astropy.table.QTable
        Highest peak first: wavelength, value, species and line (wavelength) of the nearest line, distance [Angstrom],
        and matched.

    Examples
    --------
    >>> table = strong_lines(minimum_strength=2.0)
    >>> wavelength = np.arange(15740.0, 15760.0, 0.2)
    >>> spectrum = np.exp(-(((wavelength - 15744.9) / 0.4) ** 2))
    >>> name_peaks(wavelength, spectrum, table, count=1)["species"].tolist()
    ['Mg I']
    """
    wavelength, height = np.asarray(wavelength), np.nan_to_num(np.abs(np.asarray(spectrum, dtype=float)))
    peaks = find_peaks(height, distance=4)[0]  # a line is about three pixels wide
    peaks = peaks[np.argsort(-height[peaks])][:count]
    known = lines["wavelength"].to_value("Angstrom")
    nearest = np.abs(known - wavelength[peaks, None]).argmin(axis=1)
    distance = wavelength[peaks] - known[nearest]
    return QTable(
        {
            "wavelength": wavelength[peaks],
            "value": np.asarray(spectrum)[peaks],
            "species": np.asarray(lines["species"])[nearest],
            "line": known[nearest],
            "distance": distance,
            "matched": np.abs(distance) <= within,
        }
    )


def concentration(
    wavelength: ArrayLike,
    spectrum: ArrayLike,
    elements: Sequence[str],
    minimum_strength: float = -0.5,
    within: float = 0.3,
) -> QTable:
    """How strongly a spectrum, such as a gradient, is concentrated in the lines of each element or molecule.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        Vacuum [Angstrom].
    spectrum : array_like, shape (n_pixels,)
        NaN counts as missing.
    elements : sequence of str
        As for `strong_lines`.
    minimum_strength : float
        Minimum strength of the lines to use [dex].
    within : float
        Largest distance of a pixel that belongs to a line [Angstrom].

    Returns
    -------
    astropy.table.QTable
        One row per element: element; pixels, the fraction of pixels near its lines; square, their fraction of the sum
        of squares of the spectrum; and ratio, square / pixels, which is 1 by chance.
    """
    wavelength, square = np.asarray(wavelength), np.asarray(spectrum, dtype=float) ** 2
    rows = []
    for element in elements:
        known = strong_lines(element, minimum_strength)["wavelength"].to_value("Angstrom")
        right = np.searchsorted(known, wavelength).clip(1, len(known) - 1)
        distance = np.minimum(np.abs(wavelength - known[right - 1]), np.abs(wavelength - known[right]))
        near = (distance <= within)[np.isfinite(square)]
        pixels, share = near.mean(), square[np.isfinite(square)][near].sum() / np.nansum(square)
        rows.append((element, pixels, share, share / pixels))
    return QTable(rows=rows, names=["element", "pixels", "square", "ratio"])


def spaced_lines(strengths: dict[str, float], window: tuple[float, float], apart: float = 4.0) -> dict[str, float]:
    """Lines of several elements to mark in a window, far enough apart for their names to be legible.

    Parameters
    ----------
    strengths : dict of str to float
        Minimum strength of the lines of each element or molecule [dex]; earlier entries have priority.
    window : tuple of float
        Wavelength range [Angstrom].
    apart : float
        Minimum distance between two lines [Angstrom].

    Returns
    -------
    dict of str to float
        Names, such as "Fe 16012", and vacuum wavelengths [Angstrom].

    Raises
    ------
    ValueError
        If the table has no such element.

    Examples
    --------
    >>> list(spaced_lines({"Mg": 2.0}, (15700.0, 15800.0)))
    ['Mg 15745', 'Mg 15753', 'Mg 15770']
    """
    chosen = {}
    for element, strength in strengths.items():
        for line in strong_lines(element, strength)["wavelength"].to_value("Angstrom"):
            inside = window[0] < line < window[1]
            if inside and all(abs(line - other) > apart for other in chosen.values()):
                chosen[f"{element} {line:.0f}"] = float(line)
    return chosen
