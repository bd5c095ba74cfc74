"""The line-forming layer of a giant, as one slab: temperature, electron pressure and molecules.

A stand-in for a model atmosphere. It keeps the physics that gives lines their sensitivities: metals supply
the electrons, electrons make H- and H- makes the continuum; atoms ionise by Saha's law; CO, OH, CN and N2
share the carbon, nitrogen and oxygen. Every quantity is an array over stars.
"""

import numpy as np

__all__ = ["ATOMS", "MOLECULES", "Layer", "layer"]

BOLTZMANN = 1.380649e-16  # erg/K
EV = 1.602176634e-12  # erg
HYDROGEN_MASS = 1.6735e-24  # g
PER_CM_TO_K = 1.438777  # hc/k [cm K]
MEAN_WEIGHT = 1.4  # mass per hydrogen nucleus, in hydrogen masses

# Above the continuum's tau = 2/3 and cooler than Teff: T = 0.9 Teff at tau = 0.3 (grey, Eddington).
TEMPERATURE_RATIO, OPTICAL_DEPTH = 0.90, 0.3

# Solar abundance log eps (Asplund et al. 2009, ARA&A 47, 481), first ionisation energy [eV] (NIST), partition
# functions of atom and ion near 4500 K (rounded, after Irwin 1981, ApJS 45, 621), atomic mass.
ATOMS = {
    "C": (8.43, 11.26, 9.3, 6.0, 12),
    "N": (7.83, 14.53, 4.1, 9.0, 14),
    "O": (8.69, 13.62, 8.7, 4.0, 16),
    "Na": (6.24, 5.14, 2.1, 1.0, 23),
    "Mg": (7.60, 7.65, 1.03, 2.0, 24),
    "Al": (6.45, 5.99, 5.9, 1.0, 27),
    "Si": (7.51, 8.15, 9.6, 5.7, 28),
    "P": (5.41, 10.49, 4.6, 8.5, 31),
    "S": (7.12, 10.36, 8.9, 4.2, 32),
    "K": (5.03, 4.34, 2.2, 1.0, 39),
    "Ca": (6.34, 6.11, 1.3, 2.3, 40),
    "Sc": (3.15, 6.56, 12.5, 23.0, 45),
    "Ti": (4.95, 6.83, 32.0, 56.0, 48),
    "V": (3.93, 6.75, 47.0, 43.0, 51),
    "Cr": (5.64, 6.77, 10.5, 7.3, 52),
    "Mn": (5.43, 7.43, 6.4, 7.7, 55),
    "Fe": (7.50, 7.90, 28.0, 44.0, 56),
    "Co": (4.99, 7.88, 34.0, 29.0, 59),
    "Ni": (6.22, 7.64, 31.0, 10.7, 59),
    "Cu": (4.19, 7.73, 2.4, 1.0, 64),
    "Ge": (3.65, 7.90, 7.5, 4.0, 73),
    "Rb": (2.52, 4.18, 2.2, 1.0, 85),
    "Y": (2.21, 6.22, 12.0, 15.5, 89),
    "Ce": (1.58, 5.54, 150.0, 180.0, 140),
    "Nd": (1.42, 5.53, 70.0, 120.0, 144),
    "Yb": (0.84, 6.25, 1.1, 2.0, 173),
}
HYDROGEN_IONISATION = 13.598

# Dissociation energy [eV], rotational and vibrational constants [1/cm], electronic weight divided by the
# symmetry number, mass (Huber & Herzberg 1979, Constants of Diatomic Molecules).
MOLECULES = {
    "CO": (11.09, 1.931, 2170.0, 1.0, 28),
    "OH": (4.39, 18.91, 3738.0, 4.0, 17),
    "CN": (7.72, 1.900, 2069.0, 2.0, 26),
    "N2": (9.76, 1.998, 2359.0, 0.5, 28),
}
_PARTITION_H, _PARTITION_C, _PARTITION_N, _PARTITION_O = 2.0, 9.3, 4.1, 8.7


class Layer:
    """State of the layer: `temperature` [K], `electron_pressure` [dyn/cm2], `opacity` [cm2 per H nucleus],
    each (n,); `fraction(species)`, the particles of a species per hydrogen nucleus, divided by the partition
    function, (n,).
    """

    def __init__(self, temperature, electron_pressure, gas_pressure, abundance):
        self.temperature = temperature
        self.electron_pressure = electron_pressure
        self.opacity = electron_pressure * _h_minus(temperature)
        self._abundance = abundance
        hydrogen = gas_pressure / (1 + 0.085)  # the helium's share of the pressure taken off
        self._molecules = _molecular_equilibrium(temperature, hydrogen, abundance)

    def fraction(self, species):
        if species in MOLECULES:
            return self._molecules[species] / _molecular_partition(species, self.temperature)
        element, stage = species.split()
        _, ionisation, neutral, ion, _ = ATOMS[element]
        ionised = _ionised(ionisation, ion / neutral, self.temperature, self.electron_pressure)
        if stage == "I":
            return self._abundance[element] * (1 - ionised) / neutral
        return self._abundance[element] * ionised / ion


def layer(teff, logg, x_h):
    """Solve the layer for pressure equilibrium.

    The gas pressure follows from hydrostatic equilibrium, P_g = tau g m / (kappa P_e), with H- free-free
    opacity kappa per unit electron pressure; the electrons come from the metals and hydrogen.

    Parameters
    ----------
    teff, logg : numpy.ndarray, shape (n,)
        Effective temperature [K] and log10 gravity [cm/s2].
    x_h : dict of str to numpy.ndarray, shape (n,)
        [X/H] of every element in `ATOMS`.

    Returns
    -------
    Layer
    """
    temperature = TEMPERATURE_RATIO * teff
    abundance = {element: 10 ** (atom[0] - 12 + x_h[element]) for element, atom in ATOMS.items()}
    product = OPTICAL_DEPTH * 10**logg * MEAN_WEIGHT * HYDROGEN_MASS / _h_minus(temperature)
    pressure = np.sqrt(1e-4 * product)
    for _ in range(40):
        donated = _ionised(HYDROGEN_IONISATION, 0.5, temperature, pressure)
        for element in ("Na", "Mg", "Al", "Si", "Ca", "Cr", "Fe", "Ni"):
            _, ionisation, neutral, ion, _ = ATOMS[element]
            donated = donated + abundance[element] * _ionised(ionisation, ion / neutral, temperature, pressure)
        pressure = np.sqrt(pressure * np.sqrt(product * donated))
    return Layer(temperature, pressure, product / pressure, abundance)


def _h_minus(temperature, wavelength=16000.0):
    """H- free-free opacity [cm2 per H atom per dyn/cm2] (Gray 2005, eq. 8.13; bound-free is small)."""
    x = np.log10(wavelength)
    f0 = -2.2763 - 1.6850 * x + 0.76661 * x**2 - 0.053346 * x**3
    f1 = 15.2827 - 9.2846 * x + 1.99381 * x**2 - 0.142631 * x**3
    f2 = -197.789 + 190.266 * x - 67.9775 * x**2 + 10.6913 * x**3 - 0.625151 * x**4
    theta = np.log10(5040 / temperature)
    return 1e-26 * 10 ** (f0 + f1 * theta + f2 * theta**2)


def _ionised(energy, partition_ratio, temperature, electron_pressure):
    """Ionised share of an element by Saha's equation (Gray 2005, eq. 1.20)."""
    ratio = 0.6665 * partition_ratio * temperature**2.5 * 10 ** (-5040 * energy / temperature)
    return ratio / (ratio + electron_pressure)


def _molecular_partition(molecule, temperature):
    """Rigid rotor times harmonic oscillator, energies from the lowest level."""
    _, rotation, vibration, weight, _ = MOLECULES[molecule]
    return weight * temperature / (PER_CM_TO_K * rotation) / (1 - np.exp(-PER_CM_TO_K * vibration / temperature))


def _dissociation(molecule, mass, partitions, temperature):
    """Equilibrium constant p_A p_B / p_AB [dyn/cm2] by statistical mechanics; `mass` is the reduced mass."""
    energy = MOLECULES[molecule][0] * EV / BOLTZMANN
    planck = 6.62607015e-27
    translation = (2 * np.pi * mass * HYDROGEN_MASS * BOLTZMANN * temperature / planck**2) ** 1.5
    internal = partitions / _molecular_partition(molecule, temperature)
    return translation * BOLTZMANN * temperature * internal * np.exp(-energy / temperature)


def _molecular_equilibrium(temperature, hydrogen, abundance):
    """Molecules per hydrogen nucleus: CO first, what it leaves to OH, N2 and CN."""
    total = {element: abundance[element] * hydrogen for element in "CNO"}
    k_co = _dissociation("CO", 12 * 16 / 28, _PARTITION_C * _PARTITION_O, temperature)
    k_oh = _dissociation("OH", 16 / 17, _PARTITION_O * _PARTITION_H, temperature)
    k_cn = _dissociation("CN", 12 * 14 / 26, _PARTITION_C * _PARTITION_N, temperature)
    k_n2 = _dissociation("N2", 7.0, _PARTITION_N**2, temperature)
    free = dict(total)
    for _ in range(60):
        # Each element's own law of mass, solved in turn; geometric means damp the exchange between C and O.
        carbon = total["C"] / (1 + free["O"] / k_co + free["N"] / k_cn)
        free["C"] = np.sqrt(free["C"] * carbon)
        oxygen = total["O"] / (1 + free["C"] / k_co + hydrogen / k_oh)
        free["O"] = np.sqrt(free["O"] * oxygen)
        linear = 1 + free["C"] / k_cn
        free["N"] = 2 * total["N"] / (linear + np.sqrt(linear**2 + 8 * total["N"] / k_n2))
    return {
        "CO": free["C"] * free["O"] / k_co / hydrogen,
        "OH": free["O"] * hydrogen / k_oh / hydrogen,
        "CN": free["C"] * free["N"] / k_cn / hydrogen,
        "N2": free["N"] ** 2 / k_n2 / hydrogen,
    }
