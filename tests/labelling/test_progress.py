import time
from types import SimpleNamespace

from lab2.labelling import progress as module
from lab2.labelling.progress import progress


def test_a_log_has_one_line_a_minute(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 25))  # each look at the clock is 25 s after the last
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    tables = [[None] * 100] * 8
    assert list(progress(tables, 800)) == tables
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 4
    assert lines[0].startswith("lab2: ")
    assert lines[0].endswith("s left")
    assert " of 800 stars, " in lines[0]


def test_a_quick_run_says_nothing_in_a_log(capsys):
    assert len(list(progress([[1], [2]], 2))) == 2
    assert capsys.readouterr().err == ""
    assert time.monotonic() > 0
