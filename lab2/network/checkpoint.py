"""The state of a training on disk, to resume it after an interruption.

All random numbers depend only on the seed and the epoch. So a resumed training ends with the same weights, bit for bit,
as an uninterrupted one.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import xarray as xr

from lab2.files import read_dataset, write_dataset

__all__ = ["State", "fingerprint", "read", "write"]

_KIND, _VERSION = "lab2 network checkpoint", 1


class State(NamedTuple):
    """A training after some epochs; trees of arrays with the members along the first axis, and numpy arrays.

    ``weights`` (current), ``best`` (those of each member's best epoch), ``optimizer``; ``lowest`` (member), the loss of
    the best epoch; ``history`` (epoch, part) so far.
    """

    weights: object
    best: object
    optimizer: object
    lowest: np.ndarray
    history: np.ndarray


def fingerprint(settings, seed, *arrays) -> str:
    """Checksum of everything that a training depends on, by which checkpoints of other trainings are rejected."""
    digest = hashlib.sha256(repr((settings, int(seed))).encode())
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write(path, state, mark) -> None:
    """Write a state, atomically.

    Parameters
    ----------
    path : path-like
    state : State
    mark : str
        The training's fingerprint.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
    variables = {f"leaf_{i}": ([f"leaf_{i}_axis_{k}" for k in range(leaf.ndim)], leaf) for i, leaf in enumerate(leaves)}
    write_dataset(path, xr.Dataset(variables, attrs={"fingerprint": mark}), _KIND, _VERSION)


def read(path, like, mark) -> State | None:
    """Read a state.

    Parameters
    ----------
    path : path-like
    like : State
        A state of the same training, at any epoch, which gives the structure.
    mark : str
        The training's fingerprint.

    Returns
    -------
    State or None
        None if there is no such file.

    Raises
    ------
    ValueError
        If the file is damaged, or the checkpoint of another training.
    """
    if not Path(path).exists():
        return None
    dataset, _ = read_dataset(path, {_KIND: _VERSION})
    if dataset.attrs.get("fingerprint") != mark:
        raise ValueError(f"{path} is the checkpoint of another training (other spectra, settings or seed): remove it")
    leaves, tree = jax.tree.flatten(like)
    found = [dataset[f"leaf_{i}"].values for i in range(len(leaves))]
    return jax.tree.unflatten(tree, found)
