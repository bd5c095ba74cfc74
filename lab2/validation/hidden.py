"""Information of the hidden factors about abundances that are not labels."""

import numpy as np
import xarray as xr

from lab2.cannon import polynomial

__all__ = ["guess_abundances"]


def guess_abundances(
    fits: xr.Dataset, abundances: xr.DataArray, folds: xr.DataArray, factors: bool = True
) -> xr.Dataset:
    """Abundances by linear regression on a quadratic in the fitted labels and the hidden factors.

    Parameters
    ----------
    fits : xarray.Dataset
        ``labels`` (star, label) and ``factors`` (star, factor), all from one model.
    abundances : xarray.DataArray
        (star, label), of the same stars, from the catalog; the model was not trained on them.
    folds : xarray.DataArray of int
        (star), the group of each star; the regression is fitted to the other groups.
    factors : bool
        Whether to use the factors, or the labels alone.

    Returns
    -------
    xarray.Dataset
        ``labels`` (star, label), as in fits; NaN where a star has no fit.
    """
    labels = fits.labels.transpose("star", "label").values
    x = (labels - np.nanmean(labels, axis=0)) / np.nanstd(labels, axis=0)
    terms = polynomial.design(x, polynomial.terms(x.shape[1], 2))
    if factors:
        terms = np.concatenate([terms, fits.factors.values], axis=1)
    known = abundances.transpose("star", "label").values
    fitted = np.isfinite(terms).all(axis=1)
    guesses = np.full(known.shape, np.nan)
    for fold in np.unique(folds.values):
        here = fitted & (folds.values == fold)
        for k, values in enumerate(known.T):
            others = fitted & (folds.values != fold) & np.isfinite(values)
            coefficients = np.linalg.lstsq(terms[others], values[others], rcond=None)[0]
            guesses[here, k] = terms[here] @ coefficients
    return xr.Dataset({"labels": (("star", "label"), guesses)}, coords=abundances.coords)
