"""Matched filters on the residuals of every spectrum, for the known kinds of odd spectra.

Each kind changes the flux by a template T times an amplitude a. The fitted labels may respond: to first order this adds
the columns of J, the Jacobian of the model with respect to the labels, as linear nuisances with flat priors. The hidden
factors of the model are nuisances too. With the residual r of the best fit and C^-1, the inverse covariance after
marginalizing over these nuisances (`lab2.cannon.quartics`), chi^2 is smallest for

    a = n / d,   n = T^T C^-1 r,   d = T^T C^-1 T,

and z = n / sqrt(d) is the significance: chi^2 decreases by z^2. Templates are derived from D = 1 - F, the line depth of
the best-fitting model.
"""

import numpy as np
import xarray as xr
from scipy.ndimage import convolve1d

from lab2 import lines
from lab2._arguments import expect
from lab2._blocks import map_blocks
from lab2.cannon import Cannon, best_spectra, polynomial, weights
from lab2.cannon.nuisances import Precision, factors_of
from lab2.grid import BRACKETT, KM_S_PER_PIXEL, LOG_STEP, chip_of, rotation_kernel
from lab2.spectra import seen

__all__ = ["excess", "moved", "screen"]

_LAGS = [lag for lag in range(-25, 26) if lag]  # pixels: up to 104 km/s in either direction
_ROTATION = (10.0, 20.0, 40.0)  # v sin i [km/s]
_BRACKETT_WIDTH = 3.5  # standard deviation [Angstrom]: hydrogen lines are broader than the instrumental profile
_BLOCK = 32  # stars worked on at a time by one thread
_NEAR_LINE = 0.7  # Angstrom: half the width of a line at the instrumental resolution
_STRONG = 1.0  # log10 of the ratio of line-center to continuum opacity
_FEWEST_PIXELS = 30  # for a meaningful reduced chi^2


def screen(model: Cannon, spectra: xr.Dataset, fits: xr.Dataset) -> xr.Dataset:
    """Search the residuals of all spectra for the known kinds of odd spectra.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength), on all or part of the survey's logarithmic grid.
    fits : xarray.Dataset
        Fits of these spectra with this model, from `lab2.cannon.fitting.fit_labels`.

    Returns
    -------
    xarray.Dataset
        (star): significances ``velocity_z`` of a copy of the spectrum, shifted by ``velocity`` [km/s], that contributes
        the fraction ``velocity_share`` of the light (1: the whole spectrum is shifted); ``rotation_z`` of lines
        broadened by ``v_sin_i`` [km/s]; ``emission_z`` of emission in the Brackett lines; ``veil_z`` of added light in
        the chip ``veiled_chip``, with ``veil``, its fraction of the light; ``dilution_z`` of light added to the whole
        spectrum, with its fraction ``dilution``, negative where too much was subtracted, and 0 with a model without
        hidden factors, by which abundances that are not labels look like this. 0 where there is no fit.

    Raises
    ------
    ValueError
        If the pixel spacing in log10 of the wavelength is not 6e-6.
    """
    expect(model=model, spectra=spectra, fits=fits)
    wavelength = spectra.wavelength.values
    if not np.allclose(np.diff(np.log10(wavelength)), LOG_STEP, rtol=1e-3, atol=0):
        raise ValueError(f"the pixels must be steps of {LOG_STEP:g} in log10 of the wavelength, so that lines can move")
    chip = chip_of(wavelength)
    # added light is seldom uniform over a detector: it decreases toward one end
    chips = np.repeat(list(dict.fromkeys(chip[model.trained.values])), 2)
    ramps = np.array([_ramp(chip == name, falling=k % 2 == 0) for k, name in enumerate(chips)])
    kernels = [rotation_kernel(v_sin_i) for v_sin_i in _ROTATION]
    lines_of_hydrogen = np.exp(-0.5 * ((wavelength - BRACKETT[:, None]) / _BRACKETT_WIDTH) ** 2)
    brackett = ((11 / np.arange(11, 21)) ** 3) @ lines_of_hydrogen
    labels = fits.labels.transpose("star", "label").values
    fitted, theta = np.isfinite(labels).all(axis=1), model.theta.values
    x = np.where(fitted[:, None], model.scale(labels), 0.0)
    hidden = factors_of(model)
    sd = np.concatenate([np.full(labels.shape[1], np.inf), hidden.sd])

    def screen_star(x, weight, residual, depth):
        """The best template of each kind: (5, 3), with z, amplitude and index of the template."""
        columns = np.concatenate([theta @ polynomial.jacobian(x, model.pairs), hidden.columns], axis=1)
        match = _Matcher(Precision(weight, columns, sd), residual)
        shifted = match(np.array([depth - moved(depth, lag) for lag in _LAGS]))
        broadened = match(np.array([depth - convolve1d(depth, kernel) for kernel in kernels]))
        return shifted, broadened, match(brackett[None]), match(depth * ramps), match(depth[None])

    def screen_block(stars):
        weight = weights(model, spectra.ivar.values[stars])
        depth = 1.0 - polynomial.design(x[stars], model.pairs) @ theta.T
        residual = np.where(weight > 0, spectra.flux.values[stars] - 1.0 + depth, 0.0)
        rows = [screen_star(*star) for star in zip(x[stars], weight, residual, depth, strict=True)]
        return np.reshape(rows, (-1, 5, 3)) * fitted[stars, None, None]

    found = np.concatenate(map_blocks(screen_block, len(labels), _BLOCK))
    (velocity, rotation, emission, veil, dilution), which = found.transpose(1, 2, 0), found[:, :, 2].astype(int).T
    columns = {
        "velocity_z": velocity[0],
        "velocity": np.array(_LAGS)[which[0]] * KM_S_PER_PIXEL,
        "velocity_share": velocity[1],
        "rotation_z": rotation[0],
        "v_sin_i": np.array(_ROTATION)[which[1]],
        "emission_z": emission[0],
        "veil_z": veil[0],
        "veiled_chip": chips[which[3]],
        "veil": veil[1],
        "dilution_z": dilution[0] * bool(model.loadings.size),
        "dilution": dilution[1],
    }
    return xr.Dataset({k: ("star", v) for k, v in columns.items()}, coords={"star": spectra.star})


def excess(model: Cannon, spectra: xr.Dataset, fits: xr.Dataset) -> xr.DataArray:
    """Reduced chi^2 of each star in each chip and near the strong lines of each element.

    Parameters
    ----------
    model, spectra, fits
        As for `screen`.

    Returns
    -------
    xarray.DataArray
        (star, region), regions such as "blue chip" and "Mg lines"; NaN where a star has too few pixels.
    """
    expect(model=model, spectra=spectra, fits=fits)
    wavelength = spectra.wavelength.values
    chip = chip_of(wavelength)
    regions = {f"{name} chip": chip == name for name in dict.fromkeys(chip)}
    table = lines.strong_lines(minimum_strength=_STRONG)
    for element in sorted(set(table["element"])):
        at = table["wavelength"][table["element"] == element].value
        regions[f"{element} lines"] = (np.abs(wavelength[:, None] - at) < _NEAR_LINE).any(axis=1)
    regions = {name: inside & model.trained.values for name, inside in regions.items()}
    regions = {name: inside for name, inside in regions.items() if inside.sum() >= _FEWEST_PIXELS}
    masks = np.reshape(list(regions.values()), (-1, len(wavelength))).astype(float)

    def sum_block(stars):
        weight = weights(model, spectra.ivar.values[stars])
        residual = np.where(
            weight > 0, spectra.flux.values[stars] - best_spectra(model, fits.isel(star=stars)).values, 0.0
        )
        n_pixels = seen(spectra.ivar.values[stars], model.typical_s2) @ masks.T
        chi2 = (weight * residual**2) @ masks.T
        return np.where(n_pixels >= _FEWEST_PIXELS, chi2 / np.maximum(n_pixels, 1), np.nan)

    values = np.concatenate(map_blocks(sum_block, spectra.sizes["star"], _BLOCK))
    return xr.DataArray(values, dims=("star", "region"), coords={"star": spectra.star, "region": list(regions)})


def moved(values: np.ndarray, lag: int) -> np.ndarray:
    """Values shifted along the last axis by `lag` pixels to the red, padded with 0."""
    out = np.zeros_like(values)
    if lag > 0:
        out[..., lag:] = values[..., :-lag]
    elif lag < 0:
        out[..., :lag] = values[..., -lag:]
    else:
        out[:] = values
    return out


class _Matcher:
    """Matches templates with the residual of one star and finds the most significant."""

    def __init__(self, precision, residual):
        self.precision = precision
        self.projected = precision.times(residual[:, None])[:, 0]

    def __call__(self, templates):
        """z, amplitude and index of the best of the templates (n, n_pixels); z is 0 for one without information."""
        top, norm = templates @ self.projected, np.sqrt(self.precision.norms(templates.T))
        z = np.divide(top, norm, out=np.zeros_like(top), where=norm > 0)
        best = z.argmax()
        return z[best], z[best] / (norm[best] or 1.0), best


def _ramp(inside, falling):
    """A linear ramp from 1 to 0, or from 0 to 1, over the pixels inside; 0 outside."""
    ramp = np.zeros(len(inside))
    ramp[inside] = np.linspace(1.0, 0.0, inside.sum()) if falling else np.linspace(0.0, 1.0, inside.sum())
    return ramp
