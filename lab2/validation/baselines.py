"""Baselines to compare the Cannon with: labels from the other labels alone, and from the flux by ridge regression."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2._arguments import expect, groups
from lab2._label_arrays import LabelArray, named_labels
from lab2.cannon import polynomial

__all__ = ["ridge", "without_spectrum"]

_PENALTIES = np.geomspace(1e-6, 1e2, 33)  # of the ridge regression, in units of the mean eigenvalue


def without_spectrum(
    labels: LabelArray, folds: ArrayLike, known: Sequence[str] = ("teff", "logg", "fe_h")
) -> xr.Dataset:
    """Each label predicted from the known labels other than itself, by a quadratic fitted to the other stars.

    A fit that is no better than this prediction has learned nothing about the label from the spectrum. Giants lie along
    a branch and abundances follow [Fe/H], so the prediction is a good one.

    Parameters
    ----------
    labels : xarray.DataArray, pandas.DataFrame or astropy.table.Table
        (star, label), from the catalog.
    folds : array_like of int, shape (n_stars,)
        The group that each star is left out with, as from `lab2.validation.split`.
    known : sequence of str
        The labels to predict from.

    Returns
    -------
    xarray.Dataset
        ``labels`` (star, label), as in fits.

    Raises
    ------
    ValueError
        If `labels` lacks a known label.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> guesses = without_spectrum(spectra.labels, lab2.validation.split(spectra))
    >>> guesses.labels.dims
    ('star', 'label')
    """
    labels = named_labels(labels, known)
    names, values = [str(name) for name in labels.label.values], labels.values
    group = groups(folds, len(values))
    scaled = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    guesses = np.empty(values.shape)
    for k, name in enumerate(names):
        columns = [names.index(other) for other in known if other != name]
        terms = polynomial.design(scaled[:, columns], polynomial.terms(len(columns), 2))
        for fold in np.unique(group):
            others = group != fold
            coefficients = np.linalg.lstsq(terms[others], values[others, k], rcond=None)[0]
            guesses[~others, k] = terms[~others] @ coefficients
    return xr.Dataset({"labels": (("star", "label"), guesses)}, coords=labels.coords)


def ridge(spectra: xr.Dataset, folds: ArrayLike) -> xr.Dataset:
    """Each label from a ridge regression on the normalized flux, trained on the other stars.

    A linear regression with one coefficient per pixel and a penalty on the sum of their squares (Hoerl & Kennard 1970,
    Technometrics 12, 55). It does not use the flux errors.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength), ``labels`` (star, label). Masked pixels get the mean flux of the stars.
    folds : array_like of int, shape (n_stars,)
        The group that each star is left out with.

    Returns
    -------
    xarray.Dataset
        ``labels`` (star, label). The penalty of each label minimizes the sum of squared leave-one-out residuals of the
        training stars, which has a closed form for ridge regression (Golub, Heath & Wahba 1979, Technometrics 21, 215).

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> found = ridge(spectra, lab2.validation.split(spectra))
    >>> bool(abs(found.labels - spectra.labels).sel(label="teff").median() < 150.0)
    True
    """
    expect(spectra=spectra)
    group = groups(folds, spectra.sizes["star"])
    seen = spectra.ivar.values > 0
    labels = spectra.labels.transpose("star", "label")
    found = np.empty(labels.shape)
    for fold in np.unique(group):
        others = group != fold
        counts = seen[others].sum(axis=0)
        mean = np.where(seen, spectra.flux.values, 0.0)[others].sum(axis=0) / np.maximum(counts, 1)
        excess = np.where(seen & (counts > 0), spectra.flux.values - mean, 0.0)
        value, vector = np.linalg.eigh(excess[others] @ excess[others].T)
        across = excess[~others] @ (excess[others].T @ vector)
        value = np.maximum(value, 0.0)
        for k, known in enumerate(labels.values[others].T):
            along = vector.T @ (known - known.mean())
            penalty = min(_PENALTIES * value.mean(), key=lambda p: _left_out(p, value, vector, along))
            found[~others, k] = known.mean() + across @ (along / (value + penalty))
    return xr.Dataset({"labels": (("star", "label"), found)}, coords=labels.coords)


def _left_out(penalty, value, vector, along):
    """Sum of squared leave-one-out residuals."""
    kept = penalty / (value + penalty)  # fraction of each component left in the residual
    return ((vector @ (kept * along)) ** 2 / (vector**2 @ kept) ** 2).sum()
