"""The benchmark: ``make bench``, or ``python -m benchmarks.run [--quick] [--repeats N]`` from the project's root."""

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from benchmarks import accuracy, data, peers, probes, report

HERE = Path(__file__).parent
FULL = {
    "stars": 1886, "pixels": 8575, "sample": 200, "fit_stars": 200, "grid_pixels": 1000,
    "scale_stars": (500, 1000, 2000, 4000, 8000), "scale_star_pixels": 1000,
    "scale_pixels": (1000, 2000, 4000, 8575), "scale_repeats": 5,
}  # fmt: skip
QUICK = {
    "stars": 400, "pixels": 400, "sample": 40, "fit_stars": 10, "grid_pixels": 20,
    "scale_stars": (200, 400, 800), "scale_star_pixels": 200,
    "scale_pixels": (100, 200, 400), "scale_repeats": 1,
}  # fmt: skip


def seconds(function, blas=peers.CORES, **setting):
    """How long a call takes, and what it returns; `blas` threads in a matrix product."""
    with threadpool_limits(blas), peers.quiet():
        start = time.perf_counter()
        result = function(**setting)
        return time.perf_counter() - start, result


def fastest_setting(make_code, train, test, sample):
    """The fastest way to ask a code to train, and to fit, found on a part of the data."""
    small = make_code(train.pixels(data.spread(train.flux.shape[1])[:: max(1, train.flux.shape[1] // 400)]), test)
    best = {"train": min(small.train_settings, key=lambda setting: seconds(small.train, **setting)[0])}
    few = make_code(train, test.stars(slice(0, sample)))
    few.model = None
    return best, few


def compare(train, test, repeats, sample):
    """Time the codes in turn, each between two runs of lab2."""
    ours = peers.Lab2(train, test)
    codes = [
        peers.AnniesLasso(train, test),
        peers.TheCannon(train, test),
        peers.Plain(train, test, "lm"),
        peers.Plain(train, test, "trf"),
    ]
    return ours, codes


if __name__ == "__main__":
    pass
