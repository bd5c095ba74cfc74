"""Files from a web server to the disk: resumed, retried, checked, and put in place whole or not at all.

requests carries the bytes and tenacity the retries. pooch and parfive, which fetch lists of files, begin a broken
file anew; here a broken transfer goes on where it stopped, also after the process was killed.
"""

import glob
import hashlib
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import requests

from lab2.archive.web import TIMEOUT, ArchiveError, RefusedError, TransientError, accept, retrying

__all__ = ["Download", "fetch"]

ATTEMPTS = 6
_CHUNK = 1 << 16


class _ChangedError(TransientError):
    """What came belongs to another file than the part that is here."""


class _StoppedError(ArchiveError):
    """Somebody else failed, or the user has interrupted."""


@dataclass(frozen=True)
class Download:
    """A file to fetch.

    Attributes
    ----------
    url : str
    path : pathlib.Path
        Where it goes.
    check : callable
        Given the path of what arrived, raises `TransientError` or `RefusedError` where that is not the file.
    expected : int
        About how large it is [bytes], for the progress bar.
    limit : int
        Larger than this it cannot be [bytes].
    """

    url: str
    path: Path
    check: callable
    expected: int
    limit: int


def fetch(http, download, progress=lambda done, total: None, stop=None):
    """Fetch one file, from where an earlier attempt stopped.

    What has arrived lies beside the file's place under a hidden name, which carries a fingerprint of the server's
    file (its ETag, date and size, RFC 9110, sections 8.8 and 14): a part is only continued with more of the same.

    Parameters
    ----------
    http : requests.Session
    download : Download
    progress : callable
        Called with the bytes of the file that have arrived, and with its size or None.
    stop : threading.Event, optional
        Stops the transfer.

    Raises
    ------
    RefusedError
        If the file is not there, is too large, or is another.
    TransientError
        If `ATTEMPTS` in a row failed, and brought nothing more of the file.
    """
    stop = stop or threading.Event()
    download.path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        before = _arrived(download.path)
        try:
            return retrying(ATTEMPTS, stop)(_attempt, http, download, progress, stop)
        except TransientError:
            # a line that breaks again and again, and brings something each time, is used to the end
            if _arrived(download.path) < before + _CHUNK:
                raise


class _Offer(NamedTuple):
    """What a response offers: bytes of a file from `start` on; `total` is the file's size, or None."""

    start: int
    total: int | None
    fingerprint: str


def _attempt(http, download, progress, stop):
    """Fetch what is missing, check all of it, and put it in place."""
    if stop.is_set():
        raise _StoppedError("stopped")
    path, part = download.path, _part_of(download.path)
    # one byte more than needed: a part that lacks nothing is then answered like any other
    start = max(_arrived(path) - 1, 0)
    try:
        ask = {"Range": f"bytes={start}-"} if start else {}
        with http.get(download.url, headers=ask, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                raise _ChangedError(f"{download.url}: the server's file is shorter than the part that came")
            accept(response)
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise TransientError(f"{response.url}: a web page came in the place of the file")
            offer = _offer(response)
            _bound(download, offer.total or 0)
            wanted = path.with_name(f".{path.name}.{offer.fingerprint}.part")
            if offer.start and (part, start) != (wanted, offer.start):
                raise _ChangedError(f"{download.url}: the server's file is not the one whose first part came")
            if part and part != wanted:
                part.unlink()
            _receive(response, wanted, offer, download, progress, stop)
    except _ChangedError:
        if part:
            part.unlink()
        raise
    except requests.TooManyRedirects as error:
        raise RefusedError(f"{download.url}: {error}") from error
    except requests.RequestException as error:
        raise TransientError(f"{download.url}: {_cause(error)}") from error
    try:
        download.check(wanted)
    except ArchiveError:
        wanted.unlink()  # whole, and wrong: there is nothing to go on from
        raise
    os.replace(wanted, path)


def _receive(response, part, offer, download, progress, stop):
    """Write the response's bytes to the part, and see that all of them came."""
    size = offer.start
    with part.open("r+b" if size else "wb") as file:
        file.seek(size)
        for chunk in response.iter_content(_CHUNK):
            if stop.is_set():
                raise _StoppedError("stopped")
            size += len(chunk)
            _bound(download, size)
            file.write(chunk)
            progress(size, offer.total)
    if offer.total is not None and size != offer.total:
        raise TransientError(f"{download.url}: {size} of {offer.total} bytes came")


def _part_of(path):
    """What an earlier attempt left, or None."""
    return next(path.parent.glob(f".{glob.escape(path.name)}.*.part"), None)


def _arrived(path):
    """How many bytes of a file lie in its part."""
    part = _part_of(path)
    return part.stat().st_size if part else 0


def _offer(response):
    """Where the response's bytes belong."""
    headers = response.headers
    if response.status_code == requests.codes.partial_content:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", ""))
        if found is None:
            raise TransientError(f"{response.url}: part of a file, without saying which")
        start, total = int(found[1]), int(found[2])
    else:
        length = headers.get("Content-Length", "")
        start, total = 0, int(length) if length.isdecimal() else None
    identity = f"{headers.get('ETag')} {headers.get('Last-Modified')} {total}"
    return _Offer(start, total, hashlib.sha256(identity.encode()).hexdigest()[:8])


def _bound(download, size):
    if size > download.limit:
        raise RefusedError(f"{download.url}: larger than {download.limit / 1e6:.0f} MB, which no such file is")


def _cause(error):
    """What lies at the bottom of an exception of requests, in one line."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT[1]} s"
    return str(error).split("\n")[0] or type(error).__name__
