"""Simple methods that check the fast ones: a fit with `scipy.optimize.curve_fit`, and a pixel's scatter on a grid.

The lab handout suggests both. They treat one star or one pixel at a time, share no code with `lab2.cannon.fit_labels`
and `lab2.cannon.train` except the model itself, and must find the same optimum.
"""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import curve_fit

from lab2._arguments import expect
from lab2.cannon import Cannon, likelihood, weights

__all__ = ["fit_by_hand", "scan_scatter"]


def fit_by_hand(model: Cannon, spectrum: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Labels of one star by nonlinear least squares over its pixels, starting from the training set's mean.

    Parameters
    ----------
    model : lab2.Cannon
    spectrum : xarray.Dataset
        ``flux`` and ``ivar`` of one star, (wavelength) or (1, wavelength).

    Returns
    -------
    labels : numpy.ndarray, shape (n_labels,)
        They minimize chi^2 = sum (f - F(labels))^2 / (1 / ivar + s^2) (Ness et al. 2015, ApJ 808, 16, section 4.4),
        in the labels' units.
    covariance : numpy.ndarray, shape (n_labels, n_labels)
        (J^T W J)^-1 at the minimum, with J the derivatives of the spectrum with respect to the labels.

    Raises
    ------
    ValueError
        If there is more than one star, or the pixels with information do not outnumber the labels.
    RuntimeError
        If the fit does not converge.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> labels, covariance = fit_by_hand(model, spectra.isel(star=[0]))
    >>> fits = lab2.fit_labels(model, spectra.isel(star=[0]))
    >>> bool(np.allclose(labels, fits.labels[0], rtol=1e-3, atol=1e-3))
    True
    """
    expect(model=model, spectrum=spectrum)
    flux, ivar = (np.asarray(spectrum[name], dtype=float).squeeze() for name in ("flux", "ivar"))
    if flux.ndim != 1:
        raise ValueError(f"give the spectrum of one star; got flux of shape {spectrum.flux.shape}")
    weight = weights(model, ivar)
    good = weight > 0
    if good.sum() <= len(model.labels):
        raise ValueError(f"{good.sum()} pixels with information are too few for {len(model.labels)} labels")

    def predicted(_, *labels):
        return model.predict(np.array(labels)).values[good]

    return curve_fit(
        predicted,
        None,
        flux[good],
        model.label_mean.values,
        sigma=weight[good] ** -0.5,
        absolute_sigma=True,
        method="trf",
        x_scale=model.label_scale.values,
    )


def scan_scatter(model: Cannon, training: xr.Dataset, pixel: int, s2: ArrayLike) -> tuple[np.ndarray, float]:
    """-2 ln L of one pixel, with the best theta, at each s^2 of a grid and at the s^2 of the model.

    Parameters
    ----------
    model : lab2.Cannon
    training : xarray.Dataset
        The spectra that the model was trained on, with ``labels``.
    pixel : int
        Index of a trained pixel.
    s2 : array_like, shape (n,)
        Squared scatter in normalized flux.

    Returns
    -------
    curve : numpy.ndarray, shape (n,)
        sum [(f - theta . x)^2 / (sigma^2 + s^2) + ln(sigma^2 + s^2)] over the stars, up to a constant.
    trained : float
        The same at the model's s^2: not above the lowest value of the curve if training found the global optimum.

    Raises
    ------
    ValueError
        If the pixel was not trained.
    """
    expect(model=model, training=training)
    if not bool(model.trained[pixel]):
        raise ValueError(f"pixel {pixel} has no model: it was masked in too many training stars")
    flux, ivar = (training[name].values[:, pixel].astype(float) for name in ("flux", "ivar"))
    terms = model.design(training.labels)
    *curve, trained = (
        float(likelihood.minus_two_log_likelihood(flux, ivar, terms, value)[0])
        for value in [*np.asarray(s2, dtype=float), float(model.s2[pixel])]
    )
    return np.array(curve), trained
