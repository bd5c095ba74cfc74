"""Errors of labels of giants that others publish, to stand beside one's own."""

import numpy as np
from astropy.table import QTable

from lab2.labels import label_names

__all__ = ["published"]

_UNKNOWN = np.nan
# Source, how the labels were tested, measure, then the five labels. Ness et al. 2015 (ApJ 808, 16): stars left out in
# turn, three labels. Casey et al. 2016 (arXiv:1603.03040), the table of error floors: median absolute difference
# between single visits of S/N 50 and the coadded spectra of the same stars, [Mg/H] and [Si/H]. Leung & Bovy 2019
# (MNRAS 483, 3255): median absolute deviation between repeated visits, a neural network.
_ROWS = (
    ("hope of the handout", "cross-validation", "scatter", 30.0, _UNKNOWN, 0.02, _UNKNOWN, _UNKNOWN),
    ("Ness et al. (2015)", "stars left out, DR10", "rms", 96.0, 0.24, 0.08, _UNKNOWN, _UNKNOWN),
    ("Casey et al. (2016)", "visits of S/N 50, DR12", "median difference", 22.0, 0.03, 0.01, 0.03, 0.03),
    ("Leung & Bovy (2019)", "repeated visits, DR14", "median deviation", 23.0, 0.049, 0.019, 0.021, 0.024),
)


def published() -> QTable:
    """Errors that others publish, and what the lab's handout hopes for.

    Returns
    -------
    astropy.table.QTable
        One row per source: source, test, measure, and the error of each of the five labels of the lab [K, dex]; NaN
        where none is given. The measures differ: a comparison between visits does not contain the errors of the
        training labels, and cross-validation does.

    Examples
    --------
    >>> published()["source"].tolist()[1]
    'Ness et al. (2015)'
    """
    return QTable(rows=list(_ROWS), names=("source", "test", "measure", *label_names()))
