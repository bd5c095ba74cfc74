"""The benchmark: ``make bench``, or ``.venv/bin/python -m benchmarks.run [--quick] [--repeats N]``."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from benchmarks import accuracy, data, peers, probes, report
from benchmarks.compare import compare, seconds

HERE = Path(__file__).parent
FULL = {
    "stars": 1886, "pixels": 8575, "trial_stars": 40, "trial_pixels": 600, "fit_stars": 200, "grid_pixels": 1000,
    "scale_stars": (500, 1000, 2000, 4000, 8000), "scale_star_pixels": 1000,
    "scale_pixels": (1000, 2000, 4000, 8575), "scale_repeats": 3,
}  # fmt: skip
QUICK = {
    "stars": 300, "pixels": 600, "trial_stars": 10, "trial_pixels": 50, "fit_stars": 10, "grid_pixels": 20,
    "scale_stars": (200, 400, 800), "scale_star_pixels": 200,
    "scale_pixels": (150, 300, 600), "scale_repeats": 1,
}  # fmt: skip


def main():
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs; saves nothing")
    parser.add_argument("--repeats", type=int, default=None, metavar="N", help="rounds (default: 3; 1 if --quick)")
    options = parser.parse_args()
    if peers.missing():
        sys.exit(f"{' and '.join(peers.missing())} not installed: run `make bench`")
    tqdm.monitor_interval = 0  # its thread would be alive when annieslasso forks
    results = run(QUICK if options.quick else FULL, options.repeats or (1 if options.quick else 3))
    files = {"results.md": report.markdown(results), "results.json": json.dumps(results, indent=1) + "\n"}
    print(files["results.md"])
    if not options.quick:
        for name, content in files.items():
            partial = HERE / f".{name}"
            partial.write_text(content)
            os.replace(partial, HERE / name)


def run(size, repeats) -> dict:
    """Everything, as a dict that JSON can hold."""
    load_before = os.getloadavg()[0]
    print("Making the data; compiling lab2's kernels, which is not timed.", flush=True)
    pixels = data.spread(size["pixels"])
    stars = data.make(size["stars"], pixels)
    half = size["stars"] // 2
    train, test = stars.stars(slice(0, half)), stars.stars(slice(half, None))
    probes.warm_up()
    peak = {str(threads): probes.matmul_peak(threads) for threads in sorted({1, peers.CORES})}
    with tempfile.TemporaryDirectory() as folder:
        probes.save(folder, train, test)
        memory = probes.run_alone("memory", folder)
        share = probes.run_alone("matrix_product_share", folder)
    scaling = measure_scaling(size, train)
    ours = peers.Lab2(train, test)
    codes = compare(ours, train, test, size["trial_pixels"], size["trial_stars"], repeats)
    curve_fit = accuracy.against_curve_fit(ours.model, ours.testing, size["fit_stars"])
    grid = accuracy.against_grid(ours.model, ours.training, size["grid_pixels"])
    return {
        "machine": probes.machine(),
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "seed": data.SEED,
        "size": {"train": half, "test": size["stars"] - half, "pixels": len(pixels)},
        "repeats": repeats,
        "peak_gflop_per_s": peak,
        "codes": codes,
        "share": share,
        "memory": memory,
        "scaling": scaling,
        "curve_fit": curve_fit,
        "grid": grid,
    }


def measure_scaling(size, train) -> dict:
    """How lab2's times grow with the number of stars, and of pixels: the least of a few runs, and slopes."""
    stars = data.make(max(size["scale_stars"]), data.spread(size["scale_star_pixels"]))
    n_pixels = train.flux.shape[1]
    series = {
        "stars": [(n, stars.stars(slice(0, n))) for n in size["scale_stars"]],
        "pixels": [(n, train.pixels(np.linspace(0, n_pixels - 1, n).astype(int))) for n in size["scale_pixels"]],
    }
    fixed = {"stars": f"{size['scale_star_pixels']} pixels", "pixels": f"{len(train.flux)} stars"}
    result = {}
    for name, parts in series.items():
        result[name] = {"fixed": fixed[name], "n": [n for n, _ in parts], "train": [], "fit": []}
        for _, part in tqdm(parts, desc=f"growth with {name}"):
            code = peers.Lab2(part, part)
            for step in ("train", "fit"):
                times = [seconds(getattr(code, step))[0] for _ in range(size["scale_repeats"])]
                result[name][step].append(min(times))
        for step in ("train", "fit"):
            slope = np.polyfit(np.log(result[name]["n"]), np.log(result[name][step]), 1)[0]
            result[name][f"{step}_slope"] = float(slope)
    return result


if __name__ == "__main__":
    main()
