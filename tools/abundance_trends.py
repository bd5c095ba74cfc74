"""Abundances of alpha-rich giants: rows of DR17's allStar beside the simulated survey.

    .venv/bin/python -m tools.abundance_trends ALLSTAR

prints medians of [X/Fe] for giants of [Fe/H] -0.95 to -0.55 and [Mg/Fe] above 0.2, below and above the bump.
The file is any table that astropy reads with columns of allStar.
"""

import sys

import numpy as np
from astropy.table import Table

from lab2.labels import CATALOG_NULL
from lab2.simulate.stars import draw_survey

__all__ = ["medians"]

COLUMNS = ("MG_FE", "SI_FE", "C_FE", "N_FE", "O_FE", "CA_FE", "TI_FE", "AL_FE", "NI_FE", "MN_FE")
GRAVITIES = {"2.3 to 3.4": (2.3, 3.4), "1.0 to 2.3": (1.0, 2.3)}


def medians(table, gravity):
    """Number of stars and median of each column among the alpha-rich giants in a range of log g."""
    columns = {name: np.ma.filled(table[name], np.nan).astype(float) for name in ("LOGG", "FE_H", *COLUMNS)}
    columns = {name: np.where(values == CATALOG_NULL, np.nan, values) for name, values in columns.items()}
    here = (columns["FE_H"] > -0.95) & (columns["FE_H"] < -0.55) & (columns["MG_FE"] > 0.2)
    here &= (columns["LOGG"] > gravity[0]) & (columns["LOGG"] < gravity[1])
    return here.sum(), {name: np.nanmedian(columns[name][here]) for name in COLUMNS}


def main():
    """Print the table."""
    samples = {"DR17": Table.read(sys.argv[1]), "simulated": draw_survey(128, 1886)[0]}
    print(f"| log g | sample | stars | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 3)}")
    for name, gravity in GRAVITIES.items():
        for sample, table in samples.items():
            count, values = medians(table, gravity)
            print(f"| {name} | {sample} | {count} | {' | '.join(f'{v:+.2f}' for v in values.values())} |")


if __name__ == "__main__":
    main()
