"""Normalized model spectra of red giants, as a function of their labels.

They come from a spectral synthesis in local thermodynamic equilibrium, with MARCS model atmospheres, lines from
linemake with strengths calibrated on real spectra, and a separate abundance of every element.
tools/synthesis/README.md describes the synthesis and its limitations. `lab2.simulate.emulator` evaluates a network
that was trained on it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from lab2._label_arrays import in_order
from lab2.grid import KM_S_PER_PIXEL, N_PIXELS
from lab2.labels import LABELS, label_names
from lab2.simulate import emulator
from lab2.simulate.chemistry import CARBON_EXCESS, HIDDEN, typical

__all__ = ["RANGE", "spectrum"]

# Range of the emulator's training grid: the labels of the lab's giants and a margin.
RANGE = {"teff": (3500.0, 5900.0), "logg": (-0.2, 4.2), "fe_h": (-1.3, 0.6), "mg_fe": (-0.3, 0.55),
         "si_fe": (-0.3, 0.55)}  # fmt: skip


def spectrum(labels: ArrayLike, abundances: Mapping[str, ArrayLike] | None = None) -> np.ndarray:
    """Normalized model spectrum for each label vector, on the 8575-pixel grid.

    The flux is divided by the true continuum, broadened by macroturbulence, and at the resolution of the spectrograph,
    R = 21,500.

    Parameters
    ----------
    labels : array_like, shape (5,) or (n, 5)
        Teff [K], log g [dex], [Fe/H], [Mg/Fe], [Si/Fe] [dex], the order of `lab2.labels.LABELS`. Those of a DataArray,
        DataFrame or table are taken by name.
    abundances : dict of str to float or array_like of shape (n,), optional
        Values of any of `lab2.simulate.chemistry.HIDDEN`: [X/Fe] such as "c_fe", and "vmicro" and "vmacro" [km/s]. The
        others get their mean at the labels (`lab2.simulate.chemistry.typical`).

    Returns
    -------
    numpy.ndarray, shape (8575,) or (n, 8575)

    Raises
    ------
    ValueError
        If the labels have another shape, are not finite, lie outside `RANGE`, or an abundance is unknown or outside
        the range that the emulator was trained on.

    Examples
    --------
    >>> flux = spectrum([4500.0, 2.0, 0.0, 0.0, 0.0])
    >>> flux.shape
    (8575,)
    >>> rich = spectrum([4500.0, 2.0, 0.0, 0.0, 0.0], {"al_fe": 0.5})  # more aluminum
    >>> bool(abs(rich - flux).max() > 0.02)
    True
    """
    labels = in_order(labels, label_names(), [label.unit for label in LABELS])
    vectors, given = _checked(labels), abundances or {}
    unknown = set(given) - set(HIDDEN)
    if unknown:
        raise ValueError(f"unknown abundances {sorted(unknown)}; known: {HIDDEN}")
    hidden = typical(vectors)
    hidden |= {name: np.broadcast_to(np.asarray(value, float), len(vectors)) for name, value in given.items()}
    limits = emulator.limits()
    for name in given:
        _within(name, hidden[name], limits.get(name, (0.0, np.inf)))
    if "c_fe" in given:
        _within("c_fe - o_fe", hidden["c_fe"] - hidden["o_fe"], (-np.inf, CARBON_EXCESS + 1e-9))
    columns = dict(zip(label_names(), vectors.T, strict=True)) | hidden
    # at labels far from those of any star, the mean abundances may lie slightly outside the limits
    inputs = np.column_stack([np.clip(columns[name], *limits[name]) for name in emulator.inputs()])
    flux = _broaden(emulator.spectra(inputs), np.asarray(hidden["vmacro"]))
    return flux[0] if np.ndim(labels) == 1 else flux


def _checked(labels):
    vectors = np.atleast_2d(np.asarray(labels, dtype=float))
    if vectors.ndim != 2 or vectors.shape[1] != len(LABELS):
        raise ValueError(f"labels have shape {np.shape(labels)}; expected (5,) or (n, 5) in the order {label_names()}")
    if not np.isfinite(vectors).all():
        raise ValueError("labels hold NaN or infinity; give finite values")
    for column, (name, limits) in enumerate(RANGE.items()):
        _within(name, vectors[:, column], limits)
    return vectors


def _within(name, values, limits):
    """Raise an error for values outside the range of the synthesis."""
    outside = (values < limits[0]) | (values > limits[1])
    if np.any(outside):
        raise ValueError(
            f"{name} = {values[outside][0]:g} is outside {limits[0]:g} to {limits[1]:g}, the range of the "
            "simulated spectra; give values inside it"
        )


def _broaden(flux, vmacro):
    """Convolve each row with a Gaussian of FWHM `vmacro` [km/s]; the ends, which wrap around, have no data."""
    sigma = vmacro / KM_S_PER_PIXEL / np.sqrt(8 * np.log(2))
    transfer = np.exp(-2 * (np.pi * sigma[:, None] * np.fft.rfftfreq(N_PIXELS)) ** 2)
    return np.fft.irfft(np.fft.rfft(flux) * transfer, N_PIXELS)
