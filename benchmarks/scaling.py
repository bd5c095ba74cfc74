"""Surveys in shards: ``.venv/bin/python -m benchmarks.scaling``, after ``make lab``; five minutes, --quick one.

The files of the simulated survey, linked under as many names as are asked for, are labelled by `lab2.scale` with one
worker and with two, which take turns, and from a store. Processor time of the workers is measured beside the clock's:
it hardly depends on what else the machine does. What a larger survey or machine would need is arithmetic on these
numbers.
"""

import argparse
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from distributed import Client

from benchmarks.files import links
from lab2 import _code, survey
from lab2.cannon import Cannon
from lab2.scale import SHARD, build_store, cluster, label_survey
from lab2.scale.plan import make_plan
from lab2.scale.shards import Job

HERE = Path(__file__).parent
FULL = {"stars": (1000, 4000, 20_000), "stored": 4000, "empty": 1000}
QUICK = {"stars": (500, 1000), "stored": 500, "empty": 50}
PART = 256  # stars a shard here: enough shards for two workers
SURVEYS = {"DR17": 733_901, "10^8 spectra": 100_000_000}
CORES = (2, 64, 1000)


def main():
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs; saves nothing")
    quick = parser.parse_args().quick
    results = run(QUICK if quick else FULL)
    text = markdown(results)
    print(text)
    if not quick:
        (HERE / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "scaling.md").write_text(text)


def run(size) -> dict:
    """Everything, as a dict that JSON can hold."""
    build, files = survey.build_folder("simulated"), survey.survey_folder("simulated", must_exist=True)
    own, model = sorted(files.glob("apStar/*/apStar-*.fits")), build / "05_model.nc"
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=files.parent)))
        paths = links(own, top / "links", max(size["stars"]))
        addresses = {workers: stack.enter_context(cluster.connected(workers)) for workers in (1, 2)}
        for workers, address in addresses.items():  # nobody's first shard is timed, nor the first reading of a file
            label_survey(
                paths[: 4 * PART], model, top / f"warm-{workers}", shard=PART, scheduler=address, report=_quiet
            )
        label_survey(paths, model, top / "warm", shard=PART, scheduler=addresses[2], report=_quiet)
        rates = {}
        for n in size["stars"]:
            for workers, address in addresses.items():
                name = f"{n} stars, {workers} worker{'s' * (workers > 1)}"
                rates[name] = timed(paths[:n], model, top / f"run-{n}-{workers}", address)
        largest = max(size["stars"])
        again = timed(paths[:largest], model, top / f"run-{largest}-2", addresses[2])
        few = paths[: size["stored"]]
        began = time.monotonic()
        store = build_store(few, top / "s.zarr", Cannon.load(model).trusted, scheduler=addresses[2], report=_quiet)
        building = time.monotonic() - began
        from_store = timed(store, model, top / "run-store", addresses[2])
        return {
            "cores": len(os.sched_getaffinity(0)),
            "load": [load, os.getloadavg()[0]],
            "runs": rates,
            "again": again,
            "stored": size["stored"],
            "from_store": from_store,
            "store_seconds": building,
            "shards_a_second": empty_shards(top / "empty", size["empty"], addresses[2]),
            "bytes_a_star": weights(few, store, top / f"run-{largest}-2", largest),
        }


def timed(spectra, model, out, address) -> dict:
    """Seconds by the clock and of the workers' processors, and the memory of a worker, of one run to the catalog."""
    with Client(address, set_as_default=False) as client:
        client.run(forget_peak)
        before = sum(client.run(time.process_time).values())
        began = time.monotonic()
        summary = label_survey(spectra, model, out, shard=PART, scheduler=address, report=_quiet)
        clock = time.monotonic() - began
        cores = sum(client.run(time.process_time).values()) - before
        memory = max(client.run(peak).values())
    return {"stars": summary.stars, "clock": clock, "cores": cores, "memory": memory}


def forget_peak():
    """Let the peak of this process's memory be counted anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """The largest resident memory of this process since then [MB]."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))


def nothing(job, shard, paths):
    """Of a shard that costs nothing but its administration."""
    return {"files": []}


def empty_shards(folder, count, address) -> float:
    """Shards a second that are planned, handed out and recorded."""
    plan = make_plan(folder, [f"{folder}/{n}" for n in range(count)], 1, {"code": _code.digest(_code.RUN)})
    began = time.monotonic()
    cluster.work(address, Job.of(folder, plan, nothing), plan.shards, _quiet)
    return count / (time.monotonic() - began)


def weights(paths, store, out, count) -> dict:
    """Bytes that a star has in each kind of file."""
    stored = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    return {
        "apStar file": float(np.mean([os.stat(path).st_size for path in paths])),
        "store": stored / len(paths),
        "catalog, FITS": (out / "labels.fits").stat().st_size / count,
        "catalog, Parquet": (out / "labels.parquet").stat().st_size / count,
        "list of paths": sum(path.stat().st_size for path in out.glob("shards/*.list")) / count,
    }


def markdown(results) -> str:
    """The results as text."""
    runs, star = results["runs"], results["bytes_a_star"]
    largest = max(run["stars"] for run in runs.values())
    files = runs[f"{largest} stars, 2 workers"]
    stored = f"{results['stored']} stars, 2 workers, from a store"
    load = " before and ".join(f"{value:.1f}" for value in results["load"])
    lines = [
        "# Surveys in shards",
        "",
        f"{results['cores']} cores, load {load} after; simulated stars in warm files, the model of notebook 05 with "
        f"its hidden factors, shards of {PART}. From plan to catalog; workers run already.",
        "",
        "| | stars a second, by the clock | a second of a worker's core | memory of a worker [MB] |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {_rate(run, 'clock'):.0f} | {_rate(run, 'cores'):.0f} | {run['memory']:.0f} |"
            for name, run in (runs | {stored: results["from_store"]}).items()
        ),
        "",
        f"The largest run once more, with nothing to label: {_rate(results['again'], 'clock'):.0f} stars a second are "
        "compared with the plan and written as a catalog.",
        "",
        f"The store was built by 2 workers at {results['stored'] / results['store_seconds']:.0f} stars a second.",
        "",
        f"Shards without work: {results['shards_a_second']:.0f} a second are planned, handed out and recorded.",
        "",
        "| | bytes a star |",
        "| --- | --- |",
        *(f"| {name} | {value:.0f} |" for name, value in star.items()),
        "",
        "## What larger surveys would take",
        "",
        f"Extrapolation, not measurement. Labels: the time of a core a star, as measured with 2 workers and {largest} "
        f"stars from files and with {results['stored']} from a store, times the stars, over the cores. Scheduler: "
        f"shards of {SHARD}, over those that it hands out in a second. Catalog: one process compares the shards with "
        "the plan and writes them as one, as fast as in the run that was finished. The longest of these, bold, is the "
        "limit. Cores like these are assumed, and storage that serves files as fast as the last columns say.",
        "",
        "| | cores | labels from files [h] | from a store [h] | scheduler [h] | catalog [h] | files opened a second "
        "| size of these files [MB/s] |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, count in SURVEYS.items():
        for cores in CORES:
            rate, stored = (cores * _rate(run, "cores") for run in (files, results["from_store"]))
            hours = [count / rate, count / SHARD / results["shards_a_second"], count / _rate(results["again"], "clock")]
            work, scheduler, catalog = (f"**{h / 3600:.2g}**" if h == max(hours) else f"{h / 3600:.2g}" for h in hours)
            lines.append(
                f"| {name} | {cores} | {work} | {count / stored / 3600:.2g} | {scheduler} | {catalog} "
                f"| {rate:.0f} | {rate * star['apStar file'] / 1e6:.0f} |"
            )
    lines += ["", _limits(star), ""]
    return "\n".join(lines)


def _rate(run, kind):
    return run["stars"] / run[kind]


def _limits(star):
    """What is held or written by one process, for the larger survey."""
    count = SURVEYS["10^8 spectra"]
    size = {name: count * value / 1e9 for name, value in star.items()}
    return (
        "Every core adds to the files that are opened, which one file system serves; a store keeps the spectra of many "
        "stars in a file. The command that starts a run holds the list of paths, for 10^8 spectra "
        f"{size['list of paths']:.0f} GB of text, and writes the catalog alone, "
        f"{size['catalog, FITS'] + size['catalog, Parquet']:.0f} GB: such a survey is better labelled as several runs. "
        f"Its spectra take {size['apStar file'] / 1000:.0f} TB as files and {size['store'] / 1000:.1f} TB as a store."
    )


def _quiet(text):
    pass


if __name__ == "__main__":
    main()
