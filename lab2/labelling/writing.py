"""Write a table in parts to a FITS, Parquet, ECSV or CSV file.

No format needs the whole table in memory. ECSV, CSV and Parquet grow part by part. The header of a FITS table gives the
number of rows and the lengths of texts, so its rows are kept in an unnamed temporary file until these are known.
"""

import contextlib
import csv
import io
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Column, QTable, Table
from astropy.units import Unit, UnrecognizedUnit
from astropy.utils.exceptions import AstropyUserWarning

from lab2 import _extras
from lab2.files import check_writable, replacing

__all__ = ["SUFFIXES", "check_output", "printable", "writing"]


def check_output(path: str | os.PathLike) -> Path:
    """The path of a table to write, or an error if it cannot be written; to be called before the work.

    Raises
    ------
    ValueError
        If the suffix is not that of a known format.
    ImportError
        If the package for the format is not installed.
    OSError
        If there is no permission, or there is a folder of this name.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"a table is written as {', '.join(SUFFIXES)}, by the end of its name; got {str(path)!r}")
    if path.suffix == ".parquet":
        _extras.require("scale", "a table in Parquet")
    check_writable(path)
    return path


@contextlib.contextmanager
def writing(path: str | os.PathLike, meta: Mapping[str, str]) -> Iterator[Callable[[Table], None]]:
    """Write a table in parts, atomically.

    Parameters
    ----------
    path : path-like
        A path accepted by `check_output`.
    meta : dict of str to str
        Metadata of the table, which CSV does not store. In FITS the keys become those of cards.

    Yields
    ------
    callable
        To be called with each part. All parts have the same columns.

    Raises
    ------
    OSError
        If the file cannot be written; at the beginning if there is no permission.
    """
    path = check_output(path)
    with replacing(path) as part, part.open("wb") as file, SUFFIXES[path.suffix](file, dict(meta)) as add:
        yield lambda table: add(_plain(table))


def _plain(table):
    """The table with texts that every format can store."""
    table = table.copy(copy_data=False)
    for column in table.itercols():
        if column.dtype.kind == "U":
            texts = np.array([printable(text) for text in column.tolist()], dtype=str)
            table.replace_column(column.name, Column(texts, description=column.description))
    return table


def printable(text: str) -> str:
    """The text for a table, with unprintable characters as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextlib.contextmanager
def _text(file, meta, delimiter, with_header):
    """Rows of text below the column names, and in ECSV below their metadata."""
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows, begun = csv.writer(stream, delimiter=delimiter, lineterminator="\n"), False

    def add(table):
        nonlocal begun
        if not begun and with_header:
            head = io.StringIO()
            Table(table[:0], meta=meta).write(head, format="ascii.ecsv")
            stream.write(head.getvalue())
        elif not begun:
            rows.writerow(table.colnames)
        begun = True
        rows.writerows(zip(*(table[name].tolist() for name in table.colnames), strict=True))

    yield add
    stream.flush()
    stream.detach()


def _ecsv(file, meta):
    return _text(file, meta, " ", with_header=True)


def _csv(file, meta):
    return _text(file, meta, ",", with_header=False)


@contextlib.contextmanager
def _parquet(file, meta):
    """Row groups. Units and descriptions are metadata of the fields, in the form that astropy reads."""
    import pyarrow as pa
    from astropy.table.meta import get_yaml_from_table
    from pyarrow import parquet

    writer = None

    def add(table):
        nonlocal writer
        arrays = [pa.array(c.tolist() if c.dtype.kind == "U" else np.asarray(c)) for c in table.itercols()]
        if writer is None:
            fields = []
            for array, column in zip(arrays, table.itercols(), strict=True):
                said = {"unit": str(column.unit or ""), "description": column.description or ""}
                fields.append(pa.field(column.name, array.type, nullable=False, metadata=said))
            empty = Table(table[:0], meta=meta)
            about = {**meta, "table_meta_yaml": "\n".join(get_yaml_from_table(empty))}
            writer = parquet.ParquetWriter(file, pa.schema(fields, metadata=about))
        writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema))

    try:
        yield add
    finally:
        if writer is not None:
            writer.close()


@contextlib.contextmanager
def _fits(file, meta):
    """A binary table in HDU 1. Texts are ASCII, as FITS requires: other characters are written as escapes."""
    columns, lengths = [], {}
    n_rows = 0
    with tempfile.TemporaryFile(dir=os.path.dirname(file.name) or ".") as rows:

        def add(table):
            nonlocal n_rows
            if not columns:
                columns.extend((c.name, str(c.unit or ""), c.description or "") for c in table.itercols())
            found = {name: _stored(table[name]) for name in table.colnames}
            for name, values in found.items():
                if values.dtype.kind == "S":
                    lengths[name] = max(lengths.get(name, 1), values.dtype.itemsize)
            packed = np.rec.fromarrays(list(found.values()), names=list(found))
            np.save(rows, np.asarray(packed), allow_pickle=False)
            n_rows += len(table)

        yield add
        rows.seek(0)
        first = np.load(rows, allow_pickle=False).dtype
        kinds = {name: f"S{lengths[name]}" if name in lengths else first[name].str for name in first.names}
        dtype = np.dtype([(name, kind.replace("<", ">")) for name, kind in kinds.items()])
        _write_header(file, columns, dtype, n_rows, meta)
        rows.seek(0)
        left = n_rows
        while left:
            part = np.load(rows, allow_pickle=False)
            file.write(part.astype(dtype).tobytes())
            left -= len(part)
        file.write(b"\0" * (-(n_rows * dtype.itemsize) % 2880))


def _stored(column):
    """The values of a column as a FITS table stores them."""
    if column.dtype.kind == "U":
        return np.array([text.encode("ascii", "backslashreplace") for text in column.tolist()], dtype="S")
    if column.dtype.kind == "b":
        return np.where(column, b"T", b"F").view("V1")
    return np.asarray(column)


def _write_header(file, columns, dtype, n_rows, meta):
    """The primary header and that of the table.

    A unit that the FITS standard lacks, such as dex, is no TUNIT, since readers warn of it: it stands in the column's
    description, and in COMMENT cards, where astropy writes and reads such units.
    """
    empty = QTable(np.empty(0, [(name, "?" if kind.kind == "V" else kind) for name, (kind, _) in dtype.fields.items()]))
    for name, unit, said in columns:
        if unit and not isinstance(Unit(unit, parse_strict="silent"), UnrecognizedUnit):
            empty[name] = empty[name].data << Unit(unit)
        empty[name].info.description = said
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The unit '.*' could not be saved in native FITS", AstropyUserWarning)
        empty.write(stream, format="fits")
    stream.seek(0)
    with fits.open(stream) as hdus:
        header = hdus[1].header
    header["EXTNAME"] = "LABELS"
    header["NAXIS2"] = n_rows
    for number, (_, unit, said) in enumerate(columns, start=1):
        known = not unit or f"TUNIT{number}" in header
        header[f"TCOMM{number}"] = _ascii(said if known else f"{said}, in {unit}")
    for key, text in meta.items():
        header[key.upper()] = _ascii(text)
    file.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
    file.write(header.tostring().encode("ascii"))


def _ascii(text):
    return text.encode("ascii", "backslashreplace").decode()


SUFFIXES = {".fits": _fits, ".parquet": _parquet, ".ecsv": _ecsv, ".csv": _csv}
