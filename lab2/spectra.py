"""Normalized spectra as a Dataset: creation from plain arrays, and checks before training and fitting."""

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr
from astropy import units as u
from numba import njit
from numpy.typing import ArrayLike

from lab2._caching import CACHE
from lab2._io.arrays import factor, floats, names, names_along, native
from lab2._label_arrays import LabelArray, columns_of
from lab2._pixel_kernels import replace_beyond
from lab2.labels import LABELS, Label

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
# Plausible medians of a normalized spectrum: cool giants lose a tenth of their light in lines.
_LEVELS = 0.5, 1.5
_SAME = 2e-7  # largest relative difference of equal wavelengths
_RESAMPLE = "Bring the spectra to the model's pixels, or train a model on spectra with theirs"
_LEAST_SNR = 3.0  # per pixel; spectra with lower S/N are hardly ever fitted


def from_arrays(
    flux: ArrayLike,
    ivar: ArrayLike,
    wavelength: ArrayLike,
    labels: LabelArray | None = None,
    star: Sequence[str] | None = None,
    label: Sequence[str | Label] | None = None,
) -> xr.Dataset:
    """Spectra from plain arrays, for data not read from this project's files.

    Parameters
    ----------
    flux, ivar : array_like, shape (n_stars, n_pixels)
        Continuum-normalized flux and its inverse variance; inverse variance 0 for bad pixels. A pixel that is masked
        in either (`numpy.ma`) gets the inverse variance 0 and the flux 1. A Quantity must be dimensionless.
    wavelength : array_like, shape (n_pixels,)
        [Angstrom], ascending. A Quantity of another unit of length is converted.
    labels : array_like, shape (n_stars, n_labels), or astropy.table.Table, optional
        A masked label, or one with the value -9999, becomes NaN (missing). Labels named as in `lab2.LABELS` have the
        units given there, and a `Label` has its own; a Quantity or table column in another unit is converted. Other
        labels keep their units.
    star : sequence of str, optional
        Unique names; by default those of a DataFrame's index, a DataArray's coordinate or a table's column
        star or APOGEE_ID, or "0", "1", ...
    label : sequence of str or lab2.labels.Label, optional
        Unique names of the labels; by default those of the columns of a DataFrame or table or a DataArray's
        coordinate, or "label_0", ...

    Returns
    -------
    xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) and, if given, ``labels`` (star, label) with the coordinate ``unit``
        (label). float32 flux and inverse variance stay float32; every other type of number (big-endian, float16,
        integers, ...) becomes float64.

    Raises
    ------
    ValueError
        If an array has the wrong shape, does not hold real numbers or has a unit that cannot be converted; if
        wavelengths are not finite and ascending; if a name occurs twice, or the rows of a DataFrame are in another
        order than the stars; or if `check` rejects a value.

    Warns
    -----
    UserWarning
        If the flux of a star does not look normalized (its median is below 0.5 or above 1.5), the inverse variances
        look like errors (the typical signal-to-noise ratio per pixel is below 3), or one of `lab2.LABELS` has a value
        impossible for a star (such as a Teff of 0 K), which becomes NaN.

    Examples
    --------
    >>> spectra = from_arrays([[1.0, 0.9]], np.ma.array([[1e4, 1e4]], mask=[[False, True]]), [15200.0, 15201.0])
    >>> spectra.ivar.values.tolist()
    [[10000.0, 0.0]]

    With a user-defined label:

    >>> from lab2.labels import Label
    >>> age = Label("age", unit="Gyr", lowest=0.0)
    >>> spectra = from_arrays([[1.0, 0.9]], [[1e4, 1e4]], [15200.0, 15201.0], [[5e9]] * u.yr, label=[age])
    >>> float(spectra.labels[0, 0]), spectra.unit.values.tolist()
    (5.0, ['Gyr'])
    """
    given = {"flux": _by_dims(flux, "wavelength"), "ivar": _by_dims(ivar, "wavelength")}
    rows = {name: names_along(values, 0, "star") for name, values in given.items()}
    (flux, masked), (ivar, also_masked) = (floats(given[name], name, u.one) for name in ("flux", "ivar"))
    wavelength, unknown = floats(wavelength, "wavelength", u.AA)
    if flux.ndim != 2 or ivar.shape != flux.shape or wavelength.shape != flux.shape[1:] or not flux.size:
        raise ValueError(
            "flux and ivar must be (n_stars, n_pixels) and wavelength (n_pixels,); got "
            f"{flux.shape}, {ivar.shape} and {wavelength.shape}"
        )
    if unknown.any():
        raise ValueError(f"{unknown.sum()} wavelengths are masked: a pixel without a wavelength has to be left out")
    masked |= also_masked
    if masked.any():
        flux, ivar = np.where(masked, flux.dtype.type(1), flux), np.where(masked, ivar.dtype.type(0), ivar)
    found = None if labels is None else columns_of(labels, "labels")
    if found is not None:
        rows["labels"] = found.stars
    spectra = xr.Dataset(
        {"flux": (("star", "wavelength"), flux), "ivar": (("star", "wavelength"), ivar)},
        coords={"star": _star_names(star, rows, len(flux)), "wavelength": wavelength.astype(float)},
    )
    if found is not None:
        values, label, units = _named(found, label, len(flux))
        spectra = spectra.assign_coords(label=label, unit=("label", units)).assign(labels=(("star", "label"), values))
    check(spectra)
    _doubt(flux, ivar, spectra.star.values)
    return spectra


def _by_dims(values, second):
    """A DataArray with the dims (star, second) in this order; anything else unchanged."""
    named = isinstance(values, xr.DataArray) and set(values.dims) == {"star", second}
    return values.transpose("star", second) if named else values


def _star_names(star, rows, n_stars):
    """Names of the stars, as given or from the rows of the inputs; an error if these are in different orders."""
    rows = {name: found for name, found in rows.items() if found is not None}
    if star is None:
        star = next(iter(rows.values()), [str(i) for i in range(n_stars)])
    stars = names(star, n_stars, "star")
    for name, found in rows.items():
        found = names(found, n_stars, "star")
        if found != stars and set(found) == set(stars):
            raise ValueError(f"the rows of {name} are in another order than the stars: {found[:2]}, {stars[:2]}, ...")
    return stars


def _named(found, label, n_stars):
    """Values, names and units of the labels (`columns_of`), converted and checked as their names say."""
    values, own, units, _ = found
    if len(values) != n_stars:
        raise ValueError(f"labels must be ({n_stars}, n_labels); got {values.shape}")
    n_labels = values.shape[1]
    if label is None:
        label = [f"label_{i}" for i in range(n_labels)] if own is None else own
    stated = LABELS if isinstance(label, str | bytes) else [*LABELS, *(one for one in label if isinstance(one, Label))]
    known = {one.name: one for one in stated}
    if not isinstance(label, str | bytes):
        label = [one.name if isinstance(one, Label) else one for one in label]
    label = names(label, n_labels, "label")
    if own is not None and label != names(own, n_labels, "label") and set(label) == set(map(str, own)):
        raise ValueError(f"the labels are in the order {own}, but their names are given as {label}")
    found_units = []
    for column, name, unit in zip(values.T, label, units, strict=True):
        one = known.get(name, Label(name, unit=unit or ""))
        if unit and one.unit != unit:
            column *= factor(unit, one.unit, f"the label {name}")
        found_units.append(one.unit)
        if (beyond := one.beyond(column)).any():
            column[beyond] = np.nan
            warnings.warn(
                f"{name} of {beyond.sum()} of {n_stars} stars is outside {one.lowest:g} to "
                f"{one.highest:g} {one.unit}, the range of real stars: it is treated as missing",
                stacklevel=3,
            )
    return values, label, found_units


def _doubt(flux, ivar, stars):
    """Warn if the flux does not look normalized, or ivar looks like errors."""
    rows = [(f[iv > 0], iv[iv > 0]) for f, iv in zip(flux, ivar, strict=True) if (iv > 0).any()]
    if not rows:
        return
    level = np.array([np.median(f) for f, _ in rows])
    odd = ~((level > _LEVELS[0]) & (level < _LEVELS[1]))
    if odd.any():
        star = stars[np.flatnonzero((ivar > 0).any(axis=1))[odd.argmax()]]
        warnings.warn(
            f"the flux of {odd.sum()} of {len(stars)} stars does not look normalized: the median of star "
            f"{str(star)!r} is {level[odd][0]:.3g}, where the continuum should be 1",
            stacklevel=3,
        )
    snr = np.median([np.median(f * np.sqrt(iv)) for f, iv in rows])
    if snr < _LEAST_SNR:
        warnings.warn(
            f"the signal-to-noise ratio per pixel, flux * sqrt(ivar), is typically {snr:.2g}: ivar is the inverse "
            "variance, 1 / error**2; were errors given instead?",
            stacklevel=3,
        )


def credible_errors(error: ArrayLike) -> np.ndarray:
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
    for row in error:
        finite = row[row < np.inf]
        if finite.size:
            median = _median(finite)
            replace_beyond(row, median / _TOO_GOOD, _ABSURD * median)
    return error


def _median(values):
    """The median in double precision; values are left in another order. Selecting in their own type is faster."""
    middle = len(values) // 2
    values.partition(middle)
    upper = float(values[middle])
    return upper if len(values) % 2 else 0.5 * (float(values[:middle].max()) + upper)


def seen(ivar: ArrayLike, s2: float = 0.0) -> np.ndarray:
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


def check(spectra: xr.Dataset) -> None:
    """Raise an error for spectra that cannot be used for training or fitting.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``flux`` and ``ivar``, dims (star, wavelength).

    Raises
    ------
    ValueError
        If `check_dims` refuses them, a variable does not hold real numbers, an inverse variance is negative or not
        finite, or the flux of a pixel with weight is not finite. The message gives the number of such pixels and the
        first star and pixel.
    """
    check_dims(spectra)
    spectra = native(spectra)
    flux, ivar = spectra.flux.values, spectra.ivar.values
    if _all_usable(flux, ivar):
        return
    _refuse(spectra, ~np.isfinite(ivar) | (ivar < 0), "negative or not finite", "ivar", "give 0 to bad pixels")
    _refuse(spectra, ~np.isfinite(flux) & (ivar > 0), "not finite", "flux", "give those pixels ivar = 0")


def check_dims(spectra: xr.Dataset) -> None:
    """Raise an error for the wrong variables, dims or wavelengths; the values of flux and ivar are not read.

    Parameters
    ----------
    spectra : xarray.Dataset

    Raises
    ------
    ValueError
        If flux or inverse variance is missing or has other dims, or the wavelengths are not finite, positive and
        ascending. The message names the variable, or the first wrong wavelength.
    """
    for name in ("flux", "ivar"):
        if name not in spectra or spectra[name].dims != ("star", "wavelength"):
            raise ValueError(f"spectra need {name} with dims (star, wavelength); got {dict(spectra.sizes)}")
    wavelength = spectra.wavelength.values.astype(float)
    wrong = ~((wavelength >= 0) & np.isfinite(wavelength) & (np.diff(wavelength, prepend=-1.0) > 0))
    if wrong.any():
        pixel = int(wrong.argmax())
        before = f" after {wavelength[pixel - 1]:g}" if pixel else ""
        raise ValueError(
            f"wavelengths must be finite and ascending; that of pixel {pixel} is {wavelength[pixel]:g}{before}: "
            "sort the pixels, and leave out those without a wavelength"
        )


def check_wavelengths(
    spectra: xr.Dataset, expected: ArrayLike, what: str = "the model", advice: str = _RESAMPLE
) -> None:
    """Raise an error if the wavelengths of spectra are not the expected ones, such as those of a model.

    Parameters
    ----------
    spectra : xarray.Dataset
    expected : array_like, shape (n_pixels,)
        [Angstrom].
    what : str
        What has these wavelengths, for the error message.
    advice : str
        The message's last sentence: what to do.

    Raises
    ------
    ValueError
        If they differ by more than 2 parts in 10^7, which is 0.06 km/s and a seventieth of an APOGEE pixel. (Rounding
        to float32 changes a wavelength by up to 0.6 parts.)
    """
    ours, theirs = np.asarray(expected, dtype=float), np.asarray(spectra.wavelength, dtype=float)
    if ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=_SAME, atol=0):
        return
    text = (
        f"{what} has {len(ours)} pixels from {ours[0]:.3f} to {ours[-1]:.3f} Angstrom, the spectra "
        f"{len(theirs)} from {theirs[0]:.3f} to {theirs[-1]:.3f}: they must be the same"
    )
    if ours.shape == theirs.shape:
        apart = np.abs(theirs - ours)
        text += f", and differ by up to {apart.max():.3g} Angstrom, at {ours[apart.argmax()]:.3f}"
    raise ValueError(f"{text}. {advice}")


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
def per_full_weight(ivar: np.ndarray, s2: float) -> np.ndarray:
    """Inverse of the smallest weight at which a pixel counts fully (`seen`); 0 for a star without information."""
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
