"""The figures of the lab: each function takes results and returns a figure, without further computation."""

from lab2._extras import require

require("plot", __name__)

from lab2.plots.flux import (
    masked_fraction,
    model_overlay,
    normalization,
    pixel_likelihood,
    raw_spectra,
    star_sheet,
    velocity_year,
)
from lab2.plots.label_space import corner, kiel, label_comparison, selection
from lab2.plots.lines import contrast, gradients, line_zooms, scatter_spectrum, sequence
from lab2.plots.networks import against, losses, responses, sensitivities
from lab2.plots.posterior import two_corners
from lab2.plots.survey import catalog_summary
from lab2.plots.trust import factor_gain, odd_star, odd_stars, predictive, pulls, rank_histograms, shared_residual

__all__ = [
    "against",
    "catalog_summary",
    "contrast",
    "corner",
    "factor_gain",
    "gradients",
    "kiel",
    "label_comparison",
    "line_zooms",
    "losses",
    "masked_fraction",
    "model_overlay",
    "normalization",
    "odd_star",
    "odd_stars",
    "pixel_likelihood",
    "predictive",
    "pulls",
    "rank_histograms",
    "raw_spectra",
    "responses",
    "scatter_spectrum",
    "selection",
    "sensitivities",
    "sequence",
    "shared_residual",
    "star_sheet",
    "two_corners",
    "velocity_year",
]
