"""What a method answers when one label of a star changes and nothing else: does it read the label or its company?"""

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
    """Change of every answer per change of one label alone.

    The spectrum of each star is changed by what the Cannon's gradient says of half a standard deviation of one label,
    up and down, while all else, noise included, stays. A method that reads each label from what that label does to the
    spectrum answers with the identity; one that reads a label from those that come with it among the training stars
    does not.

    Parameters
    ----------
    answer : callable
        From spectra to a Dataset with ``labels`` (star, label): `lab2.network.Network.predict`, for example.
    model : lab2.Cannon
        Its gradients at each star's labels are taken for the truth about one label.
    spectra : xarray.Dataset
        With ``labels`` (star, label).

    Returns
    -------
    numpy.ndarray, shape (n_labels, n_labels)
        Row: the label changed; column: the answer; both in standard deviations of the training labels; median over the
        stars.
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
        A row per element or molecule: its name, and a column for every curve.
    """
    table = None
    for name, curve in curves.items():
        found = concentration(wavelength, curve, elements)
        table = found["element",] if table is None else table
        table[name] = found["ratio"]
    return table
