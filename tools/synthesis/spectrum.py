"""A normalized spectrum from labels and abundances, and its derivative by the log gf of every line."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lab2.grid import LOG_START, LOG_STEP, N_PIXELS
from tools.synthesis import kernels
from tools.synthesis.atmosphere import interpolate
from tools.synthesis.chemistry import BOLTZMANN, LIGHT, PLANCK, Gas, abundances, solve
from tools.synthesis.lines import COARSE, Lines, absorption, hydrogen_absorption
from tools.synthesis.opacity import continuum

__all__ = ["RESOLUTION", "Synthesis", "broaden", "fine_grid", "microturbulence", "synthesize"]

# Full width of the instrument's profile [km/s]. Majewski et al. 2017 (AJ 154, 94) give R = 22,500; lines of real
# giants, fitted with the macroturbulence of Holtzman et al. 2018, are as wide as R = 21,500 makes them
# (tools/synthesis/README.md).
RESOLUTION = LIGHT * 1e-5 / 21500

_SUB = 5  # steps a pixel: 0.8 km/s, a quarter of the narrowest line
STEP = LOG_STEP / _SUB * np.log(10)
_GRID = 10 ** (LOG_START + LOG_STEP * (np.arange(N_PIXELS * _SUB) - (_SUB - 1) / 2) / _SUB)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_MU, _MU_WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def microturbulence(logg):
    """[km/s], of APOGEE giants (Holtzman et al. 2018, AJ 156, 125, section 4.2)."""
    return 10 ** (0.226 - 0.0228 * logg + 0.0297 * logg**2 - 0.0113 * logg**3)


def fine_grid():
    """Wavelengths of the fine grid [vacuum Angstrom], five to a pixel."""
    return _GRID


def broaden(flux, fwhm):
    """Convolve a flux on the fine grid with a Gaussian [km/s] and bin it to pixels: (8575,)."""
    kernel = _gaussian(fwhm)
    reach = kernel.size // 2
    smooth = np.convolve(np.pad(flux, reach, mode="edge"), kernel, mode="valid")
    return smooth.reshape(N_PIXELS, _SUB).mean(axis=1)


def _gaussian(fwhm):
    sigma = fwhm / np.sqrt(8 * np.log(2)) / (LIGHT * 1e-5) / STEP
    reach = int(5 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return kernel / kernel.sum()


def _fine(coarse):
    """Values (n_depth, 41) interpolated onto the fine grid."""
    return np.array([np.interp(_GRID, COARSE, row) for row in coarse])


@dataclass(frozen=True)
class Synthesis:
    """What `synthesize` computed on the fine grid: `flux` over the continuum, and what its derivatives need."""

    flux: np.ndarray
    continuum_flux: np.ndarray
    opacity: np.ndarray
    source: np.ndarray
    path: np.ndarray
    kept: np.ndarray
    line_arrays: tuple
    hydrogen: np.ndarray
    hydrogen_lines: Lines
    gas: Gas

    def pixels(self, fwhm=RESOLUTION):
        """Normalized flux of the 8575 pixels at a resolution [km/s]."""
        return broaden(self.flux, fwhm)

    @cached_property
    def _sensitivity(self):
        gradient = kernels.transfer_gradient(self.opacity, self.source, self.path, _MU, _MU_WEIGHTS)
        return gradient / self.opacity / self.continuum_flux

    def log_gf_jacobian(self, fwhm=RESOLUTION, n_pixels=80):
        """d flux / d log10(gf) of every line that shows.

        Returns
        -------
        lines : numpy.ndarray of int
            Their indices in the list.
        first : numpy.ndarray of int
            The first pixel of each line's window.
        values : numpy.ndarray, shape (n_lines, n_pixels)
        """
        first, values = kernels.line_jacobian(self._sensitivity, self.line_arrays, _gaussian(fwhm), _SUB, n_pixels)
        return self.kept, first, values * np.log(10)

    def hydrogen_jacobian(self, fwhm=RESOLUTION):
        """d flux / d log10(gf) of the Brackett lines: their indices in the list, and (n, 8575)."""
        changes = [
            (self._sensitivity * hydrogen_absorption(self.hydrogen_lines[[k]], self.gas, _GRID)).sum(axis=0)
            for k in range(len(self.hydrogen))
        ]
        return self.hydrogen, np.log(10) * np.array([broaden(change, fwhm) for change in changes])


def synthesize(lines, teff, logg, m_h, x_fe=None, vmicro=None, atmosphere=None):
    """Solve the gas, add up the opacities, and integrate the transfer equation in LTE.

    Parameters
    ----------
    lines : Lines
    teff, logg, m_h : float
        [K], [dex(cm/s2)], [Fe/H].
    x_fe : dict of str to float, optional
        [X/Fe] of elements that differ from the Sun's. The atmosphere's structure follows [Fe/H] and the mean of the
        alpha elements' (as [M/H] of Salaris et al. 1993, ApJ 414, 580), its electrons every element.
    vmicro : float, optional
        [km/s]; by default that of `microturbulence`.
    atmosphere : Atmosphere, optional
        By default interpolated between MARCS models.

    Returns
    -------
    Synthesis
    """
    atmosphere = atmosphere or interpolate(teff, logg, m_h)
    vmicro = microturbulence(logg) if vmicro is None else vmicro
    gas = solve(atmosphere.temperature, atmosphere.gas_pressure, abundances(m_h, x_fe))
    coarse = np.array([continuum(w, gas) for w in COARSE]).T
    level = np.array([np.interp(lines.wavelength, COARSE, row) for row in coarse]).T
    hydrogen = np.flatnonzero(lines.species == "H")
    kept, half_width, peak, damping, doppler = absorption(lines, gas, level, vmicro, STEP, lines.species != "H")
    position = np.log(lines.wavelength[kept] / _GRID[0]) / STEP
    line_arrays = position, half_width, peak, damping, doppler

    opacity = _fine(coarse) + hydrogen_absorption(lines[hydrogen], gas, _GRID)
    kernels.add_lines(opacity, *line_arrays)
    mass = atmosphere.column_mass
    path = np.diff(mass, prepend=0.0) / np.sqrt(gas.density * np.concatenate([gas.density[:1], gas.density[:-1]]))
    exponent = PLANCK * LIGHT / (COARSE * 1e-8 * BOLTZMANN * atmosphere.temperature[:, None])
    planck = (COARSE * 1e-8) ** -5 / np.expm1(exponent)
    source = _fine(planck)
    flux = kernels.transfer(opacity, source, path, _MU, _MU_WEIGHTS)
    continuum_flux = np.interp(_GRID, COARSE, kernels.transfer(coarse, planck, path, _MU, _MU_WEIGHTS))
    return Synthesis(
        flux / continuum_flux, continuum_flux, opacity, source, path, kept, line_arrays, hydrogen, lines[hydrogen], gas
    )
