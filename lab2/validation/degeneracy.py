"""Degeneracies between labels: stars with different labels and the same mean flux."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from lab2._arguments import expect
from lab2.cannon import Cannon

__all__ = ["match_absorption"]

_EQUAL = 1e-9  # of normalized flux


def match_absorption(
    model: Cannon, labels: ArrayLike, target: ArrayLike, label: str, bounds: tuple[float, float], pixels: ArrayLike
) -> tuple[np.ndarray, bool]:
    """Change one label until the model's mean flux equals that of a target.

    Parameters
    ----------
    model : lab2.Cannon
    labels : array_like, shape (n_labels,)
        Of the star to change, in the labels' units.
    target : array_like, shape (n_labels,)
        Of the star to match.
    label : str
        The label to change, such as "fe_h".
    bounds : tuple of float
        Range to search, in the label's unit.
    pixels : array_like, shape (n_pixels,)
        Mask or indices of the pixels whose mean flux is compared.

    Returns
    -------
    labels : numpy.ndarray, shape (n_labels,)
        With the label changed.
    equal : bool
        Whether the mean fluxes are equal; otherwise the label minimizes their difference.

    Raises
    ------
    ValueError
        If the model has no such label, or the bounds are not in order.

    Notes
    -----
    If the difference changes sign between the bounds, Brent's method (`scipy.optimize.brentq`) finds its root. The mean
    flux is quadratic in the label, so otherwise there are two roots or none between the bounds, and
    `scipy.optimize.minimize_scalar` finds the smallest difference.
    """
    expect(model=model)
    if label not in model.labels:
        raise ValueError(f"the model has no label {label!r}; it has {model.labels}")
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds are (low, high), not {bounds!r}")
    place, pixels = model.labels.index(label), np.asarray(pixels)
    wanted = model.predict(np.asarray(target, dtype=float)).values[pixels].mean()

    def changed(value):
        star = np.array(labels, dtype=float)
        star[place] = value
        return star

    def difference(value):
        return model.predict(changed(value)).values[pixels].mean() - wanted

    if difference(low) * difference(high) <= 0:
        return changed(brentq(difference, low, high)), True
    found = minimize_scalar(lambda value: difference(value) ** 2, bounds=bounds, method="bounded").x
    least = min((low, high, found), key=lambda value: abs(difference(value)))
    return changed(least), bool(abs(difference(least)) < _EQUAL)
