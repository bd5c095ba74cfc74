"""A catalog from SDSS's SkyServer, by SQL."""

import time

import requests
from astropy.io.ascii import InconsistentTableError
from astropy.table import Table, vstack
from astroquery.exceptions import RemoteServiceError
from astroquery.exceptions import TimeoutError as QueryTimeoutError
from astroquery.sdss import SDSSClass, conf
from tqdm import tqdm

from lab2.archive.columns import COLUMNS, checked
from lab2.archive.hosts import base_url
from lab2.archive.web import ArchiveError, TransientError, retrying, session, words

__all__ = ["query", "sql"]

RELEASE = 17
TABLES = "apogeeStar AS s JOIN aspcapStar AS a ON a.apstar_id = s.apstar_id"
TIMEOUT = 120  # s
ATTEMPTS = 4
# SkyServer allows 60 queries a minute ("Query Limits" of its help).
PAUSE = 1.0  # s
# IIS, which serves SkyServer, answers a longer query string with 404 (requestFiltering: maxQueryString, 2048 bytes).
LONGEST_SQL = 1500


def query(fields):
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
    sciserver/sqlloader (their columns); astroquery.sdss, `SDSSClass.query_sql`.
    """
    columns = _columns()
    parts, statements = [], []
    for field in tqdm(fields, desc="catalog", unit="field"):
        statement = sql(field, columns)
        count = int(_ask(_count(field), ["N"])["N"][0])
        if not count:
            raise ArchiveError(f"SkyServer has no star in the field {field!r}; such are M15, N6791, 060+00")
        parts.append(_ask(statement, [column.name for column in columns], count))
        statements.append(statement)
    # metadata of answers are comments, which differ and say nothing
    return checked(vstack(parts, metadata_conflicts="silent"), fields, "SkyServer's answer"), statements


def sql(field, columns=COLUMNS):
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
        raise ValueError(f"the SQL has {len(statement)} characters, more than the {LONGEST_SQL} that SkyServer takes")
    return statement


def _count(field):
    return f"SELECT COUNT(*) AS n FROM {TABLES} WHERE {_where(field)}"


def _where(field):
    return "s.field = '{}'".format(field.replace("'", "''"))


def _columns():
    """Those of `COLUMNS` that the tables have."""
    has = {
        table: _ask(f"SELECT TOP 1 * FROM {table}", ["APSTAR_ID"]).colnames for table in ("apogeeStar", "aspcapStar")
    }
    missing = [f"{c.table}.{c.name.lower()}" for c in COLUMNS if c.required and c.name not in has[c.table]]
    if missing:
        raise ArchiveError(f"SkyServer's tables lack {', '.join(missing)}: is this its release {RELEASE}?")
    return [column for column in COLUMNS if column.name in has[column.table]]


def _ask(statement, expected, n_rows=1):
    """SkyServer's answer to a statement, with the expected columns and rows; all names in capitals."""
    return retrying(ATTEMPTS)(_ask_once, statement, expected, n_rows)


def _ask_once(statement, expected, n_rows):
    url = base_url("LAB2_SKYSERVER_URL")
    time.sleep(PAUSE)
    advice = "Try again later, or give a catalog that you have: --allstar FILE"
    sdss = SDSSClass()
    try:
        with session() as http, conf.set_temp("skyserver_baseurl", url):
            # astroquery takes no session from its caller, and its own would follow a redirect to another scheme
            sdss._session = http
            # without the cache, which would keep an answer that is an error for a week
            answer = sdss.query_sql(statement, timeout=TIMEOUT, cache=False, data_release=RELEASE)
    except RemoteServiceError as error:
        raise ArchiveError(f"SkyServer refused {statement}: {words(str(error))} {advice}") from error
    except (QueryTimeoutError, requests.Timeout) as error:
        raise TransientError(f"SkyServer ({url}) did not answer within {TIMEOUT} s. {advice}") from error
    except requests.RequestException as error:
        raise TransientError(f"SkyServer ({url}) gave no answer: {words(str(error))}. {advice}") from error
    except (InconsistentTableError, ValueError) as error:
        raise TransientError(f"SkyServer ({url}) sent something that is no table. {advice}") from error
    answer = Table(names=expected) if answer is None else answer
    names = [name.upper() for name in answer.colnames]
    if not set(expected) <= set(names):
        # its errors come as text, which reads like a table of one column
        said = words(" ".join([*answer.colnames, *(str(value) for row in answer for value in row)]))
        raise ArchiveError(f"SkyServer answered {statement} with words in the place of rows: {said} {advice}")
    answer.rename_columns(answer.colnames, names)
    if len(answer) != n_rows:
        raise TransientError(f"SkyServer sent {len(answer)} of {n_rows} rows. {advice}")
    return answer
