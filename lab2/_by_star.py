"""Spectra matched with the rows of a catalog; those of other stars are left empty."""

import warnings

import numpy as np
import xarray as xr

__all__ = ["OtherStarWarning", "by_star"]


class OtherStarWarning(UserWarning):
    """Some files belong to another star than their rows; these are left empty, and `read_error` names the star."""


def by_star(spectra: xr.Dataset, names: np.ndarray) -> xr.Dataset:
    """Spectra matched with the rows of a catalog by name.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength), in the order of the rows.
    names : numpy.ndarray of str, shape (n_stars,)

    Returns
    -------
    xarray.Dataset
        Unchanged where the names agree. A spectrum of another star gets flux 1 and ivar 0, and ``read_error`` (star)
        names that star.

    Raises
    ------
    ValueError
        If the numbers of stars differ, or most spectra belong to other stars.

    Warns
    -----
    OtherStarWarning
        If some spectra belong to other stars.
    """
    found = spectra.star.values.astype(str)
    if len(found) != len(names):
        raise ValueError(f"spectra of {len(found)} stars do not match {len(names)} catalog rows")
    no_error = xr.DataArray(np.full(len(found), ""), dims="star")
    read_error = spectra.get("read_error", no_error).values.astype(object)
    other = (found != names) & (read_error == "")  # a file that could not be read has no reliable name
    if 2 * other.sum() > len(found):
        raise ValueError(
            f"{other.sum()} of {len(found)} spectra do not match their catalog rows star by star, first the spectrum "
            f"of {found[other][0]} and the row of {names[other][0]}: are both in the same order?"
        )
    spectra = spectra.assign_coords(star=names)
    if not other.any():
        return spectra
    of_rows = zip(found[other], names[other], strict=True)
    read_error[other] = [f"the file belongs to the star {star}, not {name}" for star, name in of_rows]
    warnings.warn(
        f"{other.sum()} of {len(found)} spectra belong to another star than their catalog rows and are left empty; "
        f"the first: {read_error[other][0]}",
        OtherStarWarning,
        stacklevel=3,
    )
    kept = xr.DataArray(~other, dims="star")
    return spectra.assign(
        flux=spectra.flux.where(kept, 1.0),
        ivar=spectra.ivar.where(kept, 0.0),
        read_error=("star", read_error.astype(str)),
    )
