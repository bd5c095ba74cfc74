"""Rules for the variables of a Dataset: dims, type and values."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

__all__ = [
    "ANY",
    "ASCENDING",
    "COUNT",
    "FINITE",
    "NOT_INFINITE",
    "NOT_NEGATIVE",
    "POSITIVE",
    "TEXT",
    "TRUTH",
    "UNIQUE",
    "WEIGHT",
    "Rule",
    "Values",
    "check",
    "check_covariance",
]

# numpy's letters for types, and their names in messages
_NUMBER, _FLOAT, _COUNT, _TEXT, _TRUTH = "fiu", "f", "iu", "U", "b"
_TYPES = {
    _NUMBER: "numbers",
    _FLOAT: "floating-point numbers",
    _COUNT: "integers",
    _TEXT: "text",
    _TRUTH: "True or False",
}


class Values(NamedTuple):
    """A condition on values: their type, a description, and a test."""

    kinds: str
    words: str
    hold: Callable[[np.ndarray], np.ndarray]


ANY = Values(_NUMBER, "numbers", lambda x: np.ones(x.shape, dtype=bool))
NOT_INFINITE = Values(_FLOAT, "finite or NaN", lambda x: ~np.isinf(x))
FINITE = Values(_FLOAT, "finite", np.isfinite)
POSITIVE = Values(_FLOAT, "finite and more than 0", lambda x: np.isfinite(x) & (x > 0))
NOT_NEGATIVE = Values(_FLOAT, "0 or more", lambda x: x >= 0)
WEIGHT = Values(_FLOAT, "finite and 0 or more", lambda x: np.isfinite(x) & (x >= 0))
COUNT = Values(_COUNT, "0 or more", lambda x: x >= 0)
ASCENDING = Values(_NUMBER, "finite and ascending", lambda x: np.isfinite(x) & np.append(True, np.diff(x) > 0))
TRUTH = Values(_TRUTH, "True or False", lambda x: np.ones(x.shape, dtype=bool))
TEXT = Values(_TEXT, "text", lambda x: np.ones(x.shape, dtype=bool))
UNIQUE = Values(_TEXT, "different names", lambda x: np.isin(np.arange(x.size), np.unique(x, return_index=True)[1]))


class Rule(NamedTuple):
    """Requirements for one variable; an optional one may be missing."""

    dims: tuple[str, ...]
    values: Values = FINITE
    optional: bool = False


def check(dataset: xr.Dataset, rules: Mapping[str, Rule]) -> None:
    """Raise an error for the first variable that breaks its rule; variables without a rule are allowed.

    Raises
    ------
    ValueError
        If a variable is missing, has the wrong dims or type, or has forbidden values.
    """
    for name, (dims, values, optional) in rules.items():
        if name not in dataset.variables:
            if optional:
                continue
            raise ValueError(f"it has no {name}")
        variable = dataset.variables[name]
        if variable.dims != dims:
            raise ValueError(f"{name} must have the dims {_listed(dims)}, not {_listed(variable.dims)}")
        found = _plain(variable.values)
        if found.dtype.kind not in values.kinds:
            raise ValueError(f"{name} must be {_TYPES[values.kinds]}, not of type {found.dtype}")
        good = values.hold(found)
        if not np.all(good):
            raise ValueError(f"{name} must be {values.words}, and is not in {np.sum(~good)} of {good.size} places")


def _plain(values):
    """Python strings as numpy strings, as stored in a file; other values unchanged."""
    strings = values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat)
    return values.astype(str) if strings else values


def check_covariance(matrix, name) -> None:
    """Raise an error for a matrix that is not a covariance.

    Raises
    ------
    ValueError
        If a matrix is not symmetric or has a negative eigenvalue, apart from rounding errors.
    """
    if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=0.0):
        raise ValueError(f"{name} must be symmetric")
    scale = np.sqrt(np.abs(np.diagonal(matrix)))
    scale = np.where(scale > 0, scale, 1.0)  # labels have different units: test the correlations
    if (np.linalg.eigvalsh(matrix / np.outer(scale, scale)) < -1e-6).any():
        raise ValueError(f"{name} must have no negative eigenvalue")


def _listed(dims):
    return f"({', '.join(map(str, dims))})"
