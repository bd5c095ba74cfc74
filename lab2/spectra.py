"""Normalized spectra as a Dataset: creation from plain arrays, and checks before training and fitting."""

import numpy as np
import xarray as xr
from numba import njit

from lab2._caching import CACHE

__all__ = ["check", "check_dims", "check_wavelengths", "credible_errors", "from_arrays", "per_full_weight", "seen"]

# Errors larger than the star's median by this factor are meaningless. DR17 files have such errors, up to a million
# times the median and not flagged, in the twenty pixels at either end of a chip.
_ABSURD = 100.0
# Errors smaller than the median by this factor are mistakes, and a few such pixels would decide the fit. In real
# spectra the least error is half the median.
_TOO_GOOD = 5.0
_FLOAT = np.finfo("f4")
# A pixel counts fully if its weight is at least this fraction of the typical weight (its error is up to ten times as
# large); below that it counts in proportion to its weight.
_FULL = 0.01


def from_arrays(flux, ivar, wavelength, labels=None, star=None, label=None) -> xr.Dataset:
    """Spectra from plain arrays, for data not read from this project's files.

    Parameters
    ----------
    flux, ivar : array_like, shape (n_stars, n_pixels)
        Continuum-normalized flux and its inverse variance; inverse variance 0 for masked pixels.
    wavelength : array_like, shape (n_pixels,)
        [Angstrom].
    labels : array_like, shape (n_stars, n_labels), optional
    star : sequence of str, optional
        Names; by default "0", "1", ...
    label : sequence of str, optional
        Names of the labels; by default "label_0", ...

    Returns
    -------
    xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) and, if given, ``labels`` (star, label).

    Raises
    ------
    ValueError
        If shapes do not match, or `check` rejects a value.
    """
    flux, ivar, wavelength = np.asarray(flux), np.asarray(ivar), np.asarray(wavelength)
    if flux.ndim != 2 or ivar.shape != flux.shape or wavelength.shape != flux.shape[1:]:
        raise ValueError(
            "flux and ivar must be (n_stars, n_pixels) and wavelength (n_pixels,); got "
            f"{flux.shape}, {ivar.shape} and {wavelength.shape}"
        )
    star = [str(i) for i in range(len(flux))] if star is None else list(star)
    spectra = xr.Dataset(
        {"flux": (("star", "wavelength"), flux), "ivar": (("star", "wavelength"), ivar)},
        coords={"star": star, "wavelength": wavelength},
    )
    if labels is not None:
        labels = np.asarray(labels, dtype=float)
        if labels.ndim != 2 or len(labels) != len(flux):
            raise ValueError(f"labels must be ({len(flux)}, n_labels); got {labels.shape}")
        names = [f"label_{i}" for i in range(labels.shape[1])] if label is None else list(label)
        if len(names) != labels.shape[1]:
            raise ValueError(f"{len(names)} label names for {labels.shape[1]} labels: {names}")
        spectra = spectra.assign_coords(label=names).assign(labels=(("star", "label"), labels))
    check(spectra)
    return spectra


def credible_errors(error) -> np.ndarray:
    """Errors, replaced by infinity where they are not finite, not positive, or not credible.

    Parameters
    ----------
    error : array_like, shape (n_stars, n_pixels)
        Errors of the flux, in any unit.

    Returns
    -------
    numpy.ndarray, shape (n_stars, n_pixels)
        A copy. An error is not credible if it is more than 100 times larger or more than 5 times smaller than the
        median of the star's errors, or if it is outside the range of normal float32 numbers.

    Examples
    --------
    >>> credible_errors([[1.0, 2.0, 1.0, 1e6, -1.0]]).tolist()
    [[1.0, 2.0, 1.0, inf, inf]]
    """
    error = np.array(error)
    if error.dtype.kind != "f":
        error = error.astype(float)
    error[~((error >= _FLOAT.tiny) & (error <= _FLOAT.max))] = np.inf
    finite = np.isfinite(error)
    for row, good in zip(error, finite, strict=True):
        if good.any():
            median = np.median(row[good].astype(float))
            row[(row > _ABSURD * median) | (row < median / _TOO_GOOD)] = np.inf
    return error


def seen(ivar, s2=0.0) -> np.ndarray:
    """How much each pixel of each star counts in numbers of pixels and stars, from 0 to 1.

    A pixel counts fully if its weight is at least a hundredth of the star's typical weight (an error up to ten times as
    large), and below that in proportion to its weight. The typical weight is the weighted mean of inverse variances,
    sum ivar^2 / sum ivar. The effective number of pixels (Kish 1965, Survey Sampling, section 11.7) is sum ivar divided
    by this mean. Pixels of negligible weight do not change it, even 8000 of them beside 6 useful ones.

    Parameters
    ----------
    ivar : array_like, shape (n_stars, n_pixels)
        Inverse variances, not negative.
    s2 : float
        Variance to add to that of each pixel, such as a model's typical scatter. It limits the weights to 1 / s2, so
        that one pixel with a far too small error does not dominate the typical weight.

    Returns
    -------
    numpy.ndarray, shape (n_stars, n_pixels)

    Examples
    --------
    >>> seen([[4.0, 1.0, 4e-6, 0.0]]).round(4).tolist()
    [[1.0, 1.0, 0.0001, 0.0]]
    """
    ivar = np.asarray(ivar, dtype=float)
    return np.minimum(ivar / (1.0 + ivar * s2) * per_full_weight(ivar, s2)[:, None], 1.0)


def check(spectra) -> None:
    """Raise an error for spectra that cannot be used for training or fitting.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``flux`` and ``ivar``, dims (star, wavelength).

    Raises
    ------
    ValueError
        If a variable is missing or has other dims, an inverse variance is negative or not finite, or the flux of a
        pixel with weight is not finite. The message gives the number of such pixels and the first star and pixel.
    """
    check_dims(spectra)
    flux, ivar = spectra.flux.values, spectra.ivar.values
    if _all_usable(flux, ivar):
        return
    _refuse(spectra, ~np.isfinite(ivar) | (ivar < 0), "negative or not finite", "ivar", "give 0 to bad pixels")
    _refuse(spectra, ~np.isfinite(flux) & (ivar > 0), "not finite", "flux", "give those pixels ivar = 0")


def check_dims(spectra) -> None:
    """Raise an error if flux or inverse variance is missing or has other dims; the values are not read.

    Parameters
    ----------
    spectra : xarray.Dataset

    Raises
    ------
    ValueError
        If this is so; the message names the variable.
    """
    for name in ("flux", "ivar"):
        if name not in spectra or spectra[name].dims != ("star", "wavelength"):
            raise ValueError(f"spectra need {name} with dims (star, wavelength); got {dict(spectra.sizes)}")


def check_wavelengths(spectra, expected) -> None:
    """Raise an error if the wavelengths of spectra are not those that a model was trained on.

    Parameters
    ----------
    spectra : xarray.Dataset
    expected : xarray.DataArray
        The model's wavelengths [Angstrom].

    Raises
    ------
    ValueError
        If they differ by more than one part in 10^9.
    """
    ours, theirs = expected.values, spectra.wavelength.values
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-9, atol=0):
        raise ValueError(
            f"the model has {len(ours)} pixels from {ours[0]:.3f} to {ours[-1]:.3f} Angstrom, the spectra "
            f"{len(theirs)} from {theirs[0]:.3f} to {theirs[-1]:.3f}: they must be the same"
        )


def _refuse(spectra, wrong, what, name, advice):
    if wrong.any():
        star, pixel = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name} is {what} in {wrong.sum()} pixels, first in star {str(spectra.star.values[star])!r} at "
            f"{float(spectra.wavelength[pixel]):.2f} Angstrom: {advice}"
        )


@njit(nogil=True, cache=CACHE)
def _all_usable(flux, ivar):
    """Whether every ivar is finite and not negative, and flux finite where ivar > 0; (n, m) arrays."""
    for i in range(ivar.shape[0]):
        usable = True
        for j in range(ivar.shape[1]):
            usable &= np.isfinite(ivar[i, j]) and ivar[i, j] >= 0 and (ivar[i, j] == 0 or np.isfinite(flux[i, j]))
        if not usable:
            return False
    return True


@njit(nogil=True, cache=CACHE, fastmath={"reassoc", "contract"})
def per_full_weight(ivar, s2):
    """1 over the least weight at which a star's pixel counts fully (`seen`); 0 for a star without information."""
    out = np.zeros(ivar.shape[0])
    for s in range(ivar.shape[0]):
        total, squares = 0.0, 0.0
        for p in range(ivar.shape[1]):
            weight = np.float64(ivar[s, p])
            weight /= 1.0 + weight * s2
            total += weight
            squares += weight * weight
        if squares > 0.0:
            out[s] = total / (_FULL * squares)
    return out
