"""Trained models on disk: netCDF files that say what they are, written whole or not at all."""

from pathlib import Path

import xarray as xr

from lab2 import paths

__all__ = ["load", "save"]


def save(dataset, path, kind, version) -> None:
    """Write a Dataset as a file of a kind.

    Parameters
    ----------
    dataset : xarray.Dataset
    path : path-like
    kind : str
        What the file is, such as "lab2 Cannon".
    version : int
        Of the layout; to be raised when old files can no longer be read.
    """
    with paths.replacing(path) as partial:
        dataset.assign_attrs(format=kind, format_version=version).to_netcdf(partial, engine="h5netcdf")


def load(path, kind, version) -> xr.Dataset:
    """Read a Dataset that `save` wrote.

    Parameters
    ----------
    path, kind, version
        As for `save`.

    Returns
    -------
    xarray.Dataset
        In memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut short, of another kind or made by other software, or of another version.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file of a {kind}: {path}")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as file:
            dataset = file.load()
    except (OSError, KeyError, ValueError) as problem:
        raise ValueError(f"{path} is not a whole netCDF file ({problem}); train and save it again") from problem
    found = dataset.attrs.pop("format", None), dataset.attrs.pop("format_version", None)
    if found[0] != kind:
        raise ValueError(f"{path} is not a {kind}: its attribute 'format' is {found[0]!r}")
    if found[1] != version:
        raise ValueError(f"{path} has format version {found[1]}, this code reads {version}; train it again")
    return dataset
