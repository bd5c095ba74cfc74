"""Continuous opacity of giants in the H band: H- above all, a little of hydrogen, H2- and electrons."""

import numpy as np

from tools.synthesis.chemistry import BOLTZMANN, EV, LIGHT, PLANCK

__all__ = ["continuum", "h_minus_bound_free", "h_minus_free_free"]

# John 1988, A&A 193, 189: free-free, table 3a (above 0.3645 micron), one row A to F for each power of theta.
_FREE_FREE = np.array([
    [0, 0, 0, 0, 0, 0],
    [2483.346, 285.827, -2054.291, 2827.776, -1341.537, 208.952],
    [-3449.889, -1158.382, 8746.523, -11485.632, 5303.609, -812.939],
    [2200.040, 2427.719, -13651.105, 16755.524, -7510.494, 1132.738],
    [-696.271, -1841.400, 8624.970, -10051.530, 4400.067, -655.020],
    [88.283, 444.517, -1863.864, 2095.288, -901.788, 132.985],
])  # fmt: skip
# bound-free, table 2
_BOUND_FREE = (152.519, 49.534, -118.858, 92.536, -34.194, 4.982)
_THRESHOLD = 1.6419  # micron


def h_minus_free_free(wavelength, temperature):
    """H- free-free absorption, stimulated emission included (John 1988, eq. 6).

    Parameters
    ----------
    wavelength : float
        Vacuum [Angstrom].
    temperature : numpy.ndarray, shape (n_depth,)

    Returns
    -------
    numpy.ndarray, shape (n_depth,)
        [cm4/dyn]: per neutral hydrogen atom and unit of electron pressure.
    """
    micron, theta = wavelength * 1e-4, 5040.0 / temperature
    powers = np.array([micron**2, 1.0, 1 / micron, micron**-2, micron**-3, micron**-4])
    return 1e-29 * sum(theta ** ((n + 1) / 2) * (row @ powers) for n, row in enumerate(_FREE_FREE, 1))


def h_minus_bound_free(wavelength, temperature):
    """H- bound-free absorption, stimulated emission included (John 1988, eqs. 3 to 5); as `h_minus_free_free`."""
    micron = wavelength * 1e-4
    if micron >= _THRESHOLD:
        return np.zeros_like(temperature)
    x = 1 / micron - 1 / _THRESHOLD
    cross_section = 1e-18 * micron**3 * x**1.5 * sum(c * x ** (n / 2) for n, c in enumerate(_BOUND_FREE))
    alpha = 1.439e4  # hc/k [micron K]
    occupation = 0.750 * temperature**-2.5 * np.exp(alpha / (_THRESHOLD * temperature))
    return occupation * (1 - np.exp(-alpha / (micron * temperature))) * cross_section


def continuum(wavelength, gas):
    """Continuous absorption coefficient.

    H-; hydrogen's free-free and the bound-free of levels 5 to 8 with Gaunt factors of 1 (Kramers; Gray 2005, eqs.
    8.5-8.10); H2- free-free, near 1.6 micron (a fit to Bell 1980, J. Phys. B 13, 1859); scattering by electrons,
    taken as absorption.

    Parameters
    ----------
    wavelength : float
        Vacuum [Angstrom].
    gas : Gas

    Returns
    -------
    numpy.ndarray, shape (n_depth,)
        [1/cm].
    """
    t = gas.temperature
    electron_pressure = gas.electrons * BOLTZMANN * t
    neutral = gas.neutral["H"]
    h_minus = h_minus_free_free(wavelength, t) + h_minus_bound_free(wavelength, t)
    frequency = LIGHT / (wavelength * 1e-8)
    emission = 1 - np.exp(-PLANCK * frequency / (BOLTZMANN * t))
    total = electron_pressure * neutral * h_minus
    total = total + 3.692e8 / np.sqrt(t) / frequency**3 * gas.electrons * gas.ionized["H"] * emission
    for n in range(5, 9):
        populated = n**2 * np.exp(-13.598 * (1 - 1 / n**2) * EV / (BOLTZMANN * t))
        total = total + 2.815e29 / (n**5 * frequency**3) * neutral * populated * emission
    total = total + 1.6e-26 * (5040.0 / t) ** 1.2 * electron_pressure * gas.molecules["H2"]
    return total + 6.652e-25 * gas.electrons
