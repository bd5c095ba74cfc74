"""Progress of a long command: a bar on a terminal, one line per minute in a log."""

import sys
import time
from collections.abc import Iterable, Iterator

from astropy.table import Table
from tqdm import tqdm

__all__ = ["progress"]

_PAUSE = 60.0  # between the lines in a log [s]


def progress(tables: Iterable[Table], total: int, pause: float = _PAUSE) -> Iterator[Table]:
    """Pass tables through, showing the number of their rows on standard error.

    Parameters
    ----------
    tables : iterable of astropy.table.Table
    total : int
        Total number of rows.
    pause : float
        Seconds between lines if the stream is not a terminal.

    Yields
    ------
    astropy.table.Table
    """
    bar = tqdm(total=total, desc="labelling", unit="star", disable=not sys.stderr.isatty())
    start = said = time.monotonic()
    done = 0
    with bar:
        for table in tables:
            done += len(table)
            bar.update(len(table))
            if bar.disable and time.monotonic() - said >= pause:
                said = time.monotonic()
                rate = done / (said - start)
                print(
                    f"lab2: {done} of {total} stars, {rate:.0f} a second, about {(total - done) / rate:.0f} s left",
                    file=sys.stderr,
                    flush=True,
                )
            yield table
