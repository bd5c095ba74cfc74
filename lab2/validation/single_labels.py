"""Response of a method to a change of a single label: does it measure the label, or infer it from correlated labels?"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.typing import ArrayLike

from lab2.cannon import Cannon
from lab2.lines import concentration

__all__ = ["response", "weight_on_lines"]

_STEP = 0.5  # of a standard deviation of the training labels


def response(answer: Callable[[xr.Dataset], xr.Dataset], model: Cannon, spectra: xr.Dataset) -> np.ndarray:
    """Change of every predicted label per change of a single label.

    The Cannon's gradients give the change of each star's spectrum for a change of one label by half a standard
    deviation, up and down; everything else, including the noise, is unchanged. The response of a method that measures
    each label by its own effect on the spectrum is the identity matrix; that of a method which infers labels from their
    correlations in the training set is not.

    Parameters
    ----------
    answer : callable
        From spectra to a Dataset with ``labels`` (star, label): `lab2.network.Network.predict`, for example.
    model : lab2.Cannon
        Its gradients at each star's labels define the effect of each label.
    spectra : xarray.Dataset
        With ``labels`` (star, label).

    Returns
    -------
    numpy.ndarray, shape (n_labels, n_labels)
        Row: the changed label; column: the predicted label; both in standard deviations of the training labels; median
        over the stars.
    """
    labels, scale = spectra.labels.sel(label=model.labels), model.label_scale.values
    rows = []
    for name, size in zip(model.labels, scale, strict=True):
        changed = labels.copy()
        answers = []
        for sign in (1, -1):
            changed.loc[{"label": name}] = labels.sel(label=name) + sign * _STEP * size
            step = model.predict(changed).values - model.predict(labels).values
            flux = spectra.flux.copy(data=(spectra.flux.values + step).astype(spectra.flux.dtype))
            answers.append(answer(spectra.assign(flux=flux)).labels.sel(label=model.labels).values)
        rows.append(np.nanmedian(answers[0] - answers[1], axis=0) / (2 * _STEP * scale))
    return np.array(rows)


def weight_on_lines(wavelength: ArrayLike, curves: Mapping[str, ArrayLike], elements: Sequence[str]) -> QTable:
    """How far curves are concentrated in the lines of elements and molecules: 1 by chance.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        [Angstrom].
    curves : dict of str to array_like, shape (n_pixels,)
        Column name to a curve, such as a gradient.
    elements : sequence of str
        As for `lab2.lines.concentration`.

    Returns
    -------
    astropy.table.QTable
        One row per element or molecule: its name, and one column per curve.
    """
    table = None
    for name, curve in curves.items():
        found = concentration(wavelength, curve, elements)
        table = found["element",] if table is None else table
        table[name] = found["ratio"]
    return table
