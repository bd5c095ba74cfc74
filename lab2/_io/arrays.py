"""Users' arrays, with their masks, units, names and number types, which numpy alone would drop or misread."""

from collections import Counter

import numpy as np
import xarray as xr
from astropy import units as u

__all__ = ["factor", "floats", "names", "names_along", "native", "unit_of"]

_DEX = u.Unit("dex")


def floats(values, what, unit=None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of an array, and where they are masked.

    Parameters
    ----------
    values : array_like
        Also a numpy masked array, an astropy Quantity or Column, a pandas DataFrame, an xarray DataArray, a tensor.
    what : str
        What it is, for error messages.
    unit : astropy.units.Unit, optional
        Unit to convert to, if the array has a unit.

    Returns
    -------
    values : numpy.ndarray
        In native byte order: float32 stays float32, any other type becomes float64.
    masked : numpy.ndarray of bool, same shape

    Raises
    ------
    ValueError
        If these are not real numbers, or their unit cannot be converted.
    """
    values, own = _gathered(values), unit_of(values)
    mask = getattr(values, "mask", None)  # a DataFrame has a method of this name
    try:
        numbers = np.asarray(getattr(values, "unmasked", values))
    except Exception as error:  # any error of the array's own library
        raise ValueError(f"{what} cannot be made a numpy array ({type(error).__name__}: {error})") from error
    if numbers.dtype.kind not in "fiu":
        raise ValueError(f"{what} must be an array of real numbers; got the type {numbers.dtype}: convert it first")
    mask = mask if isinstance(mask, np.ndarray | np.bool_) else False
    if own is not None and unit is not None and (times := factor(own, unit, what)) != 1.0:
        numbers = numbers * times
    kind = np.float32 if numbers.dtype.newbyteorder("=") == np.float32 else np.float64
    with np.errstate(over="ignore"):  # a long double beyond the range becomes infinite
        return np.require(numbers, kind, ["C", "A"]), np.array(np.broadcast_to(mask, numbers.shape))


def factor(own, wanted, what) -> float:
    """Factor that converts numbers from one unit to another; "log(...)" and a pure number count as dex.

    Raises
    ------
    ValueError
        If the unit cannot be converted.
    """
    own, wanted = u.Unit(own), u.Unit(wanted)
    if own == wanted or (wanted == _DEX and (own == u.one or any(word in str(own).lower() for word in ("log", "dex")))):
        return 1.0
    try:
        return float(own.to(wanted))
    except (u.UnitsError, ValueError, TypeError) as error:
        raise ValueError(
            f"{what} has the unit {own}, not {wanted if str(wanted) else 'that of a pure number'}"
        ) from error


def unit_of(values):
    """The unit of a Quantity, a Column, a list of Quantities or a DataArray with the attribute units; or None."""
    values = _gathered(values)
    unit = getattr(values, "unit", None)
    if unit is None and isinstance(values, xr.DataArray) and isinstance(values.attrs.get("units"), str):
        unit = u.Unit(values.attrs["units"], parse_strict="silent")
    return unit if hasattr(unit, "to") else None  # a DataFrame may have a column of this name


def names(values, n, what) -> list[str]:
    """Names as text: n unique ones.

    Raises
    ------
    ValueError
        If their number differs, or one is empty or occurs twice.
    """
    if isinstance(values, str | bytes) or np.ndim(values) != 1 or len(values) != n:
        raise ValueError(f"expected the names of {n} {what}s; got {values!r}"[:200])
    found = [_text(value) for value in list(values)]
    twice = [name for name, times in Counter(found).items() if times > 1]
    if twice or "" in found:
        said = f"is the name of more than one {what}: {', '.join(map(repr, twice[:5]))}" if twice else "is empty"
        raise ValueError(f"every {what} needs a name of its own; this {said}")
    return found


def names_along(values, axis, dim):
    """Names along an axis of a DataFrame or DataArray; None if it has none, or only a running index."""
    if hasattr(values, "columns") and hasattr(values, "index"):
        found = list(values.columns if axis else values.index)
    elif isinstance(values, xr.DataArray) and dim in values.indexes:
        found = values.indexes[dim].tolist()
    else:
        return None
    return None if found == list(range(len(found))) else found


def native(spectra) -> xr.Dataset:
    """The same spectra, with flux and ivar converted if they are not float32 or float64 in native byte order.

    Raises
    ------
    ValueError
        If they are not real numbers.
    """
    kinds = {name: spectra[name].dtype for name in ("flux", "ivar")}
    for name, kind in kinds.items():
        if kind.kind not in "fiu":
            raise ValueError(f"{name} must be real numbers; got the type {kind}: convert it first")
    odd = {name: kind for name, kind in kinds.items() if kind not in (np.float32, np.float64)}
    return spectra.assign({name: spectra[name].astype(float) for name in odd}) if odd else spectra


def _text(value):
    """A name as text; "" if it is missing."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    missing = value is None or value is np.ma.masked or value != value  # NaN alone differs from itself
    return "" if missing else str(value)


def _gathered(values):
    """A list of masked arrays or Quantities, or a DataFrame of nullable numbers, as one array; others unchanged."""
    if isinstance(values, list | tuple):
        if any(isinstance(one, u.Quantity) for one in values):
            return u.Quantity(values)
        if any(isinstance(one, np.ma.MaskedArray) for one in values):
            return np.ma.array(values)
    if hasattr(values, "columns") and all(getattr(kind, "kind", "O") in "fiu" for kind in values.dtypes):
        return values.to_numpy(dtype=float, na_value=np.nan)
    if isinstance(values, xr.DataArray) and isinstance(values.data, u.Quantity):
        return values.data
    return values
