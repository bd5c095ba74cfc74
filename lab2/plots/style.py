"""The style of all figures: colors, axis texts, and lines that break where there are no data."""

import textwrap
from functools import wraps
from importlib import resources

import matplotlib.pyplot as plt
import numpy as np

from lab2._text import visible
from lab2.labels import LABELS, Label

_STYLE = resources.files("lab2.plots").joinpath("lab2.mplstyle")
WIDTH = 6.7  # inches: the text of an A4 page
# Okabe & Ito's color-blind-safe palette
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
WAVELENGTH_AXIS = r"vacuum wavelength [$\mathrm{\AA}$]"
FLUX_AXIS = r"flux [$10^{-17}$ erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}^{-1}$]"
_AXES = {label.name: label.axis for label in LABELS}


def styled(function):
    """A plotting function drawn with the project's style sheet."""

    @wraps(function)
    def wrapped(*args, **kwargs):
        with resources.as_file(_STYLE) as sheet, plt.style.context(sheet):
            return function(*args, **kwargs)

    return wrapped


def literal(text) -> str:
    """Text from outside for matplotlib, without formulas, in lines that fit the figure."""
    return "\n".join(textwrap.wrap(visible(text), 88)).replace("$", r"\$")


def axis_text(label: str | Label, unit: str = "") -> str:
    """Symbol and unit of a label; the name, and the unit if there is one, of any other quantity."""
    if isinstance(label, Label):
        return label.axis
    if str(label) in _AXES:
        return _AXES[str(label)]
    return f"{literal(label)} [{literal(unit)}]" if unit else literal(label)


def spectrum_line(ax, wavelength, values, chip=None, **kwargs):
    """A spectrum as a line that breaks where values are NaN and between chips."""
    values = np.array(values, dtype=float)
    if chip is not None:
        # one NaN at each seam keeps matplotlib from bridging the gap
        values[np.flatnonzero(np.asarray(chip)[1:] != np.asarray(chip)[:-1])] = np.nan
    return ax.plot(wavelength, values, **kwargs)
