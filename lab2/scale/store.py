"""A store of spectra: apStar files read, masked and normalized once, and kept for any number of models.

Opening a file takes as long as labeling its star, and surveys are labeled again with each new model. The store is a
Zarr group (format 3) that xarray opens as the Dataset of `lab2.continuum.normalize`, without the continuum: normalized
flux and ivar (star, wavelength) as float32, and every variable of a star. Storing normalized spectra saves another
millisecond per star, but a model with other continuum pixels needs another store; the coordinate ``trusted`` records
the pixels.

Chunks hold 256 stars and a seventh of the wavelengths, so that fits read whole stars and training reads some pixels of
all stars; a file (a Zarr shard) contains the chunks of 2048 stars. Every chunk is followed by its CRC-32C, which is
checked at each reading. Zarr treats a missing file as filled with the fill value; so the store has a manifest of its
files, which is checked when it is opened.
"""

import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from numpy.typing import ArrayLike
from zarr.codecs import Crc32cCodec, ZstdCodec

from lab2 import _code, apstar, continuum
from lab2._blocks import one_thread
from lab2._failure import Failure
from lab2._lock import alone
from lab2.files import explained, now, sha256
from lab2.labelling.writing import printable
from lab2.scale import _sealed, cluster
from lab2.scale.plan import make_plan
from lab2.scale.shards import Job

__all__ = ["MANIFEST", "build_store", "open_store"]

MANIFEST = "manifest.json"
_STARS, _PIXELS, _FILE = 256, 1225, 2048  # stars and pixels of a chunk, and stars of a file; 1225 is a seventh of 8575
_LEVEL = 1  # level of zstd; noise hardly compresses at any level
_SPECTRA = ("flux", "ivar")


def build_store(
    paths: Iterable[str | os.PathLike],
    out: str | os.PathLike,
    pixels: ArrayLike | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    report: Callable = print,
) -> Path:
    """Read, mask and normalize apStar files into a store.

    The store appears under its name only when complete. It is built in <out>.building beside it, from which an
    interrupted build is resumed.

    Parameters
    ----------
    paths : iterable of path-like
        apStar files. One that cannot be read has an empty row, and ``read_error`` gives the reason.
    out : path-like
        The store to make, .zarr.
    pixels : array_like of bool, shape (8575,), optional
        The continuum pixels, as for `lab2.continuum.normalize`; those of a model are its ``trusted``.
    workers : int, optional
        Processes on this machine; by default one a core.
    scheduler : str, optional
        Address of a Dask scheduler whose workers to use instead.
    report : callable
        Takes lines of text about how it goes.

    Returns
    -------
    pathlib.Path
        The store.

    Raises
    ------
    FileExistsError
        If something of this name exists.
    ValueError
        If no path is given, or the building of another store was begun under this name.
    lab2._failure.Failure
        If parts of it could not be made.
    """
    out = Path(out).resolve()
    if out.suffix != ".zarr":
        raise ValueError(f"a store's name ends with .zarr, not {out.name!r}")
    building = out.with_name(f"{out.name}.building")
    with alone(out):
        if out.exists():
            raise FileExistsError(f"{out} is there already: delete it first, or give another name")
        pixels = continuum.load_pixels() if pixels is None else xr.DataArray(np.asarray(pixels), dims="wavelength")
        settings = {
            "pixels": hashlib.sha256(np.packbits(pixels.values).tobytes()).hexdigest(),
            "code": _code.digest(_code.RUN),
        }
        plan = make_plan(building, paths, _FILE, settings)
        _begin(building / "store", plan.count, pixels)
        with cluster.connected(workers, scheduler) as address:
            records = cluster.work(address, Job.of(building, plan, reading), plan.shards, report)
        _close(building, plan, records)
        os.replace(building / "store", out)
        shutil.rmtree(building)
    return out


def open_store(path: str | os.PathLike, stars: slice = slice(None)) -> xr.Dataset:
    """Normalized spectra from a store; flux and ivar are read on use, block by block.

    Parameters
    ----------
    path : path-like
        A store, .zarr.
    stars : slice
        The stars to take.

    Returns
    -------
    xarray.Dataset
        As from `lab2.continuum.normalize`, without ``continuum``. `lab2.fit_labels` and, with labels added,
        `lab2.train` accept it directly.

    Raises
    ------
    FileNotFoundError
        If there is no such store.
    ValueError
        If it is damaged: files of these stars are missing or have another size, or their contents fail their checksums.
        Those of flux and ivar are checked when these are read.
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        raise FileNotFoundError(f"no such store of spectra: {path} (a folder .zarr with a {MANIFEST})")
    manifest = _sealed.read(path / MANIFEST)
    first, last, _ = stars.indices(manifest["stars"])
    _check_files(path, manifest["files"], range(first // _FILE, -(-last // _FILE)))
    try:
        part = xr.open_zarr(path, chunks=None, consolidated=True).isel(star=stars)
        small = part.drop_vars(_SPECTRA).load()
    except Exception as problem:  # zarr passes on any error of its codecs
        raise ValueError(f"{path} is damaged: {problem}; build it again") from problem
    variables = {name: part.variables[name] for name in _SPECTRA}
    for name, variable in small.variables.items():
        is_text = variable.dtype.kind in "TO"  # the only strings of variable length
        variables[name] = variable.astype(object).astype(str) if is_text else variable
    return xr.Dataset(variables).set_coords(small.coords)


def reading(job, shard, paths):
    """Read, mask and normalize the spectra of a shard, and write its part of the store."""
    parts = []
    # chunks full of the fill value are also written: for the manifest a missing file is damage
    with one_thread(), zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.open_group(Path(job.folder) / "store", mode="r+")
        pixels = group["trusted"][:]
        for start in range(0, len(paths), _STARS):
            raw = apstar.read_rows(paths[start : start + _STARS])
            spectra = continuum.normalize(apstar.mask_bad_pixels(raw), pixels).drop_vars("continuum")
            parts.append({name: spectra[name].values for name in _along_stars(spectra)})
        files = []
        for name in list(parts[0]):
            values = np.concatenate([part.pop(name) for part in parts])
            if values.dtype.kind == "U":
                values = np.array([printable(text) for text in values.tolist()], dtype=object)
            with explained(Path(job.folder, "store", name)):
                group[name][shard.start : shard.start + shard.count] = values
            place = "/".join([str(shard.number), *["0"] * (values.ndim - 1)])
            files.append(f"store/{name}/c/{place}")
    return {"files": files}


def _along_stars(spectra):
    return [name for name, variable in spectra.variables.items() if variable.dims[:1] == ("star",)]


def _begin(folder, count, pixels):
    """Create the store's empty arrays, unless they exist."""
    if folder.exists():
        return
    with explained(folder), tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        nobody = apstar.read_rows([Path(temporary, "nothing.fits")])
        example = continuum.normalize(apstar.mask_bad_pixels(nobody), pixels).drop_vars("continuum")
        group = zarr.create_group(Path(temporary, "store"), zarr_format=3)
        group.attrs["coordinates"] = " ".join(example.coords)
        for name, variable in example.variables.items():
            _make_array(group, name, variable, count)
        os.replace(Path(temporary, "store"), folder)


def _make_array(group, name, variable, count):
    """An array for a variable of all stars; one that does not depend on the star is written directly."""
    by_star = variable.dims[:1] == ("star",)
    shape = (count, *variable.shape[1:]) if by_star else variable.shape
    chunks, files = shape, None
    if by_star:
        chunks = (_FILE, *shape[1:])
    if name in _SPECTRA:
        # so that chunks divide a file evenly in pixels
        pixels = _PIXELS if shape[1] % _PIXELS == 0 else shape[1]
        chunks, files = (_STARS, pixels), (_FILE, shape[1])
    kind = variable.dtype
    array = group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(size, 1) for size in chunks),
        shards=files,
        dtype=str if kind.kind in "OU" else kind,
        fill_value=np.nan if kind.kind == "f" else None,
        compressors=[ZstdCodec(level=_LEVEL), Crc32cCodec()],
        dimension_names=variable.dims,
        attributes={key: str(value) for key, value in variable.attrs.items()},
    )
    if not by_star:
        array[...] = variable.values


def _close(building, plan, records):
    """Write the metadata of all arrays into one file, and the manifest."""
    store = building / "store"
    with warnings.catch_warnings():
        # read by zarr and xarray; other readers of format 3 ignore it
        warnings.filterwarnings("ignore", "Consolidated metadata")
        with explained(store):
            zarr.consolidate_metadata(store)
    digests = {name.removeprefix("store/"): digest for record in records for name, digest in record["files"].items()}
    files = {}
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        name = path.relative_to(store).as_posix()
        files[name] = {"size": path.stat().st_size, "sha256": digests.get(name) or sha256(path)}
    if lost := digests.keys() - files.keys():
        raise Failure(f"{len(lost)} files of {store} have gone, such as {min(lost)}: run the same command again")
    about = {"format": "lab2 store", "format_version": 1, "stars": plan.count, "made": now(), "plan": plan.identity}
    _sealed.write(store / MANIFEST, about | {"settings": dict(plan.settings), "files": files})


def _check_files(store, files, wanted):
    """Raise an error if a file is damaged that has no stars or some of the wanted ones, by its number along them."""
    for name, about in files.items():
        number = int(name.partition("/c/")[2].partition("/")[0] or 0)
        if number and number not in wanted:  # a survey has ten thousand files, and each of its shards needs few
            continue
        path = store / name
        if not path.is_file() or path.stat().st_size != about["size"]:
            state = "has another size than it was written with" if path.is_file() else "is missing"
            raise ValueError(f"{store} is damaged: {name} {state}; build it again")
        if path.name == "zarr.json" and sha256(path) != about["sha256"]:
            raise ValueError(f"{store} is damaged: {name} was changed; build it again")
