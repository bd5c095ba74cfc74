"""Figure of a whole catalog: distribution of the labels, and flags on the sky."""

import matplotlib.pyplot as plt
import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from lab2.cannon import Flag
from lab2.plots.style import WIDTH, axis_text, styled

__all__ = ["catalog_summary"]

_BINS = 20, 120  # along each axis, of a small and of a large catalog
_SHOWN = (0.2, 99.8)  # percentiles of the labels at the ends of the axes
_MARGIN = 0.03  # of their distance, on either side
_CELLS = (36, 18)  # of the sky, in right ascension and in the sine of the declination: equal areas
_NO_LABELS = Flag.NO_DATA | Flag.NOT_CONVERGED


@styled
def catalog_summary(table: Table) -> Figure:
    """Kiel diagram, [Mg/Fe] against [Fe/H], and the fraction of flagged stars on the sky.

    Parameters
    ----------
    table : astropy.table.Table
        A catalog with teff [K], logg, fe_h, mg_fe [dex], ra, dec [deg], flag, read and simulated, as
        `lab2.scale.label_survey` writes it. The two upper panels count the stars without a flag; a few in a thousand,
        far from all others, lie outside of their axes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    flag = np.asarray(table["flag"])
    good = flag == 0
    figure = plt.figure(figsize=(WIDTH, 6.4))
    upper = figure.add_gridspec(2, 2, height_ratios=(1, 1.1))
    kiel, abundances = figure.add_subplot(upper[0, 0]), figure.add_subplot(upper[0, 1])
    mesh = _density(kiel, table["teff"][good], table["logg"][good])
    kiel.set(xlabel=axis_text("teff"), ylabel=axis_text("logg"))
    kiel.invert_xaxis()
    kiel.invert_yaxis()
    _count_bar(figure, mesh, kiel)
    mesh = _density(abundances, table["fe_h"][good], table["mg_fe"][good])
    abundances.set(xlabel=axis_text("fe_h"), ylabel=axis_text("mg_fe"))
    _count_bar(figure, mesh, abundances)
    sky = figure.add_subplot(upper[1, :], projection="mollweide")
    _flags(figure, sky, np.asarray(table["ra"]), np.asarray(table["dec"]), ~good)
    without = int(((flag & _NO_LABELS) != 0).sum())
    flagged = (~good).sum() - without
    text = f"{good.sum()} without a flag, {flagged} flagged, {without} without labels"
    figure.suptitle(f"{_spectra(table)}: {text}", fontsize=9)
    return figure


def _spectra(table):
    """How many spectra there are, and whether they are simulated."""
    read, simulated = np.asarray(table["read"]), np.asarray(table["simulated"])
    if simulated[read].all() and read.any():
        return f"{len(table)} simulated spectra"
    return f"{len(table)} spectra" + (f" ({simulated.sum()} of them simulated)" if simulated.any() else "")


def _density(ax: Axes, x, y):
    """Counts of stars in bins, on a logarithmic scale."""
    x, y = np.asarray(x), np.asarray(y)
    if not len(x):
        ax.text(0.5, 0.5, "no star without a flag", transform=ax.transAxes, ha="center")
        return plt.cm.ScalarMappable(LogNorm(1, 10))
    n_bins = int(np.clip(np.sqrt(len(x)), *_BINS))
    edges = []
    for values in (x, y):
        low, high = np.percentile(values, _SHOWN)
        width = high - low or 1.0  # of stars with one label
        edges.append(np.linspace(low - _MARGIN * width, high + _MARGIN * width, n_bins + 1))
    counts, *_ = np.histogram2d(x, y, edges)
    norm = LogNorm(1, max(counts.max(), 2))
    return ax.pcolormesh(*edges, np.ma.masked_equal(counts.T, 0), norm=norm, rasterized=True)


def _count_bar(figure, mesh, ax):
    bar = figure.colorbar(mesh, ax=ax, label="stars per bin", pad=0.02, ticks=LogLocator(subs=(1, 2, 5)), format="%d")
    bar.minorticks_off()


def _flags(figure, ax, ra, dec, flagged):
    """The fraction of flagged stars in cells of equal area, right ascension growing to the left."""
    known = np.isfinite(ra) & np.isfinite(dec)
    angle = -np.radians((ra[known] + 180) % 360 - 180)
    edges = np.linspace(-np.pi, np.pi, _CELLS[0] + 1), np.linspace(-1, 1, _CELLS[1] + 1)
    place = angle, np.sin(np.radians(dec[known]))
    stars, *_ = np.histogram2d(*place, edges)
    found, *_ = np.histogram2d(*place, edges, weights=flagged[known].astype(float))
    fraction = np.ma.masked_invalid(np.divide(found, stars, out=np.full_like(found, np.nan), where=stars > 0))
    most = max(fraction.filled(0.0).max(), 0.01)
    mesh = ax.pcolormesh(edges[0], np.arcsin(edges[1]), fraction.T, vmin=0, vmax=most)
    ax.set_xticks(np.radians(np.arange(-120, 121, 60)), ["120°", "60°", "0°", "300°", "240°"], color="0.35")
    ax.set_yticks(np.radians([-60, -30, 0, 30, 60]))
    ax.tick_params(labelcolor="0.35")
    ax.grid(color="0.8", lw=0.5)
    ax.set_title("flagged stars by right ascension and declination (J2000)", fontsize=9)
    figure.colorbar(mesh, ax=ax, label="fraction of stars with a flag", pad=0.04, shrink=0.8)
