"""The trained model as the page's JavaScript evaluates it (page/model.js)."""

import numpy as np

from lab2.cannon import Cannon, training_distance
from lab2.explorer.packing import in_steps, packed
from lab2.labels import LABELS
from lab2.lines import UNIDENTIFIED, name_peaks

__all__ = ["described", "label_texts", "line_list", "rounding"]

# How a label is written: on a canvas, which knows no markup, and in HTML.
_WRITTEN = {
    "teff": ("Teff", "<i>T</i><sub>eff</sub>"),
    "logg": ("log g", "log <i>g</i>"),
}
_MARGIN = 0.15  # how far a slider reaches outside the training labels, in units of their range
_LINES = 600


def described(model: Cannon) -> dict:
    """Coefficients of the trained pixels, and what is needed to evaluate them.

    Parameters
    ----------
    model : lab2.Cannon

    Returns
    -------
    dict
        For JSON. ``labels``, a list with name, text, html, unit, mean, scale, low, high and step of each;
        ``wavelength`` [Angstrom]; ``pairs``, the terms (term, 2); ``theta`` and ``loadings``, each with ``whole``
        (term or factor, pixel) and ``steps``; ``distance``, the matrix Q of the squared training distance x^T Q x of
        scaled labels x.

    Notes
    -----
    theta's constant is that of the flux less 1. Rounded to 16 bits, a model spectrum is off by at most `rounding`.
    """
    good = model.trained.values
    whole, steps = in_steps(_theta(model))
    loadings, loading_steps = in_steps(model.loadings.values[good].T)
    return {
        "labels": _labels(model),
        "wavelength": packed(model.wavelength.values[good], "float32"),
        "pairs": model.pairs.tolist(),
        "theta": {"whole": packed(whole, "int16"), "steps": steps.tolist()},
        "loadings": {"whole": packed(loadings, "int16"), "steps": loading_steps.tolist()},
        "scatter": packed(np.sqrt(model.s2.values[good]), "float32"),
        "distance": _quadratic_form(model).tolist(),
    }


def rounding(model: Cannon, labels: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """The largest possible error of the page's spectra, from the rounding of the coefficients.

    Parameters
    ----------
    model : lab2.Cannon
    labels : numpy.ndarray, shape (n_stars, n_labels)
    factors : numpy.ndarray, shape (n_stars, n_factors), optional

    Returns
    -------
    numpy.ndarray, shape (n_stars,)
        Half a step of each coefficient times the size of its term.
    """
    error = np.abs(model.design(labels)) @ in_steps(_theta(model))[1] / 2
    if factors is not None:
        error = error + np.abs(factors) @ in_steps(model.loadings.values[model.trained.values].T)[1] / 2
    return error


def label_texts(names: list[str], units: list[str]) -> list[dict]:
    """How each label is written: name, text (on a canvas), html, unit."""
    symbols = {label.name: label.symbol for label in LABELS}
    written = [_WRITTEN.get(name, (symbols.get(name, name),) * 2) for name in names]
    return [
        {"name": name, "text": text, "html": html, "unit": unit}
        for name, unit, (text, html) in zip(names, units, written, strict=True)
    ]


def line_list(model: Cannon) -> list[list]:
    """The deepest absorption lines of the mean spectrum, the deepest first: species and wavelength [Angstrom]."""
    depth = np.where(model.trained, 1 - model.predict(model.label_mean), 0.0)
    peaks = name_peaks(model.wavelength.values, depth.clip(0), count=_LINES)
    peaks = peaks[peaks["species"] != UNIDENTIFIED]
    return [[str(row["species"]), round(float(row["line"]), 2)] for row in peaks]


def _theta(model):
    """Coefficients of the flux less 1 in the trained pixels, (term, pixel)."""
    theta = model.theta.values[model.trained.values].T.copy()
    theta[0] -= 1.0
    return theta


def _labels(model):
    values = model.training_labels.values
    low, high = values.min(axis=0), values.max(axis=0)
    margin, found = _MARGIN * (high - low), label_texts(model.labels, model.units)
    for n, label in enumerate(found):
        step = 5.0 if label["unit"] == "K" else 0.01
        label |= {
            "mean": float(model.label_mean[n]),
            "scale": float(model.label_scale[n]),
            "low": round(float(np.floor((low - margin)[n] / step) * step), 2),
            "high": round(float(np.ceil((high + margin)[n] / step) * step), 2),
            "step": step,
        }
    return found


def _quadratic_form(model):
    """Q of the squared distance x^T Q x, from its values at unit vectors and at their sums."""
    n = len(model.labels)
    unit = np.eye(n)

    def squared(x):
        return training_distance(model, model.label_mean.values + x * model.label_scale.values) ** 2

    alone = squared(unit)
    both = squared((unit[:, None] + unit[None]).reshape(n * n, n)).reshape(n, n)
    return (both - alone[:, None] - alone[None]) / 2
