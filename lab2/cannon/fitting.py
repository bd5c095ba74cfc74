"""Labels of stars from their spectra, with a covariance, the number of minima and flags.

A star's chi^2 is exactly a quartic in its labels (`lab2.cannon.quartics`). Once it is known, the search for its minimum
does not use the pixels, so many starts, exact second derivatives and a count of the distinct minima cost little.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2._arguments import expect
from lab2._bits import Bits
from lab2._blocks import map_blocks
from lab2._io.arrays import native
from lab2.cannon import _kernels, polynomial
from lab2.cannon._minima import Minima, Search, Wall, find_minima
from lab2.cannon.model import Cannon
from lab2.cannon.nuisances import Nuisance
from lab2.cannon.quartics import Quartics, quartics
from lab2.spectra import check_wavelengths

__all__ = [
    "Flag",
    "UncalibratedErrorWarning",
    "best_spectra",
    "errors",
    "fit_labels",
    "fit_quartics",
    "misfit",
    "training_distance",
]


class Flag(Bits):
    """Possible problems of a fit.

    Examples
    --------
    >>> Flag.words(12)
    'OUTSIDE_TRAINING POOR_FIT'
    >>> Flag.words(0)
    '-'
    """

    NO_DATA = 1
    NOT_CONVERGED = 2
    OUTSIDE_TRAINING = 4
    POOR_FIT = 8
    MULTIPLE_MINIMA = 16
    BAD_CONTINUUM = 32
    UNCALIBRATED = 64
    UNCONSTRAINED = 128
    DWARF = 256
    SIMULATED_MODEL = 512


_STARTS = 9
_TOLERANCE = 1e-9  # predicted decrease of chi^2 at which Newton's method stops: 3e-5 sigma
_BLOCK = 256  # stars worked on at a time by one thread
# The farthest training star is at a distance of 1, and not outside, whatever the last digits of its fit.
EDGE = 1.0 + 1e-9
# Soft bounds: a fit may leave the training set and is then flagged. Beyond twice the distance of the training set's
# edge a penalty is added to chi^2.
_WALL, _STIFFNESS = 2.0, 100.0
_POOR_FIT = 2.0  # reduced chi^2; s^2 is part of the variance, so an ordinary star has about 1
_DWARF = 4.0  # log g; in problem 1 stars above it are dwarfs
# A second minimum competes with the best one when it is within 3 sigma, sigma inflated by the reduced chi^2.
_COMPETING = 9.0


class UncalibratedErrorWarning(UserWarning):
    """Formal errors are quoted as if they were calibrated."""


def fit_labels(
    model: Cannon, spectra: xr.Dataset, nuisances: Sequence[Nuisance] = (), progress: bool = False
) -> xr.Dataset:
    """Fit the labels of every star.

    Parameters
    ----------
    model : lab2.Cannon
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) on the model's wavelengths; ``bad_continuum`` (star, chip_name) if
        known. A dataset that is opened lazily is read block by block.
    nuisances : sequence of lab2.cannon.Nuisance
        Additional contributions to each spectrum, marginalized over.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``labels`` (star, label), in each label's unit, and ``covariance`` (star, label, label_2), the formal
        covariance: twice the inverse of the Hessian of chi^2 at the minimum (the inverse of the observed information).
        It includes the model's s^2 but no calibration. ``chi2``, ``reduced_chi2`` and ``n_pixels`` (star), where a
        pixel of very low weight counts as a fraction (`lab2.spectra.seen`); ``covariance * max(1, reduced_chi2)`` is
        the inflated covariance. If the model has hidden factors, ``factors`` (star, factor), their posterior means at
        these labels. ``n_minima``: number of distinct minima found from 9 starts; ``delta_chi2``: chi^2 of the
        second-best minimum minus that of the best, infinite if there is only one; ``distance``: distance from the
        training set's mean, 1 at its edge (`training_distance`); ``flag``: sum of `Flag` bits. Labels are NaN where
        NO_DATA or NOT_CONVERGED is set. UNCONSTRAINED: the formal error of a label exceeds its standard deviation in
        the training set, so the spectrum constrains it less than membership of the training set does. DWARF: log g is
        above that of every training star, and all of these are giants (log g up to 4); such a model does not apply to
        dwarfs. SIMULATED_MODEL: the model was trained on simulated spectra and this spectrum is observed, according to
        the variable ``simulated`` (star) of the spectra.

    Raises
    ------
    ValueError
        If the wavelengths are not the model's, `lab2.spectra.check` rejects the spectra, or a nuisance does not have
        the spectra's shape.

    Examples
    --------
    If two pixels with error 0.01 depend on a label, with slopes 1e-4 and 2e-4 per kelvin, the label's formal error is
    0.01 / sqrt(1e-8 + 4e-8) K:

    >>> import lab2
    >>> labels = np.linspace(4000.0, 5000.0, 50)[:, None]
    >>> flux = 1.0 + 1e-4 * (labels - 4500.0) * [1.0, 0.0, -2.0]
    >>> spectra = lab2.from_arrays(flux, np.full((50, 3), 1e4), [15200.0, 16000.0, 16900.0], labels, label=["teff"])
    >>> fits = lab2.fit_labels(lab2.train(spectra), spectra)
    >>> float(fits.labels[10, 0].round(3)), float(fits.covariance[10, 0, 0].round(3) ** 0.5)
    (4204.082, 44.721359549995796)
    """
    expect(model=model, spectra=spectra)
    return fit_quartics(model, quartics(model, spectra, nuisances, progress), spectra, progress)


def fit_quartics(model: Cannon, found: Quartics, spectra: xr.Dataset, progress: bool = False) -> xr.Dataset:
    """Fit the labels of every star from its chi^2.

    Parameters
    ----------
    model : lab2.Cannon
        Its training set gives the starts and the soft bounds.
    found : lab2.cannon.Quartics
        chi^2 of the stars.
    spectra : xarray.Dataset
        Spectra of the same stars; only their names, ``bad_continuum`` and ``simulated`` are used.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        As `fit_labels`.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> found = lab2.cannon.quartics(model, spectra)
    >>> fit_quartics(model, found, spectra).equals(lab2.fit_labels(model, spectra))
    True
    """
    search = Search(_starts(model), _wall(model), _TOLERANCE)
    form = polynomial.symmetric_form(len(model.labels))
    parts = map_blocks(
        lambda stars: find_minima(found.coefficients[stars], form, search),
        len(found.n_pixels),
        _BLOCK,
        "fitting stars" if progress else None,
    )
    minima = Minima(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    bad_continuum = np.zeros(len(found.n_pixels), dtype=bool)
    if "bad_continuum" in spectra:
        bad_continuum = spectra.bad_continuum.values.any(axis=1)
    fits = _results(model, spectra.star.values.astype(str), minima, found.n_pixels, bad_continuum)
    if model.simulated and "simulated" in spectra:
        foreign = np.isfinite(fits.chi2.values) & ~spectra.simulated.values.astype(bool)
        fits["flag"] = fits.flag | int(Flag.SIMULATED_MODEL) * foreign
    if found.responses.shape[1]:
        factors = found.factors(np.where(np.isfinite(fits.labels), minima.x, np.nan))
        fits = fits.assign(factors=(("star", "factor"), factors))
    return fits


def best_spectra(model: Cannon, fits: xr.Dataset) -> xr.DataArray:
    """The best-fitting model spectrum of each star, including the hidden factors.

    Parameters
    ----------
    model : lab2.Cannon
    fits : xarray.Dataset
        Fits with this model.

    Returns
    -------
    xarray.DataArray
        (star, wavelength); for a star without a fit, the spectrum at the training set's mean labels.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> fits = lab2.fit_labels(model, spectra)
    >>> best_spectra(model, fits).dims
    ('star', 'wavelength')
    """
    expect(model=model, fits=fits)
    labels = fits.labels.fillna(model.label_mean).transpose("star", "label")
    return model.predict(labels, fits.factors.fillna(0.0).values if "factors" in fits else None)


def misfit(model: Cannon, spectra: xr.Dataset, fits: xr.Dataset) -> xr.DataArray:
    """Scatter of each star about its best fit beyond the noise and the model's own scatter.

    d^2 = max(0, sum w r^2 - n) / sum w with w = 1 / (sigma^2 + s^2) over the n pixels that were fitted: the variance
    that, added to every pixel, would bring chi^2 to about n. Unlike the reduced chi^2 it does not grow with the S/N,
    so it separates good from bad spectra even if the model is imperfect, such as one trained on simulated spectra and
    applied to observed ones.

    Parameters
    ----------
    model : lab2.Cannon
    spectra : xarray.Dataset
        The spectra that were fitted.
    fits : xarray.Dataset
        As from `fit_labels`, not calibrated.

    Returns
    -------
    xarray.DataArray
        (star), in units of the continuum; NaN for a star without a fit.

    Examples
    --------
    >>> import lab2
    >>> labels = np.linspace(4000.0, 5000.0, 50)[:, None]
    >>> flux = 1.0 + 1e-4 * (labels - 4500.0) * np.tile([1.0, -2.0], 50)
    >>> wavelength = np.linspace(15200, 16900, 100)
    >>> spectra = lab2.from_arrays(flux, np.full((50, 100), 1e6), wavelength, labels, label=["teff"])
    >>> model = lab2.train(spectra)
    >>> odd = spectra.assign(flux=spectra.flux + np.tile([0.02, 0.02, -0.02, -0.02], 25))
    >>> misfit(model, odd, lab2.fit_labels(model, odd)).values[:2].round(3)
    array([0.02, 0.02])
    """
    expect(model=model, spectra=spectra, fits=fits)
    check_wavelengths(spectra, model.wavelength)
    spectra = native(spectra)
    best = best_spectra(model, fits).values
    excess, total = _kernels.misfit_sums(spectra.flux.values, spectra.ivar.values, best, model.s2.values)
    scatter = np.sqrt(np.divide(excess, total, out=np.full(total.shape, np.nan), where=total > 0))
    return fits.chi2.copy(data=np.where(np.isfinite(fits.chi2), scatter, np.nan)).rename("misfit")


def training_distance(model: Cannon, labels: ArrayLike) -> np.ndarray:
    """Mahalanobis distance from the training set's mean, in units of the distance of its farthest star.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    labels : array_like, shape (n_stars, n_labels)

    Returns
    -------
    numpy.ndarray, shape (n_stars,)
        Above 1 outside the training set; at most 1 for its own stars.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> bool(training_distance(model, spectra.labels).max().round(9) == 1.0)
    True
    """
    expect(model=model)
    precision, radius2, _ = _wall(model)
    x = model.scale(labels)
    return np.sqrt(np.einsum("nk,kl,nl->n", x, precision, x) / radius2) * _WALL


def errors(fits: xr.Dataset) -> xr.DataArray:
    """Standard errors of the labels, to be quoted.

    Parameters
    ----------
    fits : xarray.Dataset
        As from `fit_labels`, calibrated by `lab2.validation.Calibration.apply`; otherwise a warning is given.

    Returns
    -------
    xarray.DataArray
        (star, label), in each label's unit.

    Warns
    -----
    UncalibratedErrorWarning
        If the covariances are formal: these leave out most sources of error.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60).sel(label=["teff", "fe_h"])
    >>> fits = lab2.validation.cross_validate(spectra)
    >>> calibration = lab2.validation.calibrate(fits, spectra.labels)
    >>> errors(calibration.apply(fits)).dims
    ('star', 'label')
    """
    expect(fits=fits)
    if "calibrated" not in fits.attrs:
        warnings.warn(
            "these errors are formal: for stars outside the training set they are several times too small. "
            "Calibrate them: lab2.validation.calibrate(fits, truth).apply(fits)",
            UncalibratedErrorWarning,
            stacklevel=2,
        )
    return fits.labels.copy(data=np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2)))


def _starts(model):
    """Scaled labels to start from: the mean, then repeatedly the training star farthest from all previous starts."""
    x = model.scale(model.training_labels.values)
    starts = [np.zeros(x.shape[1])]
    nearest = np.linalg.norm(x, axis=1)
    # the most distant stars may be outliers: stay within the bulk of the training set
    nearest = np.where(nearest <= np.quantile(nearest, 0.99), nearest, 0.0)
    for _ in range(min(_STARTS - 1, len(x))):
        farthest = nearest.argmax()
        starts.append(x[farthest])
        nearest = np.minimum(nearest, np.linalg.norm(x - x[farthest], axis=1))
    return np.array(starts)


def _wall(model):
    """The soft bounds: inverse covariance of the scaled training labels, squared radius, stiffness."""
    x = model.scale(model.training_labels.values)
    precision = np.linalg.inv(np.atleast_2d(np.cov(x, rowvar=False)))
    edge2 = np.einsum("nk,kl,nl->n", x, precision, x).max()
    return Wall(precision, _WALL**2 * edge2, _STIFFNESS)


def _dwarfs(model, labels):
    """Stars whose log g is above that of every training star of a model of giants."""
    if "logg" not in model.labels:
        return np.zeros(len(labels), dtype=bool)
    k = model.labels.index("logg")
    highest = model.training_labels.values[:, k].max()
    return (labels[:, k] > highest) & (highest <= _DWARF)


def _results(model, stars, minima, n_pixels, bad_continuum):
    """The fits as a dataset: labels in their units, and the flags of each star."""
    n_labels, scale = len(model.labels), model.label_scale.values
    no_data = n_pixels <= n_labels
    lost = ~no_data & (minima.n_minima == 0)
    good = ~no_data & ~lost
    labels = np.full(minima.x.shape, np.nan)
    covariance = np.full(minima.fisher.shape, np.nan)
    labels[good] = model.label_mean.values + scale * minima.x[good]
    covariance[good] = np.linalg.inv(minima.fisher[good]) * np.outer(scale, scale)
    wide = (np.diagonal(covariance, axis1=1, axis2=2) > scale**2).any(axis=1)
    distance = np.full(len(labels), np.nan)
    distance[good] = training_distance(model, labels[good])
    reduced = np.where(good, minima.chi2 / np.maximum(n_pixels - n_labels, 1), np.nan)
    conditions = {
        Flag.NO_DATA: no_data,
        Flag.NOT_CONVERGED: lost,
        Flag.OUTSIDE_TRAINING: distance > EDGE,
        Flag.POOR_FIT: reduced > _POOR_FIT,
        Flag.MULTIPLE_MINIMA: good & (minima.delta < _COMPETING * np.maximum(reduced, 1.0)),
        Flag.BAD_CONTINUUM: bad_continuum,
        Flag.UNCONSTRAINED: wide,
        Flag.DWARF: _dwarfs(model, labels),
    }
    flag = sum(int(bit) * condition.astype(int) for bit, condition in conditions.items())
    return xr.Dataset(
        {
            "labels": (("star", "label"), labels),
            "covariance": (("star", "label", "label_2"), covariance),
            "chi2": ("star", np.where(good, minima.chi2, np.nan)),
            "reduced_chi2": ("star", reduced),
            "n_pixels": ("star", n_pixels),
            "n_minima": ("star", minima.n_minima),
            "delta_chi2": ("star", minima.delta),
            "distance": ("star", distance),
            "flag": ("star", flag),
        },
        coords={"star": stars, "label": model.labels, "label_2": model.labels, "unit": ("label", model.units)},
        attrs={
            "flags": [f"{int(bit)}: {bit.name}" for bit in Flag],
            "label_tree": model.label_tree,
            "model": model.fingerprint,
        },
    )
