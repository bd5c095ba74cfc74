"""The archives' answers to a dozen small requests, each sent once, for `lab2.archive.probe`."""

import contextlib
import functools
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from astropy.table import Table

from lab2 import catalog
from lab2.archive import course, skyserver, stars
from lab2.archive.columns import checked
from lab2.archive.hosts import base_url
from lab2.archive.session import Session, accept, answer, body, chunks
from lab2.archive.table import FIELDS
from lab2.archive.web import RefusedError, TransientError, UnreachableError

__all__ = ["FIELD", "MANY", "Evidence"]

SECONDS = 50.0  # for all requests
LONGEST = 20.0  # s, per answer
FIELD = FIELDS[0]  # field of the example star
MANY = 5000  # rows, more than any field has
BLOCK = 2880  # bytes, of FITS
LARGEST = stars.size(50)  # bytes, of the example star's file


def once(method):
    """A method whose result or exception is remembered for each value of its first argument."""

    @functools.wraps(method)
    def remembered(self, *given):
        key = (method.__name__, *given[:1])
        if key not in self._known:
            try:
                self._known[key] = method(self, *given), None
            except Exception as error:  # raised now, and on every later call
                self._known[key] = None, error
        result, error = self._known[key]
        if error is not None:
            raise error
        return result

    return remembered


class Evidence:
    """Answers of the archives; a method raises `ArchiveError` if there is none.

    Parameters
    ----------
    folder : pathlib.Path
        For the example star's file.

    Attributes
    ----------
    path : pathlib.Path
        The example star's file, once `spectrum` was called.
    answered, too_many : int
        Number of queries that SkyServer answered, and that it refused because of its query limit.
    hosts : set of str
    down : dict of str to UnreachableError
        Unreachable hosts, which are not asked again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"apStar-dr17-{catalog.EXAMPLE}.fits"
        self.answered, self.too_many = 0, 0
        variables = ("LAB2_SKYSERVER_URL", "LAB2_SAS_URL", "LAB2_COURSE_URL")
        self.hosts, self.down = {urlsplit(base_url(variable)).netloc for variable in variables}, {}
        self._known, self._end = {}, time.monotonic() + SECONDS

    @once
    def ask(self, statement: str, expected: Sequence[str], n_rows: int) -> Table:
        """As `lab2.archive.skyserver.ask`, without a second attempt."""
        with self._reaching(base_url("LAB2_SKYSERVER_URL")) as seconds:
            try:
                found = skyserver.ask(statement, expected, n_rows, attempts=1, timeout=seconds)
            except TransientError as error:
                self.too_many += skyserver.TOO_MANY in str(error)
                raise
            self.answered += 1
            return found

    def rows(self) -> Table:
        """The catalog of one field, as fetched."""
        there = skyserver.columns(self.ask)
        table = self.ask(
            skyserver.sql(FIELD, there), [column.name for column in there], skyserver.count(FIELD, self.ask)
        )
        return checked(table, [FIELD], "SkyServer's answer")

    def many(self) -> Table:
        """Many rows of one number each."""
        return self.ask(f"SELECT TOP {MANY} nvisits FROM apogeeStar", ["NVISITS"], MANY)

    def head(self, telescope: str) -> tuple[str, bytes]:
        """Address and first bytes of the file of a star observed with this telescope."""
        has = skyserver.first_row("apogeeStar", self.ask).colnames
        names = ["APOGEE_ID", "FIELD", "TELESCOPE", *(["FILE"] if "FILE" in has else [])]
        wanted = ", ".join("s.[file]" if name == "FILE" else f"s.{name.lower()}" for name in names)
        where = f"s.telescope = '{telescope}' AND s.snr > 50"
        table = self.ask(f"SELECT TOP 1 {wanted} FROM {skyserver.TABLES} WHERE {where}", names, 1)
        (path,) = catalog.spectrum_paths(table, "dr17")
        with self._get(stars.url(telescope, path.parent.name, path.name)) as response:
            accept(response)
            return response.url, next(chunks(response), b"")[:BLOCK]

    @once
    def spectrum(self) -> tuple[str, Mapping[str, str]]:
        """Address of the example star's file, and the response headers."""
        with self._get(self._example) as response:
            accept(response)
            self.path.write_bytes(body(response, LARGEST))
            return response.url, response.headers

    @once
    def rest(self) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and content of the response to a request for the last bytes of that file."""
        self.spectrum()
        start = self.path.stat().st_size - BLOCK
        with self._get(self._example, headers={"Range": f"bytes={start}-"}) as response:
            accept(response)
            return response.status_code, response.headers, next(chunks(response), b"")[:BLOCK]

    def course_sha256(self, kind: str) -> str:
        """SHA-256 of a file of the course, from the first edition that has it."""
        known = course.FILES[kind]
        for folder in course.FOLDERS:
            with self._get(course.url(folder, known.name)) as response:
                if response.status_code == 200:
                    return hashlib.sha256(body(response, known.size)).hexdigest()
        raise RefusedError(f"no edition of the course has it: the server answered {response.status_code}")

    @property
    def _example(self):
        return stars.url("apo25m", FIELD, self.path.name)

    @contextlib.contextmanager
    def _get(self, url, **request):
        with (
            self._reaching(url) as seconds,
            Session() as http,
            answer(http, url, seconds, **request) as (response, _),
        ):
            yield response

    @contextlib.contextmanager
    def _reaching(self, url):
        """Limits the time for an answer, and remembers hosts that are down."""
        host = urlsplit(url).netloc
        if host in self.down:
            raise self.down[host]
        seconds = min(LONGEST, self._end - time.monotonic())
        if seconds <= 0:
            raise TransientError(f"not asked: the {SECONDS:.0f} s of the probe were over")
        try:
            yield seconds
        except UnreachableError as error:
            self.down[host] = error
            raise
