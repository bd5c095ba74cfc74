"""The plan of a run, written before the work: spectra, shards and settings.

A run has a folder. Its file plan.json contains the settings (checksums of model, calibration and code) and the list of
shards; the paths of a shard's spectra, one per line, are stored beside its results in shards/. Both are fixed: a folder
contains the results of one plan, and an interrupted run is resumed only with the same plan. A worker receives only a
shard's number, count and checksum, however many spectra there are.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lab2.files import replacing
from lab2.scale import _sealed

__all__ = ["Plan", "Shard", "make_plan", "read_plan"]

_KIND, _VERSION = "lab2 plan", 1


@dataclass(frozen=True)
class Shard:
    """A part of the spectra, processed by one worker.

    Attributes
    ----------
    number : int
        From 0.
    start, count : int
        Index of its first spectrum, and number of its spectra.
    digest : str
        SHA-256 of its list of paths.
    """

    number: int
    start: int
    count: int
    digest: str

    @property
    def name(self) -> str:
        """Name of its files in shards/, without the suffix."""
        return f"{self.number:06d}"


@dataclass(frozen=True)
class Plan:
    """A run: its settings and its shards, in the order of the spectra.

    Attributes
    ----------
    settings : dict
        Everything that the results depend on besides the spectra, in a form suitable for JSON.
    root : str
        A folder that contains all spectra.
    shards : tuple of Shard
    """

    settings: Mapping
    root: str
    shards: tuple[Shard, ...]

    @property
    def identity(self) -> str:
        """SHA-256 of settings and shards: results belong together if and only if it agrees."""
        content = [dict(self.settings), self.root, [asdict(shard) for shard in self.shards]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def count(self) -> int:
        """Number of spectra."""
        return sum(shard.count for shard in self.shards)


def make_plan(folder: Path, paths: Iterable[str | os.PathLike], size: int, settings: Mapping) -> Plan:
    """Write the plan of a run, or read it if it exists.

    Parameters
    ----------
    folder : pathlib.Path
        Of the run.
    paths : iterable of path-like
        The spectra. Repeated paths count once.
    size : int
        Maximum number of spectra per shard.
    settings : dict

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If no path is given, `size` is not positive, a path has a line break, or the folder holds another plan.
    """
    if size < 1:
        raise ValueError(f"a shard needs at least one spectrum; got {size}")
    names = list(dict.fromkeys(os.path.abspath(path) for path in paths))
    if not names:
        raise ValueError("no spectra were given; expected at least one path")
    if odd := next((name for name in names if "\n" in name), None):
        raise ValueError(f"the path {odd!r} has a line break: rename the file")
    shards, lists = [], []
    for number, start in enumerate(range(0, len(names), size)):
        text = "".join(f"{name}\n" for name in names[start : start + size]).encode("utf-8", "surrogateescape")
        shards.append(Shard(number, start, text.count(b"\n"), hashlib.sha256(text).hexdigest()))
        lists.append(text)
    plan = Plan(dict(settings), os.path.commonpath(os.path.dirname(name) for name in names), tuple(shards))
    there = folder / "plan.json"
    if there.is_file():
        _compare(plan, read_plan(folder), folder)
    for shard, text in zip(shards, lists, strict=True):
        path = list_path(folder, shard)
        if not path.is_file() or path.read_bytes() != text:
            with replacing(path) as part:
                part.write_bytes(text)
    if not there.is_file():
        about = {"format": _KIND, "format_version": _VERSION, "identity": plan.identity, "count": plan.count}
        _sealed.write(there, about | asdict(plan))
    return plan


def read_plan(folder: Path) -> Plan:
    """The plan of a run's folder.

    Raises
    ------
    FileNotFoundError
        If the folder has none.
    ValueError
        If the file is damaged or not a plan.
    """
    path = folder / "plan.json"
    try:
        content = _sealed.read(path)
        if (content["format"], content["format_version"]) != (_KIND, _VERSION):
            raise ValueError(f"{path} is no {_KIND} of version {_VERSION}")
        return Plan(content["settings"], content["root"], tuple(Shard(**shard) for shard in content["shards"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"{path} cannot be used ({problem}); begin anew in another folder") from problem


def list_path(folder: Path, shard: Shard) -> Path:
    """Path of the list of a shard's spectra."""
    return folder / "shards" / f"{shard.name}.list"


def read_list(folder: Path, shard: Shard) -> list[str]:
    """The paths of a shard's spectra.

    Raises
    ------
    ValueError
        If the list is not that of the plan.
    """
    path = list_path(folder, shard)
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != shard.digest:
        raise ValueError(f"{path} is not as it was planned: run the same command again, which restores it")
    return text.decode("utf-8", "surrogateescape").split("\n")[:-1]


def _compare(plan, old, folder):
    """Raise an error if the folder contains another plan; it says what differs."""
    if plan.identity == old.identity:
        return
    differing = [name for name in plan.settings if plan.settings[name] != old.settings.get(name)]
    if [asdict(shard) for shard in plan.shards] != [asdict(shard) for shard in old.shards]:
        differing.append(f"the spectra ({old.count} then, {plan.count} now) or the size of the shards")
    raise ValueError(
        f"{folder} holds another run, which differs in: {', '.join(differing)}; give another folder, or delete this one"
    )
