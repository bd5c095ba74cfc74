"""The labels of a shard: from its spectra, or its part of a store, to one Parquet file."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from lab2.cannon import Cannon
from lab2.files import sha256
from lab2.labelling import BLOCK, label_block
from lab2.labelling.blocks import label_spectra
from lab2.labelling.summary import Summary
from lab2.labelling.writing import writing
from lab2.scale.plan import Shard
from lab2.scale.shards import Job
from lab2.scale.store import open_store
from lab2.validation import Calibration

__all__ = ["counts", "labelling", "load_model"]


def labelling(job: Job, shard: Shard, paths: Sequence[str]) -> dict:
    """Write the labels of a shard's spectra as Parquet: the ``make`` of a `lab2.scale.shards.Job`.

    Parameters
    ----------
    job : lab2.scale.shards.Job
    shard : lab2.scale.plan.Shard
    paths : sequence of str
        Paths of its spectra.

    Returns
    -------
    dict
        For the record: ``files``, and the ``counts`` of the table.
    """
    folder, name = Path(job.folder), f"shards/{shard.name}.parquet"
    model, calibration = load_model(job.folder, job.settings["model"], job.settings["calibration"])
    summary = Summary()
    with writing(folder / name, {"plan": job.identity}) as write:
        for table in _blocks(job, shard, paths, model, calibration):
            write(table)
            summary.add(table)
    return {"files": [name], "counts": counts(summary)}


def counts(summary: Summary) -> dict:
    """The counts of a summary, for JSON."""
    return vars(summary) | {"flags": dict(summary.flags)}


@lru_cache(maxsize=1)
def load_model(folder: str, model: str, calibration: str | None) -> tuple[Cannon, Calibration | None]:
    """Model and calibration of a run, read once by each worker and compared with the plan's checksums.

    Parameters
    ----------
    folder : str
        Of the run.
    model, calibration : str
        SHA-256 of the two files; None if there is no calibration.

    Raises
    ------
    ValueError
        If a file is not that of the plan.
    """
    paths = [Path(folder, "model.nc"), Path(folder, "calibration.nc")]
    for path, digest in zip(paths, (model, calibration), strict=True):
        if digest and sha256(path) != digest:
            raise ValueError(f"{path} is not the file of the plan: run the same command again, which restores it")
    return Cannon.load(paths[0]), Calibration.load(paths[1]) if calibration else None


def _blocks(job, shard, paths, model, calibration):
    if not job.source:
        for start in range(0, len(paths), BLOCK):
            yield label_block(paths[start : start + BLOCK], model, calibration)
        return
    spectra = open_store(Path(job.source).parent, slice(shard.start, shard.start + shard.count))
    for start in range(0, shard.count, BLOCK):
        yield label_spectra(spectra.isel(star=slice(start, start + BLOCK)).load(), model, calibration)
