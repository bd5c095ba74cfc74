"""One catalogue from the shards of a run: every planned spectrum once, in the planned order, or no catalogue."""

from collections import Counter
from pathlib import Path

import numpy as np

from lab2._failure import Failure
from lab2.files import now
from lab2.scale import _sealed
from lab2.scale._columns import read, writing
from lab2.scale.labels import tally
from lab2.scale.plan import Plan, read_list

__all__ = ["assemble"]


def assemble(folder: Path, plan: Plan, records: list[dict]) -> dict:
    """Write the shards' tables as one, labels.parquet and labels.fits, shard by shard, and count.

    Parameters
    ----------
    folder : pathlib.Path
        Of the run.
    plan : lab2.scale.plan.Plan
    records : list of dict
        Of all shards, by number.

    Returns
    -------
    dict
        The summary, which is also written to summary.json: ``rows``, ``labelled``, ``simulated`` and each flag, counted
        in the tables; ``repeated``, rows beyond the first of their stars.

    Raises
    ------
    Failure
        If a table does not hold the planned spectra in the planned order, or the counts of tables, records and plan do
        not agree. No catalogue is written then.
    """
    found, names = Counter(), []
    with writing(folder / "labels.parquet") as to_parquet, writing(folder / "labels.fits") as to_fits:
        for shard, record in zip(plan.shards, records, strict=True):
            table = read(folder / record["files"][0])
            counted = tally(table)
            if list(table["file"]) != read_list(folder, shard) or dict(counted) != record["tally"]:
                raise Failure(
                    f"shard {shard.name} of {folder} does not hold the spectra that were planned, or not as its record "
                    "counts them: delete its files in shards/, and run the same command again"
                )
            found.update(counted)
            names.append(np.asarray(table["apogee_id"], dtype=str))
            to_parquet(table)
            to_fits(table)
        if found["rows"] != plan.count:
            raise Failure(f"the shards of {folder} have {found['rows']} rows, but {plan.count} spectra were planned")
    stars = np.concatenate(names)
    summary = {**found, "repeated": len(stars) - len(np.unique(stars)), "made": now(), "plan": plan.identity}
    _sealed.write(folder / "summary.json", summary)
    return summary
