"""The Cannon (Ness et al. 2015): a quadratic model of the spectrum in the labels, trained and read backwards.

In the order of the flow: ``polynomial`` (the terms), ``likelihood`` and ``training`` (every pixel to the maximum of
its likelihood), ``factors`` (what the labels leave unexplained), ``model`` (what training makes), ``nuisances`` and
``quartics`` (spectra become chi^2) and ``fitting`` (chi^2 becomes labels).
"""

from lab2.cannon.fitting import (
    Flag,
    UncalibratedErrorWarning,
    best_spectra,
    errors,
    fit_labels,
    fit_quartics,
    training_distance,
)
from lab2.cannon.model import Cannon
from lab2.cannon.nuisances import Nuisance
from lab2.cannon.quartics import Quartics, quartics, weights
from lab2.cannon.training import add_label_errors, train

__all__ = [
    "Cannon",
    "Flag",
    "Nuisance",
    "Quartics",
    "UncalibratedErrorWarning",
    "add_label_errors",
    "best_spectra",
    "errors",
    "fit_labels",
    "fit_quartics",
    "quartics",
    "train",
    "training_distance",
    "weights",
]
