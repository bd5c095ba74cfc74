"""A catalog from the survey's summary file, allStar, on the user's disk."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from lab2._origin import says_simulated
from lab2.archive.columns import COLUMNS, checked
from lab2.archive.web import ArchiveError, words

__all__ = ["read"]


def read(path: str | os.PathLike, fields: Collection[str]) -> Table:
    """The rows of some fields from an allStar or allStarLite file of DR17.

    The file has 730,000 rows and several gigabytes; only the rows of the fields and the columns of
    `lab2.archive.columns.COLUMNS` are read into memory.

    Parameters
    ----------
    path : path-like
        Such as allStar-dr17-synspec_rev1.fits, from the archive's folder apogee/spectro/aspcap/dr17/synspec_rev1.
    fields : sequence of str

    Returns
    -------
    astropy.table.Table
        As from `lab2.archive.columns.checked`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ArchiveError
        If it is not a FITS table, not of DR17, or fails a check.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; give the allStar file of DR17")
    if says_simulated(path, headers=2):
        raise ArchiveError(f"{path} is the catalog of a simulated survey; give the allStar file of DR17")
    try:
        with fits.open(path, memmap=True) as hdus:
            table = _rows(hdus[1].data, fields, path)
    except ArchiveError:
        raise
    except Exception as error:  # astropy raises many kinds of error for damaged files
        raise ArchiveError(f"{path} is not a complete FITS file with a table in HDU 1 ({words(str(error))})") from error
    result = checked(table, fields, str(path))
    # an empty column carries no information
    told = [(name, result[name]) for name in ("FILE", "ASPCAP_ID") if name in result.colnames and any(result[name])]
    if told and not any("dr17" in text for text in told[0][1]):
        raise ArchiveError(
            f"{path} is of another data release: its {told[0][0]} is {next(filter(None, told[0][1]))}; "
            "give the allStar file of DR17, whose spectra will be fetched"
        )
    return result


def _rows(data, fields, path):
    if "FIELD" not in data.names:
        raise ArchiveError(f"{path} has no column FIELD: it is not an allStar file")
    here = np.flatnonzero(np.isin(np.char.strip(data["FIELD"]), list(fields)))
    rows = data[here]
    return Table({column.name: rows[column.name] for column in COLUMNS if column.name in data.names})
