"""A first neural network: labels as a function of the spectrum, the other way round (the lab's problem 15).

A multilayer perceptron with two small hidden layers. Each time a spectrum is shown to it, noise is added afresh, of
the size that the star's inverse variances tell: nine hundred spectra of seven thousand pixels are few, and without
it the network learns their noise by heart. It gives no errors and knows nothing of a star that is unlike those it
was trained on; pixels without information look to it like continuum.

PyTorch trains it. What comes out is a few matrices, so that prediction and the file do without it.
"""

from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from typing import ClassVar

import numpy as np
import xarray as xr
from scipy.special import ndtr
from tqdm.auto import trange

from lab2._io import schema
from lab2._io.schema import Rule
from lab2.cannon import Flag
from lab2.files import Kept
from lab2.spectra import check, check_wavelengths, seen

__all__ = ["Network", "train"]

_BATCH = 64  # stars a step
_LEARNING_RATE, _WEIGHT_DECAY = 1e-3, 1e-2
_MIN_SEEN = 0.5  # share of the training stars that must see a pixel for it to be used
_MAX_ERROR = 0.2  # of the flux: noise added to a pixel that is nearly worthless is limited to this
_BLOCK = 1024  # stars predicted at a time


@dataclass(frozen=True, eq=False)
class Network(Kept):
    """A trained network.

    Attributes
    ----------
    dataset : xarray.Dataset
        ``used`` (wavelength), whether a pixel is an input; ``input_mean`` (input), ``input_scale``; ``weight_k``
        and ``bias_k``, the layers; ``label_mean``, ``label_scale`` (label); ``history`` (epoch, part).
    """

    kind, version = "lab2 network", 2
    rules: ClassVar = {
        "wavelength": Rule(("wavelength",), schema.ASCENDING),
        "label": Rule(("label",), schema.UNIQUE),
        "used": Rule(("wavelength",), schema.TRUTH),
        "input_mean": Rule(("input",)),
        "input_scale": Rule((), schema.POSITIVE),
        "label_mean": Rule(("label",)),
        "label_scale": Rule(("label",), schema.POSITIVE),
        "history": Rule(("epoch", "part"), schema.ANY),
    }

    def check_whole(self) -> None:
        """Raise a ValueError if the layers do not lead from the used pixels to the labels."""
        n_layers = self.dataset.attrs.get("n_layers")
        if not isinstance(n_layers, int | np.integer) or not 1 <= n_layers <= len(self.dataset.data_vars):
            raise ValueError(f"its attribute 'n_layers' must be a number of layers, not {n_layers!r}")
        names = ["input", *(f"hidden_{k}" for k in range(1, n_layers)), "label"]
        layers = {}
        for k, (before, after) in enumerate(pairwise(names)):
            layers |= {f"weight_{k}": Rule((after, before)), f"bias_{k}": Rule((after,))}
        schema.check(self.dataset, layers)
        if self.dataset.used.values.sum() != self.dataset.sizes["input"]:
            raise ValueError(f"{self.dataset.sizes['input']} inputs are not the number of pixels used")

    @property
    def labels(self) -> list[str]:
        """Names of the labels."""
        return [str(name) for name in self.dataset.label.values]

    @property
    def history(self) -> xr.DataArray:
        """Mean squared error of the scaled labels (epoch, part), part "training" and "validation"."""
        return self.dataset.history

    def predict(self, spectra) -> xr.Dataset:
        """Labels of every star.

        Parameters
        ----------
        spectra : xarray.Dataset
            ``flux``, ``ivar`` (star, wavelength) on the wavelengths of the training spectra.

        Returns
        -------
        xarray.Dataset
            ``labels`` (star, label), in each label's unit; ``n_pixels`` (star), the inputs with information;
            ``flag`` (star), `lab2.cannon.Flag` bits: NO_DATA where there is none, and the labels are NaN.

        Raises
        ------
        ValueError
            If the wavelengths are not the network's, or the spectra such as `lab2.spectra.check` refuses.
        """
        check_wavelengths(spectra, self.dataset.wavelength)
        n_stars = spectra.sizes["star"]
        labels, n_pixels = np.empty((n_stars, len(self.labels))), np.empty(n_stars, dtype=int)
        for start in range(0, n_stars, _BLOCK):
            stars = slice(start, start + _BLOCK)
            block = spectra[["flux", "ivar"]].isel(star=stars).load()
            check(block)
            used = self.dataset.used.values
            inputs, _ = _inputs(block, used)
            labels[stars] = self._forward((inputs - self.dataset.input_mean.values) / self._input_scale)
            n_pixels[stars] = np.rint(seen(block.ivar.values)[:, used].sum(axis=1))
        no_data = n_pixels == 0
        labels[no_data] = np.nan
        return xr.Dataset(
            {
                "labels": (("star", "label"), labels),
                "n_pixels": ("star", n_pixels),
                "flag": ("star", Flag.NO_DATA * no_data),
            },
            coords={"star": spectra.star.values.astype(str), "label": self.labels},
            attrs={"flags": [f"{int(bit)}: {bit.name}" for bit in Flag]},
        )

    @property
    def _input_scale(self):
        return float(self.dataset.input_scale)

    def _forward(self, values):
        n_layers = self.dataset.attrs["n_layers"]
        for k in range(n_layers):
            values = values @ self.dataset[f"weight_{k}"].values.T + self.dataset[f"bias_{k}"].values
            if k < n_layers - 1:
                values = values * ndtr(values)  # GELU: Hendrycks & Gimpel 2016, arXiv:1606.08415
        return self.dataset.label_mean.values + self.dataset.label_scale.values * values


def train(spectra, validation=0.1, hidden=(64, 64), epochs=60, noise=2.0, seed=128, progress=False) -> Network:
    """Train a network on spectra with labels.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) and ``labels`` (star, label).
    validation : float or xarray.Dataset
        What watches over the training, and is not trained on: a share of the stars, drawn at random, or spectra
        with labels of their own. The weights kept are those of the epoch that predicts it best.
    hidden : sequence of int
        Sizes of the hidden layers.
    epochs : int
        How often every star is shown.
    noise : float
        Noise added each time, in units of each pixel's own; 0 for none.
    seed : int
        Of the drawing, the first weights, the order of the stars and the noise.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Network

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If labels are missing or all the same, or too few stars or pixels are left, or the spectra are such as
        `lab2.spectra.check` refuses.
    """
    torch = _torch()
    if isinstance(validation, xr.Dataset):
        training = spectra
    else:
        training, validation = _draw_validation(spectra, validation, seed)
    for part, name in ((training, "training"), (validation, "validation")):
        _check_labels(part, name)
        check(part)
    labels = training.labels.transpose("star", "label").values.astype(float)
    mean, scale = labels.mean(axis=0), labels.std(axis=0)
    constant = [str(n) for n, s, m in zip(training.label.values, scale, mean, strict=True) if s <= 1e-12 * abs(m)]
    if constant:
        raise ValueError(f"the label {', '.join(constant)} is the same for every star: nothing to learn from it")
    used = (seen(training.ivar.values).mean(axis=0) > _MIN_SEEN) & (training.flux.values.std(axis=0) > 0)
    if not used.any():
        raise ValueError(f"no pixel is seen in more than {_MIN_SEEN:.0%} of the {len(labels)} training stars")
    inputs, error = _inputs(training, used)
    input_mean, input_scale = inputs.mean(axis=0), inputs.std()

    def tensors(part, values):
        target = (part.labels.transpose("star", "label").values - mean) / scale
        standard = (values - input_mean) / input_scale
        return torch.tensor(standard, dtype=torch.float32), torch.tensor(target, dtype=torch.float32)

    layers, history = _optimize(
        torch,
        tensors(training, inputs),
        tensors(validation, _inputs(validation, used)[0]),
        torch.tensor(noise * error / input_scale, dtype=torch.float32),
        hidden=hidden,
        epochs=epochs,
        seed=seed,
        progress=progress,
    )
    about = {"seed": seed, "noise": noise, "n_validation": validation.sizes["star"], "torch": torch.__version__}
    return Network(_dataset(training, used, (input_mean, input_scale), (mean, scale), (layers, history), about))


def _dataset(training, used, inputs, labels, trained, about):
    """All that a network consists of."""
    layers, history = trained
    variables = {
        "used": ("wavelength", used),
        "input_mean": ("input", inputs[0]),
        "input_scale": inputs[1],
        "label_mean": ("label", labels[0]),
        "label_scale": ("label", labels[1]),
        "history": (("epoch", "part"), history),
    }
    for k, (weight, bias) in enumerate(layers):
        before, after = (f"hidden_{k}" if k else "input"), f"hidden_{k + 1}"
        after = "label" if k == len(layers) - 1 else after
        variables[f"weight_{k}"], variables[f"bias_{k}"] = ((after, before), weight), (after, bias)
    coords = {name: training.coords[name] for name in ("wavelength", "chip") if name in training.coords}
    attrs = {key: training.attrs[key] for key in ("survey", "label_tree", "normalization") if key in training.attrs}
    versions = f"lab2 {metadata.version('lab2')}, torch {about.pop('torch')}, numpy {np.__version__}"
    return xr.Dataset(
        variables,
        coords={
            **coords,
            "label": training.label.values.astype(str),
            "epoch": np.arange(1, len(history) + 1),
            "part": ["training", "validation"],
        },
        attrs={**attrs, **about, "n_layers": len(layers), "n_training": training.sizes["star"], "versions": versions},
    )


def _torch():
    try:
        import torch
    except ImportError as problem:
        raise ImportError("the network needs PyTorch: pip install -r requirements.torch.txt") from problem
    return torch


def _draw_validation(spectra, share, seed):
    n_stars = spectra.sizes["star"]
    n_validation = round(share * n_stars)
    if not 1 <= n_validation <= n_stars - 2:
        raise ValueError(f"a share of {share:g} of {n_stars} stars leaves no stars to train on or to validate with")
    order = np.random.default_rng(seed).permutation(n_stars)
    return spectra.isel(star=np.sort(order[n_validation:])), spectra.isel(star=np.sort(order[:n_validation]))


def _check_labels(spectra, name):
    if "labels" not in spectra:
        raise ValueError(f"the {name} spectra have no labels (star, label)")
    missing = int((~np.isfinite(spectra.labels.transpose("star", "label").values)).any(axis=1).sum())
    if missing:
        raise ValueError(f"{missing} of {spectra.sizes['star']} {name} stars lack a label; leave them out")


def _inputs(spectra, used):
    """Flux less 1, 0 where nothing is known, and its error, 0 there too: (star, input)."""
    flux, ivar = spectra.flux.values[:, used], spectra.ivar.values[:, used]
    seen = ivar > 0
    error = np.minimum(1.0 / np.sqrt(np.where(seen, ivar, 1.0)), _MAX_ERROR)
    return np.where(seen, flux - 1.0, 0.0), np.where(seen, error, 0.0)


def _optimize(torch, training, validation, error, *, hidden, epochs, seed, progress):
    """Weights of the best epoch, and the losses of all: [(weight, bias), ...], (epochs, 2)."""
    inputs, target = training
    sizes = [inputs.shape[1], *hidden]
    loss = torch.nn.functional.mse_loss
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # batches are small; and the sums are the same whatever the machine's cores
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = []
            for before, after in pairwise(sizes):
                layers += [torch.nn.Linear(before, after), torch.nn.GELU()]
            network = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], target.shape[1]))
            optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
            history, best = np.empty((epochs, 2)), None
            for epoch in trange(epochs, desc="training the network", disable=not progress):
                for batch in torch.randperm(len(inputs)).split(_BATCH):
                    shown = inputs[batch] + error[batch] * torch.randn(len(batch), inputs.shape[1])
                    optimizer.zero_grad()
                    loss(network(shown), target[batch]).backward()
                    optimizer.step()
                schedule.step()
                with torch.no_grad():
                    history[epoch] = [loss(network(x), y).item() for x, y in (training, validation)]
                if best is None or history[epoch, 1] < history[:epoch, 1].min():
                    best = [parameter.detach().numpy().copy() for parameter in network.parameters()]
    finally:
        torch.set_num_threads(threads)
    return list(zip(best[::2], best[1::2], strict=True)), history
