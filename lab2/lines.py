"""Strong spectral lines of giant stars between 15100 and 17000 Angstrom.

The table behind this module is computed from a public line list by tools/line_table.py; lab2/tables/README.md
says how. It serves to name the features of a spectrum, and to make the spectra of simulated stars.
"""

from functools import cache
from pathlib import Path

from astropy.table import QTable

__all__ = ["strong_lines"]

TABLE = Path(__file__).with_name("tables") / "lines.ecsv"


@cache
def _table():
    table = QTable.read(TABLE, format="ascii.ecsv")
    table["source"] = table.meta["source"]
    return table


def strong_lines(element=None, minimum_strength=None):
    """Table of the strong lines in the H band, by wavelength.

    The strength is log10 of eta, the opacity at the centre of the line over that of the continuum, in a giant
    of Teff 4600 K, log g 2.2 and solar abundances. At -1 a line takes a few per cent of the light before the
    spectrograph smooths it, near 0 it begins to saturate, and a line of 1.5 or more stands out in any APOGEE
    spectrum of a giant. Expect errors of 0.3 dex: one layer stands for the whole atmosphere, and damping wings
    are left out.

    Parameters
    ----------
    element : str, optional
        Chemical symbol ("Mg", "Si", "Fe", ...) or molecule ("CO", "CN", "OH"); all by default.
    minimum_strength : float, optional
        Keep only lines at least this strong [dex]; all by default.

    Returns
    -------
    astropy.table.QTable
        `element`; `species` ("Mg I", "12CO", ...); `wavelength` in vacuum [Angstrom]; `excitation`, the energy
        of the lower level [eV]; `log_gf`; `strength` [dex]; `source` of the line data. Blended components of
        one line, closer than 0.11 Angstrom, are one row.

    Raises
    ------
    ValueError
        If the table has no such element.

    References
    ----------
    Line data: linemake, Placco et al. 2021, RNAAS 5, 92.
    """
    table = _table()
    if element is not None:
        known = sorted(set(table["element"]))
        if element not in known:
            raise ValueError(f"no lines of element {element!r} in the table; choose one of {', '.join(known)}")
        table = table[table["element"] == element]
    if minimum_strength is not None:
        table = table[table["strength"].value >= minimum_strength]
    return table.copy()
