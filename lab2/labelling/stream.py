"""Many files, block by block."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
from astropy.table import Column, Table

from lab2.cannon import Cannon
from lab2.labelling.blocks import label_block
from lab2.validation import Calibration

__all__ = ["BLOCK", "label_files", "label_stream"]

BLOCK = 256  # files worked on at a time by one worker


def label_stream(
    paths: Sequence[str | os.PathLike], model: Cannon, calibration: Calibration | None = None, workers: int = 1
) -> Iterator[Table]:
    """Labels of many files as a table for each `BLOCK` of them, in order, with constant memory."""
    for start in range(0, len(paths), BLOCK):
        yield label_block(paths[start : start + BLOCK], model, calibration)


def label_files(
    paths: Sequence[str | os.PathLike], model: Cannon, calibration: Calibration | None = None, workers: int = 1
) -> Table:
    """Labels of many files as one table, a row for each path in the given order."""
    parts = list(label_stream(paths, model, calibration, workers))
    whole = parts[0][:0]
    columns = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in whole.colnames}
    return Table(
        [Column(columns[c.name], c.name, unit=c.unit, description=c.description) for c in whole.itercols()],
        meta=whole.meta,
    )
