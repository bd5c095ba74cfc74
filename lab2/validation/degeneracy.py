"""Which change of one label hides a change of others: stars that absorb the same amount of light."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

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
        Of the star to imitate.
    label : str
        The label to change, such as "fe_h".
    bounds : tuple of float
        Where to look, in the label's unit.
    pixels : array_like, shape (n_pixels,)
        Mask or numbers of the pixels whose mean flux is compared.

    Returns
    -------
    labels : numpy.ndarray, shape (n_labels,)
        With the label changed.
    equal : bool
        Whether the mean fluxes are equal; otherwise the label is that at which they differ least.

    Raises
    ------
    ValueError
        If the model has no such label, or the bounds are not in order.

    Notes
    -----
    A root by Brent's method (`scipy.optimize.brentq`) where the difference changes its sign between the bounds. The
    mean flux is a quadratic in the label, so that otherwise it has two roots or none there, and
    `scipy.optimize.minimize_scalar` finds the least difference.
    """
    if label not in model.labels:
        raise ValueError(f"the model has no label {label!r}; it has {model.labels}")
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds are (low, high), not {bounds!r}")
    place = model.labels.index(label)
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
