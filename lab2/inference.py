"""Labels of stars from their spectra, with a covariance, a count of minima and flags.

With theta and s^2 fixed, a star's chi^2 is exactly a quartic in its labels: with u(x) the terms less the constant,

    chi^2(x) = sum_p w_p (f_p - theta_p . v(x))^2 = u.A.u - 2 b.u + c,
    A = sum_p w_p theta_p theta_p^T,  b = sum_p w_p (f_p - theta_p0) theta_p,  c = sum_p w_p (f_p - theta_p0)^2,

w_p = 1 / (sigma_p^2 + s_p^2). Many elements of A multiply the same monomial of the labels: 126 coefficients (for five
labels) hold all of it. One matrix product over pixels gives those of a block of stars; after that the search for the
minimum never sees a pixel again, so that many starts, exact second derivatives and a count of the distinct minima cost
next to nothing. Subtracting theta_0 first keeps the digits of c.
"""

import warnings

import numpy as np
import xarray as xr

from lab2 import kernels, minima, polynomial
from lab2.blocks import map_blocks
from lab2.spectra import check, check_dims, check_wavelengths

__all__ = [
    "FLAGS",
    "UncalibratedErrorWarning",
    "errors",
    "fit_labels",
    "fit_quartics",
    "flag_words",
    "less_constant",
    "quartic",
    "training_distance",
]

FLAGS = {
    "NO_DATA": 1,
    "NOT_CONVERGED": 2,
    "OUTSIDE_TRAINING": 4,
    "POOR_FIT": 8,
    "MULTIPLE_MINIMA": 16,
    "BAD_CONTINUUM": 32,
}

_STARTS = 9
_TOLERANCE = 1e-9  # predicted decrease of chi^2 at which Newton's method stops: 3e-5 sigma
_BLOCK = 256  # stars worked on at a time by one thread ...
_CHUNK = 512  # ... in so many pixels: their weights stay in its cache
# Soft bounds: a fit may leave the training set, and is flagged then; twice as far it meets a rising wall.
_WALL, _STIFFNESS = 2.0, 100.0
_POOR_FIT = 2.0  # reduced chi^2; s^2 is part of the variance, so that an ordinary star has about 1
# A second minimum competes with the best one when it is within 3 sigma, sigma inflated by the reduced chi^2.
_COMPETING = 9.0


class UncalibratedErrorWarning(UserWarning):
    """A formal error is about to be quoted as if it were the real one."""


def fit_labels(model, spectra, progress=False) -> xr.Dataset:
    """Fit the labels of every star.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) on the model's wavelengths; ``bad_continuum`` (star, chip_name) where
        it is known. A dataset that is opened lazily is read block by block.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``labels`` (star, label), in each label's unit, and ``covariance`` (star, label, label_2): the formal one,
        twice the inverse of the Hessian of chi^2 at the minimum (the observed information), with the s^2 of the model
        but no calibration. ``chi2``,
        ``reduced_chi2`` and ``n_pixels`` (star); ``covariance * max(1, reduced_chi2)`` is the inflated covariance.
        ``n_minima``: distinct minima found from 9 starts; ``delta_chi2``: how far the second lies above the best,
        infinite if there is none; ``distance``: from the training set (`training_distance`), 1 at its edge;
        ``flag``: sum of `FLAGS`. Labels are NaN where NO_DATA or NOT_CONVERGED is set.

    Raises
    ------
    ValueError
        If the wavelengths are not the model's, or the spectra such as `lab2.spectra.check` refuses.
    """
    check_dims(spectra)
    check_wavelengths(spectra, model.dataset.wavelength)
    sums = _PixelSums(model)
    return fit_quartics(model, spectra, lambda _, block: sums(block), progress)


def fit_quartics(model, spectra, coefficients, progress=False) -> xr.Dataset:
    """Fit the labels of every star from the coefficients of its chi^2, however those were summed.

    Parameters
    ----------
    model : lab2.cannon.Cannon
        Whose training set gives the starts and the soft bounds.
    spectra : xarray.Dataset
    coefficients : callable
        Takes a slice of stars and their spectra in memory; gives the coefficients of each star's chi^2, (n_stars,
        n_monomials) in the order of `lab2.polynomial.normal_monomials` for a polynomial of degree 2, and the number of
        pixels with weight, (n_stars,).
    progress : bool

    Returns
    -------
    xarray.Dataset
        As `fit_labels`.
    """
    starts, wall = _starts(model), _wall(model)
    n_labels = len(model.labels)
    pairs = polynomial.terms(n_labels, 2)
    place, share = polynomial.symmetric_form(n_labels)

    def fit_block(stars):
        summed, n_pixels = coefficients(stars, spectra[["flux", "ivar"]].isel(star=stars).load())
        n_stars = len(n_pixels)
        x, fisher = np.zeros((n_stars, n_labels)), np.zeros((n_stars, n_labels, n_labels))
        chi2, delta, n_minima = np.empty(n_stars), np.empty(n_stars), np.empty(n_stars, dtype=np.int64)
        minima.find_minima(summed, place, share, pairs, starts, wall, _TOLERANCE, x, chi2, fisher, n_minima, delta)
        return x, chi2, fisher, n_minima, delta, n_pixels

    parts = map_blocks(fit_block, spectra.sizes["star"], _BLOCK, "fitting stars" if progress else None)
    return _results(model, spectra, *(np.concatenate(part) for part in zip(*parts, strict=True)))


def quartic(model, spectrum):
    """The statistics A, b, c of one star, for a likelihood that needs no pixels.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectrum : xarray.Dataset
        Spectra with a single star.

    Returns
    -------
    matrix : numpy.ndarray, shape (n_terms, n_terms)
    right : numpy.ndarray, shape (n_terms,)
    constant : float
        ``chi2 = u @ matrix @ u - 2 right @ u + constant``, u the terms of the scaled labels with u[0] = 0.

    Raises
    ------
    ValueError
        If there is not exactly one star, or as `fit_labels` does.
    """
    if spectrum.sizes.get("star") != 1:
        raise ValueError(f"expected the spectrum of one star, got {dict(spectrum.sizes)}")
    check_wavelengths(spectrum, model.dataset.wavelength)
    check(spectrum)
    theta, s2 = model.theta.values, model.s2.values
    flux, ivar = (spectrum[name].values[0].astype(float) for name in ("flux", "ivar"))
    seen = (ivar > 0) & np.isfinite(s2)
    theta, residual = theta[seen], flux[seen] - theta[seen, 0]
    weight = ivar[seen] / (1.0 + ivar[seen] * s2[seen])
    return (theta * weight[:, None]).T @ theta, (weight * residual) @ theta, float((weight * residual**2).sum())


def training_distance(model, labels) -> np.ndarray:
    """Mahalanobis distance from the training set's mean, in units of its farthest member's.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    labels : array_like, shape (n_stars, n_labels)

    Returns
    -------
    numpy.ndarray, shape (n_stars,)
        Above 1: outside. Stars of the training set itself are at most at 1.
    """
    precision, radius2, _ = _wall(model)
    x = model.scale(labels)
    return np.sqrt(np.einsum("nk,kl,nl->n", x, precision, x) / radius2) * _WALL


def errors(fits) -> xr.DataArray:
    """Standard errors of the labels, for quoting.

    Parameters
    ----------
    fits : xarray.Dataset
        As from `fit_labels`; calibrated by `lab2.validation.Calibration.apply`, or a warning is given.

    Returns
    -------
    xarray.DataArray
        (star, label), in each label's unit.

    Warns
    -----
    UncalibratedErrorWarning
        If the covariances are the formal ones, which leave out most of what makes a label uncertain.
    """
    if "calibrated" not in fits.attrs:
        warnings.warn(
            "these errors are formal: on stars that the model has not seen they come out several times too small. "
            "Calibrate them: lab2.validation.calibrate(fits, truth).apply(fits)",
            UncalibratedErrorWarning,
            stacklevel=2,
        )
    return fits.labels.copy(data=np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2)))


def flag_words(flag) -> str:
    """Names of the flags that are set: "POOR_FIT BAD_CONTINUUM"; "-" when none is."""
    return " ".join(name for name, bit in FLAGS.items() if int(flag) & bit) or "-"


class _PixelSums:
    """The sums over pixels that turn a block of spectra into coefficients of chi^2."""

    def __init__(self, model):
        self.s2 = model.s2.values
        self.flux_zero = np.ascontiguousarray(model.theta.values[:, 0])
        self.theta = less_constant(model.theta.values, len(model.labels))
        self.place, _ = polynomial.symmetric_form(len(model.labels))
        self.products = np.zeros((self.place.max() + 1, len(self.theta)))
        kernels.sum_products(np.ascontiguousarray(self.theta.T), self.place, self.products)

    def __call__(self, block):
        flux, ivar = block.flux.values, block.ivar.values
        n_stars, n_pixels = flux.shape
        summed, products = np.zeros((2, len(self.products), n_stars))
        linear = np.zeros((n_stars, self.theta.shape[1]))
        constant, seen = np.zeros(n_stars), np.zeros(n_stars, dtype=np.int64)
        weight, weighted = np.empty((2, n_stars, _CHUNK))
        for start in range(0, n_pixels, _CHUNK):
            stop = min(start + _CHUNK, n_pixels)
            kernels.star_weights(ivar, flux, self.s2, self.flux_zero, start, stop, weight, weighted, constant, seen)
            if not np.isfinite(constant).all():
                check(block)  # which says what is wrong, and where
            summed += np.matmul(self.products[:, start:stop], weight[:, : stop - start].T, out=products)
            linear += weighted[:, : stop - start] @ self.theta[start:stop]
        summed = np.ascontiguousarray(summed.T)
        summed[:, self.place[0]] -= 2.0 * linear
        summed[:, self.place[0, 0]] += constant
        return summed, seen


def less_constant(theta, n_labels) -> np.ndarray:
    """Coefficients without the constant one, on all terms of degree 2: (n_pixels, n_terms of degree 2)."""
    full = np.zeros((len(theta), len(polynomial.terms(n_labels, 2))))
    full[:, 1 : theta.shape[1]] = theta[:, 1:]
    return full


def _starts(model):
    """Scaled labels to start from: the mean, then training stars as far as can be from those before."""
    x = model.scale(model.dataset.training_labels.values)
    starts = [np.zeros(x.shape[1])]
    nearest = np.linalg.norm(x, axis=1)
    # the farthest of all may be freaks: stay within the bulk of the training set
    nearest = np.where(nearest <= np.quantile(nearest, 0.99), nearest, 0.0)
    for _ in range(min(_STARTS - 1, len(x))):
        farthest = nearest.argmax()
        starts.append(x[farthest])
        nearest = np.minimum(nearest, np.linalg.norm(x - x[farthest], axis=1))
    return np.array(starts)


def _wall(model):
    """The soft bound: inverse covariance of the scaled training labels, squared radius, stiffness."""
    x = model.scale(model.dataset.training_labels.values)
    precision = np.linalg.inv(np.atleast_2d(np.cov(x, rowvar=False)))
    edge2 = np.einsum("nk,kl,nl->n", x, precision, x).max()
    return precision, _WALL**2 * edge2, _STIFFNESS


def _results(model, spectra, x, chi2, fisher, n_minima, delta, n_pixels):
    n_labels = x.shape[1]
    scale = model.label_scale.values
    no_data = n_pixels <= n_labels
    lost = ~no_data & (n_minima == 0)
    good = ~no_data & ~lost
    labels = np.full(x.shape, np.nan)
    covariance = np.full((*x.shape, n_labels), np.nan)
    labels[good] = model.label_mean.values + scale * x[good]
    covariance[good] = np.linalg.inv(fisher[good]) * np.outer(scale, scale)
    distance = np.full(len(x), np.nan)
    distance[good] = training_distance(model, labels[good])
    reduced = np.where(good, chi2 / np.maximum(n_pixels - n_labels, 1), np.nan)
    bad_continuum = np.zeros(len(x), dtype=bool)
    if "bad_continuum" in spectra:
        bad_continuum = spectra.bad_continuum.values.any(axis=1)
    conditions = {
        "NO_DATA": no_data,
        "NOT_CONVERGED": lost,
        "OUTSIDE_TRAINING": distance > 1,
        "POOR_FIT": reduced > _POOR_FIT,
        "MULTIPLE_MINIMA": good & (delta < _COMPETING * np.maximum(reduced, 1.0)),
        "BAD_CONTINUUM": bad_continuum,
    }
    flag = sum(FLAGS[name] * np.asarray(condition, dtype=int) for name, condition in conditions.items())
    star = {"star": spectra.star.values.astype(str), "label": model.labels, "label_2": model.labels}
    return xr.Dataset(
        {
            "labels": (("star", "label"), labels),
            "covariance": (("star", "label", "label_2"), covariance),
            "chi2": ("star", np.where(good, chi2, np.nan)),
            "reduced_chi2": ("star", reduced),
            "n_pixels": ("star", n_pixels),
            "n_minima": ("star", n_minima),
            "delta_chi2": ("star", delta),
            "distance": ("star", distance),
            "flag": ("star", flag),
        },
        coords=star,
        attrs={
            "flags": [f"{bit}: {name}" for name, bit in FLAGS.items()],
            "label_tree": model.dataset.attrs.get("label_tree", "unknown"),
        },
    )
