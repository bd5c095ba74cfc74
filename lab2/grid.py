"""The wavelength grid of the coadded spectra, chips, and rotational broadening on the grid.

All APOGEE coadds share one grid of 8575 pixels, equally spaced in log10 of the vacuum wavelength (the apStar data model
of SDSS DR17). Equal steps in log wavelength are equal steps in velocity, so a Doppler shift moves all lines by the same
number of pixels, and rotational broadening is a convolution with one kernel.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import speed_of_light

__all__ = [
    "BRACKETT",
    "CHIPS",
    "KM_S_PER_PIXEL",
    "LOG_START",
    "LOG_STEP",
    "N_PIXELS",
    "SPEED_OF_LIGHT",
    "WAVELENGTH",
    "chip_of",
    "rotation_kernel",
]

N_PIXELS = 8575
LOG_START, LOG_STEP = 4.179, 6e-6
WAVELENGTH = 10 ** (LOG_START + LOG_STEP * np.arange(N_PIXELS))
WAVELENGTH.flags.writeable = False
SPEED_OF_LIGHT = speed_of_light / 1e3  # km/s
KM_S_PER_PIXEL = LOG_STEP * np.log(10) * SPEED_OF_LIGHT

CHIPS = ("blue", "green", "red")
# Any two wavelengths inside the gaps between the detectors (about 15810-15860 and 16430-16475 Angstrom).
_CHIP_SPLIT = (15825.0, 16455.0)

# Brackett lines, n = 4 to 11...20: Rydberg formula for hydrogen, vacuum [Angstrom].
BRACKETT = 1e8 / (109677.58 * (1 / 16 - 1 / np.arange(11, 21) ** 2))

_LIMB_DARKENING = 0.3
_SAMPLES = 21  # samples of the rotational profile in each pixel


def chip_of(wavelength: ArrayLike) -> np.ndarray:
    """Name of the detector chip that each wavelength belongs to.

    Parameters
    ----------
    wavelength : array_like, shape (n,)
        Vacuum wavelength [Angstrom].

    Returns
    -------
    numpy.ndarray of str, shape (n,)
        "blue", "green" or "red"; pixels in a gap belong to the nearer chip.

    Examples
    --------
    >>> chip_of([15500.0, 16000.0, 16800.0]).tolist()
    ['blue', 'green', 'red']
    """
    return np.array(CHIPS)[np.digitize(wavelength, _CHIP_SPLIT)]


def rotation_kernel(v_sin_i: float) -> np.ndarray:
    """Rotational profile on the pixels of the grid, for convolution with a spectrum.

    Parameters
    ----------
    v_sin_i : float
        Projected rotational velocity [km/s].

    Returns
    -------
    numpy.ndarray, shape (n_pixels,)
        Of odd length, symmetric, with sum 1: the profile for a linear limb-darkening coefficient of 0.3 (Gray 2005, The
        Observation and Analysis of Stellar Photospheres, eq. 18.14), averaged over each pixel.

    Examples
    --------
    >>> round(float(rotation_kernel(20.0).sum()), 6)
    1.0
    """
    half = int(np.ceil(v_sin_i / KM_S_PER_PIXEL))
    pixel = (np.arange(_SAMPLES * (2 * half + 1)) + 0.5) / _SAMPLES - half - 0.5
    inside = np.maximum(1.0 - (pixel * KM_S_PER_PIXEL / v_sin_i) ** 2, 0.0)
    profile = 2.0 * (1.0 - _LIMB_DARKENING) * np.sqrt(inside) + 0.5 * np.pi * _LIMB_DARKENING * inside
    kernel = profile.reshape(-1, _SAMPLES).sum(axis=1)
    return kernel / kernel.sum()
