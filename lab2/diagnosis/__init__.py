"""Diagnosis of odd stars: matched filters on the residuals, fits with a velocity, and a verdict in words."""

from lab2.diagnosis.doubles import fit_double, fit_shift
from lab2.diagnosis.verdict import diagnose

__all__ = ["diagnose", "fit_double", "fit_shift"]
