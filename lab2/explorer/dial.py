"""The mystery star, fitted in every combination of what may or may not be right: the page's error dial.

A formal error follows from the noise of the pixels alone. What else moves the labels is seen by changing it: the
training set, the model, the pixels, the continuum and the noise.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import xarray as xr

from lab2 import cannon
from lab2.cannon import Flag
from lab2.explorer.products import Products
from lab2.grid import CHIPS
from lab2.posterior import continuum_slop
from lab2.validation import degrade

__all__ = ["Switch", "described", "switches"]

_NOISE = (100.0, 50.0, 20.0)  # S/N to which the star's is lowered


class Switch(NamedTuple):
    """One cause of errors: its name, what it is called on the page, and its positions with a text for each."""

    name: str
    title: str
    positions: tuple
    texts: tuple[str, ...]


def switches(products: Products) -> list[Switch]:
    """What can be switched for a survey, the position of the final model first.

    Parameters
    ----------
    products : Products
        With a mystery star.

    Returns
    -------
    list of Switch
        "factors", "odd", "continuum", "chip", "snr"; one that would change nothing has a single position.
    """
    k = products.model.loadings.sizes["factor"]
    odd = int((products.fits.kind.values != "").sum())
    own = float(products.mystery.snr[0])
    lower = tuple(level for level in _NOISE if level < own)
    here = set(products.mystery.chip.values[products.mystery.ivar.values[0] > 0].tolist())
    chips = tuple(chip for chip in CHIPS if chip in here and len(here) > 1)
    return [
        Switch("factors", "Hidden factors", *(((k, 0), (f"{k} factors", "none")) if k else ((0,), ("none",)))),
        Switch(
            "odd",
            "Odd stars in the training set",
            *(((False, True), ("left out", f"all {odd} included")) if odd else ((False,), ("there are none",))),
        ),
        Switch("continuum", "Continuum", (False, True), ("as normalized", "free to bend by 1 %")),
        Switch("chip", "Chips", ("", *chips), ("all", *(f"without {chip}" for chip in chips))),
        Switch("snr", "Noise", (own, *lower), (f"as observed, S/N {own:.0f}", *(f"S/N {x:.0f}" for x in lower))),
    ]


def described(products: Products) -> dict | None:
    """The fits of the mystery star in all combinations.

    Parameters
    ----------
    products : Products

    Returns
    -------
    dict or None
        For JSON: ``star``, ``switches`` (title and texts of each), ``cases``, in the order of
        ``itertools.product`` of the switches' positions, each with labels, covariance (formal), calibrated labels and
        covariance (None where the calibration does not hold) and flags; ``truth``, None if it is not known. None if
        there is no mystery star.
    """
    if products.mystery is None:
        return None
    known = switches(products)
    factors, odd, continuum, chips, levels = (switch.positions for switch in known)
    cut = _spectra(products, chips, levels)
    cases = []
    for k, with_odd in product(factors, odd):
        final = k == factors[0] and not with_odd
        model = products.model if final else _trained(products, k, with_odd)
        for bends in continuum:
            fits = cannon.fit_labels(model, cut)
            if bends:
                slop = continuum_slop(model, cut, fits.labels.values)
                fits = cannon.fit_labels(model, cut, [slop])
            cases += _cases(fits, products.calibration if final else None)
    return {
        "star": str(products.mystery.star.values[0]),
        "switches": [{"title": switch.title, "texts": switch.texts} for switch in known],
        "cases": cases,
        "truth": None if products.mystery_truth is None else products.mystery_truth.tolist(),
    }


def _trained(products, factors, with_odd):
    """The model trained again on the survey, with other factors or other stars."""
    stars = np.arange(products.spectra.sizes["star"]) if with_odd else np.flatnonzero(products.fits.kind.values == "")
    return cannon.train(products.spectra.isel(star=stars), factors=factors)


def _spectra(products, chips, levels):
    """The mystery star's spectrum without each chip at each S/N, chips first."""
    found, own = [], products.mystery
    for chip, level in product(chips, levels):
        rest = own.assign(ivar=own.ivar.where(own.chip != chip, 0.0)) if chip else own
        found.append(degrade(rest, level, products.seed))
    return xr.concat(found, "star", data_vars="minimal", coords="minimal", compat="override", join="override")


def _cases(fits, calibration):
    """Each fit as JSON can hold it."""
    calibrated = calibration.apply(fits) if calibration else None
    cases = []
    for n in range(fits.sizes["star"]):
        case = {"labels": _numbers(fits.labels.values[n], 6), "covariance": _numbers(fits.covariance.values[n], 4)}
        if calibrated is not None and not int(calibrated.flag[n]) & (Flag.UNCALIBRATED | Flag.NO_DATA):
            case["calibrated"] = {
                "labels": _numbers(calibrated.labels.values[n], 6),
                "covariance": _numbers(calibrated.covariance.values[n], 4),
            }
        cases.append(case)
    return cases


def _numbers(values, digits):
    """Nested lists of numbers of so many significant digits; None where there is none."""
    if np.ndim(values):
        return [_numbers(value, digits) for value in values]
    return float(f"{values:.{digits}g}") if np.isfinite(values) else None
