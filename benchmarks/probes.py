"""What the machine can do, what lab2 makes of it, and how much memory it needs.

`matrix_product_share` and `memory` run in processes of their own (``.venv/bin/python -m benchmarks.probes``): the first
replaces every matrix product in lab2's source by one that a clock watches, the second needs a clean memory.
"""

import ast
import importlib
import inspect
import json
import os
import platform
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import psutil
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks import data
from benchmarks.peers import CORES, Lab2

__all__ = ["machine", "matmul_peak", "run_alone", "save"]

_ROOT = Path(__file__).parents[1]


def machine() -> dict:
    """The machine's description, without names of hosts or users."""
    blas = next(library for library in threadpool_info() if library["user_api"] == "blas")
    packages = ("lab2", "numpy", "scipy", "numba", "xarray")
    return {
        "cpu": _cpu_model(),
        "cores": CORES,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": f"{blas['internal_api']} {blas['version']} ({blas.get('architecture', '?')})",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def _cpu_model():
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    if sys.platform == "darwin":
        return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    return platform.processor() or "unknown"


def matmul_peak(threads, size=2048, repeats=7) -> float:
    """The fastest of a few large matrix products in double precision [GFLOP/s]."""
    a, b = np.random.default_rng(0).random((2, size, size))
    times = []
    with threadpool_limits(threads):
        for _ in range(repeats + 1):
            start = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - start)
    return 2e-9 * size**3 / min(times[1:])


def save(folder, train, test):
    """Write the two halves of the data for `run_alone`."""
    for name, stars in (("train", train), ("test", test)):
        for field in ("flux", "ivar", "labels", "wavelength"):
            np.save(Path(folder) / f"{name}_{field}.npy", getattr(stars, field))


def run_alone(probe, folder) -> dict:
    """Run "matrix_product_share" or "memory" in a fresh process on the data in `folder`."""
    command = [sys.executable, "-m", "benchmarks.probes", probe, str(folder)]
    return json.loads(subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True).stdout)


def _load(folder):
    fields = ("flux", "ivar", "labels", "wavelength")
    return [data.Stars(*(np.load(Path(folder) / f"{name}_{f}.npy") for f in fields)) for name in ("train", "test")]


def warm_up():
    """Have numba compile, or load, lab2's kernels."""
    few = data.make(120, data.spread(200))
    for factors in (0, 2):
        code = Lab2(few, few, factors)
        code.train()
        code.fit()


class _WatchMatmul(ast.NodeTransformer):
    """``a @ b``, ``np.matmul(a, b)`` and ``np.dot(a, b)`` become ``watched_matmul(a, b)``."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.MatMult):
            return node
        return ast.Call(ast.Name("watched_matmul", ast.Load()), [node.left, node.right], [])

    def visit_Call(self, node):
        self.generic_visit(node)
        if ast.unparse(node.func) in ("np.matmul", "np.dot"):
            node.func = ast.Name("watched_matmul", ast.Load())
        return node


def matrix_product_share(folder, repeats=5) -> dict:
    """Seconds and operations in matrix products, for training and for fitting; the median run of a few.

    The share is of the time of all cores: 1 would be every core in a matrix product from beginning to end. What counts
    as in a product is the processor time of the thread that computes it, so that neither waiting for the interpreter's
    lock afterwards nor another program on the same core does.
    """

    record = []

    def watched_matmul(a, b, out=None):
        start = time.thread_time()
        product = np.matmul(a, b, out=out)
        record.append((time.thread_time() - start, 2 * np.size(product) * np.shape(a)[-1]))
        return product

    # each before those that import it; by name, because the package's `quartics` is the function of that module
    for name in ("likelihood", "training", "quartics", "fitting", ""):
        module = importlib.import_module(f"lab2.cannon.{name}".rstrip("."))
        tree = ast.fix_missing_locations(_WatchMatmul().visit(ast.parse(inspect.getsource(module))))
        vars(module)["watched_matmul"] = watched_matmul
        exec(compile(tree, module.__file__, "exec"), vars(module))

    warm_up()
    code = Lab2(*_load(folder))
    result = {}
    for step in ("train", "fit"):
        runs = []
        for _ in range(repeats):
            record.clear()
            start = time.perf_counter()
            getattr(code, step)()
            wall = time.perf_counter() - start
            inside, operations = np.sum(record, axis=0)
            runs.append((wall, inside / (CORES * wall), 1e-9 * operations / wall))
        wall, share, rate = sorted(runs)[repeats // 2]
        result[step] = {"seconds": wall, "share": share, "gflop_per_s": rate}
    return result


def memory(folder) -> dict:
    """The most memory that training and fitting take beyond what is there when the data lie ready."""
    warm_up()
    code, with_factors = Lab2(*_load(folder)), Lab2(*_load(folder), 10)
    steps = {"train": (code.train, code.training), "fit": (code.fit, code.testing)}
    steps["factors"] = with_factors.train, with_factors.training
    result = {}
    for step, (function, spectra) in steps.items():
        with _Watch() as watch:
            function()
        spectra_bytes = spectra.flux.nbytes + spectra.ivar.nbytes
        result[step] = {"beyond_data": watch.growth / spectra_bytes, "with_data": 1 + watch.growth / spectra_bytes}
        result[step]["data_mib"] = spectra_bytes / 2**20
    return result


class _Watch:
    """Watches the resident memory of this process, every millisecond."""

    def __enter__(self):
        self._process, self._done = psutil.Process(os.getpid()), threading.Event()
        self._before = self._process.memory_info().rss
        self.growth = 0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self):
        while not self._done.wait(1e-3):
            self.growth = max(self.growth, self._process.memory_info().rss - self._before)

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


if __name__ == "__main__":
    print(json.dumps({"matrix_product_share": matrix_product_share, "memory": memory}[sys.argv[1]](sys.argv[2])))
