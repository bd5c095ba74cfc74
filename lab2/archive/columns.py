"""The columns of the allStar catalog that lab2 keeps, from any source, and their check."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from lab2.archive.web import ArchiveError, words
from lab2.catalog import REQUIRED
from lab2.labels import LABELS

__all__ = ["COLUMNS", "PLAIN_NAME", "checked"]

# Name of a field, a telescope, a star or a file that cannot point outside a folder or a URL's path.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")


# Needed to find the files of the spectra and estimate their sizes.
_TO_FETCH = "TELESCOPE", "NVISITS"


@dataclass(frozen=True)
class Column:
    """A column: its name in allStar (in SQL in lower case), its SQL table, its type."""

    name: str
    table: str
    kind: str

    @property
    def required(self) -> bool:
        """Whether every survey needs it."""
        return self.name in REQUIRED or self.name in _TO_FETCH


def _star(kind, *names):
    return [Column(name, "apogeeStar", kind) for name in names]


def _aspcap(kind, *names):
    return [Column(name, "aspcapStar", kind) for name in names]


_LABELS = [label.column for label in LABELS]
_OTHERS = ["M_H", "ALPHA_M", *(f"{x}_FE" for x in ("C", "N", "O", "NA", "AL", "CA", "TI", "MN", "NI"))]

# Names and types as in the allStar data model of DR17, and in the schema of its SQL tables. Those that
# `lab2.catalog` does not require may be absent.
COLUMNS = (
    *_star("U", "FILE", "APSTAR_ID"),
    *_star("U", "APOGEE_ID", "TELESCOPE", "FIELD"),
    *_star("f8", "RA", "DEC"),
    *_star("f8", "GLON", "GLAT"),
    *_star("f4", "SNR"),
    *_star("i4", "NVISITS"),
    *_star("i8", "STARFLAG"),
    *_star("i8", "ANDFLAG", "EXTRATARG", "LOCATION_ID"),
    *_star("f4", "VHELIO_AVG", "VSCATTER", "VERR"),
    *_aspcap("U", "ASPCAP_ID"),
    *_aspcap("i8", "ASPCAPFLAG"),
    *_aspcap("f4", *_LABELS),
    *_aspcap("f4", *(f"{name}_ERR" for name in _LABELS)),
    *_aspcap("f4", *(name + suffix for name in _OTHERS for suffix in ("", "_ERR"))),
)


def checked(table: Table, fields: Collection[str], source: str) -> Table:
    """A catalog reduced to the columns of `COLUMNS`, converted to their types and checked.

    Parameters
    ----------
    table : astropy.table.Table
        The catalog, column names in upper case.
    fields : collection of str
        The requested fields.
    source : str
        Its source, for error messages.

    Returns
    -------
    astropy.table.Table
        Sorted by APOGEE_ID and decreasing S/N. A missing number is NaN; SDSS's NULL, -9999, is left unchanged.

    Raises
    ------
    ArchiveError
        If a required column is missing or has values of another type, a field is missing or was not requested, or a row
        is duplicated.
    """
    missing = [column.name for column in COLUMNS if column.required and column.name not in table.colnames]
    if missing:
        raise ArchiveError(f"{source} has no column {', '.join(missing)}; it has {words(', '.join(table.colnames))}")
    result = Table()
    for column in COLUMNS:
        if column.name in table.colnames:
            result[column.name] = _typed(table[column.name], column, source)
    found = set(result["FIELD"])
    if found != set(fields):
        odd = "; ".join(
            words(f"{what} {', '.join(sorted(names))}")
            for what, names in (("nothing for", set(fields) - found), ("not requested:", found - set(fields)))
            if names
        )
        raise ArchiveError(f"{source}: {odd}. Write fields as SDSS does, such as M15 or 060+00")
    keys = Counter(zip(result["TELESCOPE"], result["FIELD"], result["APOGEE_ID"], strict=True))
    (key, times), *_ = keys.most_common(1)
    if times > 1:
        telescope, field, star = map(words, key)
        raise ArchiveError(
            f"{source} has the star {star} of {telescope}, {field} {times} times: rows were multiplied. Ask again, or "
            "take the catalog from another source (--allstar FILE)"
        )
    order = np.lexsort((-result["SNR"], result["APOGEE_ID"]))
    return result[order]


def _typed(values, column, source):
    """A column's values converted to its type; a missing value is "" or NaN, and an error in an integer column."""
    values = np.ma.asarray(values)
    if column.kind == "U":
        # FITS has ASCII characters only; no file has a name with others
        texts = np.ma.filled(values.astype(str), "").tolist()
        return np.array([re.sub(r"[^ -~]", "?", text).strip() for text in texts], dtype=str)
    if values.dtype.kind in "US":
        # numbers as text, including SQL's NULL or something that is not a number
        values = np.ma.filled(values.astype(str), "")
        values = np.ma.masked_where(np.isin(np.char.lower(values), ["null", ""]), values)
    empty = np.ma.getmaskarray(values)
    if column.kind.startswith("i") and empty.any():
        raise ArchiveError(f"{source}: {column.name} is empty in {empty.sum()} rows")
    result = np.full(len(values), np.nan if column.kind.startswith("f") else 0, dtype=column.kind)
    numbers = values.data[~empty]
    try:
        if numbers.dtype.kind in "US":
            numbers = numbers.astype("f8" if column.kind.startswith("f") else "i8")
        with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite, or is caught in the next line
            result[~empty] = numbers
        if column.kind.startswith("i") and (odd := result[~empty] != numbers).any():
            raise ValueError(f"{numbers[odd][0]} is not a {8 * result.itemsize}-bit integer")
    except (ValueError, OverflowError) as error:
        raise ArchiveError(f"{source}: {column.name} holds no numbers ({words(str(error))})") from error
    return result
