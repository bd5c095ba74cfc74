"""One writer at a time: a lock file beside a folder, which records its holder."""

import contextlib
import os
import socket
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from lab2.files import now

__all__ = ["BusyError", "alone"]


class BusyError(OSError):
    """Another process is using the folder; the message says which."""


@contextlib.contextmanager
def alone(folder, wait=False):
    """Hold the lock of a folder. The operating system frees it whenever the process ends.

    The lock is the file .<name>.lock beside the folder, so that the folder itself can be replaced. It is not deleted:
    two processes could then hold the lock.

    Parameters
    ----------
    folder : path-like
        The folder; it need not exist. Links to one folder share its lock.
    wait : bool
        Whether to wait, with a message, for a process that holds the lock.

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
        print(f"waiting for {who}, which is using {folder}", file=sys.stderr)
        lock.acquire()
    try:
        who = f"process {os.getpid()} on {socket.gethostname()} since {now()} ({' '.join(sys.argv[1:3])})"
        path.write_text(who + "\n", encoding="utf-8")
        yield
    finally:
        lock.release()
