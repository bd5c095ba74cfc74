"""One shard of a run: its result is a file, written atomically, with a record of its origin beside it.

A result is valid if its record is sealed, names the plan, agrees with the current files of the spectra (path, size,
modification time) and gives the checksum of the result. Anything else in the folder (incomplete, damaged, or of another
plan) is remade. So a shard may be tried any number of times, by any number of workers.
"""

import contextlib
import hashlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab2 import _code
from lab2.files import now, sha256
from lab2.scale import _sealed
from lab2.scale.plan import Plan, Shard, read_list

__all__ = ["Job", "finish", "record_of"]


@dataclass(frozen=True)
class Job:
    """The information about a run that a worker needs; small, and the same for all shards.

    Attributes
    ----------
    folder : str
        Folder of the run; every worker has access to it, and to the spectra, under the same path.
    identity : str
        Of its plan.
    settings : dict
        Of its plan.
    root : str
        Root of its plan: if this folder is missing, the worker lacks a disk. Unused if there is a `source`.
    source : str
        A file that changes whenever the spectra do, such as a store's manifest; "" to check each file of spectra.
    make : callable
        ``make(job, shard, paths)`` writes the files of the result, each atomically, and returns a dict for the record;
        its ``files`` are their names, relative to the folder.
    """

    folder: str
    identity: str
    settings: dict
    root: str
    source: str
    make: Callable

    @classmethod
    def of(cls, folder: Path, plan: Plan, make: Callable, source: str = "") -> Self:
        """The job for the shards of a plan."""
        return cls(str(folder), plan.identity, dict(plan.settings), plan.root, source, make)


def finish(job: Job, shard: Shard) -> dict:
    """Make a shard's result, unless it already exists.

    Parameters
    ----------
    job : Job
    shard : lab2.scale.plan.Shard

    Returns
    -------
    dict
        Its record: ``plan``, ``shard``, ``count``, ``spectra`` (checksum over the files' paths, sizes and times),
        ``files`` (each file of the result with its SHA-256), ``made``, ``host``, ``seconds``, the output of `job.make`,
        and ``kept``, whether it already existed.

    Raises
    ------
    OSError
        If the folder of the spectra is missing, or the result cannot be written.
    RuntimeError
        If the code of this process differs from that of the plan, and might give other results.
    """
    folder = Path(job.folder)
    if _code.digest(_code.RUN) != job.settings["code"]:
        raise RuntimeError(
            f"the worker on {socket.gethostname()} has other code of lab2 than the plan was made with: install the same"
        )
    if not job.source and not os.path.isdir(job.root):
        # otherwise each of its files would count as missing
        raise FileNotFoundError(f"{socket.gethostname()} has no folder {job.root}, where the spectra are")
    paths = read_list(folder, shard)
    spectra = _states([job.source] if job.source else paths)
    record = record_of(folder, job.identity, shard)
    if record and record["spectra"] == spectra and _as_recorded(folder, record):
        return record | {"kept": True}
    began = time.monotonic()
    said = job.make(job, shard, paths)
    record = {
        "plan": job.identity,
        "shard": shard.digest,
        "count": shard.count,
        "spectra": spectra,
        **said,
        "files": {name: sha256(folder / name) for name in said["files"]},
        "made": now(),
        "host": socket.gethostname(),
        "seconds": round(time.monotonic() - began, 3),
    }
    _sealed.write(_record_path(folder, shard), record)
    return record | {"kept": False}


def record_of(folder: Path, identity: str, shard: Shard) -> dict | None:
    """The record of a shard; None if it is missing, damaged, or of another plan."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        record = _sealed.read(_record_path(folder, shard))
        if (record["plan"], record["shard"]) == (identity, shard.digest):
            return record
    return None


def _record_path(folder, shard):
    return folder / "shards" / f"{shard.name}.json"


def _as_recorded(folder, record):
    """Whether the files of a result have the checksums of its record."""
    try:
        return all(sha256(folder / name) == digest for name, digest in record["files"].items())
    except FileNotFoundError:
        return False


def _states(paths):
    """Checksum over the paths, sizes and modification times of files, which may be missing."""
    total = hashlib.sha256()
    for path in paths:
        try:
            found = os.stat(path)
            state = f"{found.st_size} {found.st_mtime_ns}"
        except OSError:
            state = "missing"
        total.update(f"{path}\n{state}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()
