"""Parallel downloads with a common progress bar.

A pool of concurrent.futures cannot replace this: at exit Python waits for its threads, which may be waiting for a
server that never answers.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from lab2.archive.session import Session
from lab2.archive.transfer import Download, fetch
from lab2.archive.web import ArchiveError, TransientError

__all__ = ["fetch_all"]

CONNECTIONS = 4  # parallel connections; a browser opens six to one server
# After this many failed files in a row, each after all its attempts, the server is considered down.
FAILURES_IN_A_ROW = 8
NAME = "lab2 download"  # names of the threads
GRACE = 2.0  # s, for threads to end after their connections were cut


def fetch_all(downloads: Sequence[Download], description: str) -> dict[Path, str]:
    """Fetch files in parallel, with a common progress bar.

    After an interruption, call it again: downloads are resumed.

    Parameters
    ----------
    downloads : sequence of Download
        Each with a different path.
    description : str
        Text of the progress bar.

    Returns
    -------
    dict of pathlib.Path to str
        The files that could not be fetched, and the reasons.

    Raises
    ------
    ArchiveError
        If many files in a row could not be fetched: the server is down.
    """
    failed, in_a_row = {}, 0
    with _Bar(downloads, description) as bar, _results(downloads, bar) as results:
        for _ in downloads:
            one, error = results.get()
            if error is None:
                in_a_row = 0
            elif isinstance(error, ArchiveError):
                failed[one.path] = str(error)
                in_a_row += isinstance(error, TransientError)
            else:
                raise error
            bar.finished(one, error)
            if in_a_row >= FAILURES_IN_A_ROW:
                raise ArchiveError(
                    f"the archive does not respond: {in_a_row} files in a row failed, the last one: {error}. "
                    "Complete files are kept; run the same command again later to continue"
                )
    return failed


@contextlib.contextmanager
def _results(downloads, bar):
    """A queue of each download and its exception or None. At the end of the block, running downloads are stopped."""
    stop, waiting, results = threading.Event(), queue.SimpleQueue(), queue.SimpleQueue()
    for one in downloads:
        waiting.put(one)

    def work(http):
        with http, contextlib.suppress(queue.Empty):
            while not stop.is_set():
                one = waiting.get_nowait()
                try:
                    fetch(http, one, bar.reporter(one), stop)
                except Exception as error:  # raised where the results are read
                    results.put((one, error))
                else:
                    results.put((one, None))

    sessions = [Session() for _ in range(min(CONNECTIONS, len(downloads)))]  # one per thread
    threads = [threading.Thread(target=work, args=(http,), name=NAME, daemon=True) for http in sessions]
    try:
        for thread in threads:
            thread.start()
        yield results
    finally:
        stop.set()
        for http in sessions:
            http.cut()
        end = time.monotonic() + GRACE
        for thread in threads:
            # a thread that does not end is waiting for response headers, and will not touch a file afterwards
            thread.join(max(end - time.monotonic(), 0))


class _Bar:
    """Progress of all downloads: bytes, rate, time left, and the numbers of finished and failed files."""

    def __init__(self, downloads, description):
        self._lock = threading.Lock()
        self._expected = {d.path: d.expected for d in downloads}
        self._done = dict.fromkeys(self._expected, 0)
        self._files, self._failed = 0, 0
        self._bar = tqdm(total=sum(self._expected.values()), desc=description, unit="B", unit_scale=True)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._bar.close()

    def reporter(self, download):
        """The callback that `fetch` calls with the progress of one file."""

        def report(done, total):
            with self._lock:
                self._set_size(download.path, total)
                self._bar.update(done - self._done[download.path])
                self._done[download.path] = done

        return report

    def finished(self, download, error):
        """Count a finished file; the missing bytes of a failed one are subtracted from the total."""
        with self._lock:
            if error is not None:
                self._failed += 1
                self._set_size(download.path, self._done[download.path])
            self._files += 1
            failed = f", {self._failed} failed" if self._failed else ""
            self._bar.set_postfix_str(f"{self._files}/{len(self._expected)} files{failed}", refresh=False)

    def _set_size(self, path, size):
        if size is not None:
            self._bar.total += size - self._expected[path]
            self._expected[path] = size
