"""The error budget: which share of the variance of fitted labels each cause of errors has.

The numbers were measured on the simulated survey, where causes can be switched off (tools/error_budget.py). They are
kept in a table, since 28 cross-validations take minutes.
"""

from pathlib import Path

import numpy as np
from astropy.table import QTable

from lab2.files import read_table

__all__ = ["CAUSES", "error_budget", "largest_causes", "percentages"]

# What can be switched off. "odd stars" is training on them; "catalog labels" the errors of the labels that a model is
# trained on; "other abundances" includes the turbulent velocities; "continuum" the error of the pseudo-continuum.
CAUSES = ("odd stars", "catalog labels", "C and N", "other abundances", "photon noise", "continuum")
TABLE = Path(__file__).parents[1] / "tables" / "error_budget.ecsv"


def error_budget(with_factors: bool) -> QTable:
    """The scatter about the truth when nothing, each cause, or everything is switched off.

    Parameters
    ----------
    with_factors : bool
        Of the Cannon with hidden factors, or of the one without.

    Returns
    -------
    astropy.table.QTable
        One row per label and variant. factors, their number; off, what is switched off: "nothing", one of `CAUSES`,
        "everything", or with "only" a cause all others; label; scatter and scatter_error (robust, in the label's unit);
        share and share_error of the variance; formal, the median formal error. The share of a cause is the mean of two:
        by how much the variance falls without it, and by how much it rises with it when all others are off. That of
        "everything" is what is left without all of them, the model's own misfit. "remainder" is 1 minus all of these: 0
        if causes act independently or on each other in pairs. meta has seed, n_stars and versions.

    Examples
    --------
    >>> table = error_budget(with_factors=True)
    >>> bool((table["factors"] > 0).all())
    True
    """
    table = read_table(TABLE)
    return table[(table["factors"] > 0) == with_factors]


def percentages(table: QTable) -> QTable:
    """The shares of the variance as a table of causes and labels.

    Parameters
    ----------
    table : astropy.table.QTable
        As from `error_budget`.

    Returns
    -------
    astropy.table.QTable
        One row per cause, "misfit of the model" and "remainder"; for each label the share and its error [%], in columns
        with the label's name, and that name with "_error".

    Examples
    --------
    >>> found = percentages(error_budget(with_factors=True))
    >>> len(found) == len(CAUSES) + 2 and bool(abs(sum(found["teff"]) - 100) < 0.1)
    True
    """
    names = {cause: cause for cause in CAUSES} | {"everything": "misfit of the model", "remainder": "remainder"}
    found = QTable({"cause": list(names.values())})
    for label in dict.fromkeys(table["label"]):
        rows = {row["off"]: row for row in table[table["label"] == label]}
        for column, name in (("share", label), ("share_error", f"{label}_error")):
            found[name] = [100 * rows[off][column] for off in names]
    return found


def largest_causes(table: QTable, label: str) -> list[tuple[str, float]]:
    """The causes of a label's errors, the largest share of the variance first.

    Parameters
    ----------
    table : astropy.table.QTable
        As from `error_budget`.
    label : str

    Returns
    -------
    list of tuple of str and float
        Cause and share, for those of `CAUSES` whose share is more than twice its error.
    """
    rows = table[(table["label"] == label) & np.isin(table["off"], CAUSES)]
    rows = rows[rows["share"] > 2 * rows["share_error"]]
    return sorted(zip(map(str, rows["off"]), map(float, rows["share"]), strict=True), key=lambda pair: -pair[1])
