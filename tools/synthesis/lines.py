"""Spectral lines: the list, and what each line needs to absorb in a given gas."""

from dataclasses import dataclass, replace

import numpy as np

from tools.synthesis.atmosphere import interpolate
from tools.synthesis.chemistry import (
    BOLTZMANN,
    ELEMENTS,
    EV,
    LIGHT,
    MASS_UNIT,
    MOLECULES,
    PLANCK,
    abundances,
    mass_of,
    partition,
    solve,
)  # fmt: skip
from tools.synthesis.hydrogen import profile, upper_level
from tools.synthesis.inputs import line_lists, public_file
from tools.synthesis.opacity import continuum

__all__ = [
    "CARBON_RATIO", "COARSE", "Lines", "absorption", "air_to_vacuum", "hydrogen_absorption", "identified", "read",
    "strengths", "strongest",
]  # fmt: skip

_ATOMIC_NUMBER = {
    1: "H", 6: "C", 7: "N", 8: "O", 11: "Na", 12: "Mg", 13: "Al", 14: "Si", 16: "S", 19: "K", 20: "Ca", 21: "Sc",
    22: "Ti", 23: "V", 24: "Cr", 25: "Mn", 26: "Fe", 27: "Co", 28: "Ni",
}  # fmt: skip
# 12C/13C of giants after the first dredge-up; terrestrial 16O/17O and 16O/18O.
CARBON_RATIO, OXYGEN_17, OXYGEN_18 = 15.0, 2700.0, 500.0
_C12, _C13 = CARBON_RATIO / (1 + CARBON_RATIO), 1 / (1 + CARBON_RATIO)
# MOOG's code: molecule, its name with isotopes, share of the molecules
_ISOTOPOLOGUES = {
    "607.01214": ("CN", "12CN", _C12), "607.01314": ("CN", "13CN", _C13),
    "608.01216": ("CO", "12CO", _C12), "608.01316": ("CO", "13CO", _C13),
    "608.01217": ("CO", "C17O", _C12 / OXYGEN_17), "608.01218": ("CO", "C18O", _C12 / OXYGEN_18),
    "108.0": ("OH", "OH", 1.0), "606.01212": ("C2", "C2", _C12**2),
}  # fmt: skip
# Lines that the atlas of Arcturus identifies and linemake lacks get the excitation typical of their species in this
# band [eV], this log gf to start from, and the real spectra find the rest.
_TYPICAL_EXCITATION = {
    "Fe I": 5.9, "Ni I": 5.5, "Mn I": 4.9, "Si I": 6.7, "V I": 4.6, "Cr I": 5.9, "Ca II": 9.2,
}  # fmt: skip
_FIRST_LOG_GF, _SAME_LINE, _FAINT_IN_ARCTURUS = -0.8, 0.12, -1.0
# Continuum and Planck function vary slowly: they are computed at these wavelengths and interpolated.
COARSE = np.linspace(15080.0, 17020.0, 41)
# Typical giants by which lines are ranked.
_GIANTS = ((3700.0, 0.5, 0.3), (4300.0, 1.8, 0.3), (5000.0, 3.0, 0.3), (4500.0, 2.2, -1.0))
_LAYERS = (-3.0, -2.0, -1.0, 0.0)  # log tau

# Line wings end where they absorb this much of what the continuum does, and at the latest here [relative].
_FAINT, _FARTHEST = 1e-4, 4e-3
# Unsoeld's van der Waals broadening is too narrow, for iron by about this factor (Ryan 1998, A&A 331, 1051).
_UNSOELD_FACTOR = 2.0
# Distances from the center of a hydrogen line at which its profile is computed [Angstrom].
_DISTANCES = np.concatenate([np.arange(0.01, 3.0, 0.05), np.geomspace(3.0, 100.0, 60)])
# Natural widths of infrared lines of atoms, and of molecules [1/s]: upper levels live for about 10 ns and 100 ns.
_RADIATIVE_ATOM, _RADIATIVE_MOLECULE = 1e8, 1e7
# Collisional width of a molecular line per perturber at 4000 K [cm3/s], of the order of laboratory CO in H2.
_MOLECULE_COLLISIONS = 2e-8


@dataclass(frozen=True)
class Lines:
    """A line list, by vacuum wavelength [Angstrom]; every field (n,).

    `species`: element or molecule; `ion`: 0 or 1; `name`: as people write it ("Fe I", "12CO"); `share`: the
    isotopologue's of the molecule; `excitation`: of the lower level [eV]; `log_gf`; `unmeasured`: True where nothing
    but an atlas tells of the line, so that excitation and log gf are guesses.
    """

    wavelength: np.ndarray
    species: np.ndarray
    ion: np.ndarray
    name: np.ndarray
    share: np.ndarray
    excitation: np.ndarray
    log_gf: np.ndarray
    unmeasured: np.ndarray

    def __len__(self):
        return len(self.wavelength)

    def __getitem__(self, which):
        return Lines(*(getattr(self, field)[which] for field in self.__dataclass_fields__))

    def joined(self, other):
        """The list with another's lines, by wavelength."""
        both = Lines(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in self.__dataclass_fields__))
        return both[np.argsort(both.wavelength, kind="stable")]

    def corrected(self, log_gf_change):
        """The list with its log gf changed."""
        return replace(self, log_gf=self.log_gf + log_gf_change)

    def isotopes(self, carbon_ratio):
        """The list for a star of another 12C/13C."""
        change = np.zeros(len(self))
        for isotope, share in (("12C", carbon_ratio / _C12), ("13C", 1 / _C13)):
            change[np.char.startswith(self.name, isotope)] = np.log10(share / (1 + carbon_ratio))
        return self.corrected(change)

    def moving(self, velocity):
        """The list as seen in a star that recedes [km/s]."""
        return replace(self, wavelength=self.wavelength * (1 + velocity * 1e5 / LIGHT))


def air_to_vacuum(wavelength):
    """Vacuum wavelength of a wavelength in air [Angstrom] (Morton 2000, ApJS 130, 403, eq. 8, inverted by N. Piskunov
    for VALD)."""
    s2 = (1e4 / np.asarray(wavelength)) ** 2
    index = (
        1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    return wavelength * index


def read():
    """All lines of the H band whose absorbers `tools.synthesis.chemistry` knows.

    Returns
    -------
    Lines
    """
    rows = []
    for wavelength, code, excitation, log_gf in line_lists():
        number, _, ion = code.partition(".")
        if code in _ISOTOPOLOGUES:
            species, name, share = _ISOTOPOLOGUES[code]
            rows.append((wavelength, species, 0, name, share, excitation, log_gf))
        elif number.isdigit() and int(number) in _ATOMIC_NUMBER and ion in ("0", "1"):
            species = _ATOMIC_NUMBER[int(number)]
            rows.append((wavelength, species, int(ion), f"{species} {'I' * (int(ion) + 1)}", 1.0, excitation, log_gf))
    rows.sort()
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Lines(air_to_vacuum(columns[0]), *columns[1:], np.zeros(len(rows), dtype=bool))


def identified(lines):
    """Lines of atoms that Hinkle, Wallace & Livingston 1995 identify in Arcturus and a list does not have.

    A list has a line if one of the same species lies within 0.12 Angstrom and shows in Arcturus.

    Parameters
    ----------
    lines : Lines

    Returns
    -------
    Lines
    """
    atmosphere = interpolate(4286.0, 1.66, -0.5)
    gas = solve(atmosphere.temperature, atmosphere.gas_pressure, abundances(-0.5))
    shows = lines[strengths(lines, gas, 1.7).max(axis=1) > _FAINT_IN_ARCTURUS]
    rows = []
    for text in public_file("atlas_line_ids_apogee.txt").read_text().splitlines():
        air, _, name = (part.strip() for part in text.partition(";"))
        if name not in _TYPICAL_EXCITATION or not 15100 < float(air) < 17000:
            continue
        wavelength = air_to_vacuum(float(air))
        if not np.any((shows.name == name) & (np.abs(shows.wavelength - wavelength) < _SAME_LINE)):
            element, ion = name.split()
            rows.append((wavelength, element, len(ion) - 1, name, 1.0, _TYPICAL_EXCITATION[name], _FIRST_LOG_GF))
    return Lines(*(np.array(column) for column in zip(*rows, strict=True)), np.ones(len(rows), dtype=bool))


def strongest(lines, count):
    """The lines that are strongest in any of four giants from 3700 to 5000 K, hydrogen's among them, in order."""
    best = np.full(len(lines), -np.inf)
    for teff, logg, m_h in _GIANTS:
        atmosphere = interpolate(teff, logg, m_h)
        gas = solve(atmosphere.temperature, atmosphere.gas_pressure, abundances(m_h, {"N": 0.3}))
        layers = [int(np.abs(atmosphere.log_tau - depth).argmin()) for depth in _LAYERS]
        level = continuum(16000.0, gas)  # near enough everywhere, to rank lines
        peak, _, _ = _peaks(lines, gas, 1.7)
        best = np.maximum(best, np.log10(peak[:, layers] / level[layers]).max(axis=1))
    best[lines.species == "H"] = np.inf
    return lines[np.sort(np.argsort(-best)[:count])]


def strengths(lines, gas, vmicro):
    """log10 of each line's opacity at its center over that of the continuum, (n_lines, n_depth)."""
    level = np.array([continuum(w, gas) for w in COARSE]).T
    at_lines = np.array([np.interp(lines.wavelength, COARSE, row) for row in level]).T
    return np.log10(_peaks(lines, gas, vmicro)[0] / at_lines)


def _peaks(lines, gas, vmicro):
    """Peak absorption [1/cm] and Doppler width over wavelength, (n_lines, n_depth), and mass (n_lines, 1).

    sqrt(pi) e^2/(m_e c) gf n/Q exp(-E/kT) (1 - exp(-h nu/kT)) / Delta nu_D (Gray 2005, eqs. 11.12 and 11.46).
    """
    t = gas.temperature
    per_state = np.empty((len(lines), len(t)))
    mass = np.empty((len(lines), 1))
    for species in np.unique(lines.species):
        here = lines.species == species
        mass[here] = mass_of(species) * MASS_UNIT
        if species in MOLECULES:
            per_state[here] = lines.share[here, None] * gas.molecules[species] / partition(species, t)
            continue
        for ion, number in enumerate((gas.neutral, gas.ionized)):
            per_state[here & (lines.ion == ion)] = number[species] / partition(species, t, ion)
    frequency = LIGHT / (lines.wavelength * 1e-8)[:, None]
    doppler = np.sqrt(2 * BOLTZMANN * t / mass + (vmicro * 1e5) ** 2) / LIGHT
    emission = 1 - np.exp(-PLANCK * frequency / (BOLTZMANN * t))
    boltzmann = np.exp(-lines.excitation[:, None] * EV / (BOLTZMANN * t))
    # pi e^2 / (m_e c) = 0.026540 cm2 Hz
    cross_section = 0.026540 / np.sqrt(np.pi) * 10 ** lines.log_gf[:, None]
    return cross_section * per_state * boltzmann * emission / (frequency * doppler), doppler, mass


def absorption(lines, gas, level, vmicro, step, which, weakest=2e-4):
    """What `kernels.add_lines` needs of each line that shows.

    Parameters
    ----------
    lines : Lines
    gas : Gas
    level : numpy.ndarray, shape (n_lines, n_depth)
        Continuous opacity at each line [1/cm].
    vmicro : float
        Microturbulence [km/s].
    step : float
        Of the wavelength grid, in ln(wavelength).
    which : numpy.ndarray of bool, shape (n_lines,)
        The lines with Voigt profiles.
    weakest : float
        Lines whose peak stays below this part of the continuum in every layer that counts are left out.

    Returns
    -------
    kept : numpy.ndarray of int
        Indices of the lines that show.
    half_width : numpy.ndarray, shape (n_kept,)
        Where each line's wings end, in steps.
    peak, damping, doppler : numpy.ndarray, shape (n_kept, n_depth)
        [1/cm], a = gamma / (4 pi Delta nu_D), and Doppler width in steps.
    """
    peak, doppler, mass = _peaks(lines, gas, vmicro)
    forming = slice(5, 45)  # neither the thin top nor what no light leaves
    relative = (peak / level)[:, forming]
    kept = np.flatnonzero(which & (relative.max(axis=1) > weakest))
    lines, peak, doppler, relative = lines[kept], peak[kept], doppler[kept], relative[kept]
    damping = _widths(lines, gas, mass[kept]) / (4 * np.pi * (LIGHT / (lines.wavelength * 1e-8))[:, None] * doppler)
    core = np.sqrt(np.log(np.maximum(relative / _FAINT, 1.01)))
    wing = np.sqrt(damping[:, forming] * relative / _FAINT / np.sqrt(np.pi))
    half_width = np.minimum((np.maximum(core, wing) * doppler[:, forming]).max(axis=1), _FARTHEST) / step
    return kept, half_width, peak, damping, doppler / step


def hydrogen_absorption(lines, gas, wavelength):
    """Absorption of the Brackett lines [1/cm], (n_depth, n_wavelength): `tools.synthesis.hydrogen` gives the profiles.

    Each line reaches 100 Angstrom to either side; beyond, it absorbs less than 1e-4 of what the continuum does.
    """
    total = np.zeros((len(gas.temperature), len(wavelength)))
    area = _peaks(lines, gas, 0.0)  # peak times sqrt(pi) and Doppler width is the integral
    for k, center in enumerate(lines.wavelength):
        integral = area[0][k] * np.sqrt(np.pi) * area[1][k] * center
        shapes = profile(upper_level(center), _DISTANCES, gas.electrons, gas.temperature)
        first, last = np.searchsorted(wavelength, (center - _DISTANCES[-1], center + _DISTANCES[-1]))
        at = np.interp(np.abs(wavelength[first:last] - center), _DISTANCES, np.arange(len(_DISTANCES)))
        below = np.minimum(at.astype(int), len(_DISTANCES) - 2)
        f = at - below
        total[:, first:last] += integral[:, None] * ((1 - f) * shapes[:, below] + f * shapes[:, below + 1])
    return total


def _widths(lines, gas, mass):
    """Full width gamma of each line's damping [rad/s], (n_lines, n_depth)."""
    t = gas.temperature
    molecule = np.isin(lines.species, list(MOLECULES))
    perturbers = gas.neutral["H"] + 0.42 * 10 ** (ELEMENTS["He"][0] - 12) * gas.hydrogen + 0.85 * gas.molecules["H2"]
    # Unsoeld's approximation (Gray 2005, eqs. 11.28-11.30): C6 from the two levels' distances to ionization.
    ionization = np.array([ELEMENTS[s][2] if s in ELEMENTS else 99.0 for s in lines.species])
    lower = np.maximum(ionization - lines.excitation, 0.3)
    upper = np.maximum(lower - 12398.42 / lines.wavelength, 0.05)
    c6 = np.clip(0.3e-30 * (upper**-2 - lower**-2) * np.where(lines.ion == 1, 4, 1), 1e-33, 3e-29)
    speed = np.sqrt(8 * BOLTZMANN * t / np.pi * (1 / mass + 1 / (1.008 * MASS_UNIT)))
    gamma = _UNSOELD_FACTOR * 17 * speed**0.6 * c6[:, None] ** 0.4 * perturbers + _RADIATIVE_ATOM
    gamma[molecule] = _MOLECULE_COLLISIONS * (t / 4000.0) ** 0.3 * perturbers + _RADIATIVE_MOLECULE
    return gamma
