"""Ionization and molecules of a layered gas: how many particles of each kind absorb, and how many electrons.

Local thermodynamic equilibrium of the neutral atoms, first ions, diatomic molecules and H- of `ELEMENTS` and
`MOLECULES`. Partition functions and dissociation constants are polynomials fitted to Barklem & Collet 2016 (A&A 588,
A96), in equilibrium.json.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

__all__ = [
    "ALPHA", "BOLTZMANN", "ELECTRON_MASS", "ELEMENTS", "EV", "LIGHT", "MASS_UNIT", "MOLECULES", "PLANCK", "Gas",
    "abundances", "dissociation_constant", "mass_of", "partition", "solve",
]  # fmt: skip

# CODATA 2018, cgs
BOLTZMANN, PLANCK, LIGHT = 1.380649e-16, 6.62607015e-27, 2.99792458e10
ELECTRON_MASS, MASS_UNIT, EV = 9.1093837015e-28, 1.66053906660e-24, 1.602176634e-12

# Abundance log10 N with hydrogen 12, of the Sun as the MARCS grid has it (Grevesse, Asplund & Sauval 2007, SSRv 130,
# 105), atomic weight, and ionization energy [eV] (NIST).
ELEMENTS = {
    "H": (12.00, 1.008, 13.598), "He": (10.93, 4.003, 24.587), "C": (8.39, 12.011, 11.260), "N": (7.78, 14.007, 14.534),
    "O": (8.66, 15.999, 13.618), "Na": (6.17, 22.990, 5.139), "Mg": (7.53, 24.305, 7.646), "Al": (6.37, 26.982, 5.986),
    "Si": (7.51, 28.085, 8.152), "S": (7.14, 32.06, 10.360), "K": (5.08, 39.098, 4.341), "Ca": (6.31, 40.078, 6.113),
    "Sc": (3.17, 44.956, 6.561), "Ti": (4.90, 47.867, 6.828), "V": (4.00, 50.942, 6.746), "Cr": (5.64, 51.996, 6.767),
    "Mn": (5.39, 54.938, 7.434), "Fe": (7.45, 55.845, 7.902), "Co": (4.92, 58.933, 7.881), "Ni": (6.23, 58.693, 7.640),
}  # fmt: skip
ALPHA = ("O", "Mg", "Si", "S", "Ca", "Ti")
MOLECULES = {
    "H2": ("H", "H"), "OH": ("O", "H"), "CH": ("C", "H"), "NH": ("N", "H"), "CO": ("C", "O"), "CN": ("C", "N"),
    "C2": ("C", "C"), "N2": ("N", "N"), "NO": ("N", "O"), "SiO": ("Si", "O"), "SiH": ("Si", "H"), "TiO": ("Ti", "O"),
    "FeH": ("Fe", "H"),
}  # fmt: skip
# Electron affinity of hydrogen [eV] (Lykke et al. 1991, PRA 43, 6104).
_H_MINUS = 0.7542
_TOLERANCE, _MAX_ROUNDS = 1e-6, 400


def abundances(m_h, x_fe=None):
    """Number of each element per hydrogen nucleus.

    Parameters
    ----------
    m_h : float
        [Fe/H], which all elements but H and He follow.
    x_fe : dict of str to float, optional
        [X/Fe] of elements that differ.

    Returns
    -------
    dict of str to float
    """
    x_fe = x_fe or {}
    return {
        symbol: 10 ** (row[0] - 12 + (0 if symbol in ("H", "He") else m_h + x_fe.get(symbol, 0.0)))
        for symbol, row in ELEMENTS.items()
    }


def mass_of(species):
    """Mass of an atom or molecule in atomic units."""
    return sum(ELEMENTS[atom][1] for atom in MOLECULES.get(species, (species,)))


@cache
def _tables():
    return json.loads(Path(__file__).with_name("equilibrium.json").read_text())


def partition(species, temperature, ion=0):
    """Partition function of an atom (ion 0), its first ion (1), or a molecule; temperature [K] (n,)."""
    tables = _tables()
    if species in MOLECULES:
        coefficients = tables["molecule_log_partition"][species]
    elif (species, ion) == ("H", 1):
        return np.ones_like(temperature)
    else:
        coefficients = tables["atom_log_partition"][f"{species}{ion}"]
    return np.exp(np.polynomial.polynomial.polyval(np.log(temperature / 5000.0), coefficients))


def dissociation_constant(molecule, temperature):
    """p_A p_B / p_AB [dyn/cm2] at a temperature [K] (n,)."""
    a, b, c, d, energy = _tables()["molecule_log10_constant"][molecule]
    theta = 5040.0 / temperature
    x = np.log10(theta)
    return 10 ** (a + b * x + c * x**2 + d * x**3 + energy * theta)


@dataclass(frozen=True)
class Gas:
    """Number densities [cm-3], each (n_depth,).

    `electrons`; `hydrogen`, nuclei in any form; `neutral` and `ionized`, by element; `molecules`, by name;
    `density` [g/cm3]; `temperature` [K].
    """

    temperature: np.ndarray
    electrons: np.ndarray
    hydrogen: np.ndarray
    neutral: dict
    ionized: dict
    molecules: dict
    density: np.ndarray


def solve(temperature, gas_pressure, abundance):
    """Solve ionization and dissociation in every layer.

    Saha's equation n1 ne / n0 = 2 (2 pi m_e k T / h^2)^1.5 Q1/Q0 exp(-I/kT) (Gray 2005, eq. 1.20), the law of mass
    action for every molecule, conservation of each element and of charge. Electrons and hydrogen are iterated, with
    geometric means for damping; carbon and oxygen, which CO ties together, by the quadratic that follows from both.

    Parameters
    ----------
    temperature, gas_pressure : numpy.ndarray, shape (n_depth,)
        [K], [dyn/cm2].
    abundance : dict of str to float
        As from `abundances`.

    Returns
    -------
    Gas

    Raises
    ------
    RuntimeError
        If the iteration does not settle.
    """
    kt = BOLTZMANN * temperature
    total = gas_pressure / kt
    translation = (2 * np.pi * ELECTRON_MASS * kt / PLANCK**2) ** 1.5
    saha = {
        s: 2 * translation * partition(s, temperature, 1) / partition(s, temperature) * np.exp(-row[2] * EV / kt)
        for s, row in ELEMENTS.items()
    }
    bound = {m: kt / dissociation_constant(m, temperature) for m in MOLECULES}
    h_minus = 0.25 / translation * np.exp(_H_MINUS * EV / kt)

    electrons, hydrogen = 1e-4 * total, 0.9 * total
    free = {s: abundance[s] * hydrogen for s in ELEMENTS}
    for _ in range(_MAX_ROUNDS):
        atoms = {s: 1 + saha[s] / electrons for s in ELEMENTS}  # all of an element's atoms and ions per neutral atom
        _dissociate(free, atoms, {s: abundance[s] * hydrogen for s in ELEMENTS}, bound)
        ionized = {s: free[s] * saha[s] / electrons for s in ELEMENTS}
        molecules = {m: bound[m] * free[a] * free[b] for m, (a, b) in MOLECULES.items()}
        negative = h_minus * free["H"] * electrons
        new_electrons = np.sqrt(electrons * np.maximum(sum(ionized.values()) - negative, 1e-3 * electrons))
        particles = electrons + sum(free.values()) + sum(ionized.values()) + sum(molecules.values()) + negative
        new_hydrogen = hydrogen * total / particles
        change = max(np.abs(new_electrons / electrons - 1).max(), np.abs(new_hydrogen / hydrogen - 1).max())
        electrons, hydrogen = new_electrons, new_hydrogen
        if change < _TOLERANCE:
            break
    else:
        raise RuntimeError("the equation of state did not settle; are temperature and pressure those of a star?")
    density = hydrogen * MASS_UNIT * sum(abundance[s] * row[1] for s, row in ELEMENTS.items())
    return Gas(temperature, electrons, hydrogen, free, ionized, molecules, density)


def _dissociate(free, atoms, total, bound):
    """One round over the elements: neutral atoms from what molecules leave, in place."""
    linear = atoms["H"] + bound["OH"] * free["O"] + bound["CH"] * free["C"]
    free["H"] = _positive_root(2 * bound["H2"], linear, total["H"])
    # C (c + K O) = C_total and O (o + K C) = O_total, with everything but CO in c and o
    c = atoms["C"] + bound["CH"] * free["H"] + bound["CN"] * free["N"] + 2 * bound["C2"] * free["C"]
    o = atoms["O"] + bound["OH"] * free["H"] + bound["NO"] * free["N"] + bound["SiO"] * free["Si"]
    o = o + bound["TiO"] * free["Ti"]
    k = bound["CO"]
    free["C"] = _positive_root(k * c / o, c + k * (total["O"] - total["C"]) / o, total["C"])
    free["O"] = total["O"] / (o + k * free["C"])
    linear = atoms["N"] + bound["CN"] * free["C"] + bound["NH"] * free["H"] + bound["NO"] * free["O"]
    free["N"] = _positive_root(2 * bound["N2"], linear, total["N"])
    free["Si"] = total["Si"] / (atoms["Si"] + bound["SiO"] * free["O"] + bound["SiH"] * free["H"])
    free["Ti"] = total["Ti"] / (atoms["Ti"] + bound["TiO"] * free["O"])
    for symbol in ELEMENTS:
        if symbol not in ("H", "C", "N", "O", "Si", "Ti"):  # FeH holds next to none of the iron
            free[symbol] = total[symbol] / atoms[symbol]


def _positive_root(a, b, c):
    """x > 0 of a x^2 + b x = c, in the form that keeps digits for either sign of b."""
    root = np.sqrt(b * b + 4 * a * c)
    return np.where(b > 0, 2 * c / (np.abs(b) + root), (root - b) / (2 * a))
