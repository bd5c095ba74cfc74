"""A process with limits: what it sees, and that it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from lab2.grading import isolation
from lab2.grading.isolation import Interrupted, Limits

LIMITS = Limits(minutes=1.0, memory=1.0)


@pytest.fixture
def attempt(tmp_path):
    """What runs a few lines of Python, and returns how they ended and what they printed."""

    def run(code, limits=LIMITS, stop=None):
        ended = isolation.run(["-c", code], tmp_path, tmp_path / "log.txt", limits, stop)
        return ended, (tmp_path / "log.txt").read_text()

    return run


def test_the_environment_is_a_list_of_what_is_needed(attempt, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("IPYTHONDIR", "/elsewhere")
    ended, printed = attempt("import os\nprint(*sorted(os.environ))\nprint(os.path.expanduser('~'), os.getcwd())")
    names, places = printed.splitlines()
    assert set(names.split()) <= {
        *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LAB2_HOME", "LAB2_CHECK"),
        *("PYTHONPATH", "JUPYTER_PREFER_ENV_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
        *("NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    }
    assert places == f"{tmp_path / 'home'} {tmp_path / 'home'}"
    assert (ended.status, ended.timed_out) == (0, False)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the address space")
def test_memory_is_limited(attempt):
    ended, printed = attempt("x = bytearray(2_000_000_000)")
    assert ended.status == 1
    assert printed.endswith("MemoryError\n")


def test_a_file_cannot_fill_the_disk(attempt, monkeypatch):
    monkeypatch.setattr(isolation, "_LARGEST_FILE", 10_000)
    ended, printed = attempt("open('large', 'wb').write(bytes(20_000))")
    assert ended.status == 1
    assert "OSError: [Errno 27]" in printed


# Each ignores polite signals, and starts a child in a session of its own, as Jupyter starts kernels.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(4321)"], start_new_session=True)
print("begun", flush=True)
time.sleep(4321)
"""


def left():
    return [p for p in psutil.process_iter(["cmdline"]) if "import time; time.sleep(4321)" in (p.info["cmdline"] or ())]


def test_at_the_limit_of_time_all_processes_end(attempt):
    begin = time.monotonic()
    ended, printed = attempt(STUBBORN, Limits(minutes=0.05, memory=1.0))
    assert printed == "begun\n"
    assert ended.timed_out
    assert 3 <= ended.seconds <= time.monotonic() - begin < 30
    assert not left()


def test_what_a_program_leaves_running_ends_with_it(attempt):
    ended, _ = attempt(STUBBORN.replace("time.sleep(4321)\n", "", 1).removesuffix("time.sleep(4321)\n"))
    assert ended.status == 0
    assert not ended.timed_out
    assert not left()


def test_an_interruption_ends_it(attempt):
    stop = threading.Event()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    with pytest.raises(Interrupted):
        attempt(STUBBORN, stop=stop)
    assert not left()


def test_it_ends_even_if_nobody_waits_any_more():
    launcher = Path(isolation.__file__).with_name("_limited.py")
    limits = [str(10**9), "60", "1000000", "1"]
    done = subprocess.run(
        [sys.executable, launcher, *limits, sys.executable, "-c", "import time; time.sleep(99)"],
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGALRM


@pytest.mark.parametrize("given", [{"minutes": 0, "memory": 1}, {"minutes": 1, "memory": float("nan")}])
def test_limits_are_positive(given):
    with pytest.raises(ValueError, match="must be a positive number"):
        Limits(**given)


def test_processes_of_others_stay(attempt):
    other = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(99)"], env=os.environ | {"LAB2_CHECK": "x"}
    )
    attempt("pass")
    assert other.poll() is None
    other.kill()
    other.wait()
