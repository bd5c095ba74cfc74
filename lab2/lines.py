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
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from scipy.special import voigt_profile

from lab2.grid import BRACKETT

__all__ = [
    "UNIDENTIFIED",
    "absorption",
    "concentration",
    "leading_species",
    "name_peaks",
    "peak_names",
    "spaced_lines",
    "strong_lines",
]

TABLE = Path(__file__).with_name("tables") / "lines.ecsv"
UNIDENTIFIED = "unidentified"

# Profile of the lines [Angstrom]: thermal and turbulent width, damping of atoms in units of it, and the spectrograph's
# resolution (R = 22,500, as a standard deviation).
_DOPPLER, _DAMPING, _SIGMA = 0.11, 0.05, 0.30
_DEPTH = 0.4  # of a saturated line
# The Brackett lines, as in synthetic spectra of metal-poor giants: 0.09 deep for n = 11, 1.3 Angstrom half width.
_HYDROGEN, _HYDROGEN_DAMPING = 0.29, 12.0
_STEP, _REACH = 0.02, 5.0
_FINE = np.arange(15080.0, 17020.0, _STEP)


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


def absorption(wavelength: ArrayLike, element: str | None = None) -> np.ndarray:
    """Fraction of the light that the known lines absorb in a giant, at the resolution of APOGEE.

    The giant is that of `strong_lines`: Teff 4600 K, log g 2.2, solar abundances. Use it to decide which element
    dominates a pixel, and to count the pixels that an element affects.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        Vacuum [Angstrom].
    element : str, optional
        Chemical symbol or molecule as for `strong_lines`, or "H" for the Brackett lines; default: all together.

    Returns
    -------
    numpy.ndarray, shape (n_pixels,)
        Between 0 and 0.4. The fractions of all elements add up to the total.

    Raises
    ------
    ValueError
        If there are no lines of that element.

    Notes
    -----
    A line of strength log10(eta_0) has the opacity eta_0 times a Voigt profile, relative to the continuum. Where the
    opacities of all lines add up to eta, the depth is 0.4 eta / (1 + eta), in which each line takes part by its share
    of eta (a Milne-Eddington atmosphere: Gray 2005, The Observation and Analysis of Stellar Photospheres, chapter 13).
    The depth is then smoothed to the resolution of the spectrograph. The constants were chosen on synthetic spectra of
    this giant, whose depths it follows with a correlation of 0.95. CO and OH come out too weak (`strong_lines`).

    Examples
    --------
    >>> center, wing = absorption([15753.3, 15755.3], "Mg")
    >>> bool(center > 0.3 > 0.05 > wing)
    True
    """
    species = [name for name, of in _elements().items() if element in (None, of)]
    if not species:
        raise ValueError(f"no lines of element {element!r} are known; choose one of {', '.join(_known())}")
    return sum(_seen(wavelength, name) for name in species)


def leading_species(wavelength: ArrayLike, least: float = 0.01) -> np.ndarray:
    """The species that absorbs most in each pixel.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        Vacuum [Angstrom].
    least : float
        Smallest fraction of the light that it must absorb.

    Returns
    -------
    numpy.ndarray of str, shape (n_pixels,)
        Such as "Fe I", "CN" or "13CN"; "unidentified" where no species absorbs as much as `least`.

    Examples
    --------
    >>> leading_species([15745.0, 15753.3, 16811.2]).tolist()
    ['Mg I', 'Mg I', 'H I']
    """
    names = list(_elements())
    seen = np.array([_seen(wavelength, name) for name in names])
    return np.where(seen.max(axis=0) >= least, np.array(names)[seen.argmax(axis=0)], UNIDENTIFIED)


def name_peaks(wavelength: ArrayLike, spectrum: ArrayLike, count: int = 20, least: float = 0.01) -> QTable:
    """The strongest peaks of a spectrum, such as a gradient, and the line that absorbs most at each.

    A peak is not named after the nearest line: the faint lines are so many that there is always one. It is named after
    the species that absorbs most in its pixel (`leading_species`), and of this species after the line that does.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        Vacuum [Angstrom].
    spectrum : array_like, shape (n_pixels,)
        The peaks are those of its absolute value; NaN counts as 0.
    count : int
        Number of peaks.
    least : float
        Smallest fraction of the light that a species must absorb for a peak to bear its name.

    Returns
    -------
    astropy.table.QTable
        Highest peak first: pixel (index), wavelength, value, species ("unidentified" if none absorbs enough), line (its
        vacuum wavelength, NaN if unidentified), and absorbed, the fraction of the light that the species absorbs there.

    Examples
    --------
    >>> wavelength = np.arange(15740.0, 15760.0, 0.2)
    >>> spectrum = np.exp(-(((wavelength - 15744.9) / 0.4) ** 2))
    >>> name_peaks(wavelength, spectrum, count=1)["species"].tolist()
    ['Mg I']
    """
    wavelength, height = np.asarray(wavelength), np.nan_to_num(np.abs(np.asarray(spectrum, dtype=float)))
    peaks = find_peaks(height, distance=4)[0]  # a line is about three pixels wide
    peaks = peaks[np.argsort(-height[peaks])][:count]
    species = leading_species(wavelength[peaks], least)
    places = list(zip(wavelength[peaks].tolist(), species.tolist(), strict=True))
    return QTable(
        {
            "pixel": peaks,
            "wavelength": wavelength[peaks],
            "value": np.asarray(spectrum)[peaks],
            "species": species,
            "line": np.array([_strongest(*place) for place in places], dtype=float),
            "absorbed": np.array(
                [0.0 if name == UNIDENTIFIED else _seen(at, name) for at, name in places], dtype=float
            ),
        }
    )


@cache
def _elements():
    """Species to element, hydrogen last. The abundant isotope of carbon is not told: 12CN is CN."""
    table = _table()
    species = [name.removeprefix("12") for name in table["species"].tolist()]
    return dict(zip(species, table["element"].tolist(), strict=True)) | {"H I": "H"}


def _known():
    return sorted(set(_elements().values()))


@cache
def _lines_of(species):
    """Wavelength [Angstrom], opacity at the center, and damping of the lines of a species."""
    if species == "H I":
        upper = 11 + np.arange(len(BRACKETT))
        return BRACKETT, _HYDROGEN * (11 / upper) ** 3.5, np.full(len(BRACKETT), _HYDROGEN_DAMPING)
    table = _table()[np.isin(_table()["species"], [species, f"12{species}"])]
    molecule = table["element"][0] in ("CN", "CO", "OH")
    return table["wavelength"].value, 10 ** table["strength"].value, np.full(len(table), 0.0 if molecule else _DAMPING)


def _profile(distance, damping):
    """Voigt profile, 1 at the center."""
    width = _DOPPLER / np.sqrt(2)
    return voigt_profile(distance, width, damping * _DOPPLER) / voigt_profile(0.0, width, damping * _DOPPLER)


@cache
def _opacity(species):
    """Opacity of a species on the fine grid."""
    total = np.zeros(len(_FINE))
    for center, strength, damping in zip(*_lines_of(species), strict=True):
        near = slice(*np.searchsorted(_FINE, [center - _REACH, center + _REACH]))
        total[near] += strength * _profile(_FINE[near] - center, damping)
    return total


@cache
def _opacity_of_all():
    return sum(_opacity(name) for name in _elements())


@cache
def _smoothed(species):
    """Depth that a species accounts for on the fine grid, at the resolution of the spectrograph."""
    depth = _DEPTH * _opacity(species) / (1 + _opacity_of_all())
    return gaussian_filter1d(depth, _SIGMA / _STEP)


def _seen(wavelength, species):
    return np.interp(wavelength, _FINE, _smoothed(species), left=0.0, right=0.0)


def _strongest(at, species):
    """Wavelength of the line of a species that absorbs most at a wavelength."""
    if species == UNIDENTIFIED:
        return np.nan
    here = slice(*np.searchsorted(_FINE, [at - 4 * _SIGMA, at + 4 * _SIGMA]))
    weight = np.exp(-0.5 * ((_FINE[here] - at) / _SIGMA) ** 2) / (1 + _opacity_of_all()[here])
    centers, strengths, dampings = _lines_of(species)
    absorbed = [s * weight @ _profile(_FINE[here] - c, a) for c, s, a in zip(centers, strengths, dampings, strict=True)]
    return centers[np.argmax(absorbed)]


def peak_names(peaks: QTable, apart: float = 10.0) -> dict[str, float]:
    """Names to write at peaks in a figure, far enough apart to be legible; the stronger of two near peaks is named.

    Parameters
    ----------
    peaks : astropy.table.QTable
        As from `name_peaks`.
    apart : float
        Minimum distance between two names [Angstrom].

    Returns
    -------
    dict of str to float
        Names, such as "CN 15391.7" (the wavelength is the peak's), and wavelengths [Angstrom].

    Examples
    --------
    >>> wavelength = np.arange(15740.0, 15760.0, 0.2)
    >>> spectrum = np.exp(-(((wavelength - 15745.0) / 0.4) ** 2))
    >>> list(peak_names(name_peaks(wavelength, spectrum, count=1)))
    ['Mg I 15745.0']
    """
    chosen = {}
    for species, at in zip(peaks["species"].tolist(), peaks["wavelength"].tolist(), strict=True):
        if species != UNIDENTIFIED and all(abs(at - other) > apart for other in chosen.values()):
            chosen[f"{species} {at:.1f}"] = at
    return chosen


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
