"""A model from apStar files and a catalog: matching, training, cross-validation and calibration in one step."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from astropy.table import QTable, Table
from tqdm.auto import tqdm

from lab2 import apstar, cannon, catalog, continuum, validation
from lab2._columns import optional, words
from lab2._io import tables
from lab2._origin import SIMULATED
from lab2.grid import WAVELENGTH
from lab2.labelling.stream import BLOCK
from lab2.labels import LABELS, Label, from_catalog, texts

__all__ = ["Trained", "read_catalog", "train_files"]

_FOLDS = 2
_NOISY = (20, 10)  # S/N of the copies with noise added, which tell the scale of the errors from their floor
_SAME_SNR = 1e-4  # relative: the catalog's are in single precision
_SPECTRA, _ABOUT = ("flux", "ivar"), ("snr", "field", "simulated")
_NO_ROW, _SEVERAL_ROWS = -1, -2
_WHY = {_NO_ROW: "not in the catalog", _SEVERAL_ROWS: "several rows in the catalog"}


class Trained(NamedTuple):
    """A model with its calibration, and statistics of the training.

    `statistics`: bias, std and robust scatter of each label in the cross-validation, as from
    `lab2.validation.statistics`; `left_out`: number of files left out, by reason.
    """

    model: cannon.Cannon
    calibration: validation.Calibration
    statistics: QTable
    left_out: dict[str, int]


def read_catalog(path: str | os.PathLike) -> Table:
    """A catalog of labels from a FITS (HDU 1), ECSV or CSV file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is of another kind, or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such catalog: {path}")
    formats = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv"}
    if path.suffix == ".fits":
        return tables.read(path)
    if path.suffix not in formats:
        raise ValueError(f"a catalog is a file of .fits, .ecsv or .csv; got {path}")
    try:
        return Table.read(path, format=formats[path.suffix])
    except Exception as problem:  # damaged tables raise many kinds of error
        raise ValueError(f"{path} cannot be read as a table ({problem})") from problem


def train_files(
    given: Sequence[str | os.PathLike] | xr.Dataset,
    rows: Table,
    labels: Sequence[str | Label] = LABELS,
    factors: int = 0,
    seed: int = 128,
    progress: bool = False,
) -> Trained:
    """Train a model on apStar files with labels from a catalog.

    Files and rows are matched by APOGEE_ID; if the catalog has several rows of a star, also by FIELD, and if it has
    several in that field, by S/N. Every file with a row, a spectrum and all labels is trained on: exclude unwanted
    stars, such as dwarfs, from the files or the catalog.

    Parameters
    ----------
    given : sequence of path-like, or xarray.Dataset
        apStar files; or their normalized spectra, such as `lab2.scale.open_store` reads them from a store.
    rows : astropy.table.Table
        The catalog, with APOGEE_ID and the labels' columns.
    labels : sequence of str or lab2.labels.Label
        As for `lab2.labels.from_catalog`.
    factors : int
        Number of hidden factors.
    seed : int
        Seed of the split into halves and of the added noise.
    progress : bool
        Show progress bars.

    Returns
    -------
    Trained
        The model is trained on all stars; its calibration is learned from fits of each half with a model of the other
        half, also with noise added, to S/N 20 and 10.

    Raises
    ------
    ValueError
        If the catalog lacks a column, or too few stars are left to train or to calibrate.

    Notes
    -----
    All spectra are in memory, in single precision, and beside them those of a training half and of one set with noise:
    0.15 MB a star, 3 GB for 20,000.
    """
    known = from_catalog(rows, labels)  # before any file is read: are the columns there?
    spectra, left_out = _training_set(given, rows, known, progress)
    model = cannon.train(spectra, factors=factors, progress=progress)
    fold = validation.split(spectra, _FOLDS, seed)

    def held_out(fit):
        return validation.cross_validate(spectra, fold, factors, fit=fit, progress=progress)

    fits = [held_out(spectra), *(held_out(validation.degrade(spectra, snr, seed)) for snr in _NOISY)]
    truth = xr.concat([spectra.labels] * len(fits), "star")
    calibration = validation.calibrate(xr.concat(fits, "star"), truth)
    statistics = validation.statistics(fits[0], spectra.labels, seed)
    found = {f"cross_validated_{name}": ("label", np.asarray(statistics[name], float)) for name in ("bias", "std")}
    about = {"left_out": _listed(left_out), "n_files": _count(given), "seed": seed, "folds": _FOLDS}
    model = cannon.Cannon(model.dataset.assign(found).assign_attrs(about))
    return Trained(model, calibration, statistics, left_out)


def _training_set(given, rows, known, progress):
    """Normalized spectra with labels, and how many files were left out, by reason."""
    index, complete, left_out = _Index(rows), np.isfinite(known.values).all(axis=1), Counter()
    count, used, parts = _count(given), 0, []
    # filled block by block, since blocks that are joined in the end are in memory twice
    arrays = {name: np.empty((count, WAVELENGTH.size), np.float32) for name in _SPECTRA}
    bar = tqdm(total=count, desc="reading spectra", unit="star", disable=not progress)
    for block in _blocks(given):
        row = index.rows(block)
        why = np.array([_WHY.get(one, "") for one in row.tolist()], dtype=object)
        why[(why == "") & ~complete[row]] = "a label is missing"
        why[~(block.ivar.values > 0).any(axis=1)] = "no pixels with information"
        why[block.read_error.values != ""] = "cannot be read"
        left_out.update(why[why != ""].tolist())
        good = np.flatnonzero(why == "")
        for name, values in arrays.items():
            values[used : used + len(good)] = block[name].values[good]
        used += len(good)
        part = block.drop_vars([name for name in block.data_vars if name not in _ABOUT]).isel(star=good)
        parts.append(part.assign(labels=(("star", "label"), known.values[row[good]])))
        bar.update(len(row))
    bar.close()
    if not used:
        raise ValueError(f"none of {count} files can be trained on: {_listed(left_out)}")
    spectra = xr.concat(parts, "star", data_vars="minimal", coords="minimal", compat="override")
    spectra = spectra.assign({name: (("star", "wavelength"), values[:used]) for name, values in arrays.items()})
    tree = "simulated" if rows.meta.get(SIMULATED) else catalog.label_tree(rows)
    spectra = spectra.assign_coords(label=known.label.values, unit=known.unit).assign_attrs(label_tree=tree)
    return spectra.assign(snr=_known_snr(spectra)), dict(left_out)


def _count(given):
    return given.sizes["star"] if isinstance(given, xr.Dataset) else len(given)


def _blocks(given) -> Iterator[xr.Dataset]:
    """Normalized spectra, some at a time."""
    for start in range(0, _count(given), BLOCK):
        some = slice(start, start + BLOCK)
        if isinstance(given, xr.Dataset):
            yield given.isel(star=some).load()
        else:
            yield continuum.normalize(apstar.mask_bad_pixels(apstar.read_rows(given[some])))


class _Index:
    """Finds the row of a spectrum in a catalog."""

    def __init__(self, rows):
        self.fields, self.snr = words(rows, "FIELD"), optional(rows, "SNR")
        self.places = defaultdict(list)
        for place, star in enumerate(texts(rows["APOGEE_ID"]).tolist()):
            self.places[star].append(place)

    def rows(self, block):
        """Index of the row of each spectrum, or the reason why there is none."""
        about = zip(block.star.values.tolist(), block.field.values.tolist(), block.snr.values.tolist(), strict=True)
        return np.array([self._row(*one) for one in about])

    def _row(self, star, field, snr):
        places = self.places.get(star, [])
        if len(places) > 1:
            places = [place for place in places if self.fields[place] == field] or places
        if len(places) > 1:  # observed with two telescopes: the catalog's S/N is that of the file's header
            places = [place for place in places if abs(self.snr[place] - snr) <= _SAME_SNR * snr]
            return places[0] if len(places) == 1 else _SEVERAL_ROWS
        return places[0] if places else _NO_ROW


def _known_snr(spectra):
    """The S/N of the header, or if it is missing the median of the pixels."""
    snr = spectra.snr.values.copy()
    for n in np.flatnonzero(~(snr > 0)):
        flux, ivar = spectra.flux.values[n], spectra.ivar.values[n]
        snr[n] = np.median((flux * np.sqrt(ivar))[ivar > 0])
    return spectra.snr.copy(data=snr)


def _listed(left_out):
    return ", ".join(f"{number} {why}" for why, number in sorted(left_out.items())) or "none"
