"""Training spectra as checked arrays: the pixels that are used, and scaled labels."""

from typing import NamedTuple

import numpy as np

from lab2.spectra import check, seen

__all__ = ["Prepared", "chips", "prepared"]

_MIN_SEEN = 0.5  # fraction of the training stars that must have data in a pixel for it to be used
_FEWEST = 10  # stars: two in each part
_GAP = 50  # unused pixels between two chips; runs of bad pixels are shorter


class Prepared(NamedTuple):
    """``flux``, ``ivar`` (star, pixel) of the used pixels; ``labels``, ``errors`` (star, label), scaled.

    ``used`` (wavelength), ``label_mean``, ``label_scale`` (label), in each label's unit.
    """

    flux: np.ndarray
    ivar: np.ndarray
    labels: np.ndarray
    errors: np.ndarray
    used: np.ndarray
    label_mean: np.ndarray
    label_scale: np.ndarray


def prepared(spectra) -> Prepared:
    """Training spectra as arrays, float32.

    Raises
    ------
    ValueError
        If labels are missing or all the same, label errors are negative, too few stars or pixels are left, or
        `lab2.spectra.check` rejects the spectra.
    """
    check(spectra)
    labels = _labels(spectra)
    mean, scale = labels.mean(axis=0), labels.std(axis=0)
    constant = [str(n) for n, s, m in zip(spectra.label.values, scale, mean, strict=True) if s <= 1e-12 * abs(m)]
    if constant:
        raise ValueError(f"the label {', '.join(constant)} is the same for every star: nothing to learn from it")
    flux, ivar = spectra.flux.values, spectra.ivar.values
    used = (seen(ivar).mean(axis=0) > _MIN_SEEN) & (flux.std(axis=0) > 0)
    if used.sum() < 2:
        raise ValueError(
            f"{used.sum()} pixels have data in more than {_MIN_SEEN:.0%} of the {len(labels)} training stars"
        )
    errors = _errors(spectra, labels.shape)
    return Prepared(
        flux[:, used].astype(np.float32),
        ivar[:, used].astype(np.float32),
        ((labels - mean) / scale).astype(np.float32),
        (errors / scale).astype(np.float32),
        used,
        mean,
        scale,
    )


def chips(used) -> tuple:
    """First and last (exclusive) used pixel of each chip; a chip ends where many consecutive pixels are not used.

    Parameters
    ----------
    used : array_like of bool, shape (n_pixels,)

    Returns
    -------
    tuple of (int, int)

    Examples
    --------
    >>> chips([True] * 30 + [False] * 60 + [True] * 20 + [False] * 3 + [True] * 5)
    ((0, 30), (30, 55))
    """
    place = np.flatnonzero(used)
    ends = np.flatnonzero(np.diff(place) > _GAP) + 1
    return tuple(zip([0, *ends.tolist()], [*ends.tolist(), len(place)], strict=True))


def _labels(spectra):
    if "labels" not in spectra:
        raise ValueError("the training spectra have no labels (star, label)")
    labels = spectra.labels.transpose("star", "label").values.astype(float)
    missing = int((~np.isfinite(labels)).any(axis=1).sum())
    if missing:
        raise ValueError(f"{missing} of {len(labels)} training stars lack a label; leave them out")
    if len(labels) < _FEWEST:
        raise ValueError(f"{len(labels)} training stars are too few: at least {_FEWEST} are needed")
    return labels


def _errors(spectra, shape):
    if "label_errors" not in spectra:
        return np.zeros(shape)
    errors = np.nan_to_num(spectra.label_errors.transpose("star", "label").values.astype(float), posinf=-1.0)
    if (errors < 0).any():
        raise ValueError(f"label_errors must be finite and 0 or more, or NaN: {int((errors < 0).sum())} are not")
    return errors
