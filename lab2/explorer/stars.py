"""Stars of the survey: their labels, flags and verdicts, and the spectra of a sample of them."""

import re

import numpy as np
from astropy.stats import mad_std

from lab2 import cannon
from lab2.cannon import Flag
from lab2.explorer.packing import MISSING, packed
from lab2.explorer.products import Products

__all__ = ["SAMPLE", "described", "sample"]

SAMPLE = 250  # stars whose spectra are on the page
_PER_SIGMA = 2  # steps of a residual per standard deviation of the star's residuals: rounding adds 1 % to it
_FARTHEST = 127  # steps

_SENTENCES = {
    "NO_DATA": "too few pixels carry information",
    "NOT_CONVERGED": "no fit was found",
    "OUTSIDE_TRAINING": "the labels lie outside the training set",
    "POOR_FIT": "the model does not fit the spectrum (reduced χ² above 2)",
    "MULTIPLE_MINIMA": "another minimum of χ² is almost as good",
    "BAD_CONTINUUM": "the continuum of a chip could not be determined",
    "UNCALIBRATED": "noisier, or fitted worse, than the stars that the errors were calibrated on",
    "UNCONSTRAINED": "the spectrum does not constrain every label",
    "DWARF": "log g is that of a dwarf, and the model knows giants only",
    "SIMULATED_MODEL": "an observed star, labeled by a model of simulated spectra",
}


def sample(kind: np.ndarray, teff: np.ndarray, size: int = SAMPLE) -> np.ndarray:
    """Stars whose spectra are shown: odd ones, then ordinary ones of all temperatures.

    Parameters
    ----------
    kind : numpy.ndarray of str, shape (n_stars,)
        "" for an ordinary star.
    teff : numpy.ndarray, shape (n_stars,)
        Fitted effective temperature [K].
    size : int

    Returns
    -------
    numpy.ndarray of int
        Indices in increasing order, at most `size`. Up to half are odd.

    Examples
    --------
    >>> sample(np.array(["", "double", "", "", ""]), np.array([4000.0, 4100.0, 4700.0, 4300.0, 4500.0]), 3).tolist()
    [0, 1, 2]
    """
    odd, ordinary = np.flatnonzero(kind != ""), np.flatnonzero(kind == "")
    odd = _spread(odd, np.arange(len(odd)), size // 2)
    ordinary = _spread(ordinary, teff[ordinary], size - len(odd))
    return np.sort(np.concatenate([odd, ordinary]))


def _spread(stars, values, count):
    """`count` of the stars at equal distances in the order of some values, the first and the last among them."""
    if len(stars) <= count:
        return stars
    places = np.rint(np.linspace(0, len(stars) - 1, count)).astype(int)
    return stars[np.argsort(values, kind="stable")[places]]


def described(products: Products, size: int = SAMPLE) -> dict:
    """All stars as points, and the sample with spectra.

    Parameters
    ----------
    products : Products
    size : int
        Number of stars in the sample.

    Returns
    -------
    dict
        For JSON. ``fitted`` and ``catalog`` (star, label) of all stars, NaN where there is none; ``sample``, a list
        with what is known of each of its stars; ``residuals`` (star, pixel), data less model in steps of the star's
        ``step``, -128 where a pixel is masked.

    Notes
    -----
    The model spectrum that the residuals refer to is that of the final model at the labels of the cross-validation and
    the factors that fit best there: the page computes it again from ``fit`` and ``factors``.
    """
    fits, spectra = products.fits, products.spectra
    fitted, catalog = (data.labels.transpose("star", "label").values for data in (fits, spectra))
    first = np.nan_to_num(fitted[:, 0], nan=np.inf)
    chosen = sample(fits.kind.values.astype(str), first, size)
    curves = _curves(products, chosen)
    residuals, steps = _residuals(products, chosen, curves)
    return {
        "fitted": packed(fitted, "float32"),
        "catalog": packed(catalog, "float32"),
        "residuals": packed(residuals, "int8"),
        "sample": [
            _about(products, star) | {"star": int(star), "factors": factors, "step": step, "curve": labels}
            for star, labels, factors, step in zip(
                chosen, _rounded(curves[0], 6), _rounded(curves[1], 4), steps.tolist(), strict=True
            )
        ],
    }


def _curves(products, chosen):
    """Labels and factors of the model spectrum drawn over each star's data; the mean's where there is no fit."""
    model, fits = products.model, products.fits.isel(star=chosen)
    labels = fits.labels.transpose("star", "label").values + products.calibration.dataset.offset.values
    labels = np.where(np.isfinite(labels).all(axis=1, keepdims=True), labels, model.label_mean.values)
    factors = cannon.quartics(model, products.spectra.isel(star=chosen)).factors(model.scale(labels))
    return labels, np.nan_to_num(factors)


def _residuals(products, chosen, curves):
    """Data less model in whole steps, (star, trained pixel), and the step of each star."""
    good = products.model.trained.values
    spectra = products.spectra.isel(star=chosen)
    seen = cannon.weights(products.model, spectra.ivar.values)[:, good] > 0
    labels, factors = (np.array(_rounded(values, digits)) for values, digits in zip(curves, (6, 4), strict=True))
    residual = (spectra.flux.values - products.model.predict(labels, factors).values)[:, good]
    spread = [mad_std(row[here]) if here.any() else 0.0 for row, here in zip(residual, seen, strict=True)]
    steps = np.maximum(spread, 1e-4) / _PER_SIGMA
    whole = np.clip(np.rint(residual / steps[:, None]), -_FARTHEST, _FARTHEST)
    return np.where(seen, whole, MISSING).astype(int), steps


def _about(products, star):
    """What is known of one star."""
    fits, row = products.fits, products.evidence[star]
    flags = Flag.words(fits.flag.values[star])
    about = {
        "id": str(fits.star.values[star]),
        "snr": round(float(products.spectra.snr[star])),
        "chi2": _number(fits.reduced_chi2.values[star], 3),
        "distance": _number(fits.distance.values[star], 3),
        "error": [_number(value**0.5, 3) for value in np.diag(fits.covariance.values[star])],
        "flags": [_SENTENCES[name] for name in flags.split() if name != "-"],
        "kind": str(fits.kind.values[star]),
        "verdict": "" if row["verdict"] is np.ma.masked else re.sub(r"-(?=\d)", "\N{MINUS SIGN}", str(row["verdict"])),
        "starflag": _words(row["starflag"]),
        "aspcapflag": _words(row["aspcapflag"]),
    }
    if "field" in products.spectra:
        about["field"] = str(products.spectra.field.values[star])
    if products.truth is not None:
        about["truth"] = [_number(value, 6) for value in products.truth.values[star]]
        about["planted"] = str(products.planted[star])
    return about


def _words(flags):
    """A catalog's flags as text: "" where there are none."""
    words = "" if flags is np.ma.masked else str(flags)
    return "" if words == "-" else words.replace(" ", ", ").replace("_", " ").lower()


def _number(value, digits):
    """A number of so many significant digits; None for NaN, which JSON does not know."""
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


def _rounded(values, digits):
    return [[float(f"{value:.{digits}g}") for value in row] for row in np.asarray(values).tolist()]
