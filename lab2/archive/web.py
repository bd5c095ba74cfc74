"""Exceptions and retries of the archive modules, and server messages as plain text."""

import threading

import tenacity
from bs4 import BeautifulSoup

from lab2._failure import Failure

__all__ = ["ArchiveError", "RefusedError", "TransientError", "UnreachableError", "retrying", "words"]

BACKOFF = 1.0  # s, longest wait after the first attempt, approximately; it doubles with each further attempt
LONGEST_WAIT = 60  # s, the longest wait between two attempts, whatever the server requests
LONGEST_WORDS = 300  # characters


class ArchiveError(Failure):
    """A request to an archive failed; the message says why, and what to do."""


class RefusedError(ArchiveError):
    """A permanent failure: repeating the request is useless."""


class TransientError(ArchiveError):
    """A temporary failure; `retry_after` is the wait that the server requests [s]."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnreachableError(TransientError):
    """No connection to the server: it or the network is down."""


def retrying(attempts: int, stop: threading.Event | None = None) -> tenacity.Retrying:
    """A retry policy for `TransientError`: up to `attempts` times, with exponentially growing random waits.

    Parameters
    ----------
    attempts : int
    stop : threading.Event, optional
        Interrupts a wait.

    Returns
    -------
    tenacity.Retrying
        To be called with a function and its arguments.
    """
    grow = tenacity.wait_random_exponential(multiplier=BACKOFF, max=LONGEST_WAIT)

    def wait(state):
        return max(grow(state), min(state.outcome.exception().retry_after, LONGEST_WAIT))

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        retry=tenacity.retry_if_exception_type(TransientError),
        sleep=tenacity.sleep_using_event(stop or threading.Event()),
        reraise=True,
    )


def words(said: object) -> str:
    """A server's message in one line of plain text, without markup and control characters.

    Parameters
    ----------
    said : str
        HTML, plain text, or a part of a header.

    Returns
    -------
    str
        At most 300 characters.
    """
    said = said[: 100 * LONGEST_WORDS]
    if "<" in said:
        said = BeautifulSoup(said, "html.parser").get_text(" ")
    # terminals obey control characters, including those that reverse the text
    printable = "".join(character if character.isprintable() else " " for character in said)
    return " ".join(printable.split())[:LONGEST_WORDS]
