"""One catalog from the shards of a run, with every planned spectrum once and in order, or no catalog."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from astropy.table import Column, Table
from pyarrow import parquet

from lab2._failure import Failure
from lab2.files import sha256
from lab2.labelling.summary import Summary
from lab2.labelling.writing import printable, writing
from lab2.scale.labels import counts
from lab2.scale.plan import Plan, read_list

__all__ = ["CATALOG", "assemble", "read_labels"]

CATALOG = ("labels.parquet", "labels.fits")  # in the run's folder


def read_labels(path: str | os.PathLike, columns: Sequence[str] | None = None) -> Table:
    """A table of labels from Parquet, with units and descriptions.

    Parameters
    ----------
    path : path-like
        As `lab2.labelling.writing.writing` wrote it. (`astropy.table.Table.read` reads it too, but warns that it does
        not know in advance how long texts are.)
    columns : sequence of str, optional
        Columns to read; default: all.

    Returns
    -------
    astropy.table.Table
    """
    found = parquet.read_table(path, columns=columns)
    table = Table()
    for field in found.schema:
        values = found[field.name].to_numpy()
        if pa.types.is_string(field.type):
            values = values.astype(str)
        said = {key.decode(): text.decode() for key, text in field.metadata.items()}
        table[field.name] = Column(values, unit=said["unit"] or None, description=said["description"])
    return table


def assemble(folder: Path, plan: Plan, records: list[dict], header: Mapping[str, str]) -> Summary:
    """Write the shards' tables as one, labels.parquet and labels.fits, shard by shard, and count the rows.

    Parameters
    ----------
    folder : pathlib.Path
        Of the run.
    plan : lab2.scale.plan.Plan
    records : list of dict
        Of all shards, by number.
    header : dict of str to str
        Header of the catalog, as from `lab2.labelling.summary.about`.

    Returns
    -------
    lab2.labelling.summary.Summary
        Summary of the written rows.

    Raises
    ------
    Failure
        If a table does not hold the planned spectra in the planned order, or the counts of tables, records and plan do
        not agree. No catalog is written then.
    """
    summary = Summary()
    with contextlib.ExitStack() as files:
        parts = [files.enter_context(writing(folder / name, header)) for name in CATALOG]
        for table in _tables(folder, plan, records):
            summary.add(table)
            for write in parts:
                write(table)
        if summary.stars != plan.count:
            raise Failure(f"the shards of {folder} have {summary.stars} rows, but {plan.count} spectra were planned")
    return summary


def _tables(folder, plan, records) -> Iterator[Table]:
    """The tables of the shards, each compared with its record and with the plan."""
    for shard, record in zip(plan.shards, records, strict=True):
        (name, digest), *_ = record["files"].items()
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise Failure(f"{folder / name} was changed or removed after it was made: run the same command again")
        table = read_labels(folder / name)
        counted = Summary()
        counted.add(table)
        planned = [printable(path) for path in read_list(folder, shard)]
        if table["file"].tolist() != planned or counts(counted) != record["counts"]:
            raise Failure(
                f"shard {shard.name} of {folder} does not hold the spectra that were planned, or not as its record "
                "counts them: delete its files in shards/, and run the same command again"
            )
        yield table
