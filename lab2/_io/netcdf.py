"""Datasets to and from sealed netCDF files.

Other readers, such as ``xarray.open_dataset(path, engine="h5netcdf")``, see an ordinary netCDF-4 file. Floating-point
numbers are compressed, and strings have a fixed length, so that the headers of a file give the size of its contents.

HDF5 writes to memory, and the bytes are then copied to disk: on a full disk, HDF5 leaves files open that crash the
process later.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from lab2._io.seal import check_seal, seal

__all__ = ["read", "write"]

_LEVEL = 4
_DIMS = "DIMENSION_LIST"  # HDF5 attribute that names a variable's dims; reading one that is too long corrupts memory
# zlib compresses by at most a factor of 1032 (RFC 1951: 258 bytes in 2 bits).
_MOST_COMPRESSED = 1100
# Allowed types of values: those of netCDF except text of variable length.
_TYPES = {"f4", "f8", "S1", *(f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8))}


def write(path, groups) -> None:
    """Write a sealed file; not atomic.

    Parameters
    ----------
    path : path-like
    groups : dict of str to xarray.Dataset
        "/" is the root. No other group has a dimension of the root.

    Raises
    ------
    ValueError
        If a variable holds neither numbers nor strings.
    """
    plain = {name: _text(dataset).drop_encoding() for name, dataset in groups.items()}
    encoding = {_absolute(name): _encoding(dataset, name) for name, dataset in plain.items()}
    content = xr.DataTree.from_dict(plain).to_netcdf(engine="h5netcdf", encoding=encoding)
    with Path(path).open("wb") as file:
        file.write(content)
        file.write(seal(content))


def read(path) -> dict[str, xr.Dataset]:
    """Read a file that `write` wrote, into memory.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to xarray.Dataset
        "/" is the root.

    Raises
    ------
    ValueError
        If the file is damaged, or has contents that `write` never produces: links to other files, or declared sizes
        larger than the file can hold.
    """
    check_seal(path)
    try:
        # HDF5 files that are not netCDF get phony dims: a schema gives a clearer message than h5netcdf
        how = {"engine": "h5netcdf", "phony_dims": "access"}
        return {name: _plain(xr.load_dataset(path, group=name, **how)) for name in _inspect(path)}
    except Exception as problem:
        raise ValueError(f"{path} cannot be read as netCDF: {problem}") from problem


def _inspect(path):
    """Names of the groups, after checking the headers; no values are read."""
    import h5py

    with h5py.File(path) as file:
        items = {name: _item(file, name) for name in file}
        groups = {name: item for name, item in items.items() if isinstance(item, h5py.Group)}
        for name, group in groups.items():
            items |= {f"{name}/{inner}": _item(group, inner) for inner in group}
        declared = sum(_size(name, item) for name, item in items.items() if isinstance(item, h5py.Dataset))
    size = Path(path).stat().st_size
    if declared > _MOST_COMPRESSED * size:
        raise ValueError(f"it declares {declared} bytes of values, which its {size} bytes cannot hold")
    return ["/", *groups]


def _item(group, name):
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link to another place")
    return group[name]


def _size(name, item):
    """Size of a variable's values [bytes], if they are in the file and of a type that can be read safely."""
    if item.external or item.is_virtual:
        raise ValueError(f"the values of {name} are in another file")
    if item.dtype.str[1:] not in _TYPES:
        raise ValueError(f"{name} has values of type {item.dtype}")
    if _DIMS in item.attrs and item.attrs.get_id(_DIMS).shape != (item.ndim,):
        raise ValueError(f"the dims of {name} are not as many as its axes")
    return item.nbytes


def _plain(dataset):
    """The data read, with strings as in `_text` and Python numbers in the attributes."""
    attrs = {name: value.item() if isinstance(value, np.generic) else value for name, value in dataset.attrs.items()}
    return _text(dataset).drop_attrs(deep=False).assign_attrs(attrs)


def _text(dataset):
    """The same with numpy strings instead of Python strings."""
    objects = {name: v for name, v in dataset.variables.items() if v.dtype.kind == "O"}
    for name, variable in objects.items():
        if not all(isinstance(value, str) for value in variable.values.flat):
            raise ValueError(f"{name} holds Python objects, of which only strings can be kept")
    texts = {name: variable.copy(data=variable.values.astype(str)) for name, variable in objects.items()}
    return dataset.assign_coords({name: v for name, v in texts.items() if name in dataset.coords}).assign(
        {name: v for name, v in texts.items() if name not in dataset.coords}
    )


def _encoding(dataset, group):
    packed = {"zlib": True, "complevel": _LEVEL}
    variables = dataset.variables.items()
    strings = {name: {"dtype": "S1"} for name, variable in variables if variable.dtype.kind == "U"}
    if group != "/":  # h5netcdf does not find the dimension of the characters if the root already has it
        for name, how in strings.items():
            length = max(np.char.encode(dataset[name].values, "utf-8").dtype.itemsize, 1)
            how["char_dim_name"] = f"{group}_string{length}"
    return strings | {name: packed for name, v in variables if v.dtype.kind == "f" and v.ndim and v.size}


def _absolute(group):
    return group if group.startswith("/") else f"/{group}"
