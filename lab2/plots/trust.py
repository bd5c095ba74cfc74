"""Figures of the reliability of the results: odd stars, pulls, ranks, predicted spectra."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import binom, norm

from lab2.plots.style import (
    BLACK,
    BLUE,
    ORANGE,
    SKY,
    VERMILION,
    WAVELENGTH_AXIS,
    WIDTH,
    axis_text,
    literal,
    spectrum_line,
    styled,
)

__all__ = ["factor_gain", "odd_star", "odd_stars", "predictive", "pulls", "rank_histograms", "shared_residual"]


@styled
def odd_star(
    wavelength: np.ndarray,
    chip: np.ndarray,
    flux: np.ndarray,
    model: np.ndarray,
    worst: slice,
    title: str,
    *,
    explained: np.ndarray | None = None,
) -> Figure:
    """One star per page: spectrum and best model on each chip, residual below, and the worst part enlarged.

    Parameters
    ----------
    wavelength, chip, flux, model : array_like, shape (n_pixels,)
        NaN where there is no data or no model.
    worst : slice
        Of the pixels to enlarge, as from `lab2.diagnosis.gallery.worst_window`.
    title : str
    explained : array_like, shape (n_pixels,), optional
        The spectrum that the verdict describes, such as that of two stars; drawn in the enlarged part.

    Returns
    -------
    matplotlib.figure.Figure
    """
    residual = flux - model
    chips = list(dict.fromkeys(chip[np.isfinite(residual)]))
    figure, axes = plt.subplots(len(chips) + 1, 1, figsize=(WIDTH, 1.0 + 1.55 * (len(chips) + 1)))
    for ax, name in zip(axes, chips, strict=False):
        here = (chip == name) & np.isfinite(residual)
        shown = slice(*(np.flatnonzero(here)[[0, -1]] + [0, 1]))
        spectrum_line(ax, wavelength[shown], flux[shown], color="0.4", lw=0.5)
        spectrum_line(ax, wavelength[shown], model[shown], color=VERMILION, lw=0.5)
        spectrum_line(ax, wavelength[shown], residual[shown] + 0.3, color=BLUE, lw=0.5)
        ax.axhline(0.3, color="0.6", lw=0.5)
        ax.set(xlim=(wavelength[shown][0], wavelength[shown][-1]), ylim=(0.1, 1.25))
    zoom = axes[-1]
    spectrum_line(zoom, wavelength[worst], flux[worst], color="0.4", lw=1.1, label="spectrum")
    spectrum_line(zoom, wavelength[worst], model[worst], color=VERMILION, lw=1.0, label="best fit")
    spectrum_line(zoom, wavelength[worst], residual[worst] + 0.3, color=BLUE, lw=0.8, label="residual + 0.3")
    zoom.axhline(0.3, color="0.6", lw=0.5)
    if explained is not None:
        spectrum_line(
            zoom, wavelength[worst], explained[worst], color=BLACK, lw=0.9, ls="--", label="as the verdict says"
        )
    zoom.set(xlim=(wavelength[worst][0], wavelength[worst][-1]), ylim=(0.1, 1.25), xlabel=WAVELENGTH_AXIS)
    axes[0].set_title(literal(title), loc="left")
    figure.legend(*zoom.get_legend_handles_labels(), ncols=4, loc="outside lower center")
    figure.supylabel("normalized flux", fontsize=9)
    return figure


@styled
def odd_stars(zooms: Sequence[xr.Dataset]) -> Figure:
    """One page of odd stars: a stretch of each spectrum over its best fit, the residual below.

    Parameters
    ----------
    zooms : sequence of xarray.Dataset
        As from `lab2.diagnosis.gallery.zooms`: ``flux``, ``best`` and, for some, ``explained`` (wavelength), and the
        attributes star and verdict.

    Returns
    -------
    matplotlib.figure.Figure
    """
    down = -(-len(zooms) // 2)
    figure = plt.figure(figsize=(WIDTH, 0.35 + 1.75 * down))
    outer, handles = figure.add_gridspec(down, 2), {}
    for n, zoom in enumerate(zooms):
        pair = outer[divmod(n, 2)].subgridspec(2, 1, height_ratios=[2.4, 1], hspace=0.04)
        top = figure.add_subplot(pair[0])
        low = figure.add_subplot(pair[1], sharex=top)
        x, flux, best = zoom.wavelength.values, zoom.flux.values, zoom.best.values
        spectrum_line(top, x, flux, color="0.6", lw=1.4, label="observed")
        spectrum_line(top, x, best, color=VERMILION, lw=0.9, label="best fit of one ordinary star")
        spectrum_line(low, x, flux - best, color=BLUE, lw=0.8, label="observed minus best fit")
        low.axhline(0, color="0.6", lw=0.5)
        if "explained" in zoom:
            spectrum_line(top, x, zoom.explained, color=BLACK, lw=0.9, ls="--", label="fit of the verdict")
        top.set(xlim=(x[0], x[-1]))
        top.set_title("\n".join(map(literal, (zoom.star, zoom.verdict))), loc="left", fontsize=6.5)
        top.tick_params(labelbottom=False)
        handles |= {line.get_label(): line for ax in (top, low) for line in ax.lines if line.get_label()[0] != "_"}
        for ax in (top, low):
            ax.tick_params(labelsize=7)
            ax.xaxis.set_major_locator(plt.MaxNLocator(4))
    figure.supylabel("normalized flux", fontsize=9)
    figure.supxlabel(WAVELENGTH_AXIS, fontsize=9)
    figure.legend(handles.values(), handles, ncols=4, loc="outside upper center", fontsize=7.5)
    return figure


@styled
def pulls(
    before: ArrayLike, after: ArrayLike, names: Sequence[str], titles: Sequence[str] = ("formal", "calibrated")
) -> Figure:
    """Two distributions of residual over error, such as before and after calibration, with the normal distribution.

    Parameters
    ----------
    before, after : array_like, shape (n_stars, n_labels)
    names : sequence of str
        Names of the labels.
    titles : tuple of str
        Names of the two.
    """
    figure, axes = plt.subplots(1, len(names), figsize=(WIDTH, 1.9), sharey=True)
    bins = np.linspace(-5, 5, 41)
    x = np.linspace(-5, 5, 201)
    for ax, name, formal, calibrated in zip(axes, names, np.transpose(before), np.transpose(after), strict=True):
        # values beyond the ends are counted in the last bins
        for values, style in ((formal, {"color": ORANGE, "alpha": 0.7}), (calibrated, {"color": BLUE, "alpha": 0.7})):
            ax.hist(np.clip(values, -4.99, 4.99), bins, density=True, histtype="stepfilled", lw=0, **style)
        ax.plot(x, norm.pdf(x), color=BLACK, lw=0.9)
        ax.set(xlabel=f"{axis_text(name).split(' [')[0]}: residual / error", xlim=(-5, 5), ylim=(0, 0.8))
        ax.xaxis.label.set_size(7)
    axes[0].set_ylabel("density")
    handles = [plt.Rectangle((0, 0), 1, 1, color=color, alpha=0.7) for color in (ORANGE, BLUE)]
    handles.append(plt.Line2D([], [], color=BLACK))
    figure.legend(handles, [*titles, "standard normal"], ncols=3, loc="outside upper center")
    return figure


@styled
def rank_histograms(sets: Mapping[str, xr.DataArray], draws: int, bins: int = 10) -> Figure:
    """Histograms of the ranks of true labels, with the band in which 95 % of uniform ones would lie.

    Parameters
    ----------
    sets : dict of str to xarray.DataArray
        Row title to ranks (star, label), each 0 to `draws`, as from `lab2.validation.ranks`.
    draws : int
    bins : int
        A divisor of draws + 1.
    """
    names = next(iter(sets.values())).label.values
    figure, axes = plt.subplots(
        len(sets), len(names), figsize=(WIDTH, 0.6 + 1.5 * len(sets)), sharex=True, sharey="row", squeeze=False
    )
    edges = np.linspace(0, draws + 1, bins + 1)
    for row, (text, ranks) in zip(axes, sets.items(), strict=True):
        low, high = binom.ppf([0.025, 0.975], ranks.sizes["star"], 1 / bins)
        for ax, name in zip(row, names, strict=True):
            ax.axhspan(low, high, color=SKY, alpha=0.4, lw=0)
            ax.hist(ranks.sel(label=name), edges, histtype="step", color=BLUE)
            ax.set(xlim=(0, draws + 1))
            ax.tick_params(which="minor", bottom=False, top=False)
        row[0].set_ylabel(f"{text}\nstars")
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(axis_text(name).split(" [")[0])
    figure.supxlabel(f"rank of the label among {draws} draws", fontsize=9)
    return figure


@styled
def factor_gain(numbers: ArrayLike, quartiles: ArrayLike, chosen: int) -> Figure:
    """Gain of the held-out likelihood against the number of hidden factors.

    Parameters
    ----------
    numbers : array_like, shape (n,)
        Of factors.
    quartiles : array_like, shape (3, n)
        First quartile, median and third quartile, over the stars, of ln L above that without factors.
    chosen : int
        The number that is used.

    Returns
    -------
    matplotlib.figure.Figure
    """
    low, median, high = quartiles
    figure, ax = plt.subplots(figsize=(0.62 * WIDTH, 2.6))
    ax.fill_between(numbers, low, high, color=SKY, alpha=0.35, lw=0, label="half of the stars")
    ax.plot(numbers, median, "o-", color=BLUE, ms=4, lw=1.2, label="median star")
    ax.axvline(chosen, color=VERMILION, lw=1.0, ls="--", label=f"used: {chosen}")
    ax.axhline(0, color="0.6", lw=0.5)
    ax.set(xlabel="number of hidden factors", ylabel=r"gain in $\ln L$ of a held-out star")
    ax.legend(loc="upper left")
    return figure


@styled
def predictive(wavelength: np.ndarray, flux: np.ndarray, band: ArrayLike, window: tuple[float, float]) -> Figure:
    """An observed spectrum on the band of the posterior predictive distribution.

    Parameters
    ----------
    wavelength, flux : array_like, shape (n_pixels,)
        NaN where there is no data.
    band : array_like, shape (3, n_pixels)
        Lower end, median and upper end of spectra drawn from the posterior, with noise, as `lab2.validation.band`
        makes them for 95 %.
    window : tuple of float
        [Angstrom].
    """
    here = (wavelength >= window[0]) & (wavelength <= window[1])
    x = wavelength[here]
    low, middle, high = np.asarray(band)[:, here]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 3.4), sharex=True, height_ratios=[2.2, 1])
    for ax, level in ((top, 0.0), (bottom, middle)):
        ax.fill_between(x, low - level, high - level, color=SKY, alpha=0.6, lw=0, label="95 % of the predicted spectra")
        ax.plot(x, flux[here] - level, ".", color="0.2", ms=2.5, label="observed")
    top.set(ylabel="normalized flux", ylim=(np.nanmin(low) - 0.15, None))
    top.legend(loc="lower right", ncols=2)
    bottom.set(xlabel=WAVELENGTH_AXIS, ylabel="minus the median", xlim=window)
    return figure


@styled
def shared_residual(wavelength: ArrayLike, chip: ArrayLike, residuals: Mapping[str, ArrayLike]) -> Figure:
    """Mean residual spectra of groups of stars, one panel per group.

    Parameters
    ----------
    wavelength, chip : array_like, shape (n_pixels,)
    residuals : dict of str to array_like, shape (n_pixels,)
        Panel title to the mean residual; NaN where there is none.
    """
    figure, axes = plt.subplots(
        len(residuals), 1, figsize=(WIDTH, 0.7 + 0.8 * len(residuals)), sharex=True, squeeze=False
    )
    for ax, (title, residual) in zip(axes[:, 0], residuals.items(), strict=True):
        spectrum_line(ax, wavelength, residual, chip, color=BLUE, lw=0.5)
        ax.axhline(0, color="0.6", lw=0.5)
        half = 1.1 * np.nanpercentile(np.abs(residual), 99.8)
        ax.set(ylim=(-half, half))
        ax.set_title(literal(title), loc="left", fontsize=8)
    axes[-1, 0].set_xlabel(WAVELENGTH_AXIS)
    figure.supylabel("mean residual in normalized flux", fontsize=9)
    return figure
