"""From files to a table: ``.venv/bin/python -m benchmarks.files``, after ``make lab``; ten minutes, --quick one.

The files of the simulated survey, linked under as many names as are asked for, are read until the system holds them in
memory. Then `lab2 label` and the bare reading of the same files, by as many processes, take turns. Processor time is
measured beside the clock's: it hardly depends on what else the machine does.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
from astropy.io import fits as astropy_fits
from threadpoolctl import threadpool_limits

from benchmarks import plain_script, probes
from lab2 import apstar, cannon, continuum, survey, validation
from lab2._io.coadd import read_coadd
from lab2.labelling import BLOCK, label_block, label_files

HERE = Path(__file__).parent
FULL = {"stars": 20_000, "few": 2000, "timed": 1024, "plain": 40, "repeats": 3}
QUICK = {"stars": 2048, "few": 1024, "timed": 256, "plain": 4, "repeats": 1}


def main():
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs; saves nothing")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: 2)")
    options = parser.parse_args()
    results = run(QUICK if options.quick else FULL, options.workers)
    text = markdown(results)
    print(text)
    if not options.quick:
        (HERE / "files.json").write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "files.md").write_text(text)


def run(size, workers) -> dict:
    """Everything, as a dict that JSON can hold."""
    build, survey_files = survey.build_folder("simulated"), survey.survey_folder("simulated", must_exist=True)
    own = sorted(survey_files.glob("apStar/*/apStar-*.fits"))
    plain, rich = build / "04_model.nc", build / "05_model.nc"
    calibration = build / "05_calibration.nc"
    with tempfile.TemporaryDirectory(dir=survey_files.parent) as folder:
        paths = links(own, Path(folder), size["stars"])
        few = links(own, Path(folder, "few"), size["few"])
        for path in paths:
            path.read_bytes()
        timed = paths[: size["timed"]]
        results = {
            "machine": probes.machine(),
            "load_before": os.getloadavg()[0],
            "stars": len(paths),
            "workers": workers,
            "readers": readers(timed),
            "stages": {
                name: stages(timed, cannon.Cannon.load(path)) for name, path in {"0": plain, "15": rich}.items()
            },
            "identity": identity(own, cannon.Cannon.load(rich), validation.Calibration.load(calibration)),
            "plain_script": against_plain_script(own[:: len(own) // size["plain"]], cannon.Cannon.load(plain)),
            "rounds": [one_round(paths, rich, calibration, workers) for _ in range(size["repeats"])],
            "memory": {str(len(some)): command(some, rich, calibration, workers)["peak_mb"] for some in (few, paths)},
        }
    return results | {"load_after": os.getloadavg()[0]}


def links(files, folder, n):
    """So many names for the files, in a folder; links to a file on the same disk cost no copy."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"apStar-dr17-{k:06d}.fits" for k in range(n)]
    for k, path in enumerate(paths):
        os.link(files[k % len(files)], path)
    return paths


def cpu(function, n):
    """Processor time of the best of three calls [ms a star], and what it returns."""
    times = []
    for _ in range(3):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return 1e3 * min(times) / n, result


def readers(paths) -> dict:
    """Processor time of reading row 0 of flux, error and bitmask [ms a star]."""

    def with_astropy(path):
        with astropy_fits.open(path, memmap=False, lazy_load_hdus=True, disable_image_compression=True) as hdus:
            return hdus[0].header["SNR"], [hdus[k].section[0] for k in (1, 2, 3)]

    def raw(path):
        with open(path, "rb", buffering=0) as file:
            header = file.read(8640)
            rows = [file.read(37_180) for _ in range(3) if file.seek(139_000, 1)]
        return header, rows

    ways = {"lab2": read_coadd, "astropy": with_astropy, "bytes alone": raw}
    return {name: cpu(lambda way=way: [way(path) for path in paths], len(paths))[0] for name, way in ways.items()}


def stages(paths, model) -> dict:
    """Processor time of each step in one thread, in blocks as `lab2 label` has them [ms a star]."""
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    n, found = len(paths), {}
    with threadpool_limits(1):
        found["read, alone"], raw = cpu(lambda: [apstar.read_rows(block) for block in blocks], n)
        found["mask"], masked = cpu(lambda: [apstar.mask_bad_pixels(block) for block in raw], n)
        found["normalize"], spectra = cpu(lambda: [continuum.normalize(block, model.trusted) for block in masked], n)
        found["fit"], _ = cpu(lambda: [cannon.fit_labels(model, block) for block in spectra], n)
        read, spent = apstar.read_rows, []

        def watched(paths):
            start = time.process_time()
            rows = read(paths)
            spent[-1] += time.process_time() - start
            return rows

        def everything():
            spent.append(0.0)
            return [label_block(block, model) for block in blocks]

        with mock.patch.object(apstar, "read_rows", watched):
            found["all, with a table"], _ = cpu(everything, n)
        found["read, among all"] = 1e3 * min(spent) / n
    return found


def identity(paths, model, calibration) -> dict:
    """The labels of `lab2 label` and those of all stars in one call of `fit_labels`."""
    raw = apstar.mask_bad_pixels(apstar.read_many(paths, progress=False))
    fits = calibration.apply(cannon.fit_labels(model, continuum.normalize(raw, model.trusted)))
    table = label_files(paths, model, calibration)
    ours = np.stack([table[name] for name in model.labels], axis=1)
    apart = np.abs(ours - fits.labels.values)
    formal = np.sqrt(np.diagonal(fits.formal_covariance.values, axis1=1, axis2=2))
    return {
        "stars": len(paths),
        "same_bits": float((apart.max(axis=1) == 0).mean()),
        "largest_in_sigma": float(np.nanmax(apart / formal)),
        "largest_relative": float(np.nanmax(apart / np.abs(fits.labels.values))),
        "same_flags": bool(np.array_equal(table["flag"], fits.flag)),
    }


def against_plain_script(paths, model) -> dict:
    """Processor time of the plain script [ms a star], and how far its labels are from ours in formal errors."""
    arguments = model.theta.values, model.s2.values, model.trusted.values
    table = label_files(paths, model)
    ours = model.scale(np.stack([table[name] for name in model.labels], axis=1))
    with threadpool_limits(1):
        start = time.process_time()
        found = [plain_script.label(path, *arguments) for path in paths]
        spent = time.process_time() - start
    apart = np.abs([x for x, _ in found] - ours) / [error for _, error in found]
    return {"stars": len(paths), "ms": 1e3 * spent / len(paths), "median_apart_in_sigma": float(np.median(apart))}


def one_round(paths, model, calibration, workers) -> dict:
    """The bare reading of all files, and the command: stars a second by the clock, and a second of a core."""
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(_read, blocks[: 2 * workers]))  # both are awake
        start = time.perf_counter()
        spent = sum(pool.map(_read, blocks))
        clock = time.perf_counter() - start
    reading = {"per_second": len(paths) / clock, "per_core_second": len(paths) / spent}
    return {"reading": reading, "label": command(paths, model, calibration, workers)}


def _read(paths):
    """Read a block of files, and nothing else; the processor time it takes [s]."""
    start = time.process_time()
    apstar.read_rows(paths)
    return time.process_time() - start


def command(paths, model, calibration, workers) -> dict:
    """`lab2 label` as typed: rates without and with the start of the processes, and the largest process [MB]."""
    with tempfile.TemporaryDirectory() as folder:
        names, out = Path(folder, "names"), Path(folder, "labels.fits")
        names.write_text("\n".join(map(str, paths)))
        words = ["label", "--files-from", names, "--model", model, "--calibration", calibration, "-o", out]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        running = subprocess.Popen(
            [sys.executable, "-m", "lab2", *map(str, words), "--workers", str(workers)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        peak = []
        watch = threading.Thread(target=_watch, args=(running.pid, peak))
        watch.start()
        said, problem = running.communicate()
        watch.join()
        if running.returncode:
            sys.exit(f"lab2 label ended with status {running.returncode}: {problem}")
        after, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "said": said.rpartition("; ")[0],
        "per_second": len(paths) / clock,
        "per_core_second": len(paths) / spent,
        "peak_mb": max(peak) / 1e6,
    }


def _watch(pid, peak):
    """Resident memory of the largest of a process and its children, as long as it runs."""
    try:
        parent = psutil.Process(pid)
        while parent.status() != psutil.STATUS_ZOMBIE:
            peak.append(max(process.memory_info().rss for process in [parent, *parent.children(recursive=True)]))
            time.sleep(0.02)
    except psutil.NoSuchProcess:
        return


def markdown(results) -> str:
    """The report."""
    machine, rounds = results["machine"], results["rounds"]
    best = {name: max(one[name]["per_second"] for one in rounds) for name in ("reading", "label")}
    core = {name: max(one[name]["per_core_second"] for one in rounds) for name in ("reading", "label")}
    same, plain, stages = results["identity"], results["plain_script"], results["stages"]
    few, many = results["memory"].values()
    share = stages["15"]["read, alone"] / stages["15"]["read, among all"]
    lines = [
        "# From files to a table",
        "",
        f"{machine['cpu']}, {machine['cores']} cores; load {results['load_before']:.1f} before and "
        f"{results['load_after']:.1f} after; {results['stars']} simulated stars in warm files, {results['workers']} "
        "processes, the model of notebook 05 with 15 hidden factors and its calibration. Best of "
        f"{len(rounds)} rounds in turn.",
        "",
        "| | stars a second, by the clock | a second of a core |",
        "| --- | --- | --- |",
        f"| reading alone | {best['reading']:.0f} | {core['reading']:.0f} |",
        f"| `lab2 label`, start and table included | {best['label']:.0f} | {core['label']:.0f} |",
        "",
        f"The clock counts what else the machine does. {results['workers']} cores with nothing else to do would label "
        f"about {results['workers'] * core['label']:.0f} stars a second by the second column.",
        "",
        "| processor time [ms a star] | no factors | 15 factors |",
        "| --- | --- | --- |",
        *(f"| {name} | {value:.3f} | {stages['15'][name]:.3f} |" for name, value in stages["0"].items()),
        f"| the plain script, all of it | {plain['ms']:.1f} | |",
        "",
        f"Among the other steps, reading keeps {100 * share:.0f} % of the rate that it has alone.",
        "",
        f"The plain script's labels differ from ours by {plain['median_apart_in_sigma']:.2g} formal errors (median).",
        "",
        "Readers of row 0, processor time [ms a star]: "
        + ", ".join(f"{name} {value:.3f}" for name, value in results["readers"].items())
        + ".",
        "",
        f"Memory of one process: {few:.0f} MB with {next(iter(results['memory']))} stars, {many:.0f} MB with "
        f"{results['stars']}.",
        "",
        f"Against one call of `fit_labels` for {same['stars']} stars: {100 * same['same_bits']:.1f} % of the stars "
        f"have the same bits, the largest difference is {same['largest_in_sigma']:.1g} formal errors "
        f"({same['largest_relative']:.1g} of a label); flags {'the same' if same['same_flags'] else 'DIFFERENT'}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
