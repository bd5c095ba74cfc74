"""The posterior of one star, in two versions whose widths differ too much for one set of axes."""

import warnings
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lab2.labels import Label
from lab2.plots.style import BLACK, BLUE, VERMILION, WIDTH, axis_text, styled

__all__ = ["two_corners"]

_LEVELS = (0.393, 0.865)  # of 1 and 2 sigma of a two-dimensional normal distribution
_REACH = 3.0  # the distance of a truth that is shown, in units of the range of the draws
_PERCENTILES = 0.1, 99.9  # of the draws that the axes hold


@styled
def two_corners(
    below: tuple[str, ArrayLike], above: tuple[str, ArrayLike], names: Sequence[str | Label], truth: ArrayLike | None
) -> Figure:
    """A corner plot whose lower triangle shows one set of draws and whose upper triangle another, each on its own axes.

    Parameters
    ----------
    below, above : tuple of str and array_like, shape (n_draws, n_labels)
        Name and draws. The histograms on the diagonal are of `below`.
    names : sequence of str or lab2.labels.Label
        The labels, in order.
    truth : array_like, shape (n_labels,), or None
        Marked by lines where it is known; the axes reach to it, unless it is farther away than three times the range
        of the draws.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with warnings.catch_warnings():
        # corner imports arviz, which announces its next major version at every import
        warnings.simplefilter("ignore", FutureWarning)
        from corner import hist2d
    (name, draws), (other_name, others) = ((text, np.asarray(values, dtype=float)) for text, values in (below, above))
    truth = np.full(len(names), np.nan) if truth is None else np.asarray(truth, dtype=float)
    ranges = [_limits(values, truth) for values in (draws, others)]
    figure, axes = plt.subplots(len(names), len(names), figsize=(WIDTH, 5.4), layout="none")
    for (i, j), ax in np.ndenumerate(axes):
        values, limits, color = (draws, ranges[0], BLUE) if i >= j else (others, ranges[1], VERMILION)
        if i == j:
            ax.hist(values[:, i], 40, range=limits[i], histtype="step", color=color, density=True)
            ax.set(yticks=[])
        else:
            pair, edges = (values[:, j], values[:, i]), [limits[j], limits[i]]
            style = {"plot_datapoints": False, "plot_density": False, "smooth": 0.8, "no_fill_contours": True}
            hist2d(*pair, ax=ax, bins=30, range=edges, levels=_LEVELS, color=color, **style)
            ax.axhline(truth[i], color=BLACK, lw=0.8)
            ax.set(ylim=limits[i])
        ax.axvline(truth[j], color=BLACK, lw=0.8)
        ax.set(xlim=limits[j])
        _ticks(ax, (i, j), len(names))
    for k, label in enumerate(names):
        axes[-1, k].set_xlabel(axis_text(label), fontsize=8)
        if k:
            axes[k, 0].set_ylabel(axis_text(label), fontsize=8)
            axes[0, k].set_xlabel(axis_text(label), fontsize=8)
            axes[0, k].xaxis.set_label_position("top")
        if k < len(names) - 1:
            axes[k, -1].set_ylabel(axis_text(label), fontsize=8)
            axes[k, -1].yaxis.set_label_position("right")
    for row in axes:
        for ax in row:
            ax.xaxis.labelpad = ax.yaxis.labelpad = 3
    figure.align_labels()
    colors = ((f"{name}: lower left and diagonal", BLUE), (f"{other_name}: upper right", VERMILION))
    handles = [plt.Line2D([], [], color=color, label=text) for text, color in colors]
    if np.isfinite(truth).any():
        handles.append(plt.Line2D([], [], color=BLACK, lw=0.8, label="truth"))
    figure.legend(handles=handles, loc="upper center", ncols=3, bbox_to_anchor=(0.53, 1.0))
    figure.subplots_adjust(left=0.1, bottom=0.115, right=0.9, top=0.865, wspace=0.07, hspace=0.07)
    return figure


def _limits(draws, truth):
    """Axis limits of each label that hold nearly all draws, and the truth."""
    low, high = np.percentile(draws, _PERCENTILES, axis=0)
    near = np.abs(truth - draws.mean(axis=0)) < _REACH * (high - low)  # farther away it would make the draws a dot
    low, high = np.where(near, np.minimum(low, truth), low), np.where(near, np.maximum(high, truth), high)
    margin = 0.06 * (high - low)
    return list(zip(low - margin, high + margin, strict=True))


def _ticks(ax, place, n):
    """Numbers at the left and below for the lower triangle, at the right and above for the upper one."""
    (i, j), lower = place, place[0] >= place[1]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(plt.MaxNLocator(3, prune="both"))
    ax.tick_params(labelsize=6.5, labelbottom=lower and i == n - 1, labelleft=lower and j == 0 and i > 0)
    ax.tick_params(labeltop=not lower and i == 0, labelright=not lower and j == n - 1)
    ax.tick_params(axis="x", labelrotation=45)
