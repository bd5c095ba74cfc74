"""What one would say without the Cannon: from the other labels alone, and from the flux by a linear regression."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lab2.cannon import polynomial

__all__ = ["ridge", "without_spectrum"]

_PENALTIES = np.geomspace(1e-6, 1e2, 33)  # of a ridge regression, in those of the mean square of the flux


def without_spectrum(
    labels: xr.DataArray, folds: xr.DataArray, known: Sequence[str] = ("teff", "logg", "fe_h")
) -> xr.Dataset:
    """Each label guessed from the others: a quadratic in the known ones but itself, fitted to the other stars.

    A fit that does not beat this guess has learned nothing of the label from the spectrum. Giants lie along a branch,
    and abundances follow [Fe/H], so that the guess is a good one.

    Parameters
    ----------
    labels : xarray.DataArray
        (star, label), of the catalog.
    folds : xarray.DataArray of int
        (star), the group that is left out, as from `lab2.validation.split`.
    known : sequence of str
        The labels to guess from.

    Returns
    -------
    xarray.Dataset
        ``labels`` (star, label), as those of fits.

    Raises
    ------
    ValueError
        If a known label is not there.
    """
    names = [str(name) for name in labels.label.values]
    if missing := [name for name in known if name not in names]:
        raise ValueError(f"the labels are {', '.join(names)}; to guess from {', '.join(missing)} is impossible")
    values = labels.transpose("star", "label").values
    scaled = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    guesses = np.empty(values.shape)
    for k, name in enumerate(names):
        columns = [names.index(other) for other in known if other != name]
        terms = polynomial.design(scaled[:, columns], polynomial.terms(len(columns), 2))
        for fold in np.unique(folds.values):
            others = folds.values != fold
            coefficients = np.linalg.lstsq(terms[others], values[others, k], rcond=None)[0]
            guesses[~others, k] = terms[~others] @ coefficients
    return xr.Dataset({"labels": (("star", "label"), guesses)}, coords=labels.coords)


def ridge(spectra: xr.Dataset, folds: xr.DataArray) -> xr.Dataset:
    """Each label by a ridge regression on the normalized flux, trained on the other stars.

    A linear regression with as many coefficients as there are pixels, held small by a penalty on their squares (Hoerl &
    Kennard 1970, Technometrics 12, 55). It knows nothing of spectra, noise or errors.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength), ``labels`` (star, label). A masked pixel counts as the mean of the stars.
    folds : xarray.DataArray of int
        (star), the group that is left out.

    Returns
    -------
    xarray.Dataset
        ``labels`` (star, label). The penalty of each label is that of the least sum of squares when one training star
        after the other is left out, which a ridge regression gives in closed form (Golub, Heath & Wahba 1979,
        Technometrics 21, 215).
    """
    seen = spectra.ivar.values > 0
    labels = spectra.labels.transpose("star", "label")
    found = np.empty(labels.shape)
    for fold in np.unique(folds.values):
        others = folds.values != fold
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
    """Sum of squares of the residuals of stars that are left out one at a time."""
    kept = penalty / (value + penalty)  # of each component, in the residual
    return ((vector @ (kept * along)) ** 2 / (vector**2 @ kept) ** 2).sum()
