"""HTTP sessions with limits of time and size that another thread can abort and that stay on one server."""

import contextlib
import importlib.metadata
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, InvalidHeader, NewConnectionError
from urllib3.util import Retry

from lab2.archive.web import RefusedError, TransientError, UnreachableError, words

__all__ = ["Session", "accept", "answer", "body", "chunks", "retry_after"]

CONNECT = 10  # s
CHUNK = 1 << 16  # bytes


class Session(requests.Session):
    """A session whose request another thread can abort. It follows redirects only on the same server."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = None
        self.max_redirects = 5
        # identity: sizes and ranges refer to the uncompressed file
        self.headers.update({"User-Agent": f"lab2/{importlib.metadata.version('lab2')}", "Accept-Encoding": "identity"})
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self))

    def cut(self) -> None:
        """Abort the current request; its thread gets an error or the end of the response."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # already closed
                # not the method of an SSL socket, which would invalidate the connection while its thread is reading
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def get_redirect_target(self, response: requests.Response) -> str | None:
        try:
            target = super().get_redirect_target(response)
            if target is None:
                return None
            asked, meant = (_origin(url) for url in (response.url, urljoin(response.url, target)))
        except ValueError as error:
            response.close()
            raise RefusedError(f"{words(response.url)} redirects to an invalid address") from error
        response.close()  # unread: it may have any length
        if asked != meant:
            raise RefusedError(
                f"{words(response.url)} redirects to another server, which is refused: {words(target)}. If that is the "
                "archive's new address, give it by the environment variable that data/README.md names"
            )
        return target


class _Adapter(HTTPAdapter):
    """Reports the socket in use to the session."""

    def __init__(self, session):
        self._session = session
        super().__init__()

    def get_connection_with_tls_context(self, *given, **named):
        pool, session = super().get_connection_with_tls_context(*given, **named), self._session
        if "ConnectionCls" not in vars(pool):
            plain = pool.ConnectionCls

            class Connection(plain):
                def connect(self):
                    super().connect()
                    session._socket = self.sock

            pool.ConnectionCls = Connection
        return pool


class _Clock:
    """Cuts a session's connection when its time is up; `renew` restarts the clock."""

    def __init__(self, http, seconds):
        self._http, self._seconds = http, seconds
        self.expired, self._over = False, threading.Event()
        self.renew()
        threading.Thread(target=self._watch, daemon=True).start()

    def renew(self):
        self._end = time.monotonic() + self._seconds

    def stop(self):
        self._over.set()

    def _watch(self):
        while (left := self._end - time.monotonic()) > 0:
            if self._over.wait(left):
                return
        self.expired = True
        while not self._over.wait(0.5):  # again, for a connection that did not exist yet
            self._http.cut()


@contextlib.contextmanager
def answer(http: Session, url: str, seconds: float, **request: Any) -> Iterator[tuple[requests.Response, Any]]:
    """Request a URL; the response is read in the block.

    Parameters
    ----------
    http : Session
    url : str
    seconds : float
        Time until the end of the block, or until the next call of `clock.renew`.
    **request
        `params` and `headers`, as for requests.

    Yields
    ------
    response : requests.Response
    clock : object
        With the method `renew`.

    Raises
    ------
    RefusedError
        If the server redirects in a loop or to another server, or the address is invalid.
    UnreachableError
        If there is no connection.
    TransientError
        If the connection breaks, or the time is up.
    """
    clock = _Clock(http, seconds)
    late = TransientError(f"{url}: no complete answer within {seconds:g} s")
    try:
        with http.get(url, stream=True, timeout=(CONNECT, seconds), **request) as response:
            yield response, clock
    except (requests.TooManyRedirects, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise RefusedError(f"{url}: {words(str(error))}") from error
    except requests.RequestException as error:
        if clock.expired or isinstance(error, requests.ReadTimeout):
            raise late from error
        cause = getattr(error.args[0], "reason", error) if error.args else error
        kind = UnreachableError if isinstance(cause, NewConnectionError | ConnectTimeoutError) else TransientError
        raise kind(f"{url}: {words(str(cause)) or type(cause).__name__}") from error
    finally:
        clock.stop()
    if clock.expired:  # a truncated response without a stated length looks complete
        raise late


def chunks(response: requests.Response) -> Iterator[bytes]:
    """The content of a response in pieces of 64 KiB, decompressed if necessary."""
    try:
        yield from response.iter_content(CHUNK)
    except ValueError as error:  # urllib3 does not expect a negative chunk size
        if isinstance(error, requests.RequestException):
            raise
        raise TransientError(f"{words(response.url)}: an answer that violates HTTP ({words(str(error))})") from error


def body(response: requests.Response, limit: int) -> bytes:
    """The content of a response.

    Parameters
    ----------
    response : requests.Response
    limit : int
        Maximum size [bytes].

    Raises
    ------
    RefusedError
        If it is larger.
    """
    content = bytearray()
    for chunk in chunks(response):
        content += chunk
        if len(content) > limit:
            raise RefusedError(f"the answer is longer than {limit / 1e6:.1f} MB, the limit for its kind")
    return bytes(content)


def accept(response: requests.Response) -> None:
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
    code, url = response.status_code, words(response.url)
    if code == requests.codes.too_many_requests or code >= 500:
        raise TransientError(f"{url}: the server answered {code}", retry_after(response))
    if code not in (requests.codes.ok, requests.codes.partial_content):
        raise RefusedError(f"{url}: the server answered {code} {words(response.reason or '')}")


def retry_after(response: requests.Response) -> float:
    """The waiting time that a server requests [s]; 0 if none."""
    with contextlib.suppress(InvalidHeader, ValueError, OverflowError):
        return float(Retry().parse_retry_after(response.headers.get("Retry-After", "0")))
    return 0.0


def _origin(url):
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
