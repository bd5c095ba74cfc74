"""Atomic writing of files, checksums, and results that are stored as one netCDF file each.

A file is written under a temporary name in the same folder and then renamed, so an incomplete file never has the final
name. A stored result (a model, a calibration, a network) is one xarray Dataset; its file states its kind and the
version of its layout.
"""

import contextlib
import datetime
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import xarray as xr

__all__ = ["Kept", "now", "replacing", "sha256"]


def now() -> str:
    """The current UTC time in ISO 8601 format, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def sha256(path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def replacing(path):
    """Write a file atomically: under a temporary name in the same folder, renamed at the end.

    Parameters
    ----------
    path : path-like
        The file to write. Its folder is created if necessary.

    Yields
    ------
    pathlib.Path
        The temporary file to write to, with the suffix of `path`. It replaces `path` when the block ends normally, and
        is deleted when the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class Kept:
    """A result that is one Dataset in memory and one netCDF file on disk: base class of model, calibration and network.

    Attributes
    ----------
    dataset : xarray.Dataset
        The complete content of the result.
    """

    dataset: xr.Dataset
    # The kind that is written to the file, such as "lab2 Cannon", and the version of its layout, which is increased
    # when files of the old layout can no longer be read.
    kind: ClassVar[str]
    version: ClassVar[int]

    def save(self, path) -> None:
        """Write the file, atomically."""
        marked = self.dataset.assign_attrs(format=self.kind, format_version=self.version)
        with replacing(path) as part:
            marked.to_netcdf(part, engine="h5netcdf")

    @classmethod
    def load(cls, path) -> Self:
        """Read a file that `save` wrote, into memory.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is truncated, of another kind or made by other software, or of another version.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no such file of a {cls.kind}: {path}")
        try:
            with xr.open_dataset(path, engine="h5netcdf") as file:
                dataset = file.load()
        except (OSError, KeyError, ValueError) as problem:
            raise ValueError(f"{path} is not a whole netCDF file ({problem}); train and save it again") from problem
        found = dataset.attrs.pop("format", None), dataset.attrs.pop("format_version", None)
        if found[0] != cls.kind:
            raise ValueError(f"{path} is not a {cls.kind}: its attribute 'format' is {found[0]!r}")
        if found[1] != cls.version:
            raise ValueError(f"{path} has format version {found[1]}, this code reads {cls.version}; train it again")
        return cls(dataset)
