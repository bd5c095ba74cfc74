"""The five labels of the lab, labels from other columns of a catalog, and their representation.

Labels are an xarray ``DataArray`` with dims ``(star, label)`` and the coordinate ``unit`` (label); a missing label is
NaN. Spectra, models and fits carry the same coordinate. For a missing label a catalog has NULL (-9999) or NaN,
depending on its source. Only this module converts NULL to NaN, and only it knows the range of each label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2._arguments import TableLike, as_table, expect
from lab2._io.arrays import factor
from lab2._io.arrays import names as _names

__all__ = ["CATALOG_NULL", "LABELS", "Label", "from_catalog", "is_null", "label_names", "numbers", "texts", "units_of"]

# Value in SDSS catalogs where the pipeline derived none (the allStar data model of DR17). Some files of DR17 have NaN
# instead; other catalogs have -9999.99 or -9999.9.
CATALOG_NULL = -9999.0
# Logarithmic abundances relative to the Sun; their NULL may also be -99.99.
_LOGARITHMIC = ("_FE", "_H", "_M")
_ANY_ABUNDANCE = -10.0, 10.0


@dataclass(frozen=True)
class Label:
    """One label: its short name, its symbol in figures, its unit, its catalog column, and its possible range.

    A value outside `lowest` to `highest` is impossible for a star and treated as missing.

    Examples
    --------
    A user-defined label, for `from_catalog` or `lab2.from_arrays`:

    >>> age = Label("age", "age", "Gyr", "AGE", lowest=0.0)
    >>> age.axis, age.beyond([-1.0, 5.0]).tolist()
    ('age [Gyr]', [True, False])
    """

    name: str
    symbol: str = ""
    unit: str = ""
    column: str = ""
    lowest: float = -np.inf
    highest: float = np.inf

    @property
    def axis(self) -> str:
        """Text for an axis: the symbol with its unit."""
        symbol = self.symbol or self.name
        return f"{symbol} [{self.unit}]" if self.unit else symbol

    def beyond(self, values: ArrayLike) -> np.ndarray:
        """Where values are numbers outside the possible range."""
        values = np.asarray(values)
        return (values < self.lowest) | (values > self.highest)


# Limits: brown dwarfs and the hottest white dwarfs; supergiants and white dwarfs; the most extreme known stars.
LABELS = (
    Label("teff", r"$T_\mathrm{eff}$", "K", "TEFF", 1000.0, 200000.0),
    Label("logg", r"$\log g$", "dex", "LOGG", -2.0, 10.0),
    Label("fe_h", "[Fe/H]", "dex", "FE_H", -8.0, 2.0),
    Label("mg_fe", "[Mg/Fe]", "dex", "MG_FE", -4.0, 4.0),
    Label("si_fe", "[Si/Fe]", "dex", "SI_FE", -4.0, 4.0),
)


def label_names() -> list[str]:
    """Names of the five labels, in order."""
    return [label.name for label in LABELS]


def units_of(data: xr.Dataset | xr.DataArray) -> list[str]:
    """Units of the labels of spectra, a model's dataset, fits or labels.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        With the dim ``label``.

    Returns
    -------
    list of str
        From the coordinate ``unit``; where there is none, those of `LABELS` by name, and "" for other labels.

    Examples
    --------
    >>> units_of(xr.DataArray([[4500.0, 5.0]], dims=("star", "label"), coords={"label": ["teff", "age"]}))
    ['K', '']
    """
    if "unit" in data.coords and data.unit.dims == ("label",):
        return [str(unit) for unit in data.unit.values]
    known = {label.name: label.unit for label in LABELS}
    return [known.get(str(name), "") for name in data.label.values]


def from_catalog(catalog: TableLike, labels: Sequence[str | Label] = LABELS) -> xr.DataArray:
    """Labels of the rows of a catalog, from any of its columns.

    Parameters
    ----------
    catalog : astropy.table.Table or pandas.DataFrame
        With APOGEE_ID and the labels' columns.
    labels : sequence of str or Label
        By default the five of the lab. A string is the name of one of these ("teff") or of a column of the catalog
        ("AL_FE"): then the label has the same name in lower case ("al_fe") and the unit of the column, or dex for
        columns named ..._FE, ..._H and ..._M. A `Label` gives its own name, unit, column and limits.

    Returns
    -------
    xarray.DataArray
        Float64, dims ``(star, label)``, with the coordinate ``unit`` (label). A column with another unit is converted.
        NaN where the catalog has NULL (-9999), a mask, NaN, text that is not a number, or a value that is impossible
        for a star.

    Raises
    ------
    ValueError
        If a column is missing, does not hold numbers or has a unit that cannot be converted, or if a label is requested
        twice.

    Examples
    --------
    >>> from astropy.table import Table
    >>> rows = Table({"APOGEE_ID": ["a", "b"], "TEFF": [4500.0, 0.0], "AL_FE": [0.1, -9999.0]})
    >>> from_catalog(rows, ["TEFF", "AL_FE"]).values.tolist()
    [[4500.0, 0.1], [nan, nan]]
    """
    expect(catalog=catalog)
    catalog = as_table(catalog)
    chosen = [_chosen(which, catalog) for which in ([labels] if isinstance(labels, str | Label) else labels)]
    missing = [c for c in ["APOGEE_ID", *(label.column for label in chosen)] if c not in catalog.colnames]
    if missing:
        raise ValueError(f"the catalog has no column {', '.join(missing)}; it has {catalog.colnames}")
    columns = []
    for label in chosen:
        values = numbers(catalog[label.column], label.unit, label.column)
        columns.append(np.where(label.beyond(values), np.nan, values))
    return xr.DataArray(
        np.reshape(columns, (len(chosen), len(catalog))).T,
        dims=("star", "label"),
        coords={
            "star": texts(catalog["APOGEE_ID"]),
            "label": _names([label.name for label in chosen], len(chosen), "label"),
            "unit": ("label", [label.unit for label in chosen]),
        },
    )


def numbers(column: ArrayLike, unit: str | None = None, name: str = "a column") -> np.ndarray:
    """Numbers of a catalog's column of any type.

    Parameters
    ----------
    column : astropy.table.Column or Quantity, shape (n_rows,)
        Masked or not, in any byte order; also numbers written as text.
    unit : str, optional
        Unit to convert to, if the column has a unit.
    name : str
        For error messages.

    Returns
    -------
    numpy.ndarray, shape (n_rows,)
        Float64; NaN for NULL (-9999), a mask, text that is not a number, and infinity.

    Raises
    ------
    ValueError
        If the column does not hold real numbers, or its unit cannot be converted.
    """
    data = getattr(column, "unmasked", column)  # of a masked Quantity
    values = np.asarray(getattr(data, "value", data))
    if values.ndim != 1 or values.dtype.kind not in "fiuUSO":
        raise ValueError(f"{name} must hold a number in each row; got the type {values.dtype}, shape {values.shape}")
    if values.dtype.kind in "USO":
        found = np.array([_number(value) for value in values.tolist()])
        if len(found) and not np.isfinite(found).any():
            raise ValueError(f"{name} holds no numbers, but text such as {str(values[0])!r}")
        values = found
    with np.errstate(over="ignore"):
        values = values.astype(float)
    known = np.isfinite(values) & ~is_null(values) & ~np.broadcast_to(getattr(column, "mask", False), values.shape)
    own = getattr(column, "unit", None)
    times = 1.0 if own is None or unit is None else factor(own, unit, name)
    return np.where(known, values * times, np.nan)


def texts(column: ArrayLike) -> np.ndarray:
    """Text of a catalog's column, stripped; "" where it is masked. A ValueError unless each row holds one text."""
    if np.ndim(column) != 1:
        raise ValueError(f"a column of text must hold one in each row; its shape is {np.shape(column)}")
    mask = np.broadcast_to(getattr(column, "mask", False), len(column))
    return np.where(mask, "", np.char.strip(np.asarray(column).astype(str)))


def is_null(values: ArrayLike) -> np.ndarray:
    """Whether values are a catalog's NULL: -9999, or a variant such as -9999.99."""
    return np.abs(np.asarray(values) - CATALOG_NULL) < 1.0


def _chosen(which, catalog):
    """The label that a user has named."""
    if isinstance(which, Label):
        return which
    for label in LABELS:
        if which in (label.name, label.column):
            return label
    abundance = which.endswith(_LOGARITHMIC)
    unit = getattr(catalog[which], "unit", None) if which in catalog.colnames else None
    unit = str(unit or ("dex" if abundance else ""))
    return Label(which.lower(), which, unit, which, *(_ANY_ABUNDANCE if abundance else ()))


def _number(text):
    """A number written as text; NaN if it is not a number."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return np.nan
