"""Structure of a giant's atmosphere, between the models of the MARCS grid."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from tools.synthesis.inputs import marcs_models

__all__ = ["Atmosphere", "interpolate"]

# Rosseland depths kept. Deeper than that no light of the H band comes from.
_LOG_TAU = (-5.0, 1.45)


@dataclass(frozen=True)
class Atmosphere:
    """Layers from the outside in, each (n_depth,): log10 Rosseland depth, temperature [K], gas pressure [dyn/cm2],
    column mass [g/cm2]."""

    log_tau: np.ndarray
    temperature: np.ndarray
    gas_pressure: np.ndarray
    column_mass: np.ndarray


def interpolate(teff, logg, m_h):
    """The atmosphere at any labels, by linear interpolation at fixed Rosseland depth.

    Temperature is interpolated as T/Teff, pressure and mass in their logarithms (as Masseron's and most other
    interpolators of MARCS models do). A corner of the grid without a model (hot stars of very low gravity) gets that
    of the nearest Teff.

    Parameters
    ----------
    teff, logg, m_h : float
        [K], [dex(cm/s2)], [dex]; outside the grid the last cell is continued.

    Returns
    -------
    Atmosphere
    """
    axes, log_tau, values = _grid()
    result = np.zeros(values.shape[3:])
    cells = []
    for axis, x in zip(axes, (teff, logg, m_h), strict=True):
        i = int(np.clip(np.searchsorted(axis, x) - 1, 0, len(axis) - 2))
        f = (x - axis[i]) / (axis[i + 1] - axis[i])
        cells.append(((i, 1 - f), (i + 1, f)))
    for i, u in cells[0]:
        for j, v in cells[1]:
            for k, w in cells[2]:
                result += u * v * w * values[i, j, k]
    ratio, pressure, mass = result
    return Atmosphere(log_tau, teff * ratio, np.exp(pressure), np.exp(mass))


@cache
def _grid():
    """Axes, log tau, and T/Teff, ln P, ln m at every node: (teff, logg, m_h, 3, depth)."""
    models = marcs_models()
    axes = [np.unique([key[i] for key in models]) for i in range(3)]
    axes[0] = axes[0][axes[0] >= 3300]
    log_tau = next(iter(models.values()))[:, 0]
    kept = (log_tau >= _LOG_TAU[0]) & (log_tau <= _LOG_TAU[1])
    values = np.empty((*(len(axis) for axis in axes), 3, kept.sum()))
    for place in np.ndindex(values.shape[:3]):
        teff, logg, m_h = (axis[i] for axis, i in zip(axes, place, strict=True))
        nearest = min((abs(t - teff), t) for t, g, z in models if g == logg and z == m_h)[1]
        model = models[nearest, logg, m_h][kept]
        values[place] = model[:, 1] / nearest, np.log(model[:, 3]), np.log(model[:, 5])
    return axes, log_tau[kept], values
