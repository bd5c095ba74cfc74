"""HTTP sessions, retries, the check of responses, and the exceptions of the archive modules."""

import contextlib
import importlib.metadata
import threading
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
from bs4 import BeautifulSoup
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

__all__ = ["TIMEOUT", "ArchiveError", "RefusedError", "TransientError", "accept", "retrying", "session", "words"]

TIMEOUT = (10, 30)  # s, to connect and between two chunks of a response
BACKOFF = 1.0  # s, longest wait after the first attempt, approximately; it doubles with each further attempt
LONGEST_WAIT = 60  # s, between two attempts, whatever the server asks for


class ArchiveError(RuntimeError):
    """A request to an archive failed; the message says how, and what to do."""


class RefusedError(ArchiveError):
    """A permanent failure: repeating the request is useless."""


class TransientError(ArchiveError):
    """A temporary failure; `retry_after` is the wait that the server asks for [s]."""

    def __init__(self, message, retry_after=0.0):
        super().__init__(message)
        self.retry_after = retry_after


class _Session(requests.Session):
    """A session that follows redirects only within the scheme of the request."""

    def get_redirect_target(self, response):
        target = super().get_redirect_target(response)
        if target is not None:
            scheme, asked = (urlsplit(url).scheme for url in (urljoin(response.url, target), response.url))
            if scheme != asked:
                response.close()
                raise RefusedError(f"{response.url} redirects from {asked} to {scheme}, which is refused: {target}")
        return target


def session():
    """A session with this package's User-Agent, which follows no redirect to another scheme.

    Returns
    -------
    requests.Session
    """
    http = _Session()
    http.max_redirects = 5
    # identity: sizes and ranges are those of the file itself
    http.headers.update({"User-Agent": f"lab2/{importlib.metadata.version('lab2')}", "Accept-Encoding": "identity"})
    return http


def retrying(attempts, stop=None):
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


def words(page):
    """The text of a web page, in one line.

    Parameters
    ----------
    page : str
        HTML, or plain text.

    Returns
    -------
    str
        At most 300 characters.
    """
    return " ".join(BeautifulSoup(page, "html.parser").get_text(" ").split())[:300]


def accept(response):
    """Check the status of a response.

    Parameters
    ----------
    response : requests.Response

    Raises
    ------
    TransientError
        If the server is busy or broken.
    RefusedError
        If the server refuses the request.
    """
    code = response.status_code
    if code == requests.codes.too_many_requests or code >= 500:
        raise TransientError(f"{response.url}: the server answered {code}", _retry_after(response))
    if code not in (requests.codes.ok, requests.codes.partial_content):
        raise RefusedError(f"{response.url}: the server answered {code} {response.reason}")


def _retry_after(response):
    """The wait that a server asks for [s]; 0 if it asks for none."""
    with contextlib.suppress(InvalidHeader):
        return float(Retry().parse_retry_after(response.headers.get("Retry-After", "0")))
    return 0.0
