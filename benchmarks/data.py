"""The benchmark's stars: giants as APOGEE sees them, made from a seed, so that every code gets the same numbers.

Fluxes are `lab2.simulate.spectrum` with abundances that the labels do not tell (a real scatter about any model of
them), noise that is larger in sky lines and at the ends of the chips, and pixels that no star or only some
stars saw.
"""

from dataclasses import dataclass

import numpy as np

from lab2.grid import N_PIXELS, WAVELENGTH
from lab2.simulate import chemistry, spectrum

__all__ = ["Stars", "draw_labels", "make", "spread"]

SEED = 20260123
# First and last pixel of what the three detectors see of the grid; the rest has no flux in any star.
CHIPS = ((246, 3274), (3585, 6080), (6344, 8335))
_BLOCK = 500  # stars at a time: bounds the memory


@dataclass(frozen=True)
class Stars:
    """Continuum-normalized spectra: flux, ivar (n_stars, n_pixels), labels (n_stars, 5), wavelength (n_pixels,)."""

    flux: np.ndarray
    ivar: np.ndarray
    labels: np.ndarray
    wavelength: np.ndarray

    def stars(self, which):
        """Some of the stars."""
        return Stars(self.flux[which], self.ivar[which], self.labels[which], self.wavelength)

    def pixels(self, which):
        """Some of the pixels; the arrays are contiguous again, as a reader would have made them."""
        flux, ivar = (np.ascontiguousarray(a[:, which]) for a in (self.flux, self.ivar))
        return Stars(flux, ivar, self.labels, self.wavelength[which])


def spread(n_pixels):
    """Indices of `n_pixels` pixels spread evenly over the grid: the same share of them in gaps, in lines, anywhere."""
    return np.linspace(0, N_PIXELS - 1, n_pixels).round().astype(int)


def draw_labels(rng, n):
    """Labels of red giants and clump stars on two sequences of alpha elements.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int

    Returns
    -------
    numpy.ndarray, shape (n, 5)
        Teff [K], log g [dex], [Fe/H], [Mg/Fe], [Si/Fe] [dex].
    """
    clump = rng.random(n) < 0.35
    logg = np.where(clump, rng.normal(2.45, 0.1, n), 0.7 + 2.8 * rng.beta(2.2, 1.5, n))
    fe_h = np.where(rng.random(n) < 0.8, rng.normal(-0.1, 0.22, n), rng.normal(-0.5, 0.25, n)).clip(-1.0, 0.5)
    teff = 4760 + 330 * (logg - 2.5) - 260 * fe_h + 90 * clump + rng.normal(0, 55, n)
    # the poorer in metals, the more stars lie on the high sequence
    high = rng.random(n) < 0.05 + 0.85 / (1 + np.exp((fe_h + 0.35) / 0.12))
    mg_fe = np.where(high, 0.25, 0.03) - 0.1 * fe_h + rng.normal(0, 0.04, n)
    si_fe = np.where(high, 0.18, 0.02) - 0.06 * fe_h + rng.normal(0, 0.03, n)
    return np.stack([teff, logg, fe_h, mg_fe, si_fe], axis=1)


def make(n_stars=1886, pixels=slice(None), seed=SEED):
    """Spectra of `n_stars` giants.

    Parameters
    ----------
    n_stars : int
    pixels : slice or array of int
        Which of the grid's 8575 pixels to keep.
    seed : int

    Returns
    -------
    Stars
        flux 1 and ivar 0 in pixels without information; float64.
    """
    rng = np.random.default_rng(seed)
    labels = draw_labels(rng, n_stars)
    hidden = chemistry.draw(rng, labels)
    relative_error = _relative_error(rng)[pixels]
    on_chip = np.zeros(N_PIXELS, dtype=bool)
    for first, last in CHIPS:
        on_chip[first:last] = True
    on_chip = on_chip[pixels]
    signal_to_noise = np.exp(rng.uniform(np.log(50), np.log(300), n_stars))

    flux = np.ones((n_stars, len(on_chip)))
    ivar = np.zeros_like(flux)
    for start in range(0, n_stars, _BLOCK):
        here = slice(start, min(start + _BLOCK, n_stars))
        model = spectrum(labels[here], {name: value[here] for name, value in hidden.items()})[:, pixels]
        error = relative_error / signal_to_noise[here, None] * np.exp(rng.normal(0, 0.06, model.shape))
        seen = on_chip & (rng.random(model.shape) > 0.03)  # the others: cosmic rays, bad columns
        flux[here] = np.where(seen, model + error * rng.standard_normal(model.shape), 1.0)
        ivar[here] = np.where(seen, error**-2.0, 0.0)
    return Stars(flux, ivar, labels, WAVELENGTH[pixels])


def _relative_error(rng):
    """Noise along the spectrum, 1 at the middle of a chip: larger at the ends, and several times so in sky lines."""
    error = np.full(N_PIXELS, 1.35)
    pixel = np.arange(N_PIXELS)
    for first, last in CHIPS:
        error[first:last] = 1 + 0.35 * np.linspace(-1, 1, last - first) ** 2
    for center, height in zip(rng.uniform(0, N_PIXELS, 60), rng.uniform(0.5, 6, 60), strict=True):
        error += height * np.exp(-0.5 * ((pixel - center) / 3) ** 2)
    return error
