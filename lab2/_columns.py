"""The columns of the catalog: required and optional ones."""

import contextlib

import numpy as np
import xarray as xr
from astropy.table import Table

from lab2.labels import LABELS, from_catalog, numbers, texts

__all__ = ["OPTIONAL", "REQUIRED", "check", "flags", "label_errors", "lacking", "optional", "typical_errors", "words"]

# The lab needs these. Every other column is optional.
REQUIRED = ("APOGEE_ID", "FIELD", "SNR", *(label.column for label in LABELS))
# What the optional columns are used for; without one of them, this is left out.
OPTIONAL = {
    "FILE": "file names (they are constructed from TELESCOPE and APOGEE_ID)",
    "RA": "the velocity of the Earth toward a star",
    "DEC": "the velocity of the Earth toward a star",
    "STARFLAG": "flags of the spectra beside the verdicts on odd stars",
    "ASPCAPFLAG": "flags of the labels beside the verdicts on odd stars",
    "VSCATTER": "scatter of the radial velocities of odd stars",
    "C_FE": "carbon, which is not a label",
    "N_FE": "nitrogen, which is not a label",
    **{f"{label.column}_ERR": "the catalog's own errors of the labels" for label in LABELS},
}
_ENOUGH = 0.1  # fraction of the rows that have a value


def check(table: Table) -> None:
    """Raise an error if a required column is missing, empty or of the wrong type, or if the last row is empty.

    Parameters
    ----------
    table : astropy.table.Table

    Raises
    ------
    ValueError
        If so; the message names the column.
    """
    missing = [name for name in REQUIRED if name not in table.colnames]
    if missing:
        raise ValueError(f"the catalog has no column {', '.join(missing)}; it needs {', '.join(REQUIRED)}")
    for name in REQUIRED[:2]:
        if table[name].dtype.kind != "U" or table[name].ndim != 1:
            raise ValueError(f"{name} is not a column of text, but of {table[name].dtype}")
    if len(table) and not any(texts(table[name])[-1] for name in REQUIRED[:2]):
        raise ValueError("the last row has neither name nor field: the file is incomplete, fetch it again")
    values = {"SNR": numbers(table["SNR"], name="SNR")}
    values |= dict(zip(REQUIRED[3:], from_catalog(table).values.T, strict=True))
    empty = [name for name, column in values.items() if not np.isfinite(column).any()]
    if len(table) and empty:
        raise ValueError(f"the catalog has no usable value of {', '.join(empty)} in {len(table)} rows")


def lacking(catalog: Table) -> dict[str, str]:
    """The columns of `OPTIONAL` that a catalog lacks, or that are filled in fewer than a tenth of its rows.

    Parameters
    ----------
    catalog : astropy.table.Table

    Returns
    -------
    dict of str to str
        The column, and what is left out without it.
    """
    has = {name: np.isfinite(optional(catalog, name)).mean() for name in OPTIONAL if name != "FILE"}
    has["FILE"] = (words(catalog, "FILE") != "").mean()
    return {name: purpose for name, purpose in OPTIONAL.items() if has[name] < _ENOUGH}


def flags(catalog: Table, name: str) -> np.ndarray:
    """A column of flags; 0 where it is missing or unreadable.

    Parameters
    ----------
    catalog : astropy.table.Table
    name : str
        STARFLAG or ASPCAPFLAG.

    Returns
    -------
    numpy.ndarray of int64, shape (n_rows,)
    """
    values = optional(catalog, name)
    return np.where(np.abs(values) < 2.0**53, values, 0.0).astype(np.int64)  # exact in double precision


def optional(catalog: Table, name: str, unit: str | None = None) -> np.ndarray:
    """Numbers of an optional column, such as VSCATTER; NaN where it is missing or unreadable.

    Parameters
    ----------
    catalog : astropy.table.Table
    name : str
    unit : str, optional
        Unit to convert to, if the column has a unit.

    Returns
    -------
    numpy.ndarray, shape (n_rows,)
    """
    if name in catalog.colnames:
        with contextlib.suppress(ValueError):  # a column of another type or unit counts as missing
            return numbers(catalog[name], unit, name)
    return np.full(len(catalog), np.nan)


def words(catalog: Table, name: str) -> np.ndarray:
    """Text of an optional column, such as FILE; "" where it is missing or unreadable.

    Parameters
    ----------
    catalog : astropy.table.Table
    name : str

    Returns
    -------
    numpy.ndarray of str, shape (n_rows,)
    """
    if name in catalog.colnames:
        with contextlib.suppress(ValueError):
            return texts(catalog[name])
    return np.full(len(catalog), "")


def typical_errors(catalog: Table) -> np.ndarray:
    """Median of the catalog's own errors of each of the five labels, in the label's unit; NaN where it has none.

    Parameters
    ----------
    catalog : astropy.table.Table

    Returns
    -------
    numpy.ndarray, shape (5,)
    """
    errors = [optional(catalog, f"{label.column}_ERR", label.unit) for label in LABELS]
    errors = [values[values > 0] for values in errors]
    return np.array([np.median(values) if len(values) else np.nan for values in errors])


def label_errors(catalog) -> xr.DataArray:
    """The catalog's own errors of the five labels, in the label's unit; NaN where it has none.

    Parameters
    ----------
    catalog : astropy.table.Table

    Returns
    -------
    xarray.DataArray
        (star, label).
    """
    errors = np.stack([optional(catalog, f"{label.column}_ERR", label.unit) for label in LABELS], axis=1)
    coords = {"star": texts(catalog["APOGEE_ID"]), "label": [label.name for label in LABELS]}
    return xr.DataArray(np.where(errors > 0, errors, np.nan), dims=("star", "label"), coords=coords)
