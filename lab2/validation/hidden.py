"""Information of the hidden factors about abundances that are not labels."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2._arguments import expect, groups
from lab2._label_arrays import LabelArray, named_labels
from lab2.cannon import polynomial

__all__ = ["guess_abundances"]


def guess_abundances(fits: xr.Dataset, abundances: LabelArray, folds: ArrayLike, factors: bool = True) -> xr.Dataset:
    """Abundances by linear regression on a quadratic in the fitted labels and the hidden factors.

    Parameters
    ----------
    fits : xarray.Dataset
        ``labels`` (star, label) and ``factors`` (star, factor), all from one model.
    abundances : xarray.DataArray, pandas.DataFrame or astropy.table.Table
        (star, label), of the same stars, from the catalog; the model was not trained on them.
    folds : array_like of int, shape (n_stars,)
        The group of each star; the regression is fitted to the other groups.
    factors : bool
        Whether to use the factors, or the labels alone.

    Returns
    -------
    xarray.Dataset
        ``labels`` (star, label), as in fits; NaN where a star has no fit.

    Raises
    ------
    ValueError
        If there are not as many abundances or groups as stars.
    """
    expect(fits=fits)
    abundances = named_labels(abundances, (), "abundances")
    labels = fits.labels.transpose("star", "label").values
    if abundances.sizes["star"] != len(labels):
        raise ValueError(f"abundances of {abundances.sizes['star']} stars do not match the fits of {len(labels)}")
    group = groups(folds, len(labels))
    x = (labels - np.nanmean(labels, axis=0)) / np.nanstd(labels, axis=0)
    terms = polynomial.design(x, polynomial.terms(x.shape[1], 2))
    if factors:
        terms = np.concatenate([terms, fits.factors.values], axis=1)
    known = abundances.values
    fitted = np.isfinite(terms).all(axis=1)
    guesses = np.full(known.shape, np.nan)
    for fold in np.unique(group):
        here = fitted & (group == fold)
        for k, values in enumerate(known.T):
            others = fitted & (group != fold) & np.isfinite(values)
            coefficients = np.linalg.lstsq(terms[others], values[others], rcond=None)[0]
            guesses[here, k] = terms[here] @ coefficients
    return xr.Dataset({"labels": (("star", "label"), guesses)}, coords=abundances.coords)
