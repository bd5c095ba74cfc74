"""Real spectra beside synthetic ones: both normalized in the same way, and the model fitted to the star."""

from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr
from astropy.io import fits

from lab2 import apstar, continuum
from lab2.grid import N_PIXELS, WAVELENGTH
from tools.synthesis.chemistry import ALPHA, LIGHT
from tools.synthesis.spectrum import RESOLUTION, microturbulence, synthesize

__all__ = [
    "Parameters", "Star", "agreement", "fit", "model", "read_star", "read_visit", "residual_weights",
]  # fmt: skip

# What a model cannot reproduce, as an error added to that of every pixel; residuals beyond so many of these errors
# weigh less.
_FLOOR, _HUBER = 0.008, 4.0
_LEAST_VMICRO = 0.3  # km/s


@dataclass(frozen=True)
class Star:
    """A normalized spectrum on the 8575 pixels; ivar is 0 where there is none."""

    name: str
    raw: xr.Dataset
    pixels: xr.DataArray
    flux: np.ndarray
    ivar: np.ndarray

    @classmethod
    def normalizing(cls, name, raw, pixels):
        """A star from its raw spectrum and the list of continuum pixels."""
        spectra = continuum.normalize(raw, pixels)
        return cls(name, raw, pixels, spectra.flux.values[0].astype(float), spectra.ivar.values[0].astype(float))

    @property
    def good(self):
        """Pixels with information where ASPCAP looks."""
        inside = np.zeros(N_PIXELS, dtype=bool)
        inside[np.r_[continuum.ASPCAP_SLICES]] = True
        return inside & (self.ivar > 0)

    def normalize_like(self, model_flux):
        """A model's flux, divided by the pseudo-continuum that this star's normalization would find in it."""
        relative = self.raw.error / self.raw.flux
        raw = self.raw.assign(flux=(self.raw.flux.dims, model_flux[None]), error=relative * model_flux)
        return continuum.normalize(raw, self.pixels).flux.values[0].astype(float)


@dataclass(frozen=True)
class Parameters:
    """What a synthetic spectrum is made for: labels, [X/Fe], and velocities [km/s]."""

    teff: float
    logg: float
    m_h: float
    x_fe: dict = field(default_factory=dict)
    vmicro: float | None = None
    fwhm: float = RESOLUTION
    velocity: float = 0.0

    def moved(self, name, step):
        """With one of them changed; "alpha" moves all alpha elements, another element's symbol that one."""
        if name in self.__dataclass_fields__:
            return replace(self, **{name: getattr(self, name) + step})
        changed = {e: self.x_fe.get(e, 0.0) + step for e in (ALPHA if name == "alpha" else (name,))}
        return replace(self, x_fe=self.x_fe | changed)


def read_star(path, pixels):
    """A star from an apStar file."""
    raw = apstar.mask_bad_pixels(apstar.read(path))
    raw["error"] = raw.error.where(raw.flux > 0, np.inf)
    return Star.normalizing(str(raw.star.item()), raw, pixels)


def read_visit(path, pixels):
    """A star from an apVisit file: one exposure on the detectors' own pixels, at the observatory's velocity."""
    flux, error = np.ones(N_PIXELS), np.full(N_PIXELS, np.inf)
    with fits.open(path) as hdus:
        recession = 1 + hdus[0].header["VRAD"] * 1e5 / LIGHT
        name = hdus[0].header["OBJID"]
        bits = sum(apstar.BAD_BITS)
        for chip in range(3):
            values = [hdus[i].data[chip].astype(float) for i in (4, 1, 2)]
            order = np.argsort(values[0])
            w, f, e = (v[order] for v in values)
            bad = ((hdus[3].data[chip].astype(int)[order] & bits) != 0) | ~(np.isfinite(f) & (f > 0) & np.isfinite(e))
            rest = w / recession
            here = (rest[0] < WAVELENGTH) & (rest[-1] > WAVELENGTH)
            at = WAVELENGTH[here]
            flux[here] = np.interp(at, rest[~bad], f[~bad])
            touched = np.interp(at, rest, bad.astype(float)) > 0
            error[here] = np.where(touched, np.inf, np.interp(at, rest[~bad], e[~bad]))
    dims = ("star", "wavelength")
    raw = xr.Dataset(
        {"flux": (dims, flux[None]), "error": (dims, error[None])},
        coords={"star": [name], "wavelength": WAVELENGTH},
    )
    return Star.normalizing(name, raw, pixels)


def model(lines, parameters):
    """The synthesis for a set of parameters."""
    return synthesize(
        lines.moving(parameters.velocity), parameters.teff, parameters.logg, parameters.m_h, parameters.x_fe,
        parameters.vmicro,
    )  # fmt: skip


def residual_weights(star, residual):
    """1/variance of each good pixel, with the model's floor, less for outliers (Huber), 0 elsewhere."""
    variance = np.divide(1.0, star.ivar, out=np.full_like(star.ivar, np.inf), where=star.ivar > 0) + _FLOOR**2
    weight = np.where(star.good, 1 / variance, 0.0)
    pull = np.abs(residual) * np.sqrt(weight)
    return weight * np.minimum(1.0, _HUBER / np.maximum(pull, 1e-9))


# Steps of the finite differences, and the farthest that one round may go.
_STEPS = {"teff": 25.0, "logg": 0.1, "m_h": 0.05, "vmicro": 0.1, "fwhm": 0.5, "velocity": 0.3}
_FARTHEST = {"teff": 200.0, "logg": 0.5, "m_h": 0.3, "vmicro": 0.4, "fwhm": 2.0, "velocity": 2.0}


def fit(lines, star, parameters, free, rounds=4):
    """Fit some parameters of the model to a star by Gauss and Newton's method with finite differences.

    Parameters
    ----------
    lines : Lines
    star : Star
    parameters : Parameters
        Where to start, and what the others are held at.
    free : sequence of str
        Fields of `Parameters`, "alpha", or symbols of elements.
    rounds : int

    Returns
    -------
    Parameters
    """
    if parameters.vmicro is None:
        parameters = replace(parameters, vmicro=microturbulence(parameters.logg))

    def flux(p):
        return star.normalize_like(model(lines, p).pixels(p.fwhm))

    for _ in range(rounds):
        here = flux(parameters)
        steps = {name: _STEPS.get(name, 0.1) for name in free}
        slopes = np.array([(flux(parameters.moved(name, h)) - here) / h for name, h in steps.items()])
        residual = star.flux - here
        weight = residual_weights(star, residual)
        normal = (slopes * weight) @ slopes.T
        change = np.linalg.solve(normal + np.diag(1e-9 * np.diag(normal)), (slopes * weight) @ residual)
        for name, value in zip(free, change, strict=True):
            limit = _FARTHEST.get(name, 0.3)
            parameters = parameters.moved(name, float(np.clip(value, -limit, limit)))
        # below it the thermal motion hides what turbulence there is
        parameters = replace(parameters, vmicro=max(parameters.vmicro, _LEAST_VMICRO))
    return parameters


def agreement(star, model_flux, where=None):
    """Correlation and rms difference of star and model in its good pixels (where `where` holds)."""
    used = star.good if where is None else star.good & where
    return float(np.corrcoef(star.flux[used], model_flux[used])[0, 1]), float(np.std((star.flux - model_flux)[used]))
