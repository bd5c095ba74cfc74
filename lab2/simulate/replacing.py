"""Replace a survey's folder by a new one that is complete, and lose nothing of anybody else's."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab2._lock import alone

__all__ = ["replacing_survey"]

# Left by an interrupted writing of a file, and by a file manager that has shown the folder.
_WORTHLESS = re.compile(r"\.part-.*|\.DS_Store")


@contextlib.contextmanager
def replacing_survey(folder: str | os.PathLike) -> Iterator[Path]:
    """Write a survey beside its final place, in a hidden folder of this run's own, and move it there when complete.

    A process that is killed leaves the old survey or the new one whole. Where it was killed between the two renames,
    the old survey is put back by the next run, which also removes the hidden folder: it holds the lock, so the run that
    made the folder has ended.

    Parameters
    ----------
    folder : path-like
        The survey's folder. A link to a folder stays a link.

    Yields
    ------
    pathlib.Path
        The empty folder to write to, on the same file system.

    Raises
    ------
    ValueError
        If the folder holds anything that `lab2.simulate.make_survey` did not make.
    lab2._lock.BusyError
        If another process is making this survey.
    """
    target = Path(folder).resolve()
    refuse_others(target)
    with alone(target):
        for stale in _stale(target):
            _restore(stale, target)
            shutil.rmtree(stale)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.making-", dir=target.parent))
        try:
            new = temporary / "new"
            new.mkdir()
            yield new
            refuse_others(target)  # again: making a survey takes minutes
            _swap(temporary, target)
        finally:
            shutil.rmtree(temporary)


def refuse_others(folder: str | os.PathLike) -> None:
    """Raise a ValueError if a folder holds files that are not of a survey that was simulated there."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; a survey is a folder")
    others = sorted(_files(folder) - _listed(folder))
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise ValueError(
            f"{folder} holds files that were not simulated there, and would be lost: {', '.join(others[:3])}{more}; "
            "move them away, or give the survey another name"
        )


def _files(folder):
    """The files below a folder that are worth something, and links, relative to it."""
    found = set()
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        kept = [name for name in files if not _WORTHLESS.fullmatch(name)]
        found |= {Path(place, name).relative_to(folder).as_posix() for name in links + kept}
    return found


def _listed(folder):
    """The files that the simulation wrote, by the manifest; none if this was written by anything else."""
    try:
        about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return {"manifest.json", *about["files"]} if about["simulated"] is True and "seed" in about else set()
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return set()


def _stale(target):
    name = re.compile(re.escape(f".{target.name}.making-") + r"[a-z0-9_]{8}")
    return [path for path in target.parent.iterdir() if name.fullmatch(path.name) and path.is_dir()]


def _swap(temporary, target):
    try:
        if target.exists():
            os.rename(target, temporary / "old")
        os.rename(temporary / "new", target)
    finally:
        _restore(temporary, target)


def _restore(temporary, target):
    """Put the old survey back where none has taken its place."""
    old = temporary / "old"
    if old.exists() and not target.exists():
        os.rename(old, target)
