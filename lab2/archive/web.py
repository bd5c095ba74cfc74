"""How the archives are asked: who asks, how often, what counts as an answer, and the errors."""

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

TIMEOUT = (10, 30)  # s, to connect and between two pieces of an answer
BACKOFF = 1.0  # s, about the longest wait after the first attempt; it doubles with each further one
LONGEST_WAIT = 60  # s, between two attempts, whatever the server asks for


class ArchiveError(RuntimeError):
    """What the archive did instead of what it was asked for, and what to do."""


class RefusedError(ArchiveError):
    """An answer that will not change: asking again is of no use."""


class TransientError(ArchiveError):
    """A failure that may pass; `retry_after` is how long the server asks to wait [s]."""

    def __init__(self, message, retry_after=0.0):
        super().__init__(message)
        self.retry_after = retry_after


class _Session(requests.Session):
    """A session that follows a redirect only within the scheme that was asked for."""

    def get_redirect_target(self, response):
        target = super().get_redirect_target(response)
        if target is not None:
            scheme, asked = (urlsplit(url).scheme for url in (urljoin(response.url, target), response.url))
            if scheme != asked:
                response.close()
                raise RefusedError(f"{response.url} redirects from {asked} to {scheme}, which is refused: {target}")
        return target


def session():
    """A session of requests that says who is asking, and that no redirect leads to another scheme.

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
    """How a `TransientError` is tried again: up to `attempts` times, waiting longer each time, with jitter.

    Parameters
    ----------
    attempts : int
    stop : threading.Event, optional
        Ends the waiting.

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
    """What a web page says, in one line.

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
    """See that a response holds what was asked for.

    Parameters
    ----------
    response : requests.Response

    Raises
    ------
    TransientError
        If the server is busy or broken.
    RefusedError
        If it will not serve this.
    """
    code = response.status_code
    if code == requests.codes.too_many_requests or code >= 500:
        raise TransientError(f"{response.url}: the server answered {code}", _retry_after(response))
    if code not in (requests.codes.ok, requests.codes.partial_content):
        raise RefusedError(f"{response.url}: the server answered {code} {response.reason}")


def _retry_after(response):
    """The seconds that a server asks to wait, 0 where it does not."""
    with contextlib.suppress(InvalidHeader):
        return float(Retry().parse_retry_after(response.headers.get("Retry-After", "0")))
    return 0.0
