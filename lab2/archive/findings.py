"""Assumptions about the archives, the findings, and their table."""

import itertools
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from lab2.archive.web import ArchiveError, words

__all__ = ["Assumption", "Finding", "judge", "so", "table"]

WIDTHS = (30, 40, 48, 42)  # characters; widths of the columns of the table
HEAD = ("assumption", "expected", "found", "ok, or what to do")


class Assumption(NamedTuple):
    """`test` takes the evidence and returns the finding, or raises it if the assumption is wrong."""

    name: str
    expected: str
    advice: str
    test: Callable


class Finding(NamedTuple):
    """The result for one assumption; `advice` says what to do, and is "" if it holds."""

    assumption: str
    expected: str
    found: str
    advice: str


class _NotSoError(ArchiveError):
    """An assumption does not hold; the message is the finding."""


def so(holds: bool, found: str) -> str:
    """Return `found` if the test holds; otherwise raise it as the reason."""
    if not holds:
        raise _NotSoError(found)
    return found


def judge(one: Assumption, evidence: Any) -> Finding:
    """The finding of one assumption."""
    try:
        return Finding(one.name, one.expected, words(one.test(evidence)), "")
    except ArchiveError as error:
        found = words(str(error))
    except Exception as error:  # any error becomes a row of the table, and the other tests go on
        found = words(f"{type(error).__name__}: {error}")
    return Finding(one.name, one.expected, found, one.advice)


def table(findings: Iterable[Finding]) -> str:
    """Findings as lines of text: assumption, expected, found, and "ok" or what to do.

    Parameters
    ----------
    findings : sequence of Finding

    Returns
    -------
    str
    """
    lines = []
    for row in (HEAD, *((*one[:3], one.advice or "ok") for one in findings)):
        cells = [textwrap.wrap(cell, width) for cell, width in zip(row, WIDTHS, strict=True)]
        parts = itertools.zip_longest(*cells, fillvalue="")
        lines += ["  ".join(map(str.ljust, line, WIDTHS)).rstrip() for line in parts]
    return "\n".join(lines)
