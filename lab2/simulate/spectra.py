"""Normalised model spectra of red giants: a stand-in for a synthesis.

What is real here: the lines' wavelengths, excitation energies and gf values (`lab2.lines`), the Brackett
series, and the sense and rough size of each sensitivity, since populations follow Saha, Boltzmann and
molecular equilibrium in one slab (`lab2.simulate.atmosphere`) over an H- continuum. What is approximate: the
slab itself, so the depths (a factor of two for single lines); the forest of lines too weak for the table is
absent, so the spectra are cleaner than a star's; strong lines have no wings. Trust it to exercise the
software and to show which way lines move, not to measure a real star.
"""

from functools import cache

import numpy as np
from scipy import sparse
from scipy.special import wofz

from lab2.apstar import LOG_START, LOG_STEP, N_PIXELS, WAVELENGTH
from lab2.labels import LABELS
from lab2.lines import strong_lines
from lab2.simulate.atmosphere import ATOMS, BOLTZMANN, HYDROGEN_MASS, MOLECULES, layer

__all__ = ["BRACKETT", "HIDDEN", "RANGE", "pixel_of", "spectrum"]

# Where the slab's assumptions hold: H- continuum, metals giving electrons, no water.
RANGE = {"teff": (3500.0, 5900.0), "logg": (-0.2, 4.2)}

ALPHA = ("O", "S", "Ca", "Ti")
# Abundances that no label tells, and the broadening [km/s]: what `spectrum` takes beside the labels.
HIDDEN = (*(f"{element.lower()}_fe" for element in ATOMS if element not in ("Fe", "Mg", "Si")),
          "vmicro", "vmacro")  # fmt: skip

# Brackett lines, n = 4 to 11...20 (Rydberg formula for hydrogen, vacuum), strengths relative to the first.
_UPPER = np.arange(11, 21)
BRACKETT = 1e8 / (109677.58 * (1 / 16 - 1 / _UPPER**2))
_BRACKETT_STRENGTH = (11 / _UPPER) ** 3

LIGHT = 299792.458  # km/s
PIXEL = LOG_STEP * np.log(10) * LIGHT  # km/s
RESOLVING_POWER = 22500
# Flux that the core of a saturated line takes away, set by the strongest lines of real giants.
CORE_DEPTH = 0.5
# log10 factor on all atomic and on each molecule's opacity: the one calibration of the slab, by eye against
# the depths in giants of known labels.
LOG_SCALE = {"atom": -0.4, "CO": -0.4, "OH": -0.7, "CN": -0.7}
# Carbon of giants past the first dredge-up has 12C/13C near 15.
ISOTOPES = {"12C": 15 / 16, "13C": 1 / 16}


def spectrum(labels, abundances=None):
    """Normalised model spectrum for each label vector, on the 8575-pixel grid.

    The flux is 1 between lines. Lines follow a curve of growth (weak, saturated, damped), so the flux is no
    polynomial of the labels.

    Parameters
    ----------
    labels : array_like, shape (5,) or (n, 5)
        Teff [K], log g [dex], [Fe/H], [Mg/Fe], [Si/Fe] [dex], the order of `lab2.labels.LABELS`.
    abundances : dict of str to float or array_like of shape (n,), optional
        Values of any of `HIDDEN`: [X/Fe] such as "c_fe", "vmicro" and "vmacro" [km/s]. What is not given
        follows the labels: C and N dredged up as in giants, O, S, Ca, Ti with Mg, others solar.

    Returns
    -------
    numpy.ndarray, shape (8575,) or (n, 8575)

    Raises
    ------
    ValueError
        If the labels have another shape, are not finite, lie outside `RANGE`, or an abundance is unknown.

    Notes
    -----
    A line's centre-to-continuum opacity ratio is eta = sqrt(pi) e^2/(m_e c) gf exp(-chi/kT) N/Q lambda/v_D /
    kappa, its equivalent width the integral of eta H(a, v)/(1 + eta H(a, v)) for a Milne-Eddington slab (Gray
    2005, ch. 13 and 16). Lines that blend multiply: exp(-sum). Profiles are Gaussian, of R = 22,500 and
    macroturbulence together.
    """
    vectors = _checked(labels)
    hidden = _hidden(vectors, abundances or {})
    teff, logg, fe_h, mg_fe, si_fe = vectors.T
    x_h = {"Fe": fe_h, "Mg": fe_h + mg_fe, "Si": fe_h + si_fe}
    x_h.update({e: fe_h + hidden[f"{e.lower()}_fe"] for e in ATOMS if e not in x_h})
    slab = layer(teff, logg, x_h)

    lines, profiles = _lines()
    widths = np.empty((len(vectors), len(lines)))
    species_of = np.asarray(lines["species"], dtype=str)
    for species in np.unique(species_of):
        here = species_of == species
        widths[:, here] = _equivalent_width(slab, species, lines[here], hidden["vmicro"])
    optical_depth = (profiles.T @ widths.T).T
    optical_depth = _broaden(optical_depth, hidden["vmacro"])
    flux = np.exp(-optical_depth - _brackett(slab, logg))
    return flux[0] if np.ndim(labels) == 1 else flux


def pixel_of(wavelength):
    """Fractional pixel number of a vacuum wavelength [Angstrom]."""
    return (np.log10(wavelength) - LOG_START) / LOG_STEP


def _checked(labels):
    vectors = np.atleast_2d(np.asarray(labels, dtype=float))
    if vectors.ndim != 2 or vectors.shape[1] != len(LABELS):
        raise ValueError(
            f"labels have shape {np.shape(labels)}; expected (5,) or (n, 5) in the order "
            f"{[label.name for label in LABELS]}"
        )
    if not np.isfinite(vectors).all():
        raise ValueError("labels hold NaN or infinity; give finite values")
    for column, (name, (low, high)) in enumerate(RANGE.items()):
        outside = (vectors[:, column] < low) | (vectors[:, column] > high)
        if outside.any():
            raise ValueError(
                f"{name} = {vectors[outside, column][0]:g} lies outside {low:g} to {high:g}, "
                "where the simulated spectra mean something; give labels inside"
            )
    return vectors


def _hidden(vectors, given):
    """Every hidden quantity, (n,), given or by default."""
    unknown = set(given) - set(HIDDEN)
    if unknown:
        raise ValueError(f"unknown abundances {sorted(unknown)}; known: {HIDDEN}")
    _, logg, fe_h, mg_fe, _ = vectors.T
    hidden = {name: np.zeros(len(vectors)) for name in HIDDEN}
    hidden.update({f"{element.lower()}_fe": mg_fe for element in ALPHA})
    hidden["c_fe"] = -0.12 + 0.04 * (logg - 2.5)
    hidden["n_fe"] = 0.25 - 0.08 * (logg - 2.5)
    # Holtzman et al. 2018, AJ 156, 125: micro- and macroturbulence of giants in APOGEE.
    hidden["vmicro"] = 10 ** (0.226 - 0.0228 * logg + 0.0297 * logg**2 - 0.0113 * logg**3)
    hidden["vmacro"] = 10 ** (0.471 - 0.254 * fe_h)
    hidden.update({name: np.broadcast_to(np.asarray(v, float), len(vectors)) for name, v in given.items()})
    return hidden


def _carrier(species):
    """The species without its isotope: "13CN" is CN, "Fe I" itself."""
    return species.removeprefix("12").removeprefix("13")


@cache
def _lines():
    """The table's lines whose species the slab knows, and their profiles (line, pixel) [1/Angstrom]."""
    table = strong_lines()
    species = [str(s) for s in table["species"]]
    table = table[[_carrier(s) in MOLECULES or s.rpartition(" ")[0] in ATOMS for s in species]]
    centre = pixel_of(np.asarray(table["wavelength"], float))
    sigma = 1 / (RESOLVING_POWER * LOG_STEP * np.log(10)) / np.sqrt(8 * np.log(2))
    offset = np.arange(-6, 7)
    pixel = np.rint(centre).astype(int)[:, None] + offset
    value = np.exp(-0.5 * ((pixel - centre[:, None]) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    pixel = np.clip(pixel, 0, N_PIXELS - 1)
    value /= np.gradient(WAVELENGTH)[pixel]
    row = np.repeat(np.arange(len(table)), offset.size)
    profiles = sparse.csr_array((value.ravel(), (row, pixel.ravel())), shape=(len(table), N_PIXELS))
    return table, profiles


def _equivalent_width(slab, species, lines, vmicro):
    """Equivalent width of each line in each star [Angstrom], (n, lines of this species)."""
    wavelength = np.asarray(lines["wavelength"], float)
    excitation = np.asarray(lines["excitation"], float)
    carrier = _carrier(species)
    molecule = carrier in MOLECULES
    mass = MOLECULES[carrier][4] if molecule else ATOMS[species.split()[0]][4]
    thermal = 2 * BOLTZMANN * slab.temperature / (mass * HYDROGEN_MASS) * 1e-10
    doppler = np.sqrt(thermal + vmicro**2)  # km/s
    share = 10 ** LOG_SCALE[carrier if molecule else "atom"] * ISOTOPES.get(species[:3], 1.0)
    # sqrt(pi) e^2/(m_e c) = 0.01497 cm2 Hz
    absorbers = 0.01497 * share * slab.fraction(carrier) / slab.opacity / (doppler * 1e5)
    log_eta = (
        np.log10(absorbers)[:, None]
        + np.asarray(lines["log_gf"], float)
        + np.log10(wavelength * 1e-8)
        - 5040 / slab.temperature[:, None] * excitation
    )
    grid, width = _curve_of_growth()
    growth = np.interp(log_eta, grid, width, left=0.0)
    return CORE_DEPTH * growth * (doppler / LIGHT)[:, None] * wavelength


@cache
def _curve_of_growth(damping=0.03):
    """Equivalent width in Doppler widths against log eta, for a Milne-Eddington slab."""
    log_eta = np.linspace(-5, 6, 221)
    v = np.concatenate([np.linspace(0, 6, 300), np.geomspace(6.05, 1500, 400)])
    voigt = wofz(v + 1j * damping).real
    depth = 10 ** log_eta[:, None] * voigt
    return log_eta, 2 * np.trapezoid(depth / (1 + depth), v, axis=1)


def _broaden(optical_depth, vmacro):
    """Convolve each row with a Gaussian of FWHM `vmacro` [km/s]; the ends wrap, where no data are."""
    sigma = vmacro / PIXEL / np.sqrt(8 * np.log(2))
    frequency = np.fft.rfftfreq(N_PIXELS)
    transfer = np.exp(-2 * (np.pi * sigma[:, None] * frequency) ** 2)
    return np.maximum(np.fft.irfft(np.fft.rfft(optical_depth) * transfer, N_PIXELS), 0)


def _brackett(slab, logg):
    """Optical depth of the Brackett lines: n = 4 of hydrogen by Boltzmann, Stark-broadened with gravity."""
    log_eta = 13.55 - 5040 / (slab.temperature / 0.9) * 12.75 - np.log10(slab.opacity / 1e-26)
    depth = 0.25 * 10**log_eta / (1 + 10**log_eta)
    sigma = 3.0 + 0.8 * logg  # Angstrom
    shape = np.zeros((len(logg), N_PIXELS))
    for centre, strength in zip(BRACKETT, _BRACKETT_STRENGTH, strict=True):
        shape += strength * np.exp(-0.5 * ((WAVELENGTH - centre) / sigma[:, None]) ** 2)
    return depth[:, None] * shape
