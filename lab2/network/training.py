"""Training of an ensemble, each member with its own validation set.

The training stars are divided into five parts. A member is trained on four of them and keeps the weights of the epoch
with the lowest loss on the fifth (early stopping). So all stars are used, and each is held out from one member. The
predictions for held-out stars show how far labels are drawn toward the mean, and how large the errors must be.
"""

import json
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import xarray as xr
from astropy.stats import mad_std
from tqdm.auto import tqdm

from lab2.network import checkpoint as checkpoints
from lab2.network.architectures import normal_of
from lab2.network.basis import learn, scores
from lab2.network.descent import Descent
from lab2.network.preparation import prepared
from lab2.network.settings import Settings
from lab2.network.stored import Network, axes

__all__ = ["PARTS", "train"]

PARTS = 5
_STARS_PER_COMPONENT = 4
_CHECKPOINTS = 10  # per training
_OUTLIER = 5.0  # robust standard deviations
_MOST_STRETCH = 1.5  # more would only amplify noise
_KEPT_ATTRS = ("survey", "label_tree", "normalization")


def train(spectra, settings=None, members=PARTS, seed=128, checkpoint=None, progress=False) -> Network:
    """Train an ensemble of networks on spectra with labels.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) and ``labels`` (star, label); ``label_errors`` (star, label), the
        catalog errors, if known: NaN counts as 0.
    settings : lab2.network.Settings, optional
        By default the best ones of the recorded search.
    members : int
        Number of networks, 1 to 5.
    seed : int
        For the parts, the initial weights, the order of the stars, the noise, the masks and the dropout. Training twice
        with the same seed on the same machine gives the same weights, bit for bit.
    checkpoint : path-like, optional
        File for the state of the training while it runs. If it exists, that training is resumed. The file is removed at
        the end.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If labels are missing or all the same, too few stars or pixels are left, or `lab2.spectra.check` rejects the
        spectra; if `checkpoint` is a file of another training.

    Notes
    -----
    jax uses a GPU if it was installed for one. Sums are then taken in another order, so the weights differ slightly
    from those of a CPU.
    """
    settings = Settings() if settings is None else settings
    if not 1 <= members <= PARTS:
        raise ValueError(f"members must be 1 to {PARTS}; got {members}")
    ready = prepared(spectra)
    n_stars, n_pixels = ready.flux.shape
    part = np.random.default_rng(seed).permutation(n_stars) % PARTS
    n_components = max(1, min(settings.components, n_stars // _STARS_PER_COMPONENT, n_pixels - 1))
    basis = learn(ready.flux, ready.ivar, n_components)
    descent = Descent(settings, basis, ready, part != np.arange(members)[:, None], seed)
    mark = checkpoints.fingerprint((settings, members), seed, *ready)
    state = _descended(descent, checkpoint, mark, progress)
    network = Network(_dataset(spectra, ready, basis, descent, state, part).assign_attrs(seed=seed))
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    return network


def _descended(descent, checkpoint, mark, progress):
    """The state after the last epoch."""
    state, epochs = descent.start(), descent.settings.epochs
    if checkpoint is not None:
        state = checkpoints.read(checkpoint, state, mark) or state
    every = max(1, epochs // _CHECKPOINTS)
    with tqdm(total=epochs, initial=len(state.history), desc="training the networks", disable=not progress) as bar:
        while len(state.history) < epochs:
            state = descent.epoch(state)
            bar.update()
            if checkpoint is not None and len(state.history) % every == 0:
                checkpoints.write(checkpoint, state, mark)
    return state


def _dataset(spectra, ready, basis, descent, state, part):
    """The dataset of the trained network."""
    members = len(state.lowest)
    found, _ = scores(basis, ready.flux, ready.ivar)
    precision = np.linalg.pinv(np.atleast_2d(np.cov(found.T.astype(float))), hermitian=True)
    off = found - found.mean(axis=0)
    correction = _correction(descent.predictions(state), ready, part)
    variables = {
        "used": ("wavelength", ready.used),
        "basis_mean": ("input", basis.mean),
        "basis_spectra": (("input", "component"), basis.spectra),
        "basis_s2": ("input", basis.s2),
        "center": (("quantity", "feature"), np.asarray(descent.center)),
        "label_mean": ("label", ready.label_mean),
        "label_scale": ("label", ready.label_scale),
        **{name: ("label", value) for name, value in correction._asdict().items()},
        "score_mean": ("component", found.mean(axis=0)),
        "score_precision": (("component", "component_2"), precision),
        "edge": np.sqrt(np.einsum("sk,kl,sl->s", off, precision, off).max()),
        "history": (("epoch", "part"), state.history),
    }
    for i, leaf in enumerate(jax.tree.leaves(state.best)):
        variables[f"weights_{i}"] = (axes(i, leaf), np.asarray(leaf))
    coords = {name: spectra.coords[name] for name in ("wavelength", "chip", "trusted") if name in spectra.coords}
    coords["label"] = spectra.label.values.astype(str)
    coords["part"] = ["as shown", "training", "validation"]
    coords["step"] = ("epoch", descent.steps_per_epoch * np.arange(1, len(state.history) + 1))
    attrs = {key: spectra.attrs[key] for key in _KEPT_ATTRS if key in spectra.attrs}
    attrs["settings"] = json.dumps(asdict(descent.settings))
    attrs["simulated"] = int("simulated" in spectra and bool(spectra.simulated.any()))
    attrs |= {"n_members": members, "n_training": len(ready.flux), "versions": _versions()}
    return xr.Dataset(variables, coords, attrs)


def _versions():
    return ", ".join(f"{name} {metadata.version(name)}" for name in ("lab2", "jax", "equinox", "optax", "numpy"))


class Correction(NamedTuple):
    """Correction of each label: ``(mean - offset) * stretch``; errors are also multiplied by ``widening``."""

    offset: np.ndarray
    stretch: np.ndarray
    widening: np.ndarray


def _correction(found, ready, part) -> Correction:
    """The correction that predictions for held-out stars need.

    A network that minimizes its error draws its predictions toward the mean of the training set, the more so the less
    the spectrum constrains a label. The line prediction = offset + slope * label is fitted and inverted; the known
    errors of the labels are subtracted from the variance in the denominator of the slope (Fuller 1987, Measurement
    Error Models, section 1.1). The errors are those of stars that the network was trained on, too small for others (Guo
    et al. 2017, arXiv:1706.04599): they are multiplied by the robust width of the pulls. Where the errors of the labels
    dominate, pulls constrain those of the network weakly, and the factor is closer to 1 than the one that would give
    unit width.
    """
    n_labels = ready.labels.shape[1]
    stars = np.flatnonzero(part < len(found))
    means, roots = jax.vmap(lambda one: normal_of(one, n_labels))(found[part[stars], stars])
    means, variance = np.asarray(means, dtype=float), (np.asarray(roots, dtype=float) ** 2).sum(axis=2)
    columns = zip(means.T, variance.T, ready.labels[stars].T, ready.errors[stars].T, strict=True)
    return Correction(*np.array([_corrected(*column) for column in columns]).T)


def _corrected(mean, variance, label, error):
    """Offset, stretch and widening of one label."""
    residual = mean - label
    bulk = np.abs(residual - np.median(residual)) < _OUTLIER * mad_std(residual)
    x, y = label[bulk] - label[bulk].mean(), mean[bulk]
    slope = (x @ y) / max(x @ x - (error[bulk] ** 2).sum(), 0.5 * (x @ x))
    stretch = float(np.clip(1.0 / max(slope, 1e-3), 1.0, _MOST_STRETCH))
    offset = y.mean() - label[bulk].mean() / stretch
    pulls = ((mean - offset) * stretch - label) / np.sqrt(stretch**2 * variance + error**2)
    return offset, stretch, mad_std(pulls)
