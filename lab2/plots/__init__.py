"""Every figure of the lab: each function takes results and returns a figure; nothing is computed here."""

from lab2.plots.labels import corner, kiel, label_comparison, losses, selection
from lab2.plots.spectra import (
    gradients,
    masked_fraction,
    model_overlay,
    normalization,
    pixel_likelihood,
    raw_spectra,
    scatter_spectrum,
    sequence,
    star_sheet,
    velocity_year,
)

__all__ = [
    "corner",
    "gradients",
    "kiel",
    "label_comparison",
    "losses",
    "masked_fraction",
    "model_overlay",
    "normalization",
    "pixel_likelihood",
    "raw_spectra",
    "scatter_spectrum",
    "selection",
    "sequence",
    "star_sheet",
    "velocity_year",
]
