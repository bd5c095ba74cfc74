"""What the notebooks have made of a survey, as far as the page shows it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.table import QTable

from lab2 import apstar, cannon, catalog, continuum, validation
from lab2._command import command
from lab2.files import read_table
from lab2.report import freshness, products
from lab2.survey import build_folder, manifest, survey_folder

__all__ = ["NOTEBOOKS", "Products", "inputs", "read"]

_FILES = ("03_spectra.nc", "05_model.nc", "05_fits.nc", "05_calibration.nc", "05_diagnosis.ecsv")
NOTEBOOKS = frozenset(name[:2] for name in _FILES)  # by their numbers, those that the page is made from
_SEED = 128  # the notebooks' own


@dataclass(frozen=True, eq=False)
class Products:
    """A survey as the page shows it.

    Attributes
    ----------
    about : dict
        The survey's manifest.
    seed : int
        Of the notebooks.
    model : lab2.Cannon
    calibration : lab2.validation.Calibration
        Of the errors of this model's fits.
    spectra : xarray.Dataset
        Of all giants, with the catalog's labels.
    fits : xarray.Dataset
        Of the same stars by cross-validation, calibrated; ``kind`` (star), "" for an ordinary star.
    evidence : astropy.table.QTable
        As from `lab2.diagnosis.diagnose`, of the same stars.
    mystery : xarray.Dataset or None
        The spectrum without labels, normalized; None where there is none.
    truth : xarray.DataArray or None
        True labels (star, label) of the stars; None if they are not known.
    mystery_truth : numpy.ndarray or None
        True labels of the mystery star, shape (n_labels,).
    planted : numpy.ndarray of str or None
        What is odd about each star, as simulated.
    """

    about: dict
    seed: int
    model: cannon.Cannon
    calibration: validation.Calibration
    spectra: xr.Dataset
    fits: xr.Dataset
    evidence: QTable
    mystery: xr.Dataset | None = None
    truth: xr.DataArray | None = None
    mystery_truth: np.ndarray | None = None
    planted: np.ndarray | None = None


def inputs(survey: str) -> dict[str, Path | None]:
    """The files that the page is made of; None for one that the survey does not have.

    Raises
    ------
    FileNotFoundError
        If a notebook that makes one of them has not been executed.
    """
    folder, data = build_folder(survey), survey_folder(survey, must_exist=True)
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f"not made on survey {survey!r} yet: {', '.join(missing)}; "
            f"run: make report (or {command(f'run 01 02 03 04 05 --survey {survey}')})"
        )
    found = {name: folder / name for name in _FILES} | {"manifest.json": data / "manifest.json"}
    given = freshness.choices(survey).get("mystery")
    mystery, truth = Path(given) if given else data / "mystery.fits", data / "truth.ecsv"
    return found | {
        "mystery.fits": mystery if mystery.is_file() else None,
        "truth.ecsv": truth if truth.is_file() else None,
    }


def read(survey: str) -> Products:
    """Read what the page shows.

    Parameters
    ----------
    survey : str

    Returns
    -------
    Products

    Raises
    ------
    FileNotFoundError
        If a notebook that makes a part of it has not been executed.
    ValueError
        If a file is damaged, or the files are not of the same stars.
    """
    paths, about, given = inputs(survey), manifest(survey), freshness.choices(survey)
    model = cannon.Cannon.load(paths["05_model.nc"])
    calibration = validation.Calibration.load(paths["05_calibration.nc"])
    calibration.check_model(model)
    spectra, fits = products.load(paths["03_spectra.nc"]), products.load(paths["05_fits.nc"])
    evidence = read_table(paths["05_diagnosis.ecsv"])
    stars = spectra.star.values.astype(str).tolist()
    if not stars == fits.star.values.astype(str).tolist() == list(map(str, evidence["star"])):
        raise ValueError(
            f"03_spectra.nc, 05_fits.nc and 05_diagnosis.ecsv of survey {survey!r} are not of the same stars; "
            f"run: {command(f'run 03 04 05 --survey {survey}')}"
        )
    mystery = paths["mystery.fits"]
    spectrum = mystery and continuum.normalize(apstar.mask_bad_pixels(apstar.read(mystery)), model.trusted)
    known = {}
    if paths["truth.ecsv"]:
        known["truth"], known["planted"] = catalog.truth(survey, stars)
        if mystery and "mystery" not in given:
            known["mystery_truth"] = catalog.truth(survey, spectrum.star.values)[0].values[0]
    seed = given.get("seed", _SEED)
    return Products(about, seed, model, calibration, spectra, fits, evidence, spectrum, **known)
