"""Many files, block by block, in one or more processes, in order and with constant memory."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from astropy.table import Column, Table

from lab2._failure import Failure
from lab2.cannon import Cannon
from lab2.grid import WAVELENGTH
from lab2.labelling.blocks import label_block
from lab2.spectra import check_wavelengths
from lab2.validation import Calibration

__all__ = ["BLOCK", "label_files", "label_stream"]

BLOCK = 256  # files worked on at a time by one worker
_LEAST = 10  # blocks per worker: starting a process takes as long as working on these
_AHEAD = 2  # blocks per worker that are queued or waiting to be collected

_OTHER_GRID = "The model was trained on spectra with other pixels than those of apStar files"

_given = {}  # state of a worker, the same for all blocks


def label_stream(
    paths: Sequence[str | os.PathLike], model: Cannon, calibration: Calibration | None = None, workers: int = 1
) -> Iterator[Table]:
    """Labels of many apStar files, as a table for each `BLOCK` of them, in order.

    Parameters
    ----------
    paths : sequence of path-like
    model, calibration
        As for `label_block`.
    workers : int
        Number of processes with one thread each; with 1, or few files, the work is done in this process. With more, a
        script needs ``if __name__ == "__main__":`` around its code, because each process imports it.

    Yields
    ------
    astropy.table.Table
        As from `label_block`. The numbers do not depend on `workers`.

    Raises
    ------
    ValueError
        If there are no paths, fewer than one worker, or the model is not on APOGEE's pixels.
    lab2._failure.Failure
        If a worker is killed.
    """
    if not len(paths):
        raise ValueError("no spectrum files were given; expected at least one path")
    if workers < 1:
        raise ValueError(f"the number of workers must be 1 or more; got {workers}")
    check_wavelengths(model.dataset, WAVELENGTH, "APOGEE's grid", _OTHER_GRID)
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    workers = min(workers, len(blocks) // _LEAST)
    if workers <= 1:
        yield from (label_block(block, model, calibration) for block in blocks)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _prepare, (model, calibration))
    try:
        waiting = deque()
        for block in blocks:
            with _deaf():
                waiting.append(pool.submit(_work, block))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as problem:
        raise Failure(
            "lab2: error: a worker process was killed, perhaps for want of memory; run the same command again, with "
            "fewer workers if it happens again"
        ) from problem
    finally:
        pool.shutdown(cancel_futures=True)


def label_files(
    paths: Sequence[str | os.PathLike], model: Cannon, calibration: Calibration | None = None, workers: int = 1
) -> Table:
    """Labels of many apStar files as one table.

    Parameters
    ----------
    paths, model, calibration, workers
        As for `label_stream`.

    Returns
    -------
    astropy.table.Table
        As from `label_block`: one row for each path, in the given order.
    """
    parts = list(label_stream(paths, model, calibration, workers))
    columns = []
    for first in parts[0].itercols():
        values = np.concatenate([np.asarray(part[first.name]) for part in parts])
        columns.append(Column(values, first.name, unit=first.unit, description=first.description))
    return Table(columns, meta=parts[0].meta)


@contextlib.contextmanager
def _deaf():
    """Start processes that ignore Ctrl-C, which is handled by their parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(model, calibration):
    """Make a new process a worker that ends whenever its parent ends."""
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    _given.update(model=model, calibration=calibration)


def _end_with(parent):
    parent.join()
    os._exit(1)


def _work(paths):
    return label_block(paths, **_given)
