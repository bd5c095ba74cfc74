"""Validation of the model: cross-validation, calibrated errors, and checks that need no known labels.

``folds``, ``residuals``, ``bias`` and ``baselines`` (quality of the labels), ``budget`` (what causes their errors),
``published`` (those of others), ``likelihood`` and ``hidden`` (quality of the model), ``calibration`` and ``coverage``
(size of the errors), ``by_hand`` (simple, slow methods that check the fast ones), ``robustness`` (changes that should
not matter), ``strangers`` and ``single_labels`` (spectra unlike the training set, and spectra of which one label is
changed), ``typical`` (stars that a model describes), ``masks`` (which bits of the pixel mask to use), ``giant_branch``
(comparison with isochrones) and ``degeneracy`` (labels with similar effects on the spectrum).
"""

from lab2.validation.baselines import ridge, without_spectrum
from lab2.validation.bias import biases, removed_by, running_medians, worst_bin
from lab2.validation.budget import error_budget, largest_causes, percentages
from lab2.validation.by_hand import fit_by_hand, scan_scatter
from lab2.validation.calibration import Calibration, calibrate
from lab2.validation.coverage import (
    band,
    calibrate_held_out,
    coverage,
    coverage_deviation,
    median_errors,
    pulls,
    rank_distance,
    ranks,
    within_band,
)
from lab2.validation.degeneracy import match_absorption, matched_pairs, mean_absorption
from lab2.validation.folds import cross_validate, fields_or, split
from lab2.validation.giant_branch import against_isochrones, clump, on_branch, slopes
from lab2.validation.hidden import guess_abundances
from lab2.validation.likelihood import fewest_factors, held_out_likelihood, log_likelihood
from lab2.validation.masks import compare_masks
from lab2.validation.published import published
from lab2.validation.residuals import (
    robust_scatter,
    shrinkage,
    slope_with_error,
    statistics,
    trends,
    twin_differences,
)
from lab2.validation.robustness import correlation_inflation, degrade, deviates, neighbor_correlation, refits
from lab2.validation.single_labels import response, weight_on_lines
from lab2.validation.strangers import flagged, strangers
from lab2.validation.typical import well_predicted

__all__ = [
    "Calibration",
    "against_isochrones",
    "band",
    "biases",
    "calibrate",
    "calibrate_held_out",
    "clump",
    "compare_masks",
    "correlation_inflation",
    "coverage",
    "coverage_deviation",
    "cross_validate",
    "degrade",
    "deviates",
    "error_budget",
    "fewest_factors",
    "fields_or",
    "fit_by_hand",
    "flagged",
    "guess_abundances",
    "held_out_likelihood",
    "largest_causes",
    "log_likelihood",
    "match_absorption",
    "matched_pairs",
    "mean_absorption",
    "median_errors",
    "neighbor_correlation",
    "on_branch",
    "percentages",
    "published",
    "pulls",
    "rank_distance",
    "ranks",
    "refits",
    "removed_by",
    "response",
    "ridge",
    "robust_scatter",
    "running_medians",
    "scan_scatter",
    "shrinkage",
    "slope_with_error",
    "slopes",
    "split",
    "statistics",
    "strangers",
    "trends",
    "twin_differences",
    "weight_on_lines",
    "well_predicted",
    "within_band",
    "without_spectrum",
    "worst_bin",
]
