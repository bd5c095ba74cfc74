"""Figures of neural networks: loss curves, sensitivity to pixels, and comparison with the Cannon."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lab2._rounding import MINUS
from lab2.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILION,
    WAVELENGTH_AXIS,
    WIDTH,
    axis_text,
    spectrum_line,
    styled,
)

__all__ = ["against", "losses", "responses", "sensitivities"]

_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE)
_PARTS = {
    "as shown": ("training, augmented", "0.6"),
    "training": ("training", BLUE),
    "validation": ("validation", VERMILION),
}
_MARKERS = "osD^v"


@styled
def losses(history: xr.DataArray) -> Figure:
    """Training and validation loss of a network against training step.

    Parameters
    ----------
    history : xarray.DataArray
        (epoch, part) with the coordinate ``step``, as `lab2.network.Network.history`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, ax = plt.subplots(figsize=(WIDTH * 0.75, 2.2))
    for part, (text, color) in _PARTS.items():
        ax.plot(history.step, history.sel(part=part), color=color, lw=1.2, label=text)
    # the loss of the first epochs is far larger
    settled = history.values[history.sizes["epoch"] // 10 :]
    margin = 0.08 * np.ptp(settled)
    ax.set(ylim=(settled.min() - margin, settled.max() + margin), xlim=(0, float(history.step[-1])))
    ax.set(xlabel="training step", ylabel=r"$-\ln L$ per star")
    ax.legend()
    return figure


@styled
def against(
    x: ArrayLike,
    curves: Mapping[str, ArrayLike],
    names: Sequence[str],
    axes: Sequence[str],
    *,
    logarithmic: bool = False,
) -> Figure:
    """A number for each label against a quantity: one panel per label, one curve per method.

    Parameters
    ----------
    x : array_like, shape (n,)
    curves : dict of str to array_like, shape (n, n_labels)
        Legend text to values.
    names : sequence of str
        Names of the labels.
    axes : tuple of str
        Texts of the two axes; the panel's title gives label and unit.
    logarithmic : bool
        Whether both axes are logarithmic.

    Returns
    -------
    matplotlib.figure.Figure
    """
    x = np.asarray(x, dtype=float)
    figure, panels = plt.subplots(1, len(names), figsize=(WIDTH, 2.2), sharex=True)
    for k, (ax, name) in enumerate(zip(np.atleast_1d(panels), names, strict=True)):
        for (text, values), color, marker in zip(curves.items(), _COLORS, _MARKERS, strict=False):
            ax.plot(x, np.asarray(values)[:, k], marker=marker, ms=3.5, lw=1.1, color=color, label=text)
        ax.set_title(axis_text(name), fontsize=8.5)
        ax.tick_params(labelsize=7.5)
        if logarithmic:
            ax.set(xscale="log", yscale="log", xticks=x, xticklabels=[f"{value:g}" for value in x])
            ax.minorticks_off()
            values = np.concatenate([np.asarray(v)[:, k] for v in curves.values()])
            low, high = 0.8 * np.nanmin(values), 1.25 * np.nanmax(values)
            ticks = np.geomspace(low * 1.15, high / 1.15, 3)
            ax.set(ylim=(low, high), yticks=ticks, yticklabels=[f"{tick:.2g}" for tick in ticks])
        else:
            ax.set_ylim(0, None)
    np.atleast_1d(panels)[0].set_ylabel(axes[1])
    figure.supxlabel(axes[0], fontsize=9)
    figure.legend(*np.atleast_1d(panels)[0].get_legend_handles_labels(), ncols=4, loc="outside upper center")
    return figure


@styled
def sensitivities(
    wavelength: ArrayLike,
    network: Mapping[str, ArrayLike],
    gradients: Mapping[str, ArrayLike],
    marks: Mapping[str, ArrayLike],
    window: tuple[float, float],
) -> Figure:
    """Derivatives of a network's labels with respect to the flux, and gradients of the Cannon, in a window.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        [Angstrom].
    network, gradients : dict of str to array_like, shape (n_pixels,)
        For each label, the derivative of the label with respect to the flux, and of the model's flux with respect to
        the label. Each is drawn in units of its largest value in the window.
    marks : dict of str to array_like
        For each label, wavelengths of lines.
    window : tuple of float
        [Angstrom].

    Returns
    -------
    matplotlib.figure.Figure
    """
    wavelength = np.asarray(wavelength)
    here = (wavelength >= window[0]) & (wavelength <= window[1])
    figure, panels = plt.subplots(len(network), 1, figsize=(WIDTH, 0.7 + 1.25 * len(network)), sharex=True)
    for ax, (label, answer) in zip(np.atleast_1d(panels), network.items(), strict=True):
        for values, color, text in ((answer, BLUE, "network"), (gradients[label], VERMILION, "the Cannon's gradient")):
            shown = np.asarray(values, dtype=float)[here]
            spectrum_line(ax, wavelength[here], shown / np.nanmax(np.abs(shown)), color=color, lw=0.9, label=text)
        for line in marks.get(label, ()):
            if window[0] < line < window[1]:
                ax.plot(line, 1.15, "v", color=BLACK, ms=3.5)
        ax.axhline(0, color="0.6", lw=0.5)
        ax.set(ylabel=axis_text(label).split(" [")[0], ylim=(-1.3, 1.3), xlim=window)
    np.atleast_1d(panels)[-1].set_xlabel(WAVELENGTH_AXIS)
    figure.legend(*np.atleast_1d(panels)[0].get_legend_handles_labels(), ncols=2, loc="outside upper center")
    return figure


@styled
def responses(matrices: Mapping[str, ArrayLike], names: Sequence[str]) -> Figure:
    """Response of each method to a change of a single label: one panel per method.

    Parameters
    ----------
    matrices : dict of str to array_like, shape (n_labels, n_labels)
        Title to the change of the predicted label (column) per change of the label (row), both scaled.
    names : sequence of str
        Names of the labels.

    Returns
    -------
    matplotlib.figure.Figure
    """
    texts = [axis_text(name).split(" [dex")[0].split(" [K")[0] for name in names]
    figure, panels = plt.subplots(1, len(matrices), figsize=(WIDTH, 2.6), sharey=True)
    for ax, (title, matrix) in zip(np.atleast_1d(panels), matrices.items(), strict=True):
        mesh = ax.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
        for (row, column), value in np.ndenumerate(np.asarray(matrix)):
            text = f"{value:+.2f}".replace("-", MINUS)
            ax.text(column, row, text, ha="center", va="center", fontsize=7, color=_ink(value))
        ax.set(xticks=range(len(names)), yticks=range(len(names)), yticklabels=texts, xlabel="predicted label")
        ax.set_xticklabels(texts, rotation=45, ha="right")
        ax.set_title(title)
        ax.tick_params(labelsize=8, length=0)
        ax.minorticks_off()
    np.atleast_1d(panels)[0].set_ylabel("changed label")
    figure.colorbar(mesh, ax=panels, pad=0.015, aspect=25)
    return figure


def _ink(value):
    """Text color that is legible on the color of the value."""
    return "white" if abs(value) > 0.6 else BLACK
