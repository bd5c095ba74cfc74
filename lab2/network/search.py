"""The recorded hyperparameter search (made by tools/network_search.py)."""

from pathlib import Path

from lab2.files import read_table

__all__ = ["tried"]

TABLE = Path(__file__).parents[1] / "tables" / "network_search.ecsv"


def tried():
    """Settings and results of the search: an astropy QTable with one row per training.

    Columns: round, the settings (`lab2.network.Settings`), epochs, and ``loss`` (minus ln L per validation star, at the
    best epoch). ``meta["source"]`` says which stars were used.
    """
    return read_table(TABLE)
