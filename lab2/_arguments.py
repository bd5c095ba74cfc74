"""Checks of the arguments of public functions: an error says which one is wrong, what it is, and what it must be."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from astropy.table import Table

from lab2.files import Kept

__all__ = ["TableLike", "as_table", "described", "expect", "groups"]

TableLike = Table | pd.DataFrame  # a user's catalog, for type hints


class _Kind(NamedTuple):
    """What an argument must be, in words, and a test of it."""

    words: str
    fits: Callable[[Any], bool]


def _sort(value) -> str:
    """What a Dataset holds: "fits", "spectra", "raw spectra" or "a Dataset"; "" for anything else."""
    if not isinstance(value, xr.Dataset):
        return ""
    names = set(value.variables)
    for sort, marks in {"fits": {"labels", "covariance"}, "spectra": {"flux", "ivar"}}.items():
        if marks <= names:
            return sort
    return "raw spectra" if {"flux", "error"} <= names else "a Dataset"


def _is_kept(kind):
    return lambda value: isinstance(value, Kept) and value.kind == kind


def _is_data(value):
    """Whether it may be numbers or a table; their contents are checked when they are read."""
    return value is not None and not isinstance(value, xr.Dataset | Kept | str | bytes | dict)


_MODEL = _Kind("a trained model, as from lab2.train or lab2.Cannon.load", _is_kept("lab2 Cannon"))
# lab2.spectra.check_dims says which variable is missing.
_SPECTRA = _Kind(
    "normalized spectra, a Dataset with flux and ivar, as from lab2.continuum.normalize or lab2.from_arrays",
    lambda value: _sort(value) in ("spectra", "a Dataset"),
)
_RAW = _Kind(
    "spectra as from lab2.apstar.read_many, a Dataset with flux and error",
    lambda value: _sort(value) in ("raw spectra", "a Dataset"),
)
_FITS = _Kind(
    "fits, a Dataset with labels and covariance, as from lab2.fit_labels",
    lambda value: _sort(value) in ("fits", "a Dataset"),
)
_LABELS = _Kind("labels, an array, a DataArray or a table (star, label)", _is_data)
_TABLE = _Kind("an astropy Table or a DataFrame", lambda value: isinstance(value, Table | pd.DataFrame))
# By the name of the argument, which is the same in every public function.
_KINDS = {
    "model": _MODEL,
    "spectra": _SPECTRA,
    "spectrum": _SPECTRA,
    "training": _SPECTRA,
    "raw": _RAW,
    "fits": _FITS,
    "truth": _LABELS,
    "labels": _LABELS,
    "catalog": _TABLE,
    "rows": _TABLE,
}


def expect(**given) -> None:
    """Raise an error for the first argument that is not of the kind that its name implies.

    Parameters
    ----------
    **given
        Arguments by name, such as model, spectra and fits.

    Raises
    ------
    TypeError
        The message names the argument and says what it is, what it must be, and whether two arguments were swapped.

    Examples
    --------
    >>> expect(fits=xr.Dataset(), truth=[[4500.0, 2.1]])
    >>> expect(fits=np.zeros((3, 2)))
    Traceback (most recent call last):
        ...
    TypeError: fits must be fits, a Dataset with labels and covariance, as from lab2.fit_labels; got an array (3, 2)
    """
    for name, value in given.items():
        if _KINDS[name].fits(value):
            continue
        text = f"{name} must be {_KINDS[name].words}; got {described(value)}"
        for other, its in given.items():
            if other != name and _KINDS[name].fits(its) and _KINDS[other].fits(value):
                text += f": {name} and {other} are swapped"
                break
        else:
            if name in ("spectra", "spectrum") and _sort(value) == "raw spectra":
                text += ": normalize them first (lab2.continuum.normalize)"
        raise TypeError(text)


def as_table(value: TableLike) -> Table:
    """A Table unchanged; a DataFrame as a Table."""
    return value if isinstance(value, Table) else Table.from_pandas(value)


def groups(values, n_stars, name="folds") -> np.ndarray:
    """The group of each star, from a DataArray or any array (n_stars,).

    Raises
    ------
    ValueError
        If there is not one group for each star.
    """
    found = np.asarray(values)
    if found.shape != (n_stars,):
        raise ValueError(f"{name} must give the group of each of {n_stars} stars; got {described(values)}")
    return found


def described(value) -> str:
    """What a value is, in a few words."""
    if sort := _sort(value):
        return f"{sort} (a Dataset with {_listed(value.data_vars)})"
    if isinstance(value, Kept):
        return f"a {value.kind}"
    if isinstance(value, xr.DataArray):
        return f"a DataArray ({', '.join(f'{dim}: {size}' for dim, size in value.sizes.items())})"
    if isinstance(value, Table):
        return f"a table with the columns {_listed(value.colnames)}"
    if isinstance(value, pd.DataFrame):
        return f"a DataFrame with the columns {_listed(value.columns)}"
    if isinstance(value, list | tuple) or hasattr(value, "__array__"):
        try:
            return f"an array {np.shape(value)}"
        except ValueError:  # rows of different lengths
            return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:60] if isinstance(value, str | bytes | int | float | None) else f"a {type(value).__name__}"


def _listed(names, most=6):
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "") or "nothing"
