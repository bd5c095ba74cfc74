"""Figures of labels: corner plots, comparisons, the Kiel diagram."""

import warnings
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from astropy.table import QTable
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lab2._rounding import measured
from lab2.labels import Label, units_of
from lab2.plots.style import BLACK, BLUE, GREEN, PURPLE, VERMILION, WIDTH, axis_text, styled

__all__ = ["corner", "kiel", "label_comparison", "selection"]

_ACROSS = 3  # labels in a row of a comparison
_RUNNING = {"color": VERMILION, "ms": 2.6, "lw": 0.9, "elinewidth": 0.9, "capsize": 0, "zorder": 5}


@styled
def corner(sets: Mapping[str, ArrayLike], names: Sequence[str | Label], truths: ArrayLike | None = None) -> Figure:
    """Corner plot of one or more sets of labels.

    Parameters
    ----------
    sets : dict of str to array_like, shape (n, n_labels)
        Legend text to values.
    names : sequence of str or lab2.labels.Label
        The labels, in order.
    truths : array_like, shape (n_labels,), optional
        Marked by a line.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with warnings.catch_warnings():
        # corner imports arviz, which announces its next major version at every import
        warnings.simplefilter("ignore", FutureWarning)
        import corner as corner_package
    colors = [BLUE, VERMILION, GREEN, PURPLE]
    figure = plt.figure(figsize=(0.78 * WIDTH, 0.78 * WIDTH), layout="none")
    everything = np.concatenate([np.asarray(values) for values in sets.values()])
    low, high = everything.min(axis=0), everything.max(axis=0)
    ranges = list(zip(low - 0.04 * (high - low), high + 0.04 * (high - low), strict=True))
    for (_, values), color in zip(sets.items(), colors, strict=False):
        corner_package.corner(
            np.asarray(values),
            fig=figure,
            labels=[axis_text(name) for name in names],
            truths=truths,
            truth_color=BLACK,
            color=color,
            range=ranges,
            bins=30,
            smooth=0.8,
            levels=(0.393, 0.865),
            plot_datapoints=len(sets) == 1,
            data_kwargs={"ms": 2, "alpha": 0.35},
            hist_kwargs={"density": True},
            max_n_ticks=3,
            labelpad=0.09,
            label_kwargs={"fontsize": 8.5},
            contour_kwargs={"linewidths": 1.1},
        )
    if len(sets) > 1:
        handles = [plt.Line2D([], [], color=color, label=text) for text, color in zip(sets, colors, strict=False)]
        figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.97, 0.97), fontsize=9)
    for ax in figure.axes:
        ax.tick_params(labelsize=7.5, labelrotation=0)
        ax.minorticks_off()
    for ax in figure.axes[:: len(names)]:
        ax.xaxis.set_major_locator(plt.MaxNLocator(2))  # temperatures are the widest numbers
    figure.subplots_adjust(left=0.14, bottom=0.1, right=0.98, top=0.99, wspace=0.07, hspace=0.07)
    return figure


@styled
def label_comparison(
    fitted: xr.DataArray,
    reference: xr.DataArray,
    statistics: QTable,
    reference_name: str,
    color: ArrayLike | None = None,
    color_name: str | None = None,
    *,
    running: xr.Dataset | None = None,
) -> Figure:
    """Fitted labels against reference labels, residuals below each panel; up to three labels in a row.

    Parameters
    ----------
    fitted, reference : xarray.DataArray
        (star, label).
    statistics : astropy.table.QTable
        As from `lab2.validation.statistics`; written into each panel.
    reference_name : str
    color : array_like, shape (n_stars,), optional
        Colors the points; `color_name` names it.
    running : xarray.Dataset, optional
        Running medians of the residuals, as from `lab2.validation.running_medians`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = fitted.label.values
    across = min(_ACROSS, len(names))
    down = -(-len(names) // across)
    figure = plt.figure(figsize=(WIDTH * (across + 0.3) / (_ACROSS + 0.3), 1.85 * down + 0.1))
    outer = figure.add_gridspec(down, across + 1, width_ratios=[*[1] * across, 0.05])
    pairs = [outer[divmod(n, across)].subgridspec(2, 1, height_ratios=[1.9, 1], hspace=0.04) for n in range(len(names))]
    tops = [figure.add_subplot(pair[0]) for pair in pairs]
    lows = [figure.add_subplot(pair[1], sharex=top) for pair, top in zip(pairs, tops, strict=True)]
    points = {"s": 3, "lw": 0, "rasterized": True, "c": BLUE if color is None else color, "cmap": None}
    points["cmap"] = None if color is None else "cividis"
    for name, unit, top, low, row in zip(names, units_of(fitted), tops, lows, statistics, strict=True):
        x, y = reference.sel(label=name).values, fitted.sel(label=name).values
        mesh = top.scatter(x, y, **points)
        low.scatter(x, y - x, **points)
        # limits from percentiles, so that one outlier does not squeeze the rest
        limits = np.nanpercentile(x, [0.2, 99.8])
        margin = 0.12 * np.ptp(limits)
        limits = limits + np.array([-margin, margin])
        half = min(5 * row["std"], 7 * row["scatter"])
        top.plot(limits, limits, color=BLACK, lw=0.8)
        low.axhline(0, color=BLACK, lw=0.8)
        top.set(xlim=limits, ylim=limits)
        low.set(ylim=(-half, half), xlabel=f"{reference_name} {axis_text(name, unit)}")
        top.set_title(axis_text(name, unit))
        box = {"fc": "white", "ec": "none", "alpha": 0.6, "pad": 0.5}
        written = {"fontsize": 6, "va": "top", "linespacing": 1.15, "transform": top.transAxes, "bbox": box}
        top.text(0.03, 0.97, _in_panel(row), **written)
        top.tick_params(labelbottom=False)
        if running is not None:
            of_label = running.sel(label=name)
            low.errorbar(of_label.center, of_label["median"], of_label.error, fmt="o-", **_RUNNING)
        for ax in (top, low):
            ax.xaxis.set_major_locator(plt.MaxNLocator(4))
    for n in range(0, len(names), across):
        tops[n].set_ylabel("fitted", fontsize=8)
        lows[n].set_ylabel("difference", fontsize=8)
    if color is not None:
        figure.colorbar(mesh, cax=figure.add_subplot(outer[:, across]), label=color_name)
    if running is not None and len(names) % across:
        empty = figure.add_subplot(outer[-1, -2])
        empty.axis("off")
        handles = [plt.Line2D([], [], color=BLACK, lw=0.8, label="equal labels")]
        handles.append(plt.Line2D([], [], color=VERMILION, marker="o", ms=3, label="running median\nwith its error"))
        empty.legend(handles=handles, loc="center")
    return figure


def _in_panel(row):
    """Bias, standard deviation and robust scatter, rounded by their errors."""
    lines = (("bias", "bias"), ("std", "std"), ("MAD", "scatter"))
    return "\n".join(f"{text} {measured(row[column], row[f'{column}_error'])}" for text, column in lines)


@styled
def kiel(
    labels: xr.DataArray,
    isochrones: Mapping[str, QTable],
    features: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> Figure:
    """log g against Teff, colored by [Fe/H], with isochrones.

    Parameters
    ----------
    labels : xarray.DataArray
        (star, label) with teff [K], logg, fe_h.
    isochrones : dict of str to astropy.table.QTable
        Legend text to a table in evolutionary order, as from `lab2.isochrones.mist`.
    features : dict of str to sequence of tuple of float, optional
        Names of features: the points (Teff, log g) that each names, and last the place of the text, which a thin line
        joins to each of the points.
    """
    teff, logg, fe_h = (labels.sel(label=name).values for name in ("teff", "logg", "fe_h"))
    figure, ax = plt.subplots(figsize=(WIDTH, 3.2))
    mesh = ax.scatter(teff, logg, c=fe_h, s=7, lw=0, vmin=-1, vmax=0.5, rasterized=True)
    for (text, track), style in zip(isochrones.items(), ("-", "--", ":"), strict=False):
        # core helium burning starts elsewhere in the diagram than the branch ends: a separate line
        burning = track["phase"] == "CHeB"
        ax.plot(track["teff"][~burning].value, track["logg"][~burning].value, style, color=VERMILION, label=text)
        ax.plot(track["teff"][burning].value, track["logg"][burning].value, style, color=VERMILION)
    for text, (*points, place) in (features or {}).items():
        for point in points:
            ax.plot(*zip(place, point, strict=True), color=BLACK, lw=0.6)
            ax.plot(*point, "o", mfc="none", mec=BLACK, mew=0.8, ms=5)
        ax.annotate(text, place, fontsize=8, ha="center", va="center", bbox={"fc": "white", "ec": "none", "pad": 1})
    ax.set(xlim=(5600, 3500), ylim=(4.1, -0.3), xlabel=axis_text("teff"), ylabel=axis_text("logg"))
    ax.legend(loc="upper left")
    figure.colorbar(mesh, label="[Fe/H] [dex]", extend="both", pad=0.015)
    return figure


@styled
def selection(labels: xr.DataArray, kept: np.ndarray) -> Figure:
    """All stars of a catalog in Teff and log g, those kept in color, with the cuts that remove dwarfs.

    Parameters
    ----------
    labels : xarray.DataArray
        (star, label) with teff [K] and logg.
    kept : array_like of bool, shape (n_stars,)
    """
    figure, ax = plt.subplots(figsize=(WIDTH * 0.7, 2.7))
    teff, logg = labels.sel(label="teff").values, labels.sel(label="logg").values
    for which, color, text in ((~kept, "0.65", "removed"), (kept, BLUE, "kept")):
        ax.plot(teff[which], logg[which], ".", ms=2.5, color=color, label=text, rasterized=True)
    ax.plot([5700, 5700, 3000], [-1, 4, 4], "--", color=VERMILION, lw=1)
    ax.set(xlim=(7000, 3200), ylim=(5.2, -0.5), xlabel=axis_text("teff"), ylabel=axis_text("logg"))
    ax.legend(loc="upper left", markerscale=3)
    return figure
