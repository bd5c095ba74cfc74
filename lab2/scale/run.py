"""Label a survey, from its spectra to one catalog."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from lab2 import _code
from lab2._lock import alone
from lab2.cannon import Cannon
from lab2.files import holds, replacing, sha256
from lab2.labelling import BLOCK
from lab2.labelling.summary import Summary, about
from lab2.scale import cluster
from lab2.scale.catalog import CATALOG, assemble
from lab2.scale.labels import labelling, load_model
from lab2.scale.plan import make_plan
from lab2.scale.shards import Job
from lab2.scale.store import MANIFEST, open_store
from lab2.validation import Calibration

__all__ = ["SHARD", "label_survey"]

SHARD = 16 * BLOCK  # spectra; ten seconds of work for one core, in blocks as of `lab2 label`
_PREVIOUS = "previous_"


def label_survey(
    spectra: Iterable[str | os.PathLike] | str | os.PathLike,
    model: str | os.PathLike,
    out: str | os.PathLike,
    *,
    calibration: str | os.PathLike | None = None,
    shard: int = SHARD,
    workers: int | None = None,
    scheduler: str | None = None,
    report: Callable = print,
) -> Summary:
    """Label any number of spectra, in shards, on this machine or on a cluster.

    Finished shards are kept: the same call resumes an interrupted run, and repeats shards that are damaged or whose
    spectra have changed since.

    Parameters
    ----------
    spectra : iterable of path-like, or path-like
        apStar files, or one store of spectra (`lab2.scale.build_store`).
    model : path-like
        A trained model. It is copied to the run's folder, from which every worker reads it once.
    out : path-like
        The folder of the run. At the end it contains the catalog, labels.parquet and labels.fits, with one row per
        spectrum as in `lab2.labelling.label_block`, in the given order. An existing catalog is renamed to
        previous_labels.parquet and .fits until the new one is written.
    calibration : path-like, optional
        Calibration of the model's errors; by default that in the model's file, if any.
    shard : int
        Spectra a shard, at most.
    workers : int, optional
        Processes on this machine; by default one per core.
    scheduler : str, optional
        Address of a Dask scheduler whose workers to use instead. They need the same version of lab2, and access to the
        spectra and `out` under the same paths.
    report : callable
        Called with lines of text about the progress.

    Returns
    -------
    lab2.labelling.summary.Summary
        Counts of the catalog.

    Raises
    ------
    lab2._lock.BusyError
        If another process is using the folder.
    ValueError
        If the model or the calibration cannot be used, a store has other continuum pixels than the model, no spectrum
        is given, or the folder holds another run.
    lab2._failure.Failure
        If shards failed repeatedly: the message lists them, and there is no catalog.
    """
    folder = Path(out).resolve()
    source = _store(spectra)
    loaded = Cannon.load(model)
    if calibration is None and holds(model, Calibration.kind):
        calibration = model
    settings = _settings(model, loaded, calibration, source)
    with alone(folder):
        paths = open_store(source.parent).path.values.tolist() if source else spectra
        plan = make_plan(folder, paths, shard, settings)
        _set_aside(folder)
        _copy(model, folder / "model.nc", settings["model"])
        _copy(calibration, folder / "calibration.nc", settings["calibration"])
        report(f"{plan.count} spectra in {len(plan.shards)} shards: {folder}")
        job = Job.of(folder, plan, labelling, str(source or ""))
        with cluster.connected(workers, scheduler) as address:
            records = cluster.work(address, job, plan.shards, report)
        header = about(*load_model(job.folder, settings["model"], settings["calibration"]), model)
        summary = assemble(folder, plan, records, header)
        for name in CATALOG:
            (folder / f"{_PREVIOUS}{name}").unlink(missing_ok=True)
        return summary


def _store(spectra):
    """The manifest of a store; None if the spectra are files."""
    return Path(spectra).resolve() / MANIFEST if isinstance(spectra, str | os.PathLike) else None


def _settings(model, loaded, calibration, source):
    """Everything that the labels depend on besides the spectra, after checking it."""
    if calibration is not None:
        Calibration.load(calibration).check_model(loaded)
    if source and not np.array_equal(open_store(source.parent).trusted.values, loaded.trusted):
        raise ValueError(
            f"the store {source.parent} was normalized with other continuum pixels than the spectra that {model} was "
            "trained on: build a store for this model, or give it the files"
        )
    return {
        "model": sha256(model),
        "calibration": sha256(calibration) if calibration is not None else None,
        "store": sha256(source) if source else None,
        "code": _code.digest(_code.RUN),
    }


def _set_aside(folder):
    """Rename the catalog of a run before: if this one fails, nobody takes it for the new one, and it is not lost."""
    for name in CATALOG:
        if (folder / name).exists():
            os.replace(folder / name, folder / f"{_PREVIOUS}{name}")


def _copy(path, target, digest):
    """Copy a file to the run's folder, unless it is already there."""
    if path is None or (target.is_file() and sha256(target) == digest):
        return
    with replacing(target) as part:
        part.write_bytes(Path(path).read_bytes())
