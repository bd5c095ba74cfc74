"""Figures of lines: gradient spectra, the intrinsic scatter, and sequences of model spectra, with known lines named."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lab2.plots.style import BLACK, BLUE, VERMILION, WAVELENGTH_AXIS, WIDTH, spectrum_line, styled

__all__ = ["contrast", "gradients", "line_zooms", "scatter_spectrum", "sequence"]

_CHIPS = ((15130.0, 15820.0), (15850.0, 16440.0), (16465.0, 16960.0))
# Curves are told apart in black and white, too.
_CURVES = ({"color": BLUE, "ls": "-"}, {"color": VERMILION, "ls": (0, (4, 1.5))}, {"color": BLACK, "ls": (0, (1, 1))})


@styled
def gradients(
    wavelength: ArrayLike,
    slopes: Mapping[str, ArrayLike],
    lines: Mapping[str, ArrayLike],
    names: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """How the flux changes with each label, one row a label, one column a chip.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        [Angstrom].
    slopes : dict of str to array_like
        Title of the row to the change of flux for a step of the label; NaN where there is no model.
    lines : dict of str to array_like
        Title of the row to wavelengths of known lines, marked with triangles [Angstrom].
    names : dict of str to dict, optional
        Title of the row to names and wavelengths, written at a tick at the bottom.
    """
    names = names or {}
    figure, axes = plt.subplots(
        len(slopes), len(_CHIPS), figsize=(WIDTH, 1.05 * len(slopes) + 0.4), sharex="col", sharey="row", squeeze=False
    )
    for row, (title, slope) in zip(axes, slopes.items(), strict=True):
        low, high = min(np.nanmin(slope), 0.0), max(np.nanmax(slope), 0.0)
        height = high - low
        for ax, window in zip(row, _CHIPS, strict=True):
            here = (wavelength >= window[0]) & (wavelength < window[1])
            ax.axhline(0, color="0.6", lw=0.5)
            spectrum_line(ax, wavelength[here], slope[here], color=BLUE, lw=0.45)
            marked = [w for w in lines.get(title, ()) if window[0] <= w < window[1]]
            ax.plot(marked, np.full(len(marked), high + 0.14 * height), "v", color=VERMILION, ms=3.5, mew=0)
            for name, at in names.get(title, {}).items():
                if window[0] <= at < window[1]:
                    ax.plot([at, at], [low - 0.16 * height, low - 0.06 * height], color=VERMILION, lw=0.9)
                    side = "left" if at < window[0] + 40 else "right" if at > window[1] - 40 else "center"
                    ax.annotate(name, (at, low - 0.19 * height), fontsize=6.5, ha=side, va="top")
            bottom = 0.4 if names.get(title) else 0.1
            ax.set(xlim=window, ylim=(low - bottom * height, high + 0.24 * height))
            ax.tick_params(labelsize=7)
            ax.xaxis.set_major_locator(plt.MultipleLocator(200))
        row[0].set_ylabel(title, fontsize=8)
    figure.align_ylabels()
    figure.supxlabel(WAVELENGTH_AXIS, fontsize=9)
    return figure


@styled
def line_zooms(
    wavelength: ArrayLike,
    mean_flux: ArrayLike,
    slopes: Mapping[str, ArrayLike],
    windows: Mapping[tuple[float, float], Mapping[str, float]],
) -> Figure:
    """A few lines enlarged: the mean spectrum, and below it how the flux changes with some labels.

    Parameters
    ----------
    wavelength, mean_flux : array_like, shape (n_pixels,)
        [Angstrom], and the normalized flux.
    slopes : dict of str to array_like
        Legend text to the change of flux for a step of the label; at most three.
    windows : dict of tuple to dict
        Wavelength range [Angstrom] to the lines to name in it: name to wavelength. One column each.
    """
    widths = [high - low for low, high in windows]
    figure, axes = plt.subplots(
        2,
        len(windows),
        height_ratios=[1.2, 1],
        figsize=(WIDTH, 3.4),
        sharex="col",
        sharey="row",
        squeeze=False,
        width_ratios=widths,
    )
    for (window, names), (top, low) in zip(windows.items(), axes.T, strict=True):
        here = (wavelength >= window[0]) & (wavelength <= window[1])
        spectrum_line(top, wavelength[here], mean_flux[here], color="0.25", lw=1.0)
        for (text, slope), style in zip(slopes.items(), _CURVES, strict=False):
            low.plot(wavelength[here], slope[here], lw=1.1, label=text, **style)
        low.axhline(0, color="0.6", lw=0.5)
        for name, at in names.items():
            for ax in (top, low):
                ax.axvline(at, ymax=0.54 if ax is top else 1.0, color="0.75", lw=0.6, zorder=0)
            place = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom", "rotation": 90}
            top.annotate(name, (at, 0.56), fontsize=6, **place)
        top.set(xlim=window)
        low.xaxis.set_major_locator(plt.MaxNLocator(max(2, round(len(widths) * (window[1] - window[0]) / sum(widths)))))
        low.xaxis.set_major_formatter("{x:.0f}")
    bottom, high = axes[0, 0].get_ylim()
    axes[0, 0].set(ylim=(bottom, bottom + 2.0 * (high - bottom)), ylabel="normalized flux")
    axes[1, 0].set_ylabel("change of flux")
    handles, texts = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles, texts, ncols=len(slopes), loc="outside upper center", fontsize=8, handlelength=3)
    figure.supxlabel(WAVELENGTH_AXIS, fontsize=9)
    return figure


@styled
def scatter_spectrum(
    wavelength: ArrayLike, scatters: Mapping[str, ArrayLike], mean_flux: ArrayLike, names: Mapping[str, float]
) -> Figure:
    """Intrinsic scatter of two trainings against wavelength, above the mean spectrum, one row a chip.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        [Angstrom].
    scatters : dict of str to array_like
        Legend text to the scatter, the larger one first; NaN where there is no model.
    mean_flux : array_like, shape (n_pixels,)
        Normalized flux of the mean labels.
    names : dict of str to float
        Peaks of the last scatter as from `lab2.lines.peak_names`; of a name only the species is written.
    """
    figure, axes = plt.subplots(len(_CHIPS), 1, figsize=(WIDTH, 4.6), sharey=True)
    top = max(np.nanmax(values) for values in scatters.values())
    styles = ({"color": "0.62", "lw": 0.5}, {"color": BLUE, "lw": 0.7})
    for ax, window in zip(axes, _CHIPS, strict=True):
        here = (wavelength >= window[0]) & (wavelength <= window[1])
        for (text, values), style in zip(scatters.items(), styles, strict=True):
            spectrum_line(ax, wavelength[here], values[here], label=text, **style)
        # the spectrum hangs below the scatter, on a scale of its own: one tenth of the scatter's
        depth = -0.08 * top - 0.8 * top * (1 - mean_flux[here])
        spectrum_line(ax, wavelength[here], depth, color=BLACK, lw=0.45, label="mean spectrum (not to scale)")
        for name, at in names.items():
            if window[0] <= at <= window[1]:
                species = name.rpartition(" ")[0]
                ax.annotate(species, (at, 1.1 * top), fontsize=6, rotation=90, ha="center", va="bottom")
                ax.plot([at, at], [1.0 * top, 1.08 * top], color="0.4", lw=0.5)
        ax.set(xlim=window, ylim=(-0.5 * top, 1.5 * top))
        ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
    figure.legend(*axes[0].get_legend_handles_labels(), ncols=3, loc="outside upper center", fontsize=8)
    axes[1].set_ylabel(r"intrinsic scatter $s_\lambda$")
    axes[-1].set_xlabel(WAVELENGTH_AXIS)
    return figure


@styled
def sequence(
    wavelength: ArrayLike,
    fluxes: ArrayLike,
    values: ArrayLike,
    value_name: str,
    texts: Sequence[str],
    offset: float = 0.4,
    lines: Mapping[str, float] | None = None,
) -> Figure:
    """Model spectra one above another, colored by a value that is written beside each.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
    fluxes : array_like, shape (n_spectra, n_pixels)
    values : array_like, shape (n_spectra,)
    value_name : str
    texts : sequence of str
        Written at each spectrum.
    offset : float
        Step between neighbors.
    lines : dict of str to float, optional
        Names and wavelengths to mark.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 1.0 + 0.39 * len(values)))
    scale = Normalize(min(values), max(values))
    shifts = offset * np.arange(len(values))
    beside = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 7.5}
    for flux, value, text, shift in zip(fluxes, values, texts, shifts, strict=True):
        # the palest end of the map would not show on paper
        color = plt.colormaps["cividis"](0.85 * scale(value))
        ax.plot(wavelength, flux + shift, color=color, lw=0.8)
        ax.annotate(text, (1.01, 1.0 + shift), color="0.2", **beside)
    lowest, highest = np.min(fluxes[0]), np.max(fluxes[-1]) + shifts[-1]
    ax.annotate(value_name, (1.01, 1.0 + shifts[-1] + 0.7 * offset), color="0.2", **beside)
    for name, at in (lines or {}).items():
        ax.plot([at, at], [lowest - 0.1, highest + 0.03], color="0.85", lw=0.5, zorder=0)
        ax.annotate(name, (at, highest + 0.06), ha="center", fontsize=6.5, color="0.2", rotation=90, va="bottom")
    ax.set(xlim=(wavelength[0], wavelength[-1]), ylim=(lowest - 0.1, highest + (1.7 * offset if lines else 0.1)))
    ax.set(xlabel=WAVELENGTH_AXIS, ylabel=f"normalized flux, in steps of {offset:g}")
    return figure


@styled
def contrast(
    wavelength: ArrayLike,
    spectra: Mapping[str, ArrayLike],
    differences: Mapping[str, ArrayLike],
    names: Mapping[str, float],
) -> Figure:
    """Spectra of two stars, and below them differences between the two.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        [Angstrom].
    spectra : dict of str to array_like
        Legend text to normalized flux.
    differences : dict of str to array_like
        Legend text to a difference of normalized fluxes; NaN where there is no data.
    names : dict of str to float
        Names and wavelengths of lines to mark.
    """
    figure, (top, low) = plt.subplots(2, 1, figsize=(WIDTH, 3.9), sharex=True, height_ratios=[1.35, 1])
    for ax, curves in ((top, spectra), (low, differences)):
        for (text, values), style in zip(curves.items(), _CURVES, strict=False):
            ax.plot(wavelength, values, lw=0.9, label=text, **style)
    bottom, high = np.nanmin(list(spectra.values())), np.nanmax(list(spectra.values()))
    for name, at in names.items():
        top.plot([at, at], [bottom, high + 0.02], color="0.8", lw=0.6, zorder=0)
        low.axvline(at, color="0.8", lw=0.6, zorder=0)
        top.annotate(name, (at, high + 0.03), fontsize=6.5, color="0.2", rotation=90, ha="center", va="bottom")
    height = high - bottom
    top.set(ylim=(bottom - 0.3 * height, high + 0.6 * height), ylabel="normalized flux")
    low.axhline(0, color="0.5", lw=0.6)
    half = 1.8 * np.nanmax(np.abs(next(iter(differences.values()))))
    low.set(ylim=(-half, half), xlim=(wavelength[0], wavelength[-1]), ylabel="difference", xlabel=WAVELENGTH_AXIS)
    for ax in (top, low):
        ax.legend(loc="lower right", ncols=2, handlelength=3)
    return figure
