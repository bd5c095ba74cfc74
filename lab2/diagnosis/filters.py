"""What the residuals of every spectrum look like: matched filters for the ways in which a spectrum can be odd.

Each way changes the flux by a template T times an amplitude a, and the labels may follow: to first order they add the
columns of J, the Jacobian of the model by the labels. Both are linear nuisances of which nothing is known before
(`lab2.cannon.quartics`). With the residual r of the best fit and C^-1, the weights W less what J explains, chi^2 is
least for the amplitude

    a = n / d,   n = T^T C^-1 r,   d = T^T C^-1 T,   C^-1 = W - W J (J^T W J)^-1 J^T W,

and z = n / sqrt(d) is its significance: chi^2 falls by z^2. J is theta times the derivative of the polynomial's terms,
so that all stars share one matrix product for each template and nothing is fitted. Templates are made from D = 1 - F,
the depth of the best-fitting model.
"""

import numpy as np
import xarray as xr
from scipy.ndimage import convolve1d

from lab2 import lines
from lab2._blocks import map_blocks
from lab2.cannon import polynomial, weights
from lab2.grid import BRACKETT, KM_S_PER_PIXEL, LOG_STEP, chip_of, rotation_kernel
from lab2.spectra import seen

__all__ = ["excess", "moved", "screen"]

_LAGS = [lag for lag in range(-25, 26) if lag]  # pixels: 104 km/s to either side
_ROTATION = (10.0, 20.0, 40.0)  # v sin i [km/s]
_BRACKETT_WIDTH = 3.5  # standard deviation [Angstrom]: lines of hydrogen are broader than the spectrograph's profile
_BLOCK = 32  # stars worked on at a time by one thread
_NEAR_LINE = 0.7  # Angstrom: half the width of a line at the spectrograph's resolution
_STRONG = 1.0  # log10 of the opacity at a line's center over the continuum's
_FEWEST_PIXELS = 30  # for a reduced chi^2 that means something


def screen(model, spectra, fits) -> xr.Dataset:
    """Look through all residuals for the known kinds of odd spectra.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength), on a part of the survey's logarithmic grid.
    fits : xarray.Dataset
        Of these spectra by this model, from `lab2.cannon.fitting.fit_labels`.

    Returns
    -------
    xarray.Dataset
        (star): ``velocity_z``, the significance of a copy of the spectrum moved by ``velocity`` [km/s] that takes the
        share ``velocity_share`` of the light (1: the whole star is moved); ``rotation_z`` of lines broadened by
        ``v_sin_i`` [km/s]; ``emission_z`` of light in the Brackett lines; ``veil_z`` of light added to one chip,
        ``veiled_chip``, and ``veil``, its share. 0 where there is no fit.

    Raises
    ------
    ValueError
        If the pixels are not equal steps of 6e-6 in log10 of the wavelength.
    """
    wavelength = spectra.wavelength.values
    if not np.allclose(np.diff(np.log10(wavelength)), LOG_STEP, rtol=1e-3, atol=0):
        raise ValueError(f"the pixels must be steps of {LOG_STEP:g} in log10 of the wavelength, so that lines can move")
    chip = chip_of(wavelength)
    # light added to a detector is seldom even: it fades toward one of its ends
    chips = np.repeat(list(dict.fromkeys(chip[model.trained.values])), 2)
    ramps = [_ramp(chip == name, falling=k % 2 == 0) for k, name in enumerate(chips)]
    kernels = [rotation_kernel(v_sin_i) for v_sin_i in _ROTATION]
    brackett = ((11 / np.arange(11, 21)) ** 3) @ np.exp(
        -0.5 * ((wavelength - BRACKETT[:, None]) / _BRACKETT_WIDTH) ** 2
    )

    def screen_block(stars):
        match = _Matcher(model, spectra[["flux", "ivar"]].isel(star=stars), fits.isel(star=stars))
        depth = match.depth
        by_lag = np.array([match(depth - moved(depth, lag)) for lag in _LAGS])
        by_width = np.array([match(depth - convolve1d(depth, kernel, axis=1)) for kernel in kernels])
        emission = match(np.broadcast_to(brackett, depth.shape))
        by_chip = np.array([match(depth * ramp) for ramp in ramps])
        return np.concatenate([_best(by_lag), _best(by_width), [emission[0]], _best(by_chip)])

    found = np.concatenate(map_blocks(screen_block, spectra.sizes["star"], _BLOCK), axis=1)
    velocity_z, share, lag, rotation_z, _, width, emission_z, veil_z, veil, veiled = found
    columns = {
        "velocity_z": velocity_z,
        "velocity": np.array(_LAGS)[lag.astype(int)] * KM_S_PER_PIXEL,
        "velocity_share": share,
        "rotation_z": rotation_z,
        "v_sin_i": np.array(_ROTATION)[width.astype(int)],
        "emission_z": emission_z,
        "veil_z": veil_z,
        "veiled_chip": chips[veiled.astype(int)],
        "veil": veil,
    }
    return xr.Dataset({k: ("star", v) for k, v in columns.items()}, coords={"star": spectra.star})


def excess(model, spectra, fits) -> xr.DataArray:
    """Reduced chi^2 of each star on each chip and near the strong lines of each element.

    Parameters
    ----------
    model, spectra, fits
        As for `screen`.

    Returns
    -------
    xarray.DataArray
        (star, region), regions such as "blue chip" and "Mg lines"; NaN where a star has too few pixels.
    """
    wavelength = spectra.wavelength.values
    chip = chip_of(wavelength)
    regions = {f"{name} chip": chip == name for name in dict.fromkeys(chip)}
    table = lines.strong_lines(minimum_strength=_STRONG)
    for element in sorted(set(table["element"])):
        at = table["wavelength"][table["element"] == element].value
        regions[f"{element} lines"] = (np.abs(wavelength[:, None] - at) < _NEAR_LINE).any(axis=1)
    regions = {name: inside & model.trained.values for name, inside in regions.items()}
    regions = {name: inside for name, inside in regions.items() if inside.sum() >= _FEWEST_PIXELS}
    masks = np.array(list(regions.values()), dtype=float)
    labels = fits.labels.fillna(model.label_mean).transpose("star", "label").values

    def sum_block(stars):
        weight = weights(model, spectra.ivar.values[stars])
        residual = np.where(weight > 0, spectra.flux.values[stars] - model.predict(labels[stars]).values, 0.0)
        n_pixels = seen(spectra.ivar.values[stars], model.typical_s2) @ masks.T
        chi2 = (weight * residual**2) @ masks.T
        return np.where(n_pixels >= _FEWEST_PIXELS, chi2 / np.maximum(n_pixels, 1), np.nan)

    values = np.concatenate(map_blocks(sum_block, spectra.sizes["star"], _BLOCK))
    return xr.DataArray(values, dims=("star", "region"), coords={"star": spectra.star, "region": list(regions)})


def moved(values, lag) -> np.ndarray:
    """Rows moved by `lag` pixels to the red, 0 where nothing comes from."""
    out = np.zeros_like(values)
    if lag > 0:
        out[:, lag:] = values[:, :-lag]
    elif lag < 0:
        out[:, :lag] = values[:, -lag:]
    else:
        out[:] = values
    return out


class _Matcher:
    """Significance and amplitude of a template in the residuals of a block of stars."""

    def __init__(self, model, spectra, fits):
        labels = fits.labels.transpose("star", "label").values
        self.fitted = np.isfinite(labels).all(axis=1)
        labels = np.where(self.fitted[:, None], labels, model.label_mean.values)
        self.theta, self.weight = model.theta.values, weights(model, spectra.ivar.values)
        self.depth = 1.0 - model.predict(labels).values
        self.weighted = self.weight * np.where(self.weight > 0, spectra.flux.values - 1.0 + self.depth, 0.0)
        self.slopes = polynomial.jacobian(model.scale(labels), model.pairs)  # (star, term, label)
        normal = np.array([(self.theta * w[:, None]).T @ self.theta for w in self.weight])
        information = np.einsum("ntk,ntu,nul->nkl", self.slopes, normal, self.slopes, optimize=True)
        self.inverse = np.linalg.pinv(information, hermitian=True)
        self.step = np.einsum("nkl,nl->nk", self.inverse, self._on_labels(self.weighted))

    def _on_labels(self, weighted):
        """J^T of rows of pixels, (star, label)."""
        return np.einsum("ntk,nt->nk", self.slopes, weighted @ self.theta)

    def __call__(self, template):
        """z and amplitude, (2, star); 0 where the template says nothing or the star has no fit."""
        on_labels = self._on_labels(template * self.weight)
        top = (template * self.weighted).sum(axis=1) - (on_labels * self.step).sum(axis=1)
        norm = (template**2 * self.weight).sum(axis=1)
        bottom = norm - np.einsum("nk,nkl,nl->n", on_labels, self.inverse, on_labels)
        usable = self.fitted & (bottom > 1e-9 * norm)
        bottom = np.where(usable, bottom, 1.0)
        return np.where(usable, [top / np.sqrt(bottom), top / bottom], 0.0)


def _best(matches):
    """Of several templates (template, 2, star) the most significant: z, amplitude and which, (3, star)."""
    which = matches[:, 0].argmax(axis=0)
    star = np.arange(matches.shape[2])
    return np.array([matches[which, 0, star], matches[which, 1, star], which])


def _ramp(inside, falling):
    """From 1 to 0, or from 0 to 1, along the pixels inside."""
    ramp = np.zeros(len(inside))
    ramp[inside] = np.linspace(1.0, 0.0, inside.sum()) if falling else np.linspace(0.0, 1.0, inside.sum())
    return ramp
