"""Write a simulated survey with the same files that SDSS has for the four fields."""

import os
from pathlib import Path

import numpy as np
from astropy.table import vstack
from tqdm.auto import tqdm

from lab2 import _code, apstar
from lab2._origin import SIMULATED
from lab2.labels import label_names
from lab2.simulate import pipeline
from lab2.simulate.chemistry import HIDDEN
from lab2.simulate.headers import apstar_header
from lab2.simulate.instrument import observe_star
from lab2.simulate.oddities import disturb
from lab2.simulate.population import FIELDS, labels_of
from lab2.simulate.replacing import replacing_survey
from lab2.simulate.stars import draw_survey, mystery_star
from lab2.simulate.synthesis import spectrum
from lab2.survey import write_manifest

__all__ = ["make_survey"]

BATCH = 64  # stars whose spectra are computed together
# With 42 or fewer stars a half has no more stars than coefficients, and with 60 the number of hidden factors cannot be
# chosen. With 100, notebook 06 has 20 stars or fewer on the giant branch for six seeds in ten, with 150 for one in
# sixty.
SMALLEST = 150


def make_survey(folder: str | os.PathLike, seed: int = 128, n_stars: int = 1886, progress: bool = True) -> Path:
    """Simulate the survey of the four fields and write it in the formats of SDSS.

    The folder contains allStar.fits (the whole catalog of the fields, with DR17 column names), an apStar file for each
    star that the cuts of problem 1 keep, mystery.fits, truth.ecsv (true labels, abundances and oddity of each star with
    an apStar file) and manifest.json. Every header and table says that it is simulated. The folder is created under a
    temporary name and renamed when complete, replacing a survey that was simulated there before. The same arguments
    give identical files.

    Parameters
    ----------
    folder : path-like
        Folder to create; its name is that of the survey.
    seed : int
        Seed of all random numbers, not negative.
    n_stars : int
        Number of distinct stars that pass the cuts, at least 150: the notebooks need them. For a few spectra use
        `lab2.simulate.spectrum`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ValueError
        If `seed` is negative or `n_stars` below 150, or if the folder holds files that were not simulated there.
    TypeError
        If `seed` or `n_stars` is not an integer.
    OSError
        If the folder cannot be written, or another process is writing it.

    Examples
    --------
    >>> import lab2
    >>> lab2.simulate.make_survey("data/small", n_stars=150)  # doctest: +SKIP
    PosixPath('data/small')
    """
    _check("seed", seed, 0)
    _check("n_stars", n_stars, SMALLEST, "; with fewer stars the lab's notebooks have too few to train and test on")
    folder = Path(folder)
    with replacing_survey(folder) as new:
        _write(new, seed, n_stars, progress)
        about = {"simulated": True, "seed": int(seed), "n_stars": int(n_stars), "label_tree": "simulated"}
        write_manifest(new, survey=folder.name, code=_code.digest(_code.SIMULATION), **about)
    return folder


def _write(folder, seed, n_stars, progress):
    """Draw and observe the stars, and write all files but the manifest."""
    selected, rows = draw_survey(seed, n_stars)
    locations = {name: 5001 + i for i, name in enumerate(f.name for f in FIELDS)}
    locations.update({field.neighbor: 5101 + i for i, field in enumerate(FIELDS)})
    catalog = pipeline.allstar(rows, locations)
    catalog.meta[SIMULATED] = True  # a card of the table's header, which survives reading and writing the table
    catalog.write(folder / "allStar.fits")
    mystery = mystery_star(seed)
    _truth(vstack([selected, mystery])).write(folder / "truth.ecsv")
    _write_star(folder / "mystery.fits", mystery[0], _spectra(mystery)[0], np.random.default_rng([seed, 5]))
    with tqdm(total=n_stars, desc="simulating", unit="star", disable=not progress) as bar:
        for start in range(0, n_stars, BATCH):
            batch = selected[start : start + BATCH]
            for i, (star, flux) in enumerate(zip(batch, _spectra(batch), strict=True), start):
                path = folder / "apStar" / star["field"] / f"apStar-dr17-{star['apogee_id']}.fits"
                _write_star(path, star, flux, np.random.default_rng([seed, 2, i]))
                bar.update()


def _check(name, value, least, why=""):
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} = {value} is too small; give at least {least}{why}")


def _spectra(stars):
    hidden = {name: np.asarray(stars[name], float) for name in HIDDEN}
    return spectrum(labels_of(stars), hidden)


def _truth(selected):
    columns = ["apogee_id", "field", *label_names(), *HIDDEN, "velocity", "ak", "oddity"]
    truth = selected[columns]
    for name in columns:
        if truth[name].dtype.kind == "f":
            truth[name] = np.round(truth[name], 4)
    # ECSV cannot store an empty string, so a star without an oddity gets "none".
    truth["oddity"] = np.where(truth["oddity"] == "", "none", truth["oddity"])
    truth.meta["simulated"] = True
    truth.meta["comments"] = ["true values of the simulated stars: teff in K, abundances in dex, v in km/s, ak in mag"]
    return truth


def _write_star(path, star, flux, rng):
    """Observe one star and write its apStar file."""
    visits = slice(0, star["n_visits"])
    velocities = (star["visit_v"] - star["visit_bc"])[visits]
    labels = np.array([star[name] for name in label_names()])
    flux = disturb(rng, star["oddity"], flux, labels)
    *rows, _, chip_range = observe_star(rng, flux, star, velocities, star["visit_snr"][visits])
    apstar.write(path, *rows, apstar_header(star, chip_range))
