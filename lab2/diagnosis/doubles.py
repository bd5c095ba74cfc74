"""A moved spectrum and a doubled one: fits with a velocity, for the few stars whose residuals ask for it."""

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from lab2.cannon import best_spectra, fit_labels, polynomial, weights
from lab2.diagnosis.filters import moved
from lab2.grid import KM_S_PER_PIXEL

__all__ = ["fit_double", "fit_shift"]

_LAGS = np.arange(-25, 26)  # pixels, 104 km/s to either side
_PRIOR = 2.0  # of the second star's scaled labels: keeps the fit of a faint one finite
_FARTHEST = 8.0  # of scaled labels from the training set's mean
_LARGEST_SHARE = 0.6  # the brighter star is the first, but for what its lines being weaker may make of the shares


def fit_shift(model, spectrum) -> dict:
    """The velocity at which a star's spectrum fits best, with the labels there.

    The spectrum is moved by whole pixels, so that nothing is interpolated, and fitted at each; a parabola through the
    least chi^2 and its neighbors gives the velocity between the pixels.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectrum : xarray.Dataset
        Of one star, pixels equal in velocity.

    Returns
    -------
    dict of str to float or numpy.ndarray
        velocity [km/s], positive where the star's lines lie to the red, chi2 there, and its fall, by how
        much it is below that of the spectrum as it is; labels (n_labels,) at the
        nearest whole pixel, and the flux (n_pixels,) of the model there; parameters, the number of those fitted.
    """
    flux, ivar = spectrum.flux.values[:1].astype(float), spectrum.ivar.values[:1].astype(float)
    copies = xr.Dataset(
        {
            "flux": (("star", "wavelength"), np.concatenate([moved(flux, -lag) for lag in _LAGS])),
            "ivar": (("star", "wavelength"), np.concatenate([moved(ivar, -lag) for lag in _LAGS])),
        },
        coords={"star": _LAGS.astype(str), "wavelength": spectrum.wavelength.values},
    )
    fits = fit_labels(model, copies)
    # pixels fall off the chips' ends: chi^2 a pixel is what may be compared
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


def fit_double(model, spectrum, labels, velocity, share) -> dict:
    """Two stars of the model in one spectrum, the second one moved: F = (1 - q) F(l_1) + q F(l_2, v) + U z.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectrum : xarray.Dataset
        Of one star, pixels equal in velocity.
    labels : array_like, shape (n_labels,)
        Of both stars, to start from.
    velocity, share : float
        Of the second star [km/s] and its part of the light, to start from.

    Returns
    -------
    dict of str to float or numpy.ndarray
        velocity [km/s] and share of the second star; labels and second_labels (n_labels,); flux (n_pixels,) of
        both, the observed one where the spectrum says nothing; chi2, with the hidden factors' |z|^2, as in a fit, and
        without the weak prior that holds the second star's labels near those of the training set; parameters, the
        number of those fitted but the factors.
    """
    weight = weights(model, spectrum.ivar.values[:1])[0]
    root = np.sqrt(weight)
    flux = np.where(weight > 0, spectrum.flux.values[0], 1.0)
    theta, pairs, pixel = model.theta.values, model.pairs, np.arange(len(flux))
    loadings = model.loadings.values
    n_labels, n_factors = len(model.labels), loadings.shape[1]
    # of the priors of the second star's labels and of the factors: d residual / d parameter
    held = np.eye(n_labels + n_factors, 2 * n_labels + n_factors + 2, n_labels)
    held[:n_labels] /= _PRIOR

    def split(parameters):
        first, second, (lag, q) = parameters[:n_labels], parameters[n_labels : 2 * n_labels], parameters[-2:]
        terms = polynomial.design(np.stack([first, second]), pairs)
        slopes = polynomial.jacobian(np.stack([first, second]), pairs)
        at = np.clip(pixel - lag, pixel[0], pixel[-1])
        # one interpolation for the second star's flux and its derivatives by the labels
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
