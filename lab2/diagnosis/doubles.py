"""Fits of a velocity shift and of two stars, for the few stars whose residuals suggest either."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from lab2._arguments import expect
from lab2.cannon import Cannon, best_spectra, fit_labels, polynomial, weights
from lab2.diagnosis.filters import moved
from lab2.grid import KM_S_PER_PIXEL

__all__ = ["fit_double", "fit_shift"]

_LAGS = np.arange(-25, 26)  # pixels, up to 104 km/s in either direction
_PRIOR = 2.0  # standard deviation for the second star's scaled labels, so that a faint one does not diverge
_FARTHEST = 8.0  # largest distance of scaled labels from the training set's mean
# Limits for the second star. The first is the brighter one, but the fitted share can exceed 0.5 if its lines are
# weaker.
_LARGEST_SHARE = 0.6


def fit_shift(model: Cannon, spectrum: xr.Dataset) -> dict:
    """The velocity shift at which a star's spectrum fits best, with the labels at this velocity.

    The spectrum is shifted by whole pixels, to avoid interpolation, and fitted at each shift. A parabola through the
    smallest chi^2 and its two neighbors gives the velocity to a fraction of a pixel.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectrum : xarray.Dataset
        Of one star, with pixels equally spaced in velocity.

    Returns
    -------
    dict of str to float or numpy.ndarray
        velocity [km/s], positive if the star's lines are redshifted; chi2 at this velocity; fall, by how much it is
        below chi^2 without a shift; labels (n_labels,) and flux of the model (n_pixels,), both at the nearest whole
        pixel; parameters, the number of fitted parameters.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> star = spectra.isel(star=[0])
    >>> moved_by_3 = star.assign(flux=star.flux.roll(wavelength=3))
    >>> bool(abs(fit_shift(model, moved_by_3)["velocity"] - 3 * KM_S_PER_PIXEL) < 1.0)
    True
    """
    expect(model=model, spectrum=spectrum)
    flux, ivar = spectrum.flux.values[:1].astype(float), spectrum.ivar.values[:1].astype(float)
    copies = xr.Dataset(
        {
            "flux": (("star", "wavelength"), np.concatenate([moved(flux, -lag) for lag in _LAGS])),
            "ivar": (("star", "wavelength"), np.concatenate([moved(ivar, -lag) for lag in _LAGS])),
        },
        coords={"star": _LAGS.astype(str), "wavelength": spectrum.wavelength.values},
    )
    fits = fit_labels(model, copies)
    # pixels are lost at the ends of the chips, so only chi^2 per pixel can be compared
    chi2 = np.where(np.isfinite(fits.reduced_chi2), fits.reduced_chi2, np.inf) * float(fits.n_pixels.max())
    best = int(chi2.argmin())
    offset, least = 0.0, chi2[best]
    if 0 < best < len(_LAGS) - 1 and np.isfinite(chi2[best - 1 : best + 2]).all():
        left, middle, right = chi2[best - 1 : best + 2]
        offset = 0.5 * (left - right) / (left - 2.0 * middle + right)
        least = middle - 0.25 * (left - right) * offset
    return {
        "velocity": (_LAGS[best] + offset) * KM_S_PER_PIXEL,
        "labels": fits.labels.values[best],
        "flux": moved(best_spectra(model, fits.isel(star=[best])).values - 1.0, _LAGS[best])[0] + 1.0,
        "chi2": least,
        "fall": chi2[len(_LAGS) // 2] - least,
        "parameters": len(model.labels) + 1,
    }


def fit_double(model: Cannon, spectrum: xr.Dataset, labels: ArrayLike, velocity: float, share: float) -> dict:
    """Fit the sum of two model spectra, the second one shifted: F = (1 - q) F(l_1) + q F(l_2, v) + U z.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectrum : xarray.Dataset
        Of one star, with pixels equally spaced in velocity.
    labels : array_like, shape (n_labels,)
        Initial labels of both stars.
    velocity, share : float
        Initial velocity [km/s] of the second star and its fraction of the light.

    Returns
    -------
    dict of str to float or numpy.ndarray
        velocity [km/s] and share of the second star; labels and second_labels (n_labels,); flux (n_pixels,), the sum of
        both stars, 1 in pixels without weight; chi2, including ``|z|^2`` of the hidden factors, as in a fit, but not
        the weak prior on the second star's labels; parameters, the number of fitted parameters without the factors.
    """
    expect(model=model, spectrum=spectrum)
    weight = weights(model, spectrum.ivar.values[:1])[0]
    root = np.sqrt(weight)
    flux = np.where(weight > 0, spectrum.flux.values[0], 1.0)
    theta, pairs, pixel = model.theta.values, model.pairs, np.arange(len(flux))
    loadings = model.loadings.values
    n_labels, n_factors = len(model.labels), loadings.shape[1]
    # d residual / d parameter of the priors on the second star's labels and on the factors
    held = np.eye(n_labels + n_factors, 2 * n_labels + n_factors + 2, n_labels)
    held[:n_labels] /= _PRIOR

    def split(parameters):
        first, second, (lag, q) = parameters[:n_labels], parameters[n_labels : 2 * n_labels], parameters[-2:]
        terms = polynomial.design(np.stack([first, second]), pairs)
        slopes = polynomial.jacobian(np.stack([first, second]), pairs)
        at = np.clip(pixel - lag, pixel[0], pixel[-1])
        # one interpolation for the second star's flux and its derivatives with respect to the labels
        still = CubicSpline(pixel, theta @ np.column_stack([terms[1], slopes[1]]))
        return theta @ terms[0], theta @ slopes[0], still(at), still(at, 1)[:, 0], q

    def residuals(parameters):
        one, _, other, _, q = split(parameters)
        hidden = loadings @ parameters[2 * n_labels : -2]
        return np.concatenate([root * (flux - (1.0 - q) * one - q * other[:, 0] - hidden), held @ parameters])

    def jacobian(parameters):
        one, by_first, other, by_pixel, q = split(parameters)
        by_velocity, by_share = -q * by_pixel[:, None], (other[:, 0] - one)[:, None]
        columns = [(1.0 - q) * by_first, q * other[:, 1:], loadings, by_velocity, by_share]
        return np.concatenate([-root[:, None] * np.concatenate(columns, axis=1), held])

    x_start = model.scale(labels)
    start = np.concatenate([x_start, x_start, np.zeros(n_factors), [velocity / KM_S_PER_PIXEL, share]])
    low = np.r_[np.full(2 * n_labels, -_FARTHEST), np.full(n_factors, -np.inf), _LAGS[0], 0.0]
    high = np.r_[np.full(2 * n_labels, _FARTHEST), np.full(n_factors, np.inf), _LAGS[-1], _LARGEST_SHARE]
    best = least_squares(residuals, np.clip(start, low + 1e-3, high - 1e-3), jacobian, (low, high), max_nfev=100)
    scaled = best.x[: 2 * n_labels].reshape(2, n_labels)
    first, second = model.label_mean.values + model.label_scale.values * scaled
    return {
        "velocity": best.x[-2] * KM_S_PER_PIXEL,
        "share": best.x[-1],
        "labels": first,
        "second_labels": second,
        "flux": flux - best.fun[: len(flux)] / np.where(root > 0, root, np.inf),
        "chi2": float((best.fun[: len(flux)] ** 2).sum() + (best.x[2 * n_labels : -2] ** 2).sum()),
        "parameters": 2 * n_labels + 2,
    }
