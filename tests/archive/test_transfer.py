import itertools
import re
import threading
import time

import pytest
from archive_server import Faults
from downloads import Answer, download

from lab2.archive import parallel, transfer, web
from lab2.archive.transfer import Download
from lab2.archive.web import ArchiveError, RefusedError, TransientError

BLOCK = 1 << 16


def parts(one):
    return [path for path in one.path.parent.iterdir() if path != one.path]


def test_a_file_comes_whole_and_leaves_nothing_beside_it(archive, source, http, tmp_path):
    one = download(archive, tmp_path)
    told = []
    transfer.fetch(http, one, lambda done, total: told.append((done, total)))
    assert one.path.read_bytes() == source.read_bytes()
    assert parts(one) == []
    assert told[-1] == (409_600, 409_600)
    assert told == sorted(told)
    assert archive.agents == {http.headers["User-Agent"]}
    assert http.headers["User-Agent"].startswith("lab2/")


def test_a_file_takes_its_name_by_one_step_of_the_file_system(archive, source, http, tmp_path, monkeypatch):
    def stop(*given):
        raise OSError("stopped there")

    one = download(archive, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(transfer.os, "replace", stop)
        with pytest.raises(OSError, match="stopped there"):
            transfer.fetch(http, one)
    assert not one.path.exists()
    assert parts(one)[0].read_bytes() == source.read_bytes()


def test_a_broken_transfer_goes_on_where_it_stopped(archive, source, http, tmp_path):
    archive.faults = Faults(drop=0.4)
    for number in range(8):
        one = download(archive, tmp_path / str(number))
        transfer.fetch(http, one)
        assert one.path.read_bytes() == source.read_bytes()
    broken = [request for request in archive.requests if request[1] > 0]
    assert len(broken) >= 3
    sent = sum(request[3] for request in archive.requests)
    # what a broken answer had under way is lost, no more
    assert sent <= 8 * 409_600 + BLOCK * len(archive.requests)
    assert sent < 0.9 * 409_600 * len(archive.requests)


def test_a_line_that_breaks_often_is_used_to_the_end(archive, source, http, tmp_path):
    source.write_bytes(bytes(range(256)) * 8000)  # 2 MB
    archive.cut = 140_000
    one = download(archive, tmp_path, limit=10_000_000)
    transfer.fetch(http, one)
    assert one.path.read_bytes() == source.read_bytes()
    assert len(archive.requests) > 2 * transfer.ATTEMPTS


def test_an_earlier_process_s_part_is_used(archive, source, http, tmp_path, monkeypatch):
    one = download(archive, tmp_path)
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    archive.faults = Faults(drop=1.0)
    one.path.parent.mkdir()
    while not any(part.stat().st_size > BLOCK for part in parts(one)):
        with pytest.raises(TransientError, match="broken"):
            web.retrying(1)(transfer._attempt, http, one, lambda done, total: None, threading.Event())
    begun = parts(one)[0].stat().st_size
    archive.faults = Faults()
    archive.requests.clear()
    transfer.fetch(http, one)
    assert one.path.read_bytes() == source.read_bytes()
    assert archive.requests[0][1:] == (begun - 1, 206, 409_600 - begun + 1)


def test_a_part_that_lacks_nothing_is_not_fetched_again(archive, source, http, tmp_path):
    one = download(archive, tmp_path, check=fail_once())
    with pytest.raises(KeyboardInterrupt):
        transfer.fetch(http, one)  # interrupted between the last byte and the renaming
    assert not one.path.exists()
    archive.requests.clear()
    transfer.fetch(http, one)
    assert one.path.read_bytes() == source.read_bytes()
    assert [request[3] for request in archive.requests] == [1]


def fail_once():
    calls = []

    def check(path):
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt

    return check


def test_a_part_is_never_joined_to_another_file(archive, source, http, tmp_path):
    one = download(archive, tmp_path)
    archive.faults = Faults(drop=1.0)
    with pytest.raises(TransientError):
        transfer.fetch(http, one)
    archive.faults = Faults()
    archive.changed.add("a.fits")  # as long, another date would do
    transfer.fetch(http, one)
    assert one.path.read_bytes() == source.read_bytes()[::-1]
    assert parts(one) == []


def test_a_part_longer_than_the_file_is_dropped(archive, source, http, tmp_path):
    one = download(archive, tmp_path)
    one.path.parent.mkdir()
    (one.path.parent / ".a.fits.00000000.part").write_bytes(b"x" * 500_000)
    transfer.fetch(http, one)
    assert one.path.read_bytes() == source.read_bytes()
    assert parts(one) == []


def test_a_server_without_ranges_will_do(archive, source, http, tmp_path):
    archive.ranges = False
    archive.faults = Faults(drop=0.5)
    for number in range(4):
        one = download(archive, tmp_path / str(number))
        transfer.fetch(http, one)
        assert one.path.read_bytes() == source.read_bytes()
    assert len(archive.requests) > 4


def test_a_stalled_answer_is_given_up_and_resumed(archive, source, http, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 0.2)
    archive.faults = Faults(stall=0.4)
    for number in range(4):
        one = download(archive, tmp_path / str(number))
        transfer.fetch(http, one)
        assert one.path.read_bytes() == source.read_bytes()
    assert any(request[1] > 0 for request in archive.requests)


@pytest.mark.parametrize(
    ("faults", "message"),
    [(Faults(busy=1.0), "answered 503"), (Faults(page=1.0), "received a web page instead of the file")],
)
def test_what_never_passes_is_tried_six_times(archive, source, http, tmp_path, faults, message):
    archive.faults = faults
    one = download(archive, tmp_path)
    with pytest.raises(TransientError, match=message):
        transfer.fetch(http, one)
    assert len(archive.requests) == transfer.ATTEMPTS == 6
    assert not one.path.exists()


def test_a_file_that_is_not_there_is_asked_for_once(archive, source, http, tmp_path):
    with pytest.raises(RefusedError, match=r"b\.fits: the server answered 404"):
        transfer.fetch(http, download(archive, tmp_path, name="b.fits"))
    assert len(archive.requests) == 1


def test_sizes_are_bounded(archive, source, http, tmp_path):
    one = download(archive, tmp_path, limit=409_599)
    with pytest.raises(RefusedError, match=r"larger than 0\.4 MB"):
        transfer.fetch(http, one)
    assert parts(one) == []
    transfer.fetch(http, download(archive, tmp_path, limit=409_600))


def test_an_endless_answer_is_cut_off(http, tmp_path, monkeypatch):
    chunks = (b"x" * BLOCK for _ in range(1000))  # it would not end, were the test not to
    monkeypatch.setattr(http, "get", lambda *given, **also: Answer(chunks))
    one = Download("http://x/", tmp_path / "x", lambda path: None, 0, 1_000_000)
    with pytest.raises(RefusedError, match=r"larger than 1\.0 MB"):
        transfer.fetch(http, one)
    assert list(tmp_path.iterdir()) == [], "nor is its part kept"


def test_an_answer_shorter_than_it_says_is_not_believed(http, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "BACKOFF", 0.001)
    monkeypatch.setattr(http, "get", lambda *given, **also: Answer([b"12345"], **{"Content-Length": "10"}))
    one = Download("http://x/", tmp_path / "x", lambda path: None, 0, 1_000_000)
    with pytest.raises(TransientError, match="received 5 of 10 bytes"):
        transfer.fetch(http, one)
    assert not one.path.exists()


def test_what_fails_its_check_is_fetched_again_from_the_start(archive, source, http, tmp_path):
    seen = []

    def check(path):
        seen.append(path.read_bytes())
        if len(seen) == 1:
            raise TransientError("not this")

    transfer.fetch(http, download(archive, tmp_path, check=check))
    assert seen == [source.read_bytes()] * 2
    assert [request[1] for request in archive.requests] == [0, 0]


def test_many_files_come_side_by_side_and_failures_are_told(archive, source, tmp_path):
    for number in range(20):
        (source.parent / f"{number}.fits").write_bytes(source.read_bytes())
    archive.lost = {"3.fits", "17.fits"}
    wanted = [download(archive, tmp_path, name=f"{number}.fits") for number in range(20)]
    failed = parallel.fetch_all(wanted, "files")
    assert {path.name for path in failed} == archive.lost
    assert all("404" in reason for reason in failed.values())
    here = {path.name for path in (tmp_path / "here").iterdir()}
    assert here == {f"{number}.fits" for number in range(20)} - archive.lost


def test_a_server_that_is_down_is_left_in_peace(archive, source, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    archive.faults = Faults(busy=1.0)
    wanted = [download(archive, tmp_path, name=f"{number}.fits") for number in range(200)]
    for one in wanted:
        (source.parent / one.path.name).write_bytes(b"x")
    with pytest.raises(ArchiveError, match=r"8 files in a row failed.*run the same command again"):
        parallel.fetch_all(wanted, "files")
    asked = {request[0] for request in archive.requests}
    assert len(asked) <= parallel.FAILURES_IN_A_ROW + 2 * parallel.CONNECTIONS


def test_the_bar_ends_full_however_wrong_the_sizes_were_guessed(archive, source, tmp_path, capsys):
    for number in range(20):
        (source.parent / f"{number}.fits").write_bytes(source.read_bytes())
    wanted = [download(archive, tmp_path, name=f"{number}.fits", expected=100_000 * number) for number in range(20)]
    parallel.fetch_all(wanted, "files")
    last = capsys.readouterr().err.strip().split("\r")[-1]
    assert re.search(r"files: 100%.* 8\.19M/8\.19M .*20/20 files", last)


def test_failures_between_which_files_come_are_not_the_server_s(archive, source, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    names = [f"{number}.fits" for number in range(60)]
    for name in names:
        (source.parent / name).write_bytes(b"x")
    archive.busy = set(names[::4])
    failed = parallel.fetch_all([download(archive, tmp_path, name=name) for name in names], "files")
    assert {path.name for path in failed} == archive.busy
    assert len(failed) > parallel.FAILURES_IN_A_ROW


def test_what_goes_wrong_with_one_file_stops_the_others(archive, source, tmp_path):
    def check(path):
        raise RuntimeError("no such thing was thought of")

    archive.pace = 0.2  # the large file takes a second and more
    (source.parent / "small.fits").write_bytes(b"x")
    wanted = [download(archive, tmp_path), download(archive, tmp_path, name="small.fits", check=check)]
    with pytest.raises(RuntimeError, match="thought of"):
        parallel.fetch_all(wanted, "files")
    assert not wanted[0].path.exists()


def test_an_error_of_the_disk_stops_everything(archive, source, tmp_path):
    (tmp_path / "here").write_text("a file in the place of the folder")
    with pytest.raises(OSError, match="here"):
        parallel.fetch_all([download(archive, tmp_path)], "files")


def test_waiting_grows_and_obeys_the_server_within_reason(monkeypatch):
    monkeypatch.setattr(web, "LONGEST_WAIT", 0.3)
    calls = []

    def fail():
        calls.append(time.monotonic())
        raise TransientError("busy", retry_after=1000.0)

    with pytest.raises(TransientError):
        web.retrying(3)(fail)
    gaps = [b - a for a, b in itertools.pairwise(calls)]
    assert len(gaps) == 2
    assert all(0.29 < gap < 2 for gap in gaps)
