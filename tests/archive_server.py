"""A stand-in for SDSS's archives on loopback: SkyServer's SQL search, the Science Archive Server and the course's
repository. It speaks their protocols, and fails as they do when it is asked to.

The tables apogeeStar and aspcapStar are made from an allStar catalog, and SQLite answers the SQL. Files are those
of a folder, served with ranges, ETag and Last-Modified.
"""

import contextlib
import functools
import gzip
import hashlib
import random
import re
import sqlite3
import threading
import time
import zlib
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from astropy.table import Table

from lab2.archive.columns import COLUMNS

PAGE = b"<!DOCTYPE html><html><head><title>SkyServer</title></head><body>\n<h1>Error</h1>, sorry\n</body></html>"
# SkyServer's answer to one query too many (spExecuteSQL of its database): a table of one cell
TOO_MANY = '#Table1\nerror_message\n"ERROR: Maximum 60 queries allowed per minute. Rejected query: '
STARS = "/sas/dr17/apogee/spectro/redux/dr17/stars/"


@functools.cache
def bomb():
    """A tenth of a megabyte that unpacks to 100."""
    packer = zlib.compressobj(wbits=31)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(100)]) + packer.flush()


@dataclass(frozen=True)
class Faults:
    """The share of requests for files that go wrong, by kind."""

    drop: float = 0.0  # the connection ends in the middle of the body
    busy: float = 0.0  # 503
    page: float = 0.0  # a web page with the status 200
    stall: float = 0.0  # the body stops, the connection stays

    def draw(self, rng):
        """One of the kinds, or ""."""
        shares = {"drop": self.drop, "busy": self.busy, "page": self.page, "stall": self.stall}
        kinds = [*shares, ""]
        return rng.choices(kinds, [*shares.values(), 1 - sum(shares.values())])[0]


class ArchiveServer:
    """The stand-in; a context manager.

    Parameters
    ----------
    catalog : astropy.table.Table, optional
        Rows of an allStar catalog.
    stars : pathlib.Path, optional
        Folder with <field>/<file> of the spectra, whatever their telescope.
    course : pathlib.Path, optional
        Folder with the course's files.
    faults : Faults
    seed : int
        Of the faults.

    Attributes
    ----------
    url : str
    sql : str
        How SQL is answered: "ok", or one of the ways to fail.
    lost, busy, changed : set of str
        Names of files that are not there, that are answered with 503, that have changed since.
    requests : list of tuple
        Path, first byte asked for, status, bytes sent (if the client stayed); of every request for a file.
    statements : list of str
        The SQL that was asked.
    queries : list of dict
        Parameters of the requests for it.
    row_limit, most_queries : int
        Rows of an answer, and queries until there are too many.
    count_as : str
        The name that COUNT(*) gets, whatever it was asked to be.
    etag : bool or None
        Whether files have an identity; None: another one each time.
    trickle : float
        Seconds between two bytes of a file.
    slow_heads : bool
        Whether the head of such an answer trickles, too.
    redirect : str
        Where requests for spectra are sent instead.
    redirects : dict of str to str
        Where requests for single files are sent, by their names.
    ranges : bool
        Whether parts of files are served.
    cut : int
        Every answer ends after so many bytes of a file.
    pace : float
        Seconds that the server rests after each 64 KiB of a file.
    agents : set of str
        Who has asked for files, by the header User-Agent.
    """

    def __init__(self, catalog=None, stars=None, course=None, faults=Faults(), seed=1):
        self.stars, self.course, self.faults = stars, course, faults
        self.sql, self.redirect, self.redirects = "ok", None, {}
        self.lost, self.busy, self.changed, self.agents = set(), set(), set(), set()
        self.ranges, self.cut, self.pace, self._failures = True, None, 0.0, None
        self.requests, self.statements, self.queries = [], [], []
        self.trickle, self.slow_heads = None, False
        self.row_limit, self.most_queries, self.count_as, self.etag = 500_000, 60_000, None, True
        self.stalled = threading.Event()  # set at the end, so that stalled answers end too
        self._rng, self._lock = random.Random(seed), threading.Lock()
        self._rows, self._tables = None if catalog is None else Table(catalog, copy=True), None
        self._server = _Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"archive": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.stalled.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self):
        """The variables that send lab2 here."""
        kinds = {"SKYSERVER": "", "SAS": "", "COURSE": "/course"}
        return {f"LAB2_{kind}_URL": self.url + folder for kind, folder in kinds.items()}

    def hide(self, column):
        """Have tables without a column."""
        self._rows = self._rows[[name for name in self._rows.colnames if name != column]]

    def rename(self, field, name):
        """Give a field another name."""
        self.set(field, "FIELD", [name] * len(self._rows))

    def set(self, field, column, values):
        """Have other values in the first rows of a field, or of all."""
        rows = [i for i, name in enumerate(self._rows["FIELD"]) if field in ("", str(name).strip())]
        texts = [str(text) for text in self._rows[column]]
        for row, value in zip(rows, values, strict=False):
            texts[row] = value
        self._rows = Table(self._rows, copy=True)
        self._rows[column] = texts

    def recover_after(self, n):
        """Answer SQL well again after `n` failures."""
        self._failures = n

    def how(self):
        """How the next statement is answered."""
        if self._failures == 0:
            self.sql = "ok"
        if self._failures is not None:
            self._failures -= 1
        return self.sql

    def elsewhere(self, name):
        """Where a request for a spectrum is sent instead; None for nowhere."""
        return self.redirects.get(name, self.redirect)

    def draw(self):
        """What goes wrong with the next request for a file, and after what share of it."""
        with self._lock:
            return self.faults.draw(self._rng), self._rng.random()

    def _database(self):
        """The tables, made anew only when they have changed."""
        if self._tables and self._tables[0] is self._rows:
            return self._tables[1]
        database = sqlite3.connect(":memory:", check_same_thread=False)
        for table in ("apogeeStar", "aspcapStar"):
            columns = [c.name for c in COLUMNS if c.table == table and c.name in self._rows.colnames]
            columns += [name for name in ["APSTAR_ID"] if name not in columns]
            names = ", ".join(f"[{name.lower()}]" for name in columns)
            database.execute(f"create table {table} ({names})")
            marks = ", ".join("?" for _ in columns)
            values = zip(*(self._rows[name].tolist() for name in columns), strict=True)
            database.executemany(f"insert into {table} values ({marks})", values)
            database.execute(f"create index of_{table} on {table} (apstar_id)")
        self._tables = self._rows, database
        return database

    def answer(self, statement):
        """The CSV of an SQL statement, as SkyServer writes it."""
        database = self._database()
        top = re.search(r"\bTOP (\d+)\b", statement)
        statement = re.sub(r"\bTOP \d+\b", "", statement) + (f" LIMIT {top[1]}" if top else "")
        cursor = database.execute(statement)
        lines = [",".join(name[0] for name in cursor.description), *(",".join(map(str, row)) for row in cursor)]
        return "#Table1\n" + "".join(line + "\n" for line in lines)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        """Say nothing: clients that leave are a part of the play. What they were denied they will tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    archive: ArchiveServer

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        path = unquote(url.path)
        if path == "/dr17/en/tools/search/x_results.aspx":
            self._sql(parse_qs(url.query))
        elif path.startswith("/course/") and self.archive.course:
            self._file(path, self.archive.course / path.rsplit("/", 1)[1])
        elif path.startswith(STARS) and (
            target := self.archive.redirects.get(path.rsplit("/", 1)[1], self.archive.redirect)
        ):
            self._send(302, b"", "text/html", Location=target)
        elif path.startswith(STARS) and self.archive.stars:
            _, field, name = path.removeprefix(STARS).split("/")
            self._file(path, self.archive.stars / field / name)
        else:
            self._send(404, b"not here", "text/plain")

    def _sql(self, query):
        (statement,), archive = query["cmd"], self.archive
        archive.statements.append(statement.strip())
        archive.queries.append({name: value for name, (value,) in query.items()})
        how = archive.how()
        if how == "redirect":
            return self._redirect(archive.redirect)
        if how == "500":
            return self._send(500, PAGE, "text/html")
        if how == "page":
            return self._send(200, PAGE, "text/html")
        if how == "stall":
            archive.stalled.wait(20)
            return self._send(200, b"", "text/plain")
        if how == "refused":
            return self._send(200, b'<html><body>{"error_message": "Invalid column name"}</body></html>', "text/html")
        if how == "words":
            return self._send(200, b"#Table1\nSQL returned an error. \nInvalid object name 'x'.\n", "text/plain")
        if how == "too many" or len(archive.statements) > archive.most_queries:
            return self._send(200, f'{TOO_MANY}{statement}"\n'.encode(), "text/plain")
        if how in ("endless", "trickle"):
            self._begin(200, None, "text/plain", {})
            return self._repeat(b"#Table1\nx" * 4096 if how == "endless" else b"#", 0.0 if how == "endless" else 0.05)
        if (top := re.match(r"SELECT TOP (\d+)", statement)) and int(top[1]) > archive.row_limit:
            return self._send(
                200, f"#Table1\nerror_message\nerror: limit is {archive.row_limit}".encode(), "text/plain"
            )
        if how == "bomb":
            return self._send(200, bomb(), "text/plain", **{"Content-Encoding": "gzip"})
        text = archive.answer(statement)
        if archive.count_as:
            text = re.sub(r"^n$", archive.count_as, text, flags=re.MULTILINE)
        if how == "empty" and "COUNT" not in statement:
            text = "".join(text.splitlines(keepends=True)[:2])
        if how == "truncated" and "COUNT" not in statement and "TOP" not in statement:
            text = "".join(text.splitlines(keepends=True)[:-1])
        return self._send(200, text.encode(), "text/plain")

    def _file(self, path, file):
        archive = self.archive
        if not file.is_file() or file.name in archive.lost:
            archive.requests.append((path, 0, 404, 0))
            return self._send(404, b"not here", "text/plain")
        fault, where = archive.draw()
        body = file.read_bytes()
        if file.name in archive.changed:  # another edition, of the same size
            body = body[::-1]
        archive.agents.add(self.headers["User-Agent"])
        if archive.trickle is not None:
            return self._trickle(path, body)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if archive.ranges else None
        start = int(asked[1]) if asked else 0
        if fault == "busy" or file.name in archive.busy:
            archive.requests.append((path, start, 503, 0))
            return self._send(503, b"busy", "text/plain", **{"Retry-After": "0"})
        if fault == "page":
            archive.requests.append((path, start, 200, 0))
            return self._send(200, PAGE, "text/html")
        if start >= len(body):
            archive.requests.append((path, start, 416, 0))
            return self._send(416, b"", "text/plain", **{"Content-Range": f"bytes */{len(body)}"})
        if "gzip" in self.headers.get("Accept-Encoding", ""):  # such a client has to unpack it, and count other bytes
            body = gzip.compress(body)
        part = body[start:]
        if archive.cut and len(part) > archive.cut:
            fault, where = "drop", archive.cut / len(part)
        sent = int(where * len(part)) if fault in ("drop", "stall") else len(part)
        headers = {"Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}
        headers["Accept-Ranges"] = "bytes"
        if archive.etag is not False:
            identity = hashlib.sha256(body).hexdigest()[:16] if archive.etag else archive.draw()[1]
            headers |= {"ETag": f'"{identity}"', "Last-Modified": formatdate(file.stat().st_mtime, usegmt=True)}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        archive.requests.append((path, start, 206 if asked else 200, sent))
        self._begin(206 if asked else 200, len(part), "application/fits", headers)
        done = 0
        try:
            while done < sent:
                done += self.wfile.write(part[done : min(done + 65536, sent)])
                time.sleep(archive.pace)
            self.wfile.flush()
            if fault == "stall":
                archive.stalled.wait(60)
        except OSError:
            self.close_connection = True  # the client was killed
        if fault:
            self.close_connection = True
        return None

    def _trickle(self, path, body):
        archive = self.archive
        archive.requests.append((path, 0, 200, 0))
        self.close_connection = True
        if not archive.slow_heads:
            self._begin(200, len(body), "application/fits", {"ETag": '"x"'})
        with contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 200 OK" if archive.slow_heads else body:
                self.wfile.write(bytes([byte]))
                if archive.stalled.wait(archive.trickle):
                    return

    def _redirect(self, target):
        """To there, with a body that never ends."""
        self._begin(302, None, "text/html", {"Location": target})
        self._repeat(b" " * 65536)

    def _repeat(self, block, pause=0.0):
        """Send something until the client has left."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            while not self.archive.stalled.wait(pause):
                self.wfile.write(block)

    def _send(self, status, body, kind, **headers):
        self._begin(status, len(body), kind, headers)
        self.wfile.write(body)

    def _begin(self, status, length, kind, headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
