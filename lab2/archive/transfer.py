"""Download of one file: resumed, retried, checked, and moved to its final name only when complete.

requests does the transfer and tenacity the retries. pooch and parfive, which download lists of files, restart a broken
file from the beginning; here a broken transfer is resumed, even after the process was killed.
"""

import glob
import hashlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import requests

from lab2.archive.session import CHUNK, Session, accept, answer, chunks
from lab2.archive.web import ArchiveError, RefusedError, TransientError, retrying

__all__ = ["Download", "fetch"]

ATTEMPTS = 6
# For the first and for each further 64 KiB [s]: 2.2 kB/s. Four connections at this rate take five days for a survey of
# 4 GB; a file of 2 MB takes its quarter of an hour. Slower transfers are abandoned. As files have a maximum size, this
# limits the time of each request.
PATIENCE = 30


class _ChangedError(TransientError):
    """The received data belong to another file than the partial file on disk."""


class _TooLargeError(RefusedError):
    """The file is, or is announced to be, larger than allowed."""


class _StoppedError(ArchiveError):
    """Another download failed, or the user interrupted."""


@dataclass(frozen=True)
class Download:
    """A file to fetch.

    Attributes
    ----------
    url : str
    path : pathlib.Path
        Its final name.
    check : callable
        Takes the path of the downloaded file; raises `TransientError` or `RefusedError` if it is not the right file.
    expected : int
        Approximate size [bytes], for the progress bar.
    limit : int
        Maximum size [bytes].
    """

    url: str
    path: Path
    check: Callable[[Path], None]
    expected: int
    limit: int


def fetch(
    http: Session,
    download: Download,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    stop: threading.Event | None = None,
) -> None:
    """Fetch one file; an interrupted download is resumed.

    The partial file is kept in the same folder under a hidden name that contains a fingerprint of the server's file
    (its ETag, date and size; RFC 9110, sections 8.8 and 14): it is only continued with data of the same file.

    Parameters
    ----------
    http : requests.Session
    download : Download
    progress : callable
        Called with the number of bytes received so far, and with the size of the file or None.
    stop : threading.Event, optional
        Stops the transfer.

    Raises
    ------
    RefusedError
        If the file does not exist on the server, is too large, or is the wrong file.
    TransientError
        If `ATTEMPTS` attempts in a row failed without any progress: the server is busy or too slow, or its data fail
        the check.
    """
    stop = stop or threading.Event()
    download.path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        before = _arrived(download.path)
        try:
            return retrying(ATTEMPTS, stop)(_attempt, http, download, progress, stop)
        except TransientError:
            # a connection that breaks repeatedly but makes progress each time is used to the end
            if _arrived(download.path) < before + CHUNK:
                raise


class _Offer(NamedTuple):
    """The part of a file that a response contains: bytes from `start` on; `total` is the file's size, or None."""

    start: int
    total: int | None
    fingerprint: str


def _attempt(http, download, progress, stop):
    """Download the missing bytes, check the file, and move it to its final name."""
    _go_on(stop)
    path, part = download.path, _part_of(download.path)
    # one byte more than needed, so that a complete part gets an ordinary response
    start = max(_arrived(path) - 1, 0)
    try:
        ask = {"Range": f"bytes={start}-"} if start else {}
        with answer(http, download.url, PATIENCE, headers=ask) as (response, clock):
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                raise _ChangedError(f"{download.url}: the server's file is shorter than the part already received")
            accept(response)
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise TransientError(f"{download.url}: received a web page instead of the file")
            offer = _offer(response, download.url)
            _bound(download, offer.total or 0)
            wanted = path.with_name(f".{path.name}.{offer.fingerprint}.part")
            if offer.start and (part, start) != (wanted, offer.start):
                raise _ChangedError(f"{download.url}: the server's file is not the one that was partly received")
            _go_on(stop)
            if part and part != wanted:
                part.unlink()
            _receive(response, clock, wanted, offer, download, progress, stop)
    except (_ChangedError, _TooLargeError):
        if part := _part_of(path):
            part.unlink()
        raise
    try:
        download.check(wanted)
    except ArchiveError:
        wanted.unlink()  # complete, but wrong: not worth resuming
        raise
    os.replace(wanted, path)


def _receive(response, clock, part, offer, download, progress, stop):
    """Write the response to the partial file, and check that it is complete."""
    size = offer.start
    with part.open("r+b" if size else "wb") as file:
        file.seek(size)
        for chunk in chunks(response):
            _go_on(stop)
            clock.renew()
            size += len(chunk)
            _bound(download, size)
            file.write(chunk)
            progress(size, offer.total)
    _go_on(stop)  # a truncated response seems to be complete
    if offer.total is not None and size != offer.total:
        raise TransientError(f"{download.url}: received {size} of {offer.total} bytes")


def _go_on(stop):
    if stop.is_set():
        raise _StoppedError("stopped")


def _part_of(path):
    """The partial file of an earlier attempt, or None."""
    return next(path.parent.glob(f".{glob.escape(path.name)}.*.part"), None)


def _arrived(path):
    """Size of the partial file [bytes]."""
    part = _part_of(path)
    return part.stat().st_size if part else 0


def _offer(response, url):
    """Which part of the file the response contains."""
    headers = response.headers
    if response.status_code == requests.codes.partial_content:
        found = re.fullmatch(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15})", headers.get("Content-Range", ""))
        if found is None:
            raise TransientError(f"{url}: the server sent part of a file without saying which")
        start, total = int(found[1]), int(found[2])
    else:
        length = headers.get("Content-Length", "")
        start, total = 0, int(length) if re.fullmatch(r"[0-9]{1,15}", length) else None
    identity = f"{headers.get('ETag')} {headers.get('Last-Modified')} {total}"
    return _Offer(start, total, hashlib.sha256(identity.encode()).hexdigest()[:8])


def _bound(download, size):
    if size > download.limit:
        raise _TooLargeError(f"{download.url}: larger than {download.limit / 1e6:.1f} MB, the limit for such a file")
