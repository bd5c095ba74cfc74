"""Labels in any form that users have: arrays, DataArrays, DataFrames and tables, with names, units and stars."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from astropy import units as u
from astropy.table import Table
from numpy.typing import ArrayLike

from lab2._arguments import described, expect
from lab2._io.arrays import factor, floats, names_along, unit_of
from lab2.labels import LABELS, is_null, numbers, texts, units_of

__all__ = ["LabelArray", "LabelColumns", "columns_of", "in_order", "labels_like", "named_labels"]

# What `labels_like` and `named_labels` accept, for type hints.
LabelArray = ArrayLike | Table
_UNITS = {label.name: label.unit for label in LABELS}
_STAR_COLUMNS = ("star", "APOGEE_ID")  # of a table, names of the stars


class LabelColumns(NamedTuple):
    """Labels with the names and units that the array carries; None where it has none."""

    values: np.ndarray  # (n_stars, n_labels), NaN where a label is not known
    names: list[str] | None
    units: list[str | None]
    stars: list[str] | None


def columns_of(given, what, wanted=None) -> LabelColumns:
    """Labels from any kind of array or table.

    Parameters
    ----------
    given : array_like, shape (n_stars, n_labels), xarray.DataArray, pandas.DataFrame or astropy.table.Table
        A masked label, or one with the value -9999, becomes NaN (missing).
    what : str
        What it is, for error messages.
    wanted : sequence of str, optional
        The names of the columns of a table or DataFrame to take; by default all.

    Raises
    ------
    ValueError
        If these are not real numbers with two axes, or a wanted column is missing.
    """
    if isinstance(given, Table):
        return _of_table(given, what, wanted)
    if isinstance(given, xr.DataArray) and set(given.dims) == {"star", "label"}:
        given = given.transpose("star", "label")
    values, masked = floats(given, what)
    if values.ndim != 2:
        raise ValueError(f"{what} must be (n_stars, n_labels); got {described(given)}")
    values = np.where(masked | is_null(values), np.nan, values.astype(float))
    stars, names = (names_along(given, axis, dim) for axis, dim in enumerate(("star", "label")))
    stars, names = (None if some is None else [str(one) for one in some] for some in (stars, names))
    unit = unit_of(given)
    units = [None if unit is None else str(unit)] * values.shape[1]
    if isinstance(given, xr.DataArray) and unit is None and "unit" in given.coords:
        units = [unit or None for unit in units_of(given)]
    if names is not None and wanted is not None:
        _refuse_missing(names, wanted, what)
        order = [names.index(name) for name in wanted]
        values, names, units = values[:, order], list(wanted), [units[k] for k in order]
    return LabelColumns(values, names, units, stars)


def labels_like(truth, fits, what="truth") -> xr.DataArray:
    """Labels of the stars of fits, in their order, from an array or table.

    Parameters
    ----------
    truth : array_like, shape (n_stars, n_labels), xarray.DataArray, pandas.DataFrame or astropy.table.Table
        Its names of labels and stars, if any, must be those of the fits; labels may be in another order, and units are
        converted.
    fits : xarray.Dataset
        With ``labels`` (star, label).
    what : str
        The argument's name, for error messages.

    Returns
    -------
    xarray.DataArray
        (star, label), with the coordinates of the fits.

    Raises
    ------
    ValueError
        If the shape, a name or a unit does not agree with the fits.
    """
    expect(fits=fits, truth=truth)
    stars, names = ([str(one) for one in fits[dim].values] for dim in ("star", "label"))
    found = columns_of(truth, what, names)
    if found.values.shape != (len(stars), len(names)):
        raise ValueError(
            f"{what} must have the shape of the fitted labels, {len(stars)} stars and {len(names)} labels "
            f"({', '.join(names)}); got {described(truth)}"
        )
    if found.stars is not None and found.stars != stars:
        raise ValueError(f"fits and {what} do not have the same stars in the same order")
    for column, own, unit, name in zip(found.values.T, found.units, units_of(fits), names, strict=True):
        column *= _times(own, unit, f"{name} of {what}")
    coords = {name: fits.coords[name] for name in ("star", "label", "unit") if name in fits.coords}
    return xr.DataArray(found.values, dims=("star", "label"), coords=coords)


def in_order(labels, names, units):
    """Labels with names, (..., label), in the order of `names` and in `units`; an array without names unchanged.

    Raises
    ------
    ValueError
        If a label is missing or occurs twice, or its unit cannot be converted.
    """
    expect(labels=labels)
    if not isinstance(labels, xr.DataArray) and (isinstance(labels, Table) or names_along(labels, 1, "label")):
        labels = named_labels(labels, names)
    if not isinstance(labels, xr.DataArray) or "label" not in labels.dims:
        return labels
    labels = labels.transpose(..., "label")
    if "label" not in labels.coords:
        return labels
    found = [str(name) for name in labels.label.values]
    if any(found.count(name) != 1 for name in names):
        raise ValueError(f"expected each of the labels {names} once; got {found}")
    labels = labels[..., [found.index(name) for name in names]]
    if "unit" not in labels.coords:
        return labels
    return labels * [_times(own, unit, name) for own, unit, name in zip(units_of(labels), units, names, strict=True)]


def named_labels(labels, wanted, what="labels") -> xr.DataArray:
    """Labels by name from a DataArray, a DataFrame or a table; other arrays have no names.

    Parameters
    ----------
    labels : xarray.DataArray, pandas.DataFrame or astropy.table.Table
        (star, label).
    wanted : sequence of str
        Names of labels that must be there.
    what : str
        The argument's name, for error messages.

    Raises
    ------
    ValueError
        If the labels have no names, or a wanted one is missing.
    """
    expect(labels=labels)
    if isinstance(labels, xr.DataArray) and "label" in labels.coords and set(labels.dims) == {"star", "label"}:
        _refuse_missing([str(name) for name in labels.label.values], wanted, what)
        return labels.transpose("star", "label")
    found = columns_of(labels, what)
    if found.names is None:
        raise ValueError(
            f"{what} need names, as a DataArray (star, label) or the columns of a table have; got {described(labels)}"
        )
    _refuse_missing(found.names, wanted, what)
    units = [unit or "" for unit in found.units]
    for k, name in enumerate(found.names):
        if name in _UNITS:
            found.values[:, k] *= _times(units[k], _UNITS[name], f"{name} of {what}")
            units[k] = _UNITS[name]
    coords = {"label": found.names, "unit": ("label", units)}
    if found.stars is not None:
        coords["star"] = found.stars
    return xr.DataArray(found.values, dims=("star", "label"), coords=coords)


def _times(own, unit, what):
    """Factor that converts a label from its own unit to another; 1 where either is not known."""
    return factor(own, unit, what) if own and unit else 1.0


def _of_table(table, what, wanted):
    """Labels from the columns of a table, without the column of star names."""
    star = next((name for name in _STAR_COLUMNS if name in table.colnames), None)
    names = [name for name in table.colnames if name != star] if wanted is None else list(wanted)
    _refuse_missing(table.colnames, names, what)
    columns = [numbers(table[name], name=f"{name} of {what}") for name in names]
    units = [None if (unit := table[name].unit) is None or unit == u.one else str(unit) for name in names]
    stars = None if star is None else texts(table[star]).tolist()
    return LabelColumns(np.reshape(columns, (len(names), len(table))).T.copy(), names, units, stars)


def _refuse_missing(names, wanted, what):
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(f"{what} must have the labels {', '.join(wanted)}; {', '.join(missing)} is not among {names}")
