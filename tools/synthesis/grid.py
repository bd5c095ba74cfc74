"""The grid: spectra at points that fill the range of the lab's giants and of their chemistry, computed in chunks."""

import multiprocessing
import os
from functools import partial

import numpy as np
from scipy.stats import qmc
from tqdm.auto import tqdm

from lab2.files import replacing
from lab2.simulate.chemistry import CARBON_EXCESS
from tools.synthesis.inputs import FOLDER
from tools.synthesis.spectrum import microturbulence, synthesize

__all__ = ["ABUNDANCES", "INPUTS", "RANGE", "compute", "points"]

# [X/Fe] that vary by themselves, and how far.
ABUNDANCES = {
    "Mg": (-0.30, 0.55), "Si": (-0.30, 0.55), "C": (-0.75, 0.45), "N": (-0.30, 0.95), "O": (-0.30, 0.60),
    "Na": (-0.40, 0.50), "Al": (-0.35, 0.60), "S": (-0.30, 0.50), "K": (-0.35, 0.50), "Ca": (-0.30, 0.45),
    "Ti": (-0.35, 0.50), "V": (-0.40, 0.40), "Cr": (-0.35, 0.35), "Mn": (-0.55, 0.35), "Co": (-0.35, 0.40),
    "Ni": (-0.25, 0.25),
}  # fmt: skip
RANGE = {"teff": (3500.0, 5900.0), "logg": (-0.2, 4.2), "fe_h": (-1.3, 0.6)}
INPUTS = ("teff", "logg", "fe_h", *(f"{element.lower()}_fe" for element in ABUNDANCES), "vmicro")

# Most points lie along the giant branch, where stars are; the others fill the whole range.
_ALONG_BRANCH, _BRANCH_WIDTH = 0.80, 450.0
# The chunks that a worker computes and writes at a time.
_CHUNK = 100


def points(count):
    """Labels and abundances of the grid's spectra, (count, 20), columns as in `INPUTS`; the first are always the same.

    A scrambled Sobol sequence fills the space evenly. Carbon stays below oxygen: where it does not, CO leaves no oxygen
    and the star is a carbon star, another kind of spectrum. The branch is a plane fitted by eye to isochrones of 6 Gyr,
    and wide; microturbulence scatters about the relation of `tools.synthesis.spectrum.microturbulence`.
    """
    unit = qmc.Sobol(len(INPUTS) + 1, seed=17).random(int(2 ** np.ceil(np.log2(count))))[:count]
    logg, fe_h = (low + unit[:, i] * (high - low) for i, (low, high) in ((1, RANGE["logg"]), (2, RANGE["fe_h"])))
    low, high = RANGE["teff"]
    anywhere = low + unit[:, 0] * (high - low)
    branch = 4370 + 480 * (logg - 2) - 400 * fe_h + (2 * unit[:, 0] - 1) * _BRANCH_WIDTH
    teff = np.where(unit[:, -1] < _ALONG_BRANCH, np.clip(branch, low, high), anywhere)
    chemistry = {element: a + unit[:, i] * (b - a) for i, (element, (a, b)) in enumerate(ABUNDANCES.items(), 3)}
    low, high = ABUNDANCES["C"]
    chemistry["C"] = low + unit[:, 5] * (np.minimum(high, chemistry["O"] + CARBON_EXCESS) - low)
    vmicro = microturbulence(logg) * (0.7 + 0.7 * unit[:, -2])
    return np.column_stack([teff, logg, fe_h, *chemistry.values(), vmicro])


def compute(lines, count, workers=2):
    """Synthesize the grid, going on where an earlier run stopped.

    Parameters
    ----------
    lines : Lines
    count : int
        Number of spectra, rounded up to whole chunks.
    workers : int
        Processes.

    Returns
    -------
    labels : numpy.ndarray, shape (count, 20)
    flux : numpy.ndarray of float32, shape (count, 8575)
    """
    n_chunks = -(-count // _CHUNK)
    labels = points(n_chunks * _CHUNK)
    folder = FOLDER / "grid"
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [(folder / f"{i:04d}.npy", labels[i * _CHUNK : (i + 1) * _CHUNK]) for i in range(n_chunks)]
    missing = [chunk for chunk in chunks if not chunk[0].exists()]
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start) as pool, tqdm(total=len(missing) * _CHUNK, unit="spectrum") as bar:
        for _ in pool.imap_unordered(partial(_chunk, lines), missing):
            bar.update(_CHUNK)
    return labels, np.concatenate([np.load(path) for path, _ in chunks])


def _start():
    """Begin a worker: one thread, because there are as many workers as cores."""
    import numba

    numba.set_num_threads(1)
    os.nice(5)


def _chunk(lines, task):
    """Synthesize the spectra of one chunk, a pair of its file's path and its labels, and write them."""
    path, labels = task
    flux = [
        synthesize(lines, *row[:3], dict(zip(ABUNDANCES, row[3:-1], strict=True)), row[-1]).pixels() for row in labels
    ]
    with replacing(path) as part, open(part, "wb") as file:
        np.save(file, np.array(flux, dtype=np.float32))
