"""Parallel downloads with a common progress bar.

tqdm's thread_map is no replacement: the first worker that meets a real error or the user's interruption has to stop the
others in the middle of their files, each thread needs a session of its own, and the bar counts bytes, not files.
"""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

from tqdm import tqdm

from lab2.archive.transfer import fetch
from lab2.archive.web import ArchiveError, TransientError, session

__all__ = ["fetch_all"]

CONNECTIONS = 4  # in parallel: a browser opens six to one server
# After so many failed files in a row, each after all its attempts, the server is taken to be down.
FAILURES_IN_A_ROW = 8


def fetch_all(downloads, description):
    """Fetch files in parallel, with a common progress bar.

    After an interruption, call it again: downloads are resumed.

    Parameters
    ----------
    downloads : sequence of Download
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
    stop, local = threading.Event(), threading.local()

    def start():
        local.http = sessions.enter_context(session())  # requests does not share one between threads

    with (
        contextlib.ExitStack() as sessions,
        _Bar(downloads, description) as bar,
        ThreadPoolExecutor(CONNECTIONS, initializer=start) as pool,
        _stopping(stop, pool),
    ):
        jobs = {pool.submit(lambda d: fetch(local.http, d, bar.reporter(d), stop), d): d for d in downloads}
        for job in as_completed(jobs):
            path, error = jobs[job].path, job.exception()
            if error is None:
                in_a_row = 0
            elif isinstance(error, ArchiveError):
                failed[path] = str(error)
                in_a_row += isinstance(error, TransientError)
            else:
                raise error
            bar.finished(jobs[job], error)
            if in_a_row >= FAILURES_IN_A_ROW:
                raise ArchiveError(
                    f"the archive does not serve: {in_a_row} files in a row failed, the last one: {error}. "
                    "What has arrived is kept; run the same command again later, and it goes on from there"
                )
    return failed


@contextlib.contextmanager
def _stopping(stop, pool):
    """When the block raises, cancel the downloads that are waiting and stop those that are running."""
    try:
        yield
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


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
        """Count a finished file; the missing bytes of a failed one are taken off the total."""
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
