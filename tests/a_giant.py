"""A typical giant of the simulated survey, and ways to change it."""

import numpy as np

from lab2 import grid
from lab2.labels import label_names

GIANT = np.array([4550.0, 2.0, -0.3, 0.1, 0.1])
NAMES = label_names()
# The same whatever the labels: what is typical of a star follows them.
FIXED = {"c_fe": -0.1, "n_fe": 0.2, "o_fe": 0.1, "s_fe": 0.1, "ca_fe": 0.05, "ti_fe": 0.05, "al_fe": 0.05,
         "vmicro": 1.5, "vmacro": 4.0}  # fmt: skip


def changed(**values):
    """The giant's labels with some of them changed."""
    vector = GIANT.copy()
    for name, value in values.items():
        vector[NAMES.index(name)] = value
    return vector


def nearest_pixel(wavelength):
    """Pixel of the grid nearest to each wavelength [Angstrom]."""
    return np.abs(np.log(grid.WAVELENGTH[:, None] / np.atleast_1d(wavelength))).argmin(axis=0)


__all__ = ["FIXED", "GIANT", "NAMES", "changed", "nearest_pixel"]
