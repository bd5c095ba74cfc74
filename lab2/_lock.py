"""One writer at a time: a lock beside a folder, and who holds it."""

import contextlib
import os
import socket
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from lab2.files import now

__all__ = ["BusyError", "alone"]


class BusyError(OSError):
    """Another process works in the folder; the message says which."""


@contextlib.contextmanager
def alone(folder, wait=False):
    """Hold the lock of a folder. The system frees it when the process ends, however it ends.

    The lock is the file .<name>.lock beside the folder, so that the folder itself can be replaced. It stays there: a
    lock that is deleted may be held twice.

    Parameters
    ----------
    folder : path-like
        The folder; it need not exist. Two links to one folder have one lock.
    wait : bool
        Whether to wait for a process that holds the lock, and to say so.

    Raises
    ------
    BusyError
        If another process holds the lock, and `wait` is False.
    """
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        if not wait:
            raise BusyError(f"{folder} is in use by {who}; run the same command when it has ended") from None
        print(f"waiting for {who}, which works in {folder}", file=sys.stderr)
        lock.acquire()
    try:
        who = f"process {os.getpid()} on {socket.gethostname()} since {now()} ({' '.join(sys.argv[1:3])})"
        path.write_text(who + "\n", encoding="utf-8")
        yield
    finally:
        lock.release()
