"""Tests of the assumptions behind formal errors, and of changes that should not matter.

A formal error assumes that the pixels are independent and the model is exact. The correlation of neighboring residuals
tests the first assumption (`neighbor_correlation`, `correlation_inflation`). Fits without one chip, and with models
trained on other stars, test the second (`refits`).
"""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2 import cannon
from lab2._arguments import expect, groups
from lab2.grid import CHIPS

__all__ = ["correlation_inflation", "degrade", "deviates", "neighbor_correlation", "refits"]

_STARS = 256  # whose noise is in memory at a time, in double precision


def degrade(spectra: xr.Dataset, snr: float, seed: int = 128) -> xr.Dataset:
    """The same spectra with noise added, for a lower signal-to-noise ratio.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) and ``snr`` (star).
    snr : float
        Signal-to-noise ratio of the result; a star with this or a lower ratio is unchanged.
    seed : int
        Seed of the noise.

    Returns
    -------
    xarray.Dataset
        Each error is increased by the ratio of the old and new signal-to-noise ratios, and noise is added to the flux
        accordingly.

    Raises
    ------
    ValueError
        If `snr` is not positive, or the spectra have no ``snr``.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> noisy = degrade(spectra, snr=30.0)
    >>> float(noisy.snr[0]), round(float(noisy.ivar[0, 0]), 1)
    (30.0, 900.0)
    """
    expect(spectra=spectra)
    if not snr > 0:
        raise ValueError(f"a signal-to-noise ratio is positive; got {snr!r}")
    if "snr" not in spectra:
        raise ValueError(
            'spectra need snr (star), the signal-to-noise ratio of each: spectra.assign(snr=("star", ...))'
        )
    share = np.minimum(1.0, snr / spectra.snr.values)[:, None] ** 2  # fraction of the inverse variance that remains
    rng = np.random.default_rng(seed)
    flux, ivar = spectra.flux.values.copy(), spectra.ivar.values.copy()
    for start in range(0, len(share), _STARS):
        some = slice(start, start + _STARS)
        left = ivar[some] * share[some]
        missing = np.divide(1.0 - share[some], left, out=np.zeros_like(left), where=left > 0)
        flux[some] = flux[some] + rng.normal(size=left.shape) * np.sqrt(missing)
        ivar[some] = left
    return spectra.assign(
        flux=spectra.flux.copy(data=flux),
        ivar=spectra.ivar.copy(data=ivar),
        snr=spectra.snr.copy(data=np.minimum(spectra.snr.values, snr)),
    )


def deviates(model: cannon.Cannon, spectrum: xr.Dataset, labels: ArrayLike) -> np.ndarray:
    """Residuals of a spectrum in units of the standard deviation of noise and scatter, in pixels with weight.

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
        (f - F(labels)) / sqrt(1 / ivar + s^2) of the n pixels with weight, in order of wavelength. Hidden factors of
        the model are at their best-fitting values.
    """
    expect(model=model, spectrum=spectrum)
    weight = cannon.weights(model, spectrum.ivar.values[0])
    seen = weight > 0
    labels = np.asarray(labels, dtype=float)
    factors = cannon.quartics(model, spectrum).factors(model.scale(labels)[None])[0]
    residual = spectrum.flux.values[0][seen] - model.predict(labels, factors).values[seen]
    return residual * np.sqrt(weight[seen])


def neighbor_correlation(values: ArrayLike, lags: int = 10) -> np.ndarray:
    """Autocorrelation of residuals, assuming zero mean, at lags of 1, 2, ... pixels.

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
        If there are no more values than lags.

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
    """The factor by which correlations between neighbors increase the error of a mean over many pixels.

    Parameters
    ----------
    correlation : array_like, shape (lags,)
        As from `neighbor_correlation`.

    Returns
    -------
    float
        sqrt(1 + 2 sum of the correlations): the square root of the ratio of the variance of the mean to that for
        independent values (Sokal 1997, Functional Integration, NATO ASI B 361, p. 131, eq. 2.21). 1 if the sum is
        negative.

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
        Spectrum of one star, with the coordinate ``chip`` (wavelength).
    spectra : xarray.Dataset
        Training spectra with ``labels``.
    group : array_like of int, shape (n_stars,)
        Group of each training star, such as the halves from `lab2.validation.split`.

    Returns
    -------
    xarray.DataArray
        (change, label), in the labels' units: "without blue", "without green", "without red" if the spectrum has
        this chip, then "group 1", "group 2", ... in order. NaN where a fit is impossible.

    Raises
    ------
    ValueError
        If `group` does not have one entry per star.
    """
    expect(model=model, spectrum=spectrum, spectra=spectra)
    group = groups(group, spectra.sizes["star"], "group")
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
