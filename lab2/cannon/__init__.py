"""The Cannon (Ness et al. 2015): a spectral model quadratic in the labels, its training, and label fits.

The modules, in order of use: ``polynomial`` (the terms), ``likelihood`` and ``training`` (maximize the likelihood of
every pixel), ``factors`` (variations that the labels leave unexplained), ``model`` (the trained model), ``nuisances``
and ``quartics`` (chi^2 from spectra), ``fitting`` (labels from chi^2) and ``table`` (fits as a table).
"""

from lab2.cannon.fitting import (
    Flag,
    UncalibratedErrorWarning,
    best_spectra,
    errors,
    fit_labels,
    fit_quartics,
    misfit,
    training_distance,
)
from lab2.cannon.model import Cannon
from lab2.cannon.nuisances import Nuisance
from lab2.cannon.quartics import Quartics, quartics, weights
from lab2.cannon.table import to_table
from lab2.cannon.training import train

__all__ = [
    "Cannon",
    "Flag",
    "Nuisance",
    "Quartics",
    "UncalibratedErrorWarning",
    "best_spectra",
    "errors",
    "fit_labels",
    "fit_quartics",
    "misfit",
    "quartics",
    "to_table",
    "train",
    "training_distance",
    "weights",
]
