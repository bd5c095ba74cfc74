"""Label offsets of real giants under a model of the simulated survey, measured by tools/real_giants.py."""

from pathlib import Path

import numpy as np
from astropy.table import Table

__all__ = ["REAL_GIANTS", "real_offsets"]

REAL_GIANTS = Path(__file__).parents[1] / "tables" / "real_giants.ecsv"


def real_offsets() -> str:
    """The largest offsets in any region, as text: "60 K, 0.1, 0.05 and 0.05 dex (Teff, log g, ...)"."""
    table = Table.read(REAL_GIANTS, format="ascii.ecsv")
    teff, logg, fe_h, mg_fe = (np.max(table[f"size_{name}"]) for name in ("teff", "logg", "fe_h", "mg_fe"))
    return f"{teff:.0f} K, {logg:.2f}, {fe_h:.2f} and {mg_fe:.2f} dex (Teff, log g, [Fe/H], [Mg/Fe]; 68 % of the stars)"
