"""Normalized spectra as a Dataset: made from plain arrays, and checked before anything is learned from them."""

import numpy as np
import xarray as xr
from numba import njit

__all__ = ["check", "check_dims", "check_wavelengths", "credible_errors", "from_arrays", "per_full_weight", "seen"]

# Errors so many times the star's median say nothing, not even how large they are: DR17's files have them, unflagged, on
# the twenty pixels at either end of a chip, up to a million times the median. Nor is one so many times smaller a
# measurement.
_ABSURD = 100.0
# A pixel whose error is ten times that of the pixels which carry the information counts in full; beyond, by its weight.
_FULL = 0.01


def from_arrays(flux, ivar, wavelength, labels=None, star=None, label=None) -> xr.Dataset:
    """Spectra from plain arrays, for data that did not come through this project's files.

    Parameters
    ----------
    flux, ivar : array_like, shape (n_stars, n_pixels)
        Continuum-normalized flux, and its inverse variance; 0 where a pixel says nothing.
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
        ``flux``, ``ivar`` (star, wavelength) and, where given, ``labels`` (star, label).

    Raises
    ------
    ValueError
        If shapes do not match, or a value is one that `check` refuses.
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
    """Errors with those made infinite that are not finite, not positive, or absurd.

    Parameters
    ----------
    error : array_like, shape (n_stars, n_pixels)
        Of the flux, in any unit.

    Returns
    -------
    numpy.ndarray, shape (n_stars, n_pixels)
        A copy. Absurd is what is more than 100 times larger or smaller than the median of the star's errors.

    Examples
    --------
    >>> credible_errors([[1.0, 2.0, 1.0, 1e6, -1.0]]).tolist()
    [[1.0, 2.0, 1.0, inf, inf]]
    """
    error = np.array(error)
    if error.dtype.kind != "f":
        error = error.astype(float)
    error[~(error > 0)] = np.inf
    finite = np.isfinite(error)
    for row, good in zip(error, finite, strict=True):
        if good.any():
            median = np.median(row[good])
            row[(row > _ABSURD * median) | (row < median / _ABSURD)] = np.inf
    return error


def seen(ivar, s2=0.0) -> np.ndarray:
    """How far each star saw each pixel, from 0 to 1: what counts of pixels and of stars add up.

    A pixel counts in full while its weight is at least a hundredth of what is typical of the star (an error up to ten
    times as large), and below that in proportion to its weight. "Typical" is the mean weight of the pixels that carry
    the information, sum ivar^2 / sum ivar: the effective number of pixels (Kish 1965, Survey Sampling, section 11.7) is
    sum ivar over that, so that 8000 useless pixels do not make 6 useful ones untypical.

    Parameters
    ----------
    ivar : array_like, shape (n_stars, n_pixels)
        Inverse variances, not negative.
    s2 : float
        Variance to add to each pixel's, such as a model's typical scatter: no pixel then weighs more than 1 / s2, and
        one whose error is far too small does not make the others untypical.

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
    """Refuse spectra that no model may be trained on or fitted to.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``flux`` and ``ivar``, dims (star, wavelength).

    Raises
    ------
    ValueError
        If a variable is missing or has other dims, an inverse variance is negative or not finite, or a flux
        with weight is not finite. The message counts them and names the first star and pixel.
    """
    check_dims(spectra)
    flux, ivar = spectra.flux.values, spectra.ivar.values
    if _all_usable(flux, ivar):
        return
    _refuse(spectra, ~np.isfinite(ivar) | (ivar < 0), "negative or not finite", "ivar", "give 0 to bad pixels")
    _refuse(spectra, ~np.isfinite(flux) & (ivar > 0), "not finite", "flux", "give those pixels ivar = 0")


def check_dims(spectra) -> None:
    """Refuse spectra whose flux or inverse variance is missing or has other dims, without reading any.

    Parameters
    ----------
    spectra : xarray.Dataset

    Raises
    ------
    ValueError
        Naming the variable.
    """
    for name in ("flux", "ivar"):
        if name not in spectra or spectra[name].dims != ("star", "wavelength"):
            raise ValueError(f"spectra need {name} with dims (star, wavelength); got {dict(spectra.sizes)}")


def check_wavelengths(spectra, expected) -> None:
    """Refuse spectra on other wavelengths than those that a model was trained on.

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


@njit(nogil=True, cache=True)
def _all_usable(flux, ivar):
    """Whether every ivar is finite and not negative, and every flux with weight finite; (n, m) arrays."""
    for i in range(ivar.shape[0]):
        usable = True
        for j in range(ivar.shape[1]):
            usable &= np.isfinite(ivar[i, j]) and ivar[i, j] >= 0 and (ivar[i, j] == 0 or np.isfinite(flux[i, j]))
        if not usable:
            return False
    return True


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def per_full_weight(ivar, s2):
    """1 over the weight from which on a pixel of a star counts in full (`seen`); 0 for a star without information."""
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
