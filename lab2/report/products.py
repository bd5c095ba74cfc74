"""Datasets that notebooks save for others, and the rules for their contents."""

import os

import numpy as np
import xarray as xr

from lab2._io import schema
from lab2._io.schema import Rule
from lab2.files import read_dataset, write_dataset

__all__ = ["load", "save"]

_VERSION = 1
_SPECTRA = {
    "star": Rule(("star",), schema.TEXT),
    "wavelength": Rule(("wavelength",), schema.ASCENDING),
    "flux": Rule(("star", "wavelength")),
    "ivar": Rule(("star", "wavelength"), schema.WEIGHT),
    "labels": Rule(("star", "label"), schema.NOT_INFINITE, optional=True),
    "label": Rule(("label",), schema.UNIQUE, optional=True),
    "trusted": Rule(("wavelength",), schema.TRUTH, optional=True),
    "bad_continuum": Rule(("star", "chip_name"), schema.TRUTH, optional=True),
}
_FITS = {
    "star": Rule(("star",), schema.TEXT),
    "label": Rule(("label",), schema.UNIQUE),
    "labels": Rule(("star", "label"), schema.NOT_INFINITE),
    "covariance": Rule(("star", "label", "label_2"), schema.NOT_INFINITE),
    "reduced_chi2": Rule(("star",), schema.NOT_INFINITE),
    "flag": Rule(("star",), schema.COUNT),
}
# Rules by kind. The kind of a dataset follows from variables that only this kind has.
_RULES = {"lab2 spectra": _SPECTRA, "lab2 fits": _FITS, "lab2 dataset": {}}
_MARKS = {"lab2 spectra": {"flux", "ivar"}, "lab2 fits": {"labels", "covariance"}, "lab2 dataset": set()}


def save(dataset: xr.Dataset, path: str | os.PathLike) -> None:
    """Write spectra, fits or another dataset.

    Raises
    ------
    ValueError
        If spectra or fits break the rules.
    """
    kind = next(kind for kind, marks in _MARKS.items() if marks <= set(dataset.data_vars))
    _check(dataset, kind)
    write_dataset(path, dataset, kind, _VERSION)


def load(path: str | os.PathLike) -> xr.Dataset:
    """Read a file that `save` wrote, into memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or not such a file.
    """
    dataset, kind = read_dataset(path, dict.fromkeys(_RULES, _VERSION))
    try:
        _check(dataset, kind)
    except ValueError as problem:
        raise ValueError(f"{path} is damaged: {problem}") from problem
    return dataset


def _check(dataset, kind):
    try:
        schema.check(dataset, _RULES[kind])
        if kind == "lab2 fits":
            _check_fits(dataset)
    except ValueError as problem:
        raise ValueError(f"this is not a valid {kind}: {problem}") from problem


def _check_fits(fits):
    """Raise a ValueError if a star without labels or errors has no flag, or a variance is negative."""
    lost = np.isnan(fits.labels.values).any(axis=1) | np.isnan(fits.covariance.values).any(axis=(1, 2))
    if (lost & (fits.flag.values == 0)).any():
        raise ValueError("a star without labels or covariance has no flag")
    if (np.diagonal(fits.covariance.values, axis1=1, axis2=2) < 0).any():
        raise ValueError("covariance must have no negative variance")
