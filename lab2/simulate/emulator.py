"""A small network that emulates the synthesis of tools/synthesis: it predicts a spectrum from labels and abundances.

It was trained on synthetic spectra of model atmospheres (see tools/synthesis/README.md) and is evaluated here with
numpy only: two hidden layers map labels and abundances to the amplitudes of the grid's principal components.
"""

from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["TABLE", "features", "inputs", "limits", "scaling", "spectra"]

TABLE = Path(__file__).parents[1] / "tables" / "emulator.npz"


def features(labels: np.ndarray) -> np.ndarray:
    """Inputs of the network: 5040 K / Teff, as in the Boltzmann factor, instead of Teff; same shape as `labels`."""
    return np.column_stack([5040.0 / labels[:, 0], labels[:, 1:]])


def scaling(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Center and half-width of the features of a grid, to scale them to -1..1."""
    seen = features(labels)
    low, high = seen.min(axis=0), seen.max(axis=0)
    return (low + high) / 2, (high - low) / 2


@cache
def _arrays():
    with np.load(TABLE, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def inputs() -> tuple[str, ...]:
    """Names of the network's inputs: teff, logg, fe_h, [X/Fe] of sixteen elements, vmicro."""
    return tuple(str(name) for name in _arrays()["inputs"])


def limits() -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each input in the training grid."""
    arrays = _arrays()
    return {name: (float(a), float(b)) for name, a, b in zip(inputs(), arrays["lower"], arrays["upper"], strict=True)}


def spectra(labels: np.ndarray) -> np.ndarray:
    """Normalized spectra at the resolution of the grid, R = 21,500.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n, 20)
        Columns in the order of `inputs`, within `limits`.

    Returns
    -------
    numpy.ndarray, shape (n, 8575)
    """
    arrays = _arrays()
    hidden = (features(labels) - arrays["middle"]) / arrays["half"]
    for i in range(2):
        hidden = hidden @ arrays[f"weight_{i}"] + arrays[f"bias_{i}"]
        hidden = hidden / (1 + np.exp(-hidden))  # SiLU
    amplitudes = hidden @ arrays["weight_2"] + arrays["bias_2"]
    return arrays["mean"] + amplitudes.astype(np.float32) @ arrays["components"].astype(np.float32)
