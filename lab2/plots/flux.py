"""Figures of spectra: raw, normalized, modeled, and model quantities of each pixel."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lab2.plots.style import (
    BLUE,
    FLUX_AXIS,
    ORANGE,
    VERMILION,
    WAVELENGTH_AXIS,
    WIDTH,
    literal,
    spectrum_line,
    styled,
)

__all__ = [
    "masked_fraction",
    "model_overlay",
    "normalization",
    "pixel_likelihood",
    "raw_spectra",
    "star_sheet",
    "velocity_year",
]


@styled
def raw_spectra(stars: Mapping[str, xr.Dataset], masked: bool = True) -> Figure:
    """Spectra as in the files, one panel per star.

    Parameters
    ----------
    stars : dict of str to xarray.Dataset
        Panel title to a dataset of one star from `lab2.apstar.read` or `mask_bad_pixels`.
    masked : bool
        Mark the pixels whose error is infinite.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(len(stars), 1, figsize=(WIDTH, 0.7 + 1.0 * len(stars)), sharex=True, squeeze=False)
    for ax, (title, star) in zip(axes[:, 0], stars.items(), strict=True):
        one = star.isel(star=0)
        flux = np.where(one.flux != 0, one.flux, np.nan)
        good = np.isfinite(one.error.values)
        spectrum_line(ax, one.wavelength, flux, one.chip, color="0.2", lw=0.5)
        if masked and not good.all():
            bad = ~good & np.isfinite(flux)
            ax.plot(one.wavelength[bad], flux[bad], ".", color=VERMILION, ms=2)
            ax.set_title(f"masked: {bad.sum()} pixels (orange)", loc="right")
        low, high = np.nanpercentile(flux[good & np.isfinite(flux)], [0.2, 99.8])
        ax.set_ylim(low - 0.15 * (high - low), high + 0.3 * (high - low))
        ax.set_title(literal(title), loc="left")
    axes[-1, 0].set_xlabel(WAVELENGTH_AXIS)
    figure.supylabel(FLUX_AXIS, fontsize=9)
    return figure


@styled
def masked_fraction(fractions: Mapping[str, tuple[float, bool]]) -> Figure:
    """Bar chart of the fraction of pixels on which each bit is set.

    Parameters
    ----------
    fractions : dict of str to (float, bool)
        Bit name to its fraction and whether the lab masks it.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 2.2))
    values = [100 * value for value, _ in fractions.values()]
    colors = [VERMILION if used else "0.7" for _, used in fractions.values()]
    ax.bar(range(len(values)), values, color=colors)
    ax.set_xticks(range(len(values)), fractions, rotation=40, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", which="minor", length=0)
    ax.set_ylabel("pixels with the bit set [%]")
    handles = [plt.Rectangle((0, 0), 1, 1, color=VERMILION), plt.Rectangle((0, 0), 1, 1, color="0.7")]
    ax.legend(handles, ["masked in this lab", "ignored"])
    return figure


@styled
def normalization(raw: xr.Dataset, spectra: xr.Dataset, star: str, pixels: xr.DataArray) -> Figure:
    """Un-normalized spectrum with its pseudo-continuum, above the normalized spectrum.

    Parameters
    ----------
    raw, spectra : xarray.Dataset
        Before and after `lab2.continuum.normalize`.
    star : str
    pixels : xarray.DataArray of bool
        Trusted continuum pixels (wavelength).
    """
    before, after = raw.sel(star=star), spectra.sel(star=star)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 3.0), sharex=True)
    good = after.ivar.values > 0
    flux = np.where(good, before.flux.values, np.nan)
    inside = np.isfinite(before.flux.values) & (before.flux.values != 0)
    spectrum_line(top, raw.wavelength, flux, raw.chip, color="0.35", lw=0.5, label="observed")
    used = pixels.values & good
    top.plot(raw.wavelength[used], flux[used], ".", color=ORANGE, ms=2.5, label="trusted pixels")
    continuum = np.where(inside, after.continuum.values, np.nan)
    spectrum_line(top, raw.wavelength, continuum, raw.chip, color=BLUE, lw=1.4, label="pseudo-continuum")
    top.set_ylabel(FLUX_AXIS.replace(" [", "\n["), fontsize=7.5)  # in one line it is longer than the axis
    top.legend(ncols=3, loc="lower center")
    low, high = np.nanpercentile(flux, [0.3, 99.9])
    top.set_ylim(low - 0.35 * (high - low), high + 0.12 * (high - low))
    spectrum_line(bottom, raw.wavelength, _seen(spectra, star), raw.chip, color="0.2", lw=0.5)
    bottom.axhline(1, color=BLUE, lw=0.8)
    bottom.set(xlabel=WAVELENGTH_AXIS, ylim=(0.4, 1.15))
    bottom.set_ylabel("normalized flux", fontsize=7.5)
    figure.align_ylabels()
    top.set_title(literal(star), loc="left")
    return figure


@styled
def model_overlay(
    wavelength: ArrayLike,
    panels: Mapping[str, tuple],
    window: tuple[float, float],
    lines: Mapping[str, float] | None = None,
    names: tuple[str, str] = ("spectrum", "model"),
) -> Figure:
    """Normalized spectrum and model, with the residual below, in one window of wavelength.

    Parameters
    ----------
    wavelength : array_like
        [Angstrom].
    panels : dict of str to tuple
        Title to (flux, error, model), each (n_pixels,); NaN where there is no data.
    window : tuple of float
        [Angstrom].
    lines : dict of str to float, optional
        Names and wavelengths to mark.
    names : tuple of str
        Names of the points and the line in the legend.
    """
    here = (np.asarray(wavelength) >= window[0]) & (np.asarray(wavelength) <= window[1])
    figure, axes = plt.subplots(
        2 * len(panels),
        1,
        figsize=(WIDTH, 0.5 + 2.1 * len(panels)),
        sharex=True,
        height_ratios=[3, 1] * len(panels),
    )
    x = np.asarray(wavelength)[here]
    for (title, (flux, error, model)), top, low in zip(panels.items(), axes[::2], axes[1::2], strict=True):
        flux, error, model = (np.asarray(values)[here] for values in (flux, error, model))
        top.errorbar(x, flux, error, fmt=".", color="0.25", ms=3, elinewidth=0.6, label=names[0])
        top.plot(x, model, color=VERMILION, lw=1.1, label=names[1])
        top.set(ylabel="normalized flux", title=literal(title))
        low_end, high_end = top.get_ylim()
        height = high_end - low_end  # room is added for the legend below, and for names above
        top.set_ylim(low_end - 0.15 * height, high_end + (0.35 * height if lines else 0))
        top.legend(loc="lower right", ncols=2)
        for name, at in (lines or {}).items():
            top.axvline(at, ymax=0.79, color="0.8", lw=0.6, zorder=0)
            place = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom", "rotation": 90}
            top.annotate(name, (at, 0.8), fontsize=5.5, color="0.3", **place)
        low.errorbar(x, flux - model, error, fmt=".", color="0.25", ms=2.5, elinewidth=0.6)
        low.axhline(0, color=VERMILION, lw=0.8)
        low.set_ylabel("residual")
    axes[-1].set(xlabel=WAVELENGTH_AXIS, xlim=window)
    return figure


@styled
def pixel_likelihood(curves: Mapping[str, tuple]) -> Figure:
    """-2 ln L of single pixels above its minimum against s, with the minimum found by the training.

    Parameters
    ----------
    curves : dict of str to tuple
        Title to (s2, curve, s2 of training, its value); s2 in squared normalized flux.
    """
    figure, axes = plt.subplots(1, len(curves), figsize=(WIDTH, 2.4), squeeze=False)
    for ax, (title, (s2, curve, found, value)) in zip(axes[0], curves.items(), strict=True):
        lowest = min(curve.min(), value)
        ax.plot(np.sqrt(s2), curve - lowest + 1, ".", color="0.5", ms=2, label="grid, one solution a point")
        s = np.sqrt(max(found, s2[s2 > 0].min()))
        ax.plot(s, value - lowest + 1, "*", color=VERMILION, ms=9, label="training")
        ax.set(xscale="log", yscale="log", title=title, xlabel=r"intrinsic scatter $s_\lambda$")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    axes[0, 0].set_ylabel(r"$1 - 2\,\Delta\ln L$")
    return figure


@styled
def star_sheet(wavelength: ArrayLike, stars: Mapping[str, tuple], window: tuple[float, float]) -> Figure:
    """Spectrum and best model of several stars in one window, with information on each in its title.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
    stars : dict of str to tuple
        Title to (flux, model), each (n_pixels,); NaN where there is no data.
    window : tuple of float
    """
    here = (wavelength >= window[0]) & (wavelength <= window[1])
    figure, axes = plt.subplots(len(stars), 1, figsize=(WIDTH, 0.5 + 1.3 * len(stars)), sharex=True, squeeze=False)
    for ax, (title, (flux, model)) in zip(axes[:, 0], stars.items(), strict=True):
        ax.plot(wavelength[here], flux[here], color="0.25", lw=0.8, label="spectrum")
        ax.plot(wavelength[here], model[here], color=VERMILION, lw=0.8, label="best fit")
        ax.set_title(literal(title), loc="left", fontsize=7.5)
        ax.set(xlim=window)
    axes[0, 0].legend(ncols=2, loc="lower right")
    axes[-1, 0].set_xlabel(WAVELENGTH_AXIS)
    figure.supylabel("normalized flux", fontsize=9)
    return figure


@styled
def velocity_year(day: ArrayLike, velocity: ArrayLike, pixel: float) -> Figure:
    """A velocity along the line of sight through a year, in km/s and in pixels.

    Parameters
    ----------
    day : array_like
        Day of the year.
    velocity : array_like
        [km/s].
    pixel : float
        Velocity step of one pixel [km/s].
    """
    figure, ax = plt.subplots(figsize=(WIDTH * 0.75, 2.5))
    ax.plot(day, velocity, color=BLUE)
    ax.axhline(0, color="0.6", lw=0.6)
    ax.tick_params(which="both", right=False)
    ax.set(xlabel="day of the year", ylabel="correction [km/s]", xlim=(day[0], day[-1]))
    right = ax.secondary_yaxis("right", functions=(lambda v: v / pixel, lambda p: p * pixel))
    right.set_ylabel("pixels")
    return figure


def _seen(spectra, star):
    """Normalized flux of one star, NaN in masked pixels."""
    one = spectra.sel(star=star)
    return np.where(one.ivar.values > 0, one.flux.values, np.nan)
