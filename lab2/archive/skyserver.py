"""A catalog from SDSS SkyServer, by SQL."""

import contextlib
import csv
import io
import re
import time
from collections.abc import Callable, Iterable, Sequence

from astropy.table import Table, vstack
from tqdm import tqdm

from lab2.archive.columns import COLUMNS, Column, checked
from lab2.archive.hosts import base_url
from lab2.archive.session import Session, answer, body, retry_after
from lab2.archive.web import ArchiveError, RefusedError, TransientError, retrying, words

__all__ = ["ask", "columns", "count", "first_row", "lacking", "query", "sql"]

TABLES = "apogeeStar AS s JOIN aspcapStar AS a ON a.apstar_id = s.apstar_id"
PATH = "dr17/en/tools/search/x_results.aspx"
TIMEOUT = 120  # s, for a complete response
ATTEMPTS = 4
# SkyServer allows 60 queries per minute ("Query Limits" in its help), and refuses further ones with these words.
PAUSE = 1.0  # s
TOO_MANY = "queries allowed per minute"
MINUTE = 60.0  # s
# SkyServer's web server, IIS, answers a longer query string with 404 (requestFiltering: maxQueryString, 2048 bytes).
LONGEST_SQL = 1500
# Rows of a field: the largest have a few thousand. The size of a response is limited by its rows: 40 bytes per cell are
# twice the average, and it may begin with a web page.
MOST_ROWS = 20_000
CELL, HEAD = 40, 100_000  # bytes
ADVICE = "Try again later, or give a catalog that you have: --allstar FILE"


def query(fields: Sequence[str]) -> tuple[Table, list[str]]:
    """The rows of some fields in the tables apogeeStar and aspcapStar of DR17.

    They are joined on apstar_id, the key of both; apogee_id would multiply the rows of stars observed in two fields.
    The first queries find out which columns the tables have. Each field is a separate query, and the number of rows is
    compared with COUNT(*).

    Parameters
    ----------
    fields : sequence of str

    Returns
    -------
    table : astropy.table.Table
        As from `lab2.archive.columns.checked`.
    statements : list of str
        The SQL statements.

    Raises
    ------
    ArchiveError
        If SkyServer does not answer, refuses the query, or its answer is not the expected table.

    References
    ----------
    SDSS DR17, "Ways to Access APOGEE Data" (the tables and their label tree); schema/sql/ApogeeTables.sql of
    sciserver/sqlloader (their columns), spExecuteSQL.sql there (its limits); astroquery.sdss (the form of a request).
    """
    there = columns(ask)
    parts, statements = [], []
    for field in tqdm(fields, desc="catalog", unit="field"):
        statement = sql(field, there)
        n_rows = count(field, ask)
        if not n_rows:
            raise ArchiveError(f"SkyServer has no star in the field {field!r}; examples: M15, N6791, 060+00")
        parts.append(ask(statement, [column.name for column in there], n_rows))
        statements.append(statement)
    return checked(vstack(parts), fields, "SkyServer's answer"), statements


def sql(field: str, columns: Sequence[Column] = COLUMNS) -> str:
    """The SQL statement for one field.

    Parameters
    ----------
    field : str
    columns : sequence of lab2.archive.columns.Column

    Returns
    -------
    str
    """
    aliases = {"apogeeStar": "s", "aspcapStar": "a"}
    # FILE is a reserved word of SQL and has to be in brackets
    names = ", ".join(
        f"{aliases[column.table]}.{'[file]' if column.name == 'FILE' else column.name.lower()}" for column in columns
    )
    statement = f"SELECT {names} FROM {TABLES} WHERE {_where(field)}"
    if len(statement) > LONGEST_SQL:
        raise ValueError(f"the SQL has {len(statement)} characters, more than the {LONGEST_SQL} that SkyServer accepts")
    return statement


def count(field: str, ask: Callable[..., Table]) -> int:
    """The number of rows of a field, by COUNT(*); `ask` is the function of that name or a substitute."""
    (said,) = ask(f"SELECT COUNT(*) AS n FROM {TABLES} WHERE {_where(field)}", ["N"], 1)["N"]
    if not (said.isdecimal() and len(said) < 10 and int(said) <= MOST_ROWS):
        raise RefusedError(
            f"SkyServer counts {words(said)!r} rows in the field {field}; up to {MOST_ROWS} are expected. {ADVICE}"
        )
    return int(said)


def first_row(table: str, ask: Callable[..., Table]) -> Table:
    """The first row of a table with all its columns."""
    return ask(f"SELECT TOP 1 * FROM {table}", ["APSTAR_ID"], 1)


def lacking(table: str, names: Iterable[str]) -> list[str]:
    """The required columns that a table lacks."""
    return [f"{table}.{c.name.lower()}" for c in COLUMNS if c.table == table and c.required and c.name not in names]


def columns(ask: Callable[..., Table]) -> list[Column]:
    """Those of `COLUMNS` that the tables have."""
    has = {table: first_row(table, ask).colnames for table in ("apogeeStar", "aspcapStar")}
    if missing := [name for table, names in has.items() for name in lacking(table, names)]:
        raise RefusedError(f"SkyServer's tables lack {', '.join(missing)}: is this its release 17?")
    return [column for column in COLUMNS if column.name in has[column.table]]


def _where(field):
    return "s.field = '{}'".format(field.replace("'", "''"))


def ask(
    statement: str, expected: Sequence[str], n_rows: int, attempts: int | None = None, timeout: float | None = None
) -> Table:
    """SkyServer's response to a statement.

    Parameters
    ----------
    statement : str
    expected : sequence of str
        Required columns, in upper case.
    n_rows : int
        Its number of rows.
    attempts : int, optional
        Default: `ATTEMPTS`.
    timeout : float, optional
        Time for each attempt [s]; default: `TIMEOUT`.

    Returns
    -------
    astropy.table.Table
        All cells are text; column names are in upper case.

    Raises
    ------
    RefusedError
        If the response is not the expected table; the message quotes it.
    TransientError
        If there is no response, a temporary refusal, or an incomplete response.
    """
    return retrying(attempts or ATTEMPTS)(_ask_once, statement, expected, n_rows, timeout or TIMEOUT)


def _ask_once(statement, expected, n_rows, timeout):
    server = base_url("LAB2_SKYSERVER_URL")
    time.sleep(PAUSE)
    request = {"cmd": statement, "format": "csv", "searchtool": "SQL"}
    limit = HEAD + CELL * n_rows * len(expected)
    try:
        with Session() as http, answer(http, f"{server}/{PATH}", timeout, params=request) as (response, _):
            status, said = response.status_code, body(response, limit).decode("utf-8-sig", errors="replace")
    except ArchiveError as error:
        raise type(error)(f"SkyServer: {error}. {ADVICE}") from error
    heard = words(said).rstrip(".")
    if TOO_MANY in said:
        raise TransientError(f"SkyServer says: {heard}. {ADVICE}", retry_after=MINUTE)
    if status == 429 or status >= 500:
        raise TransientError(f"SkyServer ({server}) answered {status}: {heard}. {ADVICE}", retry_after(response))
    names, rows = _cells(said)
    if status != 200 or not set(expected) <= set(names) or len(set(names)) < len(names):
        # a web page without a message means that the server has a problem
        kind = TransientError if said.lstrip().startswith("<") and "error_message" not in said else RefusedError
        raise kind(f"SkyServer answered {statement} with text instead of rows: {heard}. {ADVICE}")
    whole = [row for row in rows if len(row) == len(names)]
    if len(whole) != n_rows or len(rows) != n_rows:
        raise TransientError(f"SkyServer sent {len(whole)} of {n_rows} rows. {ADVICE}")
    return Table(rows=rows, names=names, dtype=[str] * len(names))


def _cells(said):
    """Column names in upper case, and rows, of the CSV after the comment lines."""
    rows = []
    with contextlib.suppress(csv.Error):  # the rest is not CSV; its rows are then missing
        for row in csv.reader(io.StringIO(re.sub(r"\A(#[^\n]*\n)+", "", said), newline=""), strict=True):
            rows += [row] if row else []
    names, *rows = rows or [[]]
    return [name.strip().upper() for name in names], rows
