"""Can the model be trusted? Cross-validation, and errors calibrated by it."""

from lab2.validation.calibration import Calibration, calibrate
from lab2.validation.coverage import calibrate_held_out, coverage, ranks
from lab2.validation.folds import cross_validate, split
from lab2.validation.residuals import robust_scatter, statistics, trends, twin_differences

__all__ = [
    "Calibration",
    "calibrate",
    "calibrate_held_out",
    "coverage",
    "cross_validate",
    "ranks",
    "robust_scatter",
    "split",
    "statistics",
    "trends",
    "twin_differences",
]
