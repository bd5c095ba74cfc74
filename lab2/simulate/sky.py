"""The Earth's atmosphere: airglow lines of OH, absorption by CO2, CH4 and water.

Positions are vacuum wavelengths in the frame of the observatory; in a star's rest frame they shift with its velocity.
"""

from functools import cache

import numpy as np

from lab2.grid import SPEED_OF_LIGHT, WAVELENGTH

__all__ = ["airglow", "transmission"]

# Bright OH lines [Angstrom, vacuum] and relative brightness: positions where DR17 spectra flag SIG_SKYLINE,
# identified in Rousselot et al. 2000, A&A 354, 1134; brightness rounded from the flagged pixels' errors.
_OH = np.array([
    (15187.1, 0.5), (15240.9, 1.0), (15287.8, 0.5), (15332.4, 0.9), (15395.3, 0.6), (15432.2, 1.0),
    (15509.8, 0.2), (15539.7, 0.4), (15541.0, 0.4), (15546.1, 0.5), (15570.2, 0.3), (15597.6, 0.6),
    (15631.4, 0.4), (15655.2, 0.7), (15702.5, 0.4), (15807.9, 0.3), (15972.6, 0.7), (16030.8, 1.0),
    (16079.8, 0.7), (16128.6, 1.1), (16194.6, 0.5), (16235.4, 1.0), (16317.2, 0.3), (16350.7, 0.5),
    (16351.9, 0.4), (16388.5, 0.5), (16442.2, 0.3), (16479.1, 0.4), (16502.4, 0.8), (16553.8, 0.5),
    (16692.4, 0.9), (16708.9, 0.8), (16840.5, 0.5), (16903.7, 0.8),
])  # fmt: skip

# CO2 bands: center and rotational constants of the upper and lower level [1/cm] (Rothman et al. 2013,
# HITRAN): lines have even J and lie at center + (B' + B'') m + (B' - B'') m^2.
_CO2_BANDS = ((6347.85, 0.3870, 0.3902), (6227.92, 0.3866, 0.3902))
_AIR_TEMPERATURE = 265.0
# Methane, 2 nu3: the Q branch and the R and P lines, each an unresolved cluster [1/cm] (positions as flagged in DR17).
_METHANE = np.array([
    6096.4, 6086.7, 6077.0, 6067.2, 6057.1, 6047.0, 6036.7, 6026.2, 6015.7, 6003.5, 6001.5,
    5994.1, 5983.2, 5972.1, 5961.0, 5949.6, 5938.3, 5926.6, 5915.0,
])  # fmt: skip
_WATER = np.array([15148.4, 15162.8, 15168.2, 15175.9, 15183.7, 15190.0, 15204.2, 15218.6, 15245.3, 15313.2])


def airglow(velocity: float) -> np.ndarray:
    """Brightness of the OH lines on the pixel grid, 1 at the peak of a bright line.

    Parameters
    ----------
    velocity : float
        Velocity by which the spectrum was shifted to the star's rest frame [km/s].

    Returns
    -------
    numpy.ndarray, shape (8575,)
    """
    return _at_rest(_airglow_observed(), velocity)


def transmission(velocity: float) -> np.ndarray:
    """Telluric transmission on the pixel grid, between 0 and 1.

    Parameters and return value are those of `airglow`.
    """
    return 1 - _at_rest(_absorption_observed(), velocity)


def _at_rest(observed, velocity):
    return np.interp(WAVELENGTH * (1 + velocity / SPEED_OF_LIGHT), WAVELENGTH, observed)


@cache
def _airglow_observed():
    # the width corresponds to the spectrograph's resolution, R = 22,500
    return _gaussians(_OH[:, 0], _OH[:, 1], 0.30)


@cache
def _absorption_observed():
    centers, depths = [1e8 / _METHANE, _WATER], [np.full(len(_METHANE), 0.22), np.full(len(_WATER), 0.25)]
    j = np.arange(0, 46, 2)
    for origin, upper, lower in _CO2_BANDS:
        population = (2 * j + 1) * np.exp(-1.438777 * lower * j * (j + 1) / _AIR_TEMPERATURE)
        for m in (j + 1, -j):
            wavenumber = origin + (upper + lower) * m + (upper - lower) * m**2
            centers.append(1e8 / wavenumber)
            depths.append(0.25 * population / population.max())
    return _gaussians(np.concatenate(centers), np.concatenate(depths), 0.33)


def _gaussians(centers, heights, sigma):
    return np.exp(-0.5 * ((WAVELENGTH[:, None] - centers) / sigma) ** 2) @ heights
