"""The key numbers of each notebook of the lab, read from its results, for students and reference alike.

A tolerance is the largest difference between two correct answers: 0 for counts, the bootstrap standard error or a few
per cent for numbers that depend on noise and on the split of the stars.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab2 import validation
from lab2._io import netcdf
from lab2.cannon import Cannon
from lab2.files import read_table
from lab2.grading.products import Products
from lab2.labels import LABELS
from lab2.report import products

__all__ = ["KeyNumber", "compared", "key_numbers"]

_UNITS = {label.name: label.unit for label in LABELS}
_SHOWN = 300  # number of stars for the residual
_SOME = 0.02  # relative tolerance of the scatter of many pixels
_OF_DRAWS = 0.1  # tolerance of a posterior, as a fraction of its width


@dataclass(frozen=True)
class KeyNumber:
    """A number by which results are compared; its tolerance is in its unit."""

    name: str
    value: float
    unit: str = ""
    tolerance: float = 0.0


def key_numbers(made: Products) -> list[KeyNumber]:
    """The key numbers of one notebook.

    Parameters
    ----------
    made : lab2.grading.products.Products

    Returns
    -------
    list of KeyNumber

    Raises
    ------
    FileNotFoundError
        If it did not save the required files.
    ValueError
        If a file is damaged.
    """
    return [*_MAKERS.get(made.number, lambda made: [])(made), _figures(made)]


def _figures(made):
    return KeyNumber("figures", len(list(made.figures.glob(f"{made.number}_*.png"))))


def _training_set(made):
    cutflow = read_table(made.path("01_cutflow.ecsv"))
    steps = zip(cutflow["cut"], cutflow["remaining"], strict=True)
    left = [KeyNumber(f"left after: {cut}" if i else str(cut), int(n)) for i, (cut, n) in enumerate(steps)]
    return [*left, KeyNumber("stars with a spectrum", len(read_table(made.path("01_giants.ecsv"))))]


def _continuum(made):
    spectra = products.load(made.path("03_spectra.nc"))
    seen = spectra.ivar.values > 0
    trusted = seen & spectra.trusted.values
    return [
        KeyNumber("spectra", spectra.sizes["star"]),
        KeyNumber("trusted pixels", int(spectra.trusted.sum())),
        KeyNumber("stars without a continuum on some chip", int(spectra.bad_continuum.any("chip_name").sum())),
        KeyNumber("good pixels", 100 * float(seen.mean()), "%", 0.1),
        KeyNumber("median flux of trusted pixels", float(np.median(spectra.flux.values[trusted])), "", 5e-4),
    ]


def _model(made):
    fold = products.load(made.path("04_split.nc")).fold.values
    model = Cannon.load(made.path("04_model.nc"))
    spectra = products.load(made.path("03_spectra.nc")).isel(star=np.flatnonzero(fold == 1)[:_SHOWN])
    seen = (spectra.ivar.values > 0) & model.trained.values
    residual = (spectra.flux.values - model.predict(spectra.labels.values).values)[seen]
    scatter, left = (
        float(np.sqrt(np.median(model.s2.values[model.trained]))),
        float(validation.robust_scatter(residual)),
    )
    return [
        KeyNumber("stars trained on", int((fold == 0).sum())),
        KeyNumber("pixels trained", int(model.trained.sum())),
        KeyNumber("median s", scatter, "", _SOME * scatter),
        KeyNumber("residual of the other half (robust scatter)", left, "", _SOME * left),
    ]


def _cross_validation(made):
    fits = products.load(made.path("05_fits.nc"))
    truth = products.load(made.path("03_spectra.nc")).labels
    odd = int((fits.kind != "").sum())
    found = [KeyNumber("odd stars", odd, "", float(np.sqrt(odd)))]
    if "factor" in fits.sizes:
        found.append(KeyNumber("hidden factors", fits.sizes["factor"]))
    for row in validation.statistics(fits, truth):
        name = str(row["label"])
        for which in ("bias", "std", "scatter"):
            size = float(row[which]), _UNITS.get(name, ""), float(row[f"{which}_error"])
            found.append(KeyNumber(f"{name}: {which}", *size))
    return found


def _kiel(made):
    table = read_table(made.path("06_isochrones.ecsv"))
    if not len(table):
        return []
    branch = table[0]
    n, scatter = int(branch["n"]), branch["scatter"].to_value("K")
    slope = branch["slope"].to_value("K / dex"), "K/dex", branch["slope_error"].to_value("K / dex")
    return [
        KeyNumber("stars on the branch", n, "", float(np.sqrt(n))),
        KeyNumber("Teff - MIST: median", branch["median"].to_value("K"), "K", scatter / np.sqrt(n)),
        KeyNumber("Teff - MIST: robust scatter", scatter, "K", scatter / np.sqrt(2 * n)),
        KeyNumber("slope with [Fe/H]", *slope),
    ]


def _mystery(made):
    found = []
    for file, kind in (("07_posterior.nc", "formal"), ("07_posterior_nuisance.nc", "noise and slop")):
        draws = netcdf.read(made.path(file))["posterior"].labels.stack(draws=("chain", "draw"))
        for name in draws.label.values.astype(str):
            unit, values = _UNITS.get(name, ""), draws.sel(label=name).values
            sd = float(values.std(ddof=1))
            found.append(KeyNumber(f"{name}: mean, {kind}", float(values.mean()), unit, _OF_DRAWS * sd))
            found.append(KeyNumber(f"{name}: error, {kind}", sd, unit, _OF_DRAWS * sd))
    return found


_MAKERS = {
    "01": _training_set,
    "03": _continuum,
    "04": _model,
    "05": _cross_validation,
    "06": _kiel,
    "07": _mystery,
}


def compared(numbers: Sequence[KeyNumber], reference: Sequence[KeyNumber]) -> list[dict]:
    """Key numbers compared with those of the reference.

    Parameters
    ----------
    numbers, reference : sequence of KeyNumber

    Returns
    -------
    list of dict
        name, unit, value, reference, tolerance and verdict, in the order of the reference: "same" within the tolerance
        of the reference, "differs", "missing" if only the reference has the number, "no reference" if only the notebook
        has it. Missing numbers are NaN.
    """
    own, known = ({number.name: number for number in some} for some in (numbers, reference))
    rows = []
    for name in dict.fromkeys([*known, *own]):
        one = known.get(name) or own[name]
        value, right = (some[name].value if name in some else np.nan for some in (own, known))
        verdict = "same" if abs(value - right) <= one.tolerance else "differs"
        if name not in own:
            verdict = "missing"
        elif name not in known:
            verdict = "no reference"
        rows.append(
            {"name": name, "unit": one.unit, "value": value, "reference": right, "tolerance": one.tolerance}
            | {"verdict": verdict}
        )
    return rows
