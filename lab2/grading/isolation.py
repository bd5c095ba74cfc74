"""Run a process with limits, without secrets in its environment, and end it reliably."""

import contextlib
import math
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab2.survey import root

__all__ = ["Ended", "Interrupted", "Limits", "run"]

# The variables that a program inherits; all others may be secrets.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_TOKEN = "LAB2_CHECK"
_LARGEST_FILE = 2 * 2**30  # bytes; the largest product of the lab is a tenth of it
_GRACE = 60  # seconds after the time limit until the alarm ends an orphaned process
_ROUNDS = 200  # searches for remaining processes


@dataclass(frozen=True)
class Limits:
    """What one notebook may use.

    Attributes
    ----------
    minutes : float
        Time limit.
    memory : float
        Address space of each of its processes [GB].
    threads : int
        Threads of numerical libraries.
    """

    minutes: float
    memory: float
    threads: int = 1

    def __post_init__(self):
        for name in ("minutes", "memory"):
            if not (value := getattr(self, name)) > 0 or not math.isfinite(value):
                raise ValueError(f"the limit of {name} must be a positive number, not {value}")


@dataclass(frozen=True)
class Ended:
    """How a program ended: exit status (negative: the signal), run time in seconds, and whether time ran out."""

    status: int
    seconds: float
    timed_out: bool


class Interrupted(RuntimeError):
    """The program was ended because the check was interrupted."""


def run(command: Sequence[str], folder: Path, log: Path, limits: Limits, stop: threading.Event | None = None) -> Ended:
    """Run a program with limits, and end it with all processes that it started.

    Parameters
    ----------
    command : sequence of str
        Arguments of this Python, such as ["-m", "lab2", "run", path].
    folder : pathlib.Path
        Its working folder. HOME, TMPDIR and LAB2_HOME are the folders home/, tmp/ and lab2/ in it.
    log : pathlib.Path
        The file for its output.
    limits : Limits
    stop : threading.Event, optional
        Ends the program when it is set.

    Returns
    -------
    Ended

    Raises
    ------
    Interrupted
        If `stop` was set.

    Notes
    -----
    A Jupyter kernel has its own session and process group. Processes of the program are therefore identified by a token
    in the environment, which children inherit. A process that forges its environment and leaves its group escapes: this
    is not a sandbox.
    """
    token, stop = secrets.token_hex(16), stop or threading.Event()
    seconds = limits.minutes * 60
    memory, cpu = limits.memory * 1e9, seconds * (os.cpu_count() or 1) + _GRACE
    numbers = [str(math.ceil(value)) for value in (memory, cpu, _LARGEST_FILE, seconds + _GRACE)]
    launcher = Path(__file__).with_name("_limited.py")
    begin = time.monotonic()
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-I", str(launcher), *numbers, sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=_environment(folder, token, limits.threads),
            cwd=folder / "home",
            start_new_session=True,
        )
    status = None
    try:
        while status is None and time.monotonic() - begin < seconds and not stop.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(0.2)
    finally:
        _end(process, token)
    if stop.is_set() and status is None:
        raise Interrupted
    return Ended(process.returncode, time.monotonic() - begin, status is None)


def _environment(folder, token, threads):
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    own = {"HOME": folder / "home", "TMPDIR": folder / "tmp", "LAB2_HOME": folder / "lab2"}
    for place in own.values():
        place.mkdir(parents=True, exist_ok=True)
    # the kernel imports the same lab2 as the check
    settings = {"PYTHONPATH": root(), "JUPYTER_PREFER_ENV_PATH": 1, _TOKEN: token} | dict.fromkeys(_THREADS, threads)
    return inherited | {name: str(value) for name, value in (own | settings).items()}


def _end(process, token):
    """Kill a program's process group, and every process with its token, until none is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # already ended; macOS raises the second error
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(_ROUNDS):
        alive = [other for other in psutil.process_iter() if _has(other, token)]
        if not alive:
            return
        for other in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                other.kill()
        psutil.wait_procs(alive, timeout=1)


def _has(process, token):
    try:
        return process.environ().get(_TOKEN) == token and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # already ended, or owned by another user
        return False
