"""Replace a survey's folder by a complete new one, without losing files of other origin."""

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

# Left behind by interrupted writing, and by file managers.
_WORTHLESS = re.compile(r"\.part-.*|\.DS_Store")


@contextlib.contextmanager
def replacing_survey(folder: str | os.PathLike) -> Iterator[Path]:
    """Write a survey to a hidden temporary folder beside its final place, and move it there when complete.

    A killed process leaves either the old survey or the new one complete. If it was killed between the two renames, the
    next run restores the old survey. It also removes the hidden folder: it holds the lock, so the run that made the
    folder has ended.

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
        If the folder holds files that `lab2.simulate.make_survey` did not make.
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
            refuse_others(target)  # check again: making a survey takes minutes
            _swap(temporary, target)
        finally:
            shutil.rmtree(temporary)


def refuse_others(folder: str | os.PathLike) -> None:
    """Raise a ValueError if a folder holds files that do not belong to a survey simulated there."""
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
    """The files and links below a folder that matter, relative to it."""
    found = set()
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        kept = [name for name in files if not _WORTHLESS.fullmatch(name)]
        found |= {Path(place, name).relative_to(folder).as_posix() for name in links + kept}
    return found


def _listed(folder):
    """The files that the simulation wrote, according to the manifest; none if something else wrote it."""
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
    """Restore the old survey if no new one has replaced it."""
    old = temporary / "old"
    if old.exists() and not target.exists():
        os.rename(old, target)
