"""Changes that should not matter, and how much they do: what makes a formal error too small.

A formal error takes the pixels for independent and the model for exact. Neighboring residuals say whether the pixels
are (`neighbor_correlation`, `correlation_inflation`); fits without one chip, and with models trained on other stars,
say whether the model is (`refits`).
"""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2 import cannon
from lab2.grid import CHIPS

__all__ = ["correlation_inflation", "degrade", "deviates", "neighbor_correlation", "refits"]


def degrade(spectra: xr.Dataset, snr: float, seed: int = 128) -> xr.Dataset:
    """The same spectra with noise added, to a lower signal-to-noise ratio.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) and ``snr`` (star).
    snr : float
        That of the result; a star that has no more as it is stays.
    seed : int
        Of the noise.

    Returns
    -------
    xarray.Dataset
        Each error is larger by the ratio of the two, and the flux has the noise that is missing to it.

    Raises
    ------
    ValueError
        If `snr` is not positive.
    """
    if not snr > 0:
        raise ValueError(f"a signal-to-noise ratio is positive; got {snr!r}")
    share = np.minimum(1.0, snr / spectra.snr.values)[:, None] ** 2  # of the inverse variance that is left
    ivar = spectra.ivar.values * share
    missing = np.divide(1.0 - share, ivar, out=np.zeros_like(ivar), where=ivar > 0)
    noise = np.random.default_rng(seed).normal(size=ivar.shape) * np.sqrt(missing)
    return spectra.assign(
        flux=spectra.flux.copy(data=(spectra.flux.values + noise).astype(spectra.flux.dtype)),
        ivar=spectra.ivar.copy(data=ivar.astype(spectra.ivar.dtype)),
        snr=spectra.snr.copy(data=np.minimum(spectra.snr.values, snr)),
    )


def deviates(model: cannon.Cannon, spectrum: xr.Dataset, labels: ArrayLike) -> np.ndarray:
    """Residuals of a spectrum in standard deviations of noise and scatter, of the pixels that have both.

    Parameters
    ----------
    model : lab2.Cannon
    spectrum : xarray.Dataset
        ``flux`` and ``ivar`` (1, wavelength) of one star.
    labels : array_like, shape (n_labels,)
        In the labels' units.

    Returns
    -------
    numpy.ndarray, shape (n,)
        (f - F(labels)) / sqrt(1 / ivar + s^2) of the n pixels with weight, in order of wavelength; the hidden factors
        of the model as they fit best.
    """
    weight = cannon.weights(model, spectrum.ivar.values[0])
    seen = weight > 0
    labels = np.asarray(labels, dtype=float)
    factors = cannon.quartics(model, spectrum).factors(model.scale(labels)[None])[0]
    residual = spectrum.flux.values[0][seen] - model.predict(labels, factors).values[seen]
    return residual * np.sqrt(weight[seen])


def neighbor_correlation(values: ArrayLike, lags: int = 10) -> np.ndarray:
    """Autocorrelation of residuals about zero, at lags of 1, 2, ... pixels.

    Parameters
    ----------
    values : array_like, shape (n,)
        Residuals in standard deviations, as from `deviates`.
    lags : int
        The largest lag.

    Returns
    -------
    numpy.ndarray, shape (lags,)
        mean(r_i r_(i + lag)) / mean(r_i^2).

    Raises
    ------
    ValueError
        If there are not more values than lags.

    Examples
    --------
    >>> neighbor_correlation([1.0, -1.0] * 50, lags=2).tolist()
    [-1.0, 1.0]
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) <= lags:
        raise ValueError(f"{lags} lags need a row of more values than that; got shape {values.shape}")
    power = np.mean(values**2)
    return np.array([np.mean(values[lag:] * values[:-lag]) / power for lag in range(1, lags + 1)])


def correlation_inflation(correlation: ArrayLike) -> float:
    """The factor by which correlated neighbors widen the error of a mean over many pixels.

    Parameters
    ----------
    correlation : array_like, shape (lags,)
        As from `neighbor_correlation`.

    Returns
    -------
    float
        sqrt(1 + 2 sum of the correlations): the root of the variance of a mean over that of independent values (Sokal
        1997, Functional Integration, NATO ASI B 361, p. 131, eq. 2.21). 1 where the sum is negative.

    Examples
    --------
    >>> round(correlation_inflation([0.5, 0.25, 0.125]), 4)
    1.6583
    """
    return float(np.sqrt(max(1.0 + 2.0 * np.sum(correlation), 1.0)))


def refits(model: cannon.Cannon, spectrum: xr.Dataset, spectra: xr.Dataset, group: ArrayLike) -> xr.DataArray:
    """Labels of one star without each chip, and from models trained on each group of other stars.

    Parameters
    ----------
    model : lab2.Cannon
    spectrum : xarray.Dataset
        Of one star, with the coordinate ``chip`` (wavelength).
    spectra : xarray.Dataset
        Training spectra with ``labels``.
    group : array_like of int, shape (n_stars,)
        Group of each of them, such as the halves of `lab2.validation.split`.

    Returns
    -------
    xarray.DataArray
        (change, label), in the labels' units: "without blue", "without green", "without red" where the spectrum has
        such a chip, then "group 1", "group 2", ... in order. NaN where a fit is impossible.

    Raises
    ------
    ValueError
        If the groups are not one a star.
    """
    group = np.asarray(group)
    if group.shape != (spectra.sizes["star"],):
        raise ValueError(f"{group.size} groups for {spectra.sizes['star']} stars: give the group of each star")
    found = {}
    for chip in CHIPS:
        if (spectrum.chip == chip).any():
            rest = spectrum.assign(ivar=spectrum.ivar.where(spectrum.chip != chip, 0.0))
            found[f"without {chip}"] = cannon.fit_labels(model, rest)
    for number, one in enumerate(np.unique(group), start=1):
        other = cannon.train(spectra.isel(star=np.flatnonzero(group == one)), factors=model.loadings.sizes["factor"])
        found[f"group {number}"] = cannon.fit_labels(other, spectrum)
    labels = [fit.labels.values[0] for fit in found.values()]
    return xr.DataArray(labels, dims=("change", "label"), coords={"change": list(found), "label": model.labels})
