"""Files that are whole or absent, and results that are kept as one netCDF file each.

A file is written beside its place and renamed, so that nobody ever reads half of it. A result that is kept (a model, a
calibration, a network) is one xarray Dataset; its file says what kind it is and which version of the layout it has.
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
    """The time, UTC, as ISO 8601 in whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def sha256(path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def replacing(path):
    """Write a file beside its place and rename it, so that nobody ever sees half of it.

    Parameters
    ----------
    path : path-like
        The file to make. Its folder is made if need be.

    Yields
    ------
    pathlib.Path
        The file to write, with the suffix of `path`. It takes the place of `path` when the block ends well,
        and is removed when it does not.
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
    """A result that is one Dataset in memory and one netCDF file on disk; the base of model, calibration and network.

    Attributes
    ----------
    dataset : xarray.Dataset
        All that the result consists of.
    """

    dataset: xr.Dataset
    # What the file says it is, such as "lab2 Cannon", and the version of its layout, raised when old files can no
    # longer be read.
    kind: ClassVar[str]
    version: ClassVar[int]

    def save(self, path) -> None:
        """Write the file; it appears whole or not at all."""
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
            If the file is cut short, of another kind or made by other software, or of another version.
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
