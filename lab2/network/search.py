"""The recorded search for the settings (tools/network_search.py makes it)."""

from pathlib import Path

from lab2.files import read_table

__all__ = ["tried"]

TABLE = Path(__file__).parents[1] / "tables" / "network_search.ecsv"


def tried():
    """What the search tried and what it gave, an astropy QTable with a row per training.

    Columns: round, the settings (`lab2.network.Settings`), epochs, ``loss`` (minus ln L per star of stars that were not
    trained on, at the best epoch), and seconds. ``meta["source"]`` says on which stars.
    """
    return read_table(TABLE)
