"""Atomic writing of files, checksums, and the files that hold results: datasets as netCDF, tables as ECSV.

A file is written under a temporary name in the same folder and then renamed, so an incomplete file never has the final
name. A stored result (a model, a calibration, a network) is one xarray Dataset; its file states its kind and the
version of its layout. Every results file ends with a seal, its size and checksum, which is compared with its bytes
before they are read (`lab2._io.seal`); then its contents are checked against the rules for such a result.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import io
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import xarray as xr

from lab2._io import netcdf, schema
from lab2._io.seal import check_seal, seal

if TYPE_CHECKING:  # for tables
    from astropy.table import QTable, Table

__all__ = [
    "Kept",
    "check_writable",
    "explained",
    "holds",
    "now",
    "read_dataset",
    "read_table",
    "replacing",
    "sha256",
    "write_dataset",
    "write_table",
]

_PART = re.compile(r"\.part-(?P<host>[0-9a-f]{8})-(?P<process>\d{1,9})-.*")
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_LEFT = 86400.0  # age of an abandoned temporary file [s]
# Why a file cannot be written, in plain words.
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "it would exceed the maximum file size",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write to this folder",
    errno.EPERM: "no permission to write to this folder",
    errno.EIO: "the disk reports an error",
    errno.EEXIST: "a file has the name of its folder",
    errno.ENOTDIR: "a file has the name of its folder",
    errno.EISDIR: "a folder has this name",
    errno.ENAMETOOLONG: "the name is too long",
}


def now() -> str:
    """The current UTC time in ISO 8601 format, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file atomically: under a temporary name in the same folder, renamed when it is on the disk.

    Temporary files left in this folder by killed processes are removed.

    Parameters
    ----------
    path : path-like
        The file to write. Its folder is created if necessary.

    Yields
    ------
    pathlib.Path
        The temporary file to write to, with the suffix of `path`. It replaces `path` when the block ends normally, and
        is deleted when the block raises.

    Raises
    ------
    OSError
        If the file cannot be written: the message names it and says why (a full disk, a read-only folder).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/text.txt") as part:
    ...         _ = part.write_text("whole, or not there at all")
    ...     Path(folder, "text.txt").read_text()
    'whole, or not there at all'
    """
    path = Path(path)
    part = path.with_name(f".part-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        with explained(path, part):
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(path.parent)
            yield part
            _sync(part)
            os.replace(part, path)
            with contextlib.suppress(OSError):  # not every file system can; the file's content is safe by now
                _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # no longer there, or never was
            part.unlink()


@contextlib.contextmanager
def explained(path: str | os.PathLike, *parts: Path) -> Iterator[None]:
    """Within this context, an error that keeps something from being written says in plain words why.

    Parameters
    ----------
    path : path-like
        The file or folder that is written.
    *parts : pathlib.Path
        Temporary files on the way to it.

    Raises
    ------
    OSError
        In the place of one that the system raised about these files.
    """
    path = Path(path)
    try:
        yield
    except OSError as problem:
        # whatever else is read within has errors of its own
        about = None if problem.filename is None else Path(problem.filename)
        ours = about is None or about in (path, *parts, *path.parents) or path in about.parents
        if problem.errno not in _REASONS or not ours:
            raise
        raise OSError(f"cannot write {path}: {_REASONS[problem.errno]}") from problem


def check_writable(path: str | os.PathLike) -> None:
    """Raise an error if a file cannot be written, before a long computation. Its folder is created.

    Raises
    ------
    OSError
        As from `replacing`.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file")
    with contextlib.suppress(_OnlyAskedError), replacing(path) as part:
        part.touch()
        raise _OnlyAskedError


class _OnlyAskedError(Exception):
    """Ends a trial of writing a file."""


def write_dataset(
    path: str | os.PathLike, dataset: xr.Dataset, kind: str, version: int, beside: Sequence[Kept] = ()
) -> None:
    """Write a Dataset to a sealed netCDF file, atomically.

    Parameters
    ----------
    path : path-like
    dataset : xarray.Dataset
        Containing numbers and strings.
    kind : str
        Kind of result, such as "lab2 Cannon"; the file's attribute ``format``.
    version : int
        Version of the layout, ``format_version``; increased when code no longer reads the old layout.
    beside : sequence of Kept
        Further results to keep in the same file, each of a different kind, in separate groups.
    """
    groups = {"/": dataset.assign_attrs(format=kind, format_version=version)}
    for other in beside:
        name = _group(other.kind)
        apart = {dim: f"{name}_{dim}" for dim in other.dataset.dims}  # a group shares the dims of the root by name
        groups[name] = other.dataset.rename(apart).assign_attrs(format=other.kind, format_version=other.version)
    with replacing(path) as part:
        netcdf.write(part, groups)


def _group(kind):
    """Name of the group that holds an additional result of this kind."""
    return kind.split()[-1]


def holds(path: str | os.PathLike, kind: str) -> bool:
    """Whether a file that `write_dataset` wrote holds a result of this kind, alone or with others.

    Raises
    ------
    ValueError
        If the file is damaged or was not written by this software.
    """
    return any(dataset.attrs.get("format") == kind for dataset in netcdf.read(path).values())


def read_dataset(path: str | os.PathLike, versions: Mapping[str, int]) -> tuple[xr.Dataset, str]:
    """Read a file that `write_dataset` wrote, into memory.

    Parameters
    ----------
    path : path-like
    versions : dict of str to int
        The accepted kinds, and the version of each that can be read.

    Returns
    -------
    dataset : xarray.Dataset
    kind : str

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, of another kind or version, or was not written by this software.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such {' or '.join(versions)} file: {path}")
    groups = netcdf.read(path)
    name = next((name for name, found in groups.items() if found.attrs.get("format") in versions), "/")
    dataset = groups[name]
    if name != "/":
        dataset = dataset.rename({dim: str(dim).removeprefix(f"{name}_") for dim in dataset.dims})
    kind, version = (dataset.attrs.pop(name, None) for name in ("format", "format_version"))
    if kind not in versions:
        raise ValueError(f"{path} is not a {' or '.join(versions)}: its attribute 'format' is {kind!r}")
    if version != versions[kind]:
        raise ValueError(f"{path} has format version {version}, this code reads {versions[kind]}")
    return dataset, kind


def write_table(path: str | os.PathLike, table: Table) -> None:
    """Write a table to a sealed ECSV file, atomically.

    Parameters
    ----------
    path : path-like
    table : astropy.table.Table
    """
    counted = table.copy(copy_data=False)
    counted.meta["rows"] = len(table)
    text = io.StringIO()
    counted.write(text, format="ascii.ecsv")
    content = text.getvalue().encode()
    with replacing(path) as part:
        part.write_bytes(content + seal(content))


def read_table(path: str | os.PathLike) -> QTable:
    """Read a file that `write_table` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    astropy.table.QTable

    Raises
    ------
    ValueError
        If the file is damaged, was not written by this software, or loses rows when read.
    """
    from astropy.table import QTable

    check_seal(path)
    try:
        table = QTable.read(path, format="ascii.ecsv")
    except Exception as problem:
        raise ValueError(f"{path} cannot be read as ECSV: {problem}") from problem
    rows = table.meta.pop("rows", None)
    if rows != len(table):
        raise ValueError(f"{path} was written with {rows} rows and has {len(table)}")
    return table


@dataclass(frozen=True, eq=False)
class Kept:
    """A result that is one Dataset in memory and one netCDF file on disk: base class of model, calibration and network.

    Attributes
    ----------
    dataset : xarray.Dataset
        The complete contents of the result.

    Raises
    ------
    ValueError
        If the dataset is not such a result.
    """

    dataset: xr.Dataset
    # The kind, such as "lab2 Cannon"; the version of the layout, increased when the old layout can no longer be read;
    # and the rules for the variables.
    kind: ClassVar[str]
    version: ClassVar[int]
    rules: ClassVar[Mapping[str, schema.Rule]] = {}

    def __post_init__(self):
        self.check()

    def check(self) -> None:
        """Raise a ValueError if the dataset is not such a result; subclasses check what the rules cannot express."""
        try:
            schema.check(self.dataset, self.rules)
            self.check_whole()
        except ValueError as problem:
            raise ValueError(f"this is not a valid {self.kind}: {problem}") from problem

    def check_whole(self) -> None:
        """Raise a ValueError if variables that obey their rules are inconsistent with each other."""

    def save(self, path: str | os.PathLike, *beside: Kept) -> None:
        """Write the file, atomically.

        Parameters
        ----------
        path : path-like
        *beside : Kept
            Further results to keep in the same file, such as the calibration of a model. Each is read by `load` of its
            class.
        """
        for one in (self, *beside):
            one.check()
        write_dataset(path, self.dataset, self.kind, self.version, beside)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a file that `save` wrote, into memory.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, of another kind or version, or was made by other software.
        """
        try:
            dataset, _ = read_dataset(path, {cls.kind: cls.version})
        except ValueError as problem:
            raise ValueError(f"{problem}; train and save it again") from problem
        try:
            return cls(dataset)
        except ValueError as problem:
            raise ValueError(f"{path} is damaged: {problem}; train and save it again") from problem


def _sync(path):
    """Flush a file, or a folder's list of files, to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _remove_leftovers(folder):
    for part in folder.glob(".part-*"):
        with contextlib.suppress(OSError):  # removed by another process, or owned by another user
            if _is_left(part):
                part.unlink()


def _is_left(part):
    """Whether a temporary file is abandoned: its process has ended, or it has not changed for a day."""
    writer = _PART.fullmatch(part.name)
    if writer and writer["host"] == _HOST:
        try:
            os.kill(int(writer["process"]), 0)  # signal 0 only tests whether the process exists
        except ProcessLookupError:
            return True
        except PermissionError:  # it exists, owned by another user
            return False
    return time.time() - part.stat().st_mtime > _LEFT
