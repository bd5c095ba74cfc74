"""The labels of a shard: from its files of spectra, or its part of a store, to one Parquet file."""

from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np

from lab2 import _code
from lab2.cannon import Cannon, Flag
from lab2.files import sha256
from lab2.labelling import BLOCK, label_block
from lab2.labelling.blocks import label_spectra
from lab2.scale._columns import writing
from lab2.scale.store import open_store
from lab2.validation import Calibration

__all__ = ["CODE", "check_code", "labelling", "tally"]

# What the labels of a spectrum depend on.
CODE = ("_*.py", "_io/*.py", "apstar.py", "cannon/*.py", "continuum.py", "files.py", "grid.py", "labelling/blocks.py",
        "labels.py", "scale/labels.py", "spectra.py", "tables/*", "validation/calibration.py")  # fmt: skip


def labelling(job, shard, paths):
    """Write the labels of a shard's spectra as Parquet; what its record says of them."""
    check_code(job.settings["code"])
    folder, name = Path(job.folder), f"shards/{shard.name}.parquet"
    model, calibration = _model(job.folder, job.settings["model"], job.settings["calibration"])
    found = Counter()
    with writing(folder / name) as append:
        for table in _blocks(job, shard, paths, model, calibration):
            append(table)
            found.update(tally(table))
    return {"files": [name], "tally": dict(found)}


def tally(table) -> Counter:
    """How many rows of a table there are, how many have labels, are simulated, and have each flag."""
    flag = np.asarray(table["flag"])
    lost = (flag & (Flag.NO_DATA | Flag.NOT_CONVERGED)) != 0
    found = {"rows": len(table), "labelled": (~lost).sum(), "simulated": np.asarray(table["simulated"]).sum()}
    found |= {bit.name: ((flag & bit) != 0).sum() for bit in Flag}
    return Counter({name: int(number) for name, number in found.items()})


def check_code(expected) -> None:
    """Raise an error if this process runs other code than the plan was made with: it might give other labels."""
    if _code.digest(CODE) != expected:
        raise RuntimeError("this worker runs another version of lab2 than the one that made the plan; install the same")


def _blocks(job, shard, paths, model, calibration):
    if not job.source:
        for start in range(0, len(paths), BLOCK):
            yield label_block(paths[start : start + BLOCK], model, calibration)
        return
    spectra = open_store(Path(job.source).parent, slice(shard.start, shard.start + shard.count))
    for start in range(0, shard.count, BLOCK):
        yield label_spectra(spectra.isel(star=slice(start, start + BLOCK)).load(), model, calibration)


@lru_cache(maxsize=1)
def _model(folder, model, calibration):
    """Model and calibration of a run, read once by each worker and compared with the plan's checksums."""
    paths = [Path(folder, "model.nc"), Path(folder, "calibration.nc")]
    for path, digest in zip(paths, (model, calibration), strict=True):
        if digest and sha256(path) != digest:
            raise ValueError(f"{path} is not the file of the plan: run the same command again, which restores it")
    return Cannon.load(paths[0]), Calibration.load(paths[1]) if calibration else None
