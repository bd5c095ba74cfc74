"""The five labels of the lab, and their representation.

Labels are an xarray ``DataArray`` with dims ``(star, label)``; a missing label is NaN. A catalog has NULL (-9999) or
NaN there, by its source; NULL is converted to NaN in this module only.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

__all__ = ["CATALOG_NULL", "LABELS", "Label", "from_catalog", "label_names"]

# Value in SDSS catalogs where the pipeline derived none (the allStar data model of DR17). Some files of DR17 have NaN
# in its place.
CATALOG_NULL = -9999.0


@dataclass(frozen=True)
class Label:
    """One label: its short name, how a figure writes it, its unit and its allStar column."""

    name: str
    symbol: str
    unit: str
    column: str

    @property
    def axis(self) -> str:
        """Text for an axis: the symbol with its unit."""
        return f"{self.symbol} [{self.unit}]"


LABELS = (
    Label("teff", r"$T_\mathrm{eff}$", "K", "TEFF"),
    Label("logg", r"$\log g$", "dex", "LOGG"),
    Label("fe_h", "[Fe/H]", "dex", "FE_H"),
    Label("mg_fe", "[Mg/Fe]", "dex", "MG_FE"),
    Label("si_fe", "[Si/Fe]", "dex", "SI_FE"),
)


def label_names() -> list[str]:
    """Names of the five labels, in order."""
    return [label.name for label in LABELS]


def from_catalog(catalog) -> xr.DataArray:
    """Labels of catalog rows.

    Parameters
    ----------
    catalog : astropy.table.Table
        Rows with the columns APOGEE_ID, TEFF, LOGG, FE_H, MG_FE and SI_FE, in K and dex.

    Returns
    -------
    xarray.DataArray
        Float64, dims ``(star, label)``; NaN where the catalog has NULL (-9999), a mask or NaN.

    Raises
    ------
    ValueError
        If a label's column is missing.
    """
    missing = [c for c in ["APOGEE_ID", *(label.column for label in LABELS)] if c not in catalog.colnames]
    if missing:
        raise ValueError(f"the catalog has no column {', '.join(missing)}; it has {catalog.colnames}")
    columns = []
    for label in LABELS:
        column = catalog[label.column]
        # a QTable's column with a unit is a Quantity, any other a (masked) Column: both have .value
        values = np.ma.filled(np.ma.asarray(column.value, dtype=float), np.nan)
        columns.append(np.where(values == CATALOG_NULL, np.nan, values))
    return xr.DataArray(
        np.stack(columns, axis=1),
        dims=("star", "label"),
        coords={
            "star": np.asarray(catalog["APOGEE_ID"], dtype=str),
            "label": label_names(),
        },
        attrs={"units": [label.unit for label in LABELS]},
    )
