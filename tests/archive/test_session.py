"""Servers that are slow, that send too much, that lead elsewhere and that talk nonsense."""

import datetime
import email.utils
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
import requests
from archive_server import STARS
from downloads import Answer, download, fetch, parts_in, spectra

from lab2.archive import parallel, skyserver, transfer, web
from lab2.archive.session import CHUNK, _origin, retry_after
from lab2.archive.transfer import Download
from lab2.archive.web import ArchiveError, RefusedError, TransientError


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_moment_it_goes_on(archive, folder, observed_survey, death):
    archive.pace = 0.03  # slow enough that four clients, killed in time, are not done
    expected, rng = spectra(observed_survey), random.Random(int(death))
    # a shell's background job ignores SIGINT, and so do its children: the client shall be like one in the foreground
    client_code = """
import signal
from lab2.archive import skyserver
from lab2.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)
skyserver.PAUSE = 0
exit(main(["fetch"]))
"""
    whole, killed = {}, 0
    while killed < 4:
        archive.requests.clear()
        client = subprocess.Popen(
            [sys.executable, "-c", client_code], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        many = rng.randint(1, 20)
        wait_until(lambda: len(archive.requests) >= many)  # noqa: B023 (it is waited for here)
        time.sleep(rng.uniform(0, 0.05))
        client.send_signal(death)
        _, said = client.communicate(timeout=60)
        assert client.returncode in ({-signal.SIGKILL} if death == signal.SIGKILL else {130}), said[-500:]
        if death == signal.SIGINT:
            assert b"run the same command to continue" in said
            assert b"Traceback" not in said
        killed += 1
        fetched_again = {
            request[0].rsplit("/", 2)[-2] + "/" + request[0].rsplit("/", 1)[1] for request in archive.requests
        }
        assert not fetched_again & whole.keys()
        before, whole = whole, spectra(folder)
        assert before.items() <= whole.items()
        assert whole.items() <= expected.items(), "something half under a final name"
    assert len(whole) < len(expected), "it was too quick to be killed"
    archive.pace = 0
    archive.requests.clear()
    fetch()
    assert spectra(folder) == expected
    assert parts_in(folder) == []
    assert max(Counter(request[0] for request in archive.requests if "stars" in request[0]).values()) == 1


@pytest.mark.parametrize("slow", ["body", "head", "sql"])
def test_interrupted_at_a_slow_server_it_ends_at_once_and_goes_on(archive, folder, observed_survey, slow):
    code = """
import signal, sys, time
from lab2.archive import skyserver
from lab2.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)
skyserver.PAUSE = 0
status = main(["fetch", "--limit", "8"])
print(time.time(), file=sys.stderr)  # how long Python then takes to end depends on the machine
exit(status)
"""
    fetch(limit=3)
    whole = spectra(folder)
    if slow == "sql":
        shutil.rmtree(folder)
        archive.sql = "trickle"
    archive.trickle, archive.slow_heads = 5.0, slow == "head"
    archive.requests.clear()
    archive.statements.clear()
    client = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    wait_until(lambda: len(archive.requests) == parallel.CONNECTIONS or len(archive.statements) == 1)
    time.sleep(0.5)
    start = time.time()
    client.send_signal(signal.SIGINT)
    _, said = client.communicate(timeout=60)
    assert float(said.split()[-1]) - start < 5
    assert client.returncode == 130
    assert b"Traceback" not in said
    assert slow == "sql" or whole.items() <= spectra(folder).items()
    archive.trickle, archive.sql = None, "ok"
    fetch(limit=8)
    assert len(spectra(folder)) >= 8
    assert spectra(folder).items() <= spectra(observed_survey).items()
    assert parts_in(folder) == []


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


BAD_REDIRECTS = {
    "https://127.0.0.1/a.fits": "to another server",
    "ftp://127.0.0.1/a.fits": "to another server",
    "file:///etc/passwd": "to another server",
    "http://127.0.0.1:9/a.fits": "to another server",
    "//elsewhere/a.fits": "to another server",
    "http://[bad/a.fits": "to an invalid address",
    "http://127.0.0.1:99999/a.fits": "to an invalid address",
    "http://x:y/a.fits": "to an invalid address",
    "\xff\xfe": "to an invalid address",
}


@pytest.mark.parametrize("target", BAD_REDIRECTS)
def test_no_redirect_leads_to_another_server(archive, source, http, tmp_path, target):
    archive.redirect = target
    with pytest.raises(RefusedError, match=f"redirects {BAD_REDIRECTS[target]}"):
        transfer.fetch(http, download(archive, tmp_path))


def test_a_server_is_the_same_with_its_port_told():
    assert _origin("https://data.sdss.org/x") == _origin("https://data.sdss.org:443/y")
    assert _origin("https://data.sdss.org/x") != _origin("http://data.sdss.org:443/x")
    assert _origin("https://data.sdss.org/x") != _origin("https://data.sdss.org.example/x")


@pytest.mark.parametrize("target", [*BAD_REDIRECTS, f"{STARS}apo25m/F/b.fits"])
def test_a_bad_redirect_is_the_fault_of_its_file_alone(archive, source, tmp_path, target):
    for name in "bcd":
        (source.parent / f"{name}.fits").write_bytes(source.read_bytes())
    archive.redirects["b.fits"] = target  # the last is a circle
    wanted = [download(archive, tmp_path, name=f"{name}.fits") for name in "abcd"]
    (failed,) = parallel.fetch_all(wanted, "files").items()
    assert failed[0].name == "b.fits"
    assert "redirect" in failed[1]
    assert sum(one.path.read_bytes() == source.read_bytes() for one in wanted if one.path.exists()) == 3


def test_a_redirect_on_the_server_is_followed_but_not_for_ever(archive, source, http, tmp_path):
    archive.course = source.parent
    archive.redirect = f"{archive.url}/course/a.fits"
    one = download(archive, tmp_path)
    transfer.fetch(http, one)
    assert one.path.read_bytes() == source.read_bytes()
    archive.redirect = f"{archive.url}{STARS}apo25m/F/a.fits"
    with pytest.raises(RefusedError, match="xceeded 5 redirects"):
        transfer.fetch(http, download(archive, tmp_path / "again"))


@pytest.mark.parametrize("slow_heads", [False, True])
def test_a_trickle_is_given_up_with_its_reason(archive, source, http, tmp_path, monkeypatch, slow_heads):
    monkeypatch.setattr(transfer, "PATIENCE", 0.4)
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    archive.trickle, archive.slow_heads = 0.05, slow_heads  # there is always a next byte
    start = time.monotonic()
    with pytest.raises(TransientError, match=r"a\.fits: no complete answer within 0\.4 s"):
        transfer.fetch(http, download(archive, tmp_path))
    assert time.monotonic() - start < 5
    assert len(archive.requests) == 2


def test_a_slow_line_is_used_as_long_as_it_can_get_there(archive, source, http, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 0.5)
    archive.pace = 0.2  # 64 KiB in less time than that, the file in more
    one = download(archive, tmp_path)
    transfer.fetch(http, one)
    assert one.path.read_bytes() == source.read_bytes()
    assert len(archive.requests) == 1


def test_a_survey_s_time_is_bounded_by_rate_and_size():
    rate = CHUNK / transfer.PATIENCE
    assert 4 * rate * 86400 * 7 > 4e9, "a survey of 4 GB comes in a week"


@pytest.fixture
def interruptible():
    """The process as one in the foreground: a shell's background job ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("slow_heads", [False, True])
def test_the_user_s_interruption_ends_a_slow_server(archive, source, tmp_path, slow_heads):
    archive.trickle, archive.slow_heads = 5.0, slow_heads
    wanted = [download(archive, tmp_path, name=f"{number}.fits") for number in range(8)]
    for one in wanted:
        (source.parent / one.path.name).write_bytes(source.read_bytes())
    main = threading.main_thread().ident

    def interrupt():
        while len(archive.requests) < parallel.CONNECTIONS:
            time.sleep(0.01)
        time.sleep(0.2)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        parallel.fetch_all(wanted, "files")
    assert time.monotonic() - start < 5
    assert not [thread for thread in threading.enumerate() if thread.name == parallel.NAME], "all threads have ended"


def test_the_server_says_how_long_to_wait():
    response = requests.Response()
    response.headers["Retry-After"] = "7"
    assert retry_after(response) == 7
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    response.headers["Retry-After"] = email.utils.format_datetime(soon, usegmt=True)
    assert 90 < retry_after(response) <= 100


@pytest.mark.parametrize("text", ["", "soon", "-3", "9" * 5000, "Mon, 01 Jan 999999 00:00:00 GMT"])
def test_nonsense_is_no_time_to_wait(text):
    response = requests.Response()
    response.headers["Retry-After"] = text
    assert retry_after(response) == 0


@pytest.mark.parametrize(
    "headers",
    [{"Content-Length": "9" * 5000}, {"Content-Length": "-1"}, {"Content-Length": "ten"}, {"ETag": "\x1b[2J"}],
)
def test_nonsense_in_a_header_is_no_size(http, tmp_path, monkeypatch, headers):
    monkeypatch.setattr(http, "get", lambda *given, **also: Answer([b"12345"], **headers))
    one = Download("http://x/", tmp_path / "x", lambda path: None, 0, 1_000_000)
    transfer.fetch(http, one)
    assert one.path.read_bytes() == b"12345"
    assert list(tmp_path.iterdir()) == [one.path]


@pytest.mark.parametrize("said", ["bytes 0-4/*", "bytes 1-4/" + "9" * 5000, "bytes x-y/z", ""])
def test_nonsense_is_no_part_of_a_file(http, tmp_path, monkeypatch, said):
    monkeypatch.setattr(web, "BACKOFF", 0.001)
    answer = Answer([b"12345"], **{"Content-Range": said})
    answer.status_code = 206
    monkeypatch.setattr(http, "get", lambda *given, **also: answer)
    with pytest.raises(TransientError, match="the server sent part of a file without saying which"):
        transfer.fetch(http, Download("http://x/", tmp_path / "x", lambda path: None, 0, 1_000_000))


def test_what_a_server_says_is_short_plain_text():
    assert web.words("<h1>It</h1> is\r\n &lt;gone&gt;\x1b[31m\x07 \u202eback") == "It is <gone> [31m back"
    assert web.words("http://x/") == "http://x/"
    assert len(web.words("x" * 10**6)) == len(web.words("<p>" + "y" * 10**6)) == 300
    assert web.words("<a>" * 10**6 + "deep") == ""


def test_a_status_s_words_are_plain_text(http, tmp_path, monkeypatch):
    answer = Answer([])
    answer.status_code, answer.reason = 404, "\x1b[2J" + "gone " * 1000
    monkeypatch.setattr(http, "get", lambda *given, **also: answer)
    with pytest.raises(RefusedError) as raised:
        transfer.fetch(http, Download("http://x/", tmp_path / "x", lambda path: None, 0, 1_000_000))
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


NONSENSE = {
    "a chunk of a size below 0": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-114\r\na,b\n1,2\n\r\n",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nten\r\na,b\n1,2\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 8\r\n\r\na,b\n1,2\n",
    "no HTTP": b"a,b\n1,2\n",
    "HTTP of the future": b"HTTP/9.9 200 OK\r\n\r\na,b\n1,2\n",
    "a packed answer that is not": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\na,b\n1,2\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
    "a line without an end": b"HTTP/1.1 200 " + b"x" * 100_000,
    "nothing": b"",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_what_is_no_http_is_a_failure_like_others(http, tmp_path, monkeypatch, what):
    monkeypatch.setattr(web, "BACKOFF", 0.001)
    monkeypatch.setattr(skyserver, "PAUSE", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=say, args=(server, NONSENSE[what]), daemon=True).start()
        url = "http://127.0.0.1:{1}".format(*server.getsockname())
        monkeypatch.setenv("LAB2_SKYSERVER_URL", url)
        with pytest.raises(ArchiveError) as raised:
            skyserver.ask("SELECT", ["A", "B"], 2, attempts=1)
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 600
        with pytest.raises(ArchiveError):
            transfer.fetch(http, Download(f"{url}/x", tmp_path / "x", refuse, 0, 1_000_000))
    assert not (tmp_path / "x").exists()


def refuse(path):
    raise RefusedError("it came")


def say(server, text):
    """Answer every request with a text."""
    while True:
        try:
            client, _ = server.accept()
            with client:
                client.recv(CHUNK)
                client.sendall(text)
        except OSError:  # the client has enough, or the test has
            if server.fileno() < 0:
                return
