"""The allStar catalog: reading it, selecting the giants of problem 1, joining it with spectra."""

import os.path
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.table import QTable, Table
from numpy.typing import ArrayLike

from lab2 import _columns
from lab2._arguments import TableLike, as_table, expect
from lab2._by_star import OtherStarWarning, by_star
from lab2._columns import OPTIONAL, REQUIRED, flags, label_errors, lacking, optional, typical_errors, words
from lab2._flags import AspcapFlag, StarFlag
from lab2._io import tables
from lab2._lock import alone
from lab2._named import EXAMPLE, PREDICTED, named_or_typical
from lab2._origin import SIMULATED
from lab2.labels import LABELS, Label, from_catalog, label_names, numbers, texts
from lab2.survey import manifest, survey_folder, verified, write_manifest

__all__ = [
    "EXAMPLE",
    "OPTIONAL",
    "PREDICTED",
    "REQUIRED",
    "AspcapFlag",
    "OtherStarWarning",
    "StarFlag",
    "adopt",
    "attach",
    "example_star",
    "flags",
    "label_errors",
    "label_tree",
    "lacking",
    "load",
    "named_or_typical",
    "optional",
    "select_giants",
    "spectrum_paths",
    "truth",
    "typical_errors",
    "with_spectra",
]


def load(survey: str) -> QTable:
    """The whole catalog of a survey's fields, before any cut.

    Parameters
    ----------
    survey : str
        Name of a survey under data/, "simulated" or "dr17".

    Returns
    -------
    astropy.table.QTable
        The rows of data/<survey>/allStar.fits, with DR17's column names: those of `REQUIRED`, and any others.

    Raises
    ------
    FileNotFoundError
        If the survey or its catalog does not exist.
    ValueError
        If the file cannot be read or is not the one that the survey's manifest lists, or if a column of `REQUIRED` is
        missing or unreadable.
    """
    path = survey_folder(survey, must_exist=True) / "allStar.fits"
    if not path.is_file():
        raise FileNotFoundError(f"survey {survey!r} has no catalog: expected {path}")
    return _read(verified(survey, path.name))


def _read(path):
    table = tables.read(path)
    try:
        _columns.check(table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return table


def adopt(survey: str) -> dict:
    """Write the manifest of a folder of original SDSS files, so that it can be used as a survey.

    The headers of the files say whether it is simulated.

    Parameters
    ----------
    survey : str
        Name of a folder in data/ with allStar.fits and ``apStar/<field>/*.fits``; mystery.fits is optional.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it lacks the catalog or the spectra.
    ValueError
        If the catalog cannot be read, or some of the files are simulated and others observed.
    """
    folder = survey_folder(survey, must_exist=True)
    for pattern, what in {
        "allStar.fits": "the catalog",
        "apStar/*/*.fits": "the spectra, apStar/<field>/<file>.fits",
    }.items():
        if not any(folder.glob(pattern)):
            raise FileNotFoundError(f"survey {survey!r} lacks {what}: there is no {folder / pattern}")
    with alone(folder):
        table = _read(folder / "allStar.fits")
        tree = "simulated" if table.meta.get(SIMULATED) else label_tree(table)
        return write_manifest(folder, survey=survey, label_tree=tree)


def select_giants(catalog: TableLike) -> tuple[QTable, QTable]:
    """Apply the cuts of problem 1, and count the rows removed by each.

    A star observed in two fields has two rows. Only the one with the higher S/N is kept, so that no star can be in both
    the training set and the test set.

    Parameters
    ----------
    catalog : astropy.table.Table or pandas.DataFrame
        With APOGEE_ID, SNR and the columns of the five labels.

    Returns
    -------
    giants : astropy.table.QTable
        The rows that remain, in the order of the catalog.
    cutflow : astropy.table.QTable
        Columns cut, removed, remaining; one row for each step.

    Examples
    --------
    >>> rows = QTable({"APOGEE_ID": ["a", "b"], "SNR": [150.0, 150.0], "TEFF": [4500.0, 5900.0], "LOGG": [2.0, 4.3]})
    >>> rows["FE_H"], rows["MG_FE"], rows["SI_FE"] = [0.0, -0.1], [0.1, 0.1], [0.0, 0.0]
    >>> giants, cutflow = select_giants(rows)
    >>> giants["APOGEE_ID"].tolist(), cutflow["removed"].tolist()
    (['a'], [0, 0, 0, 1, 0, 0])
    """
    expect(catalog=catalog)
    catalog = as_table(catalog)
    values, names = from_catalog(catalog).values, texts(catalog["APOGEE_ID"])
    teff, logg, fe_h = values[:, :3].T
    snr = _snr(catalog)
    # Each line says what is REMOVED. A comparison with NaN is False, so a row with a missing label is counted
    # under the first cut only.
    cuts = [
        ("name or one of the five labels missing", ~np.isfinite(values).all(axis=1) | (names == "")),
        ("S/N below 50", ~(snr >= 50)),
        ("dwarf: log g > 4 or Teff > 5700 K", (logg > 4) | (teff > 5700)),
        ("metal-poor: [Fe/H] < -1", fe_h < -1),
    ]
    keep = np.ones(len(catalog), dtype=bool)
    steps = [("rows in the catalog", 0, len(catalog))]
    for name, removed in [*cuts, ("second row of a star, lower S/N", None)]:
        if removed is None:
            removed = _lesser_rows(names, snr, keep)
        before = keep.sum()
        keep &= ~removed
        steps.append((name, int(before - keep.sum()), int(keep.sum())))
    cutflow = QTable(rows=steps, names=("cut", "removed", "remaining"))
    return QTable(catalog)[keep], cutflow


def spectrum_paths(catalog: Table, survey: str) -> list[Path]:
    """Path of the apStar file of each catalog row.

    The file name is the catalog's FILE. If that is empty or absent, the name follows the DR17 convention (apStar for
    the northern telescopes, asStar for lco25m).

    Parameters
    ----------
    catalog : astropy.table.Table
        With FIELD and FILE, or FIELD, TELESCOPE and APOGEE_ID.
    survey : str

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    ValueError
        If the columns for a name are missing.
    """
    expect(catalog=catalog)
    folder = survey_folder(survey) / "apStar"
    given = words(catalog, "FILE")
    if (given == "").any():
        for name in ("TELESCOPE", "APOGEE_ID"):
            if name not in catalog.colnames:
                raise ValueError(
                    f"allStar.fits of survey {survey!r} has no {name}, and not every star has FILE: one is needed"
                )
    telescope, star = words(catalog, "TELESCOPE"), words(catalog, "APOGEE_ID")
    prefix = np.where(np.char.startswith(telescope, "lco"), "asStar", "apStar")
    built = [f"{kind}-dr17-{name}.fits" for kind, name in zip(prefix, star, strict=True)]
    rows = zip(texts(catalog["FIELD"]), given, built, strict=True)
    return [folder / _last_part(field) / (_last_part(name) or _last_part(other)) for field, name, other in rows]


def with_spectra(catalog: Table, survey: str) -> tuple[Table, list[str]]:
    """Split catalog rows by whether the survey has their spectra.

    Parameters
    ----------
    catalog : astropy.table.Table
        As for `spectrum_paths`.
    survey : str

    Returns
    -------
    present : astropy.table.Table
        The rows whose file exists.
    reasons : list of str
        For each of the other rows, why its file is missing: the error recorded in the manifest, or "not fetched".

    Raises
    ------
    FileNotFoundError
        If the survey has no spectrum of any of the stars.
    ValueError
        If there are no rows.
    """
    if not len(catalog):
        raise ValueError("there are no rows: no star of the catalog is left whose spectrum could be read")
    folder, missing = survey_folder(survey), manifest(survey).get("missing", {})
    files = spectrum_paths(catalog, survey)
    there = np.array([os.path.isfile(path) for path in files], dtype=bool)  # False for a name that no file can have
    if not there.any():
        raise FileNotFoundError(f"survey {survey!r} has no spectrum of these {len(catalog)} stars in {folder}/apStar")
    absent = (path.relative_to(folder).as_posix() for path, here in zip(files, there, strict=True) if not here)
    return catalog[there], [missing.get(name, "not fetched") for name in absent]


def label_tree(catalog: Table) -> str:
    """The pipeline run that the labels come from, according to ASPCAP_ID: "synspec", "synspec_rev1", ...

    SkyServer's tables contain the labels of the run synspec, the archive files those of synspec_rev1 (SDSS DR17, "Ways
    to Access APOGEE Data"), so two catalogs of the same stars may differ.

    Parameters
    ----------
    catalog : astropy.table.Table

    Returns
    -------
    str
        "unknown" if the table has no ASPCAP_ID of the expected form.
    """
    if "ASPCAP_ID" not in catalog.colnames:
        return "unknown"
    parts = [str(name).split(".") for name in catalog["ASPCAP_ID"]]  # apogee.<telescope>.<tree>.dr17.<field>.<star>
    trees = {part[2] for part in parts if len(part) > 3 and part[0] == "apogee"}
    return ", ".join(sorted(trees)) or "unknown"


def example_star(catalog: Table) -> str:
    """The lab's example star: that of checkpoint 1 if it is in the catalog, otherwise a typical one.

    Parameters
    ----------
    catalog : astropy.table.Table
        With APOGEE_ID, SNR and the columns of the five labels, as from `select_giants`.

    Raises
    ------
    ValueError
        If no row has all five labels.
    """
    labels = from_catalog(catalog)
    return named_or_typical(EXAMPLE, labels.to_dataset(name="labels").assign(snr=("star", _snr(catalog))))


def attach(spectra: xr.Dataset, catalog: TableLike, labels: Sequence[str | Label] = LABELS) -> xr.Dataset:
    """Join spectra with their catalog rows.

    Parameters
    ----------
    spectra : xarray.Dataset
        With the dim ``star``, in the order of the catalog's rows.
    catalog : astropy.table.Table or pandas.DataFrame
        With APOGEE_ID, FIELD, SNR and the columns of the labels.
    labels : sequence of str or lab2.labels.Label
        The labels to take from the catalog, as `lab2.labels.from_catalog` takes them.

    Returns
    -------
    xarray.Dataset
        With ``labels`` (star, label), and field, snr, starflag and aspcapflag (star) from the catalog; a flag is 0 if
        the catalog has none. If the file of a row belongs to another star, the row has no spectrum (ivar 0, flux 1),
        and ``read_error`` says why.

    Raises
    ------
    ValueError
        If the numbers of spectra and rows differ, or most spectra belong to another star than their rows.

    Warns
    -----
    OtherStarWarning
        If some spectra belong to another star.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(2).drop_vars(["labels", "label", "unit"])
    >>> rows = QTable({"APOGEE_ID": spectra.star.values, "FIELD": ["M15", "M15"], "SNR": [90.0, 110.0]})
    >>> rows["TEFF"], rows["AL_FE"] = [4500.0, 4800.0], [0.1, -9999.0]
    >>> joined = attach(spectra, rows, ["teff", "AL_FE"])
    >>> joined.labels.values.tolist(), joined.unit.values.tolist()
    ([[4500.0, 0.1], [4800.0, nan]], ['K', 'dex'])
    """
    expect(spectra=spectra, catalog=catalog)
    catalog = as_table(catalog)
    labels = from_catalog(catalog, labels)
    spectra = by_star(spectra, labels.star.values.astype(str))
    joined = {"field": texts(catalog["FIELD"]), "snr": _snr(catalog)}
    joined |= {name: flags(catalog, name.upper()) for name in ("starflag", "aspcapflag")}
    return spectra.assign(labels=labels, **{name: ("star", values) for name, values in joined.items()})


def truth(survey: str, stars: ArrayLike) -> tuple[xr.DataArray, np.ndarray]:
    """True labels of the stars of a simulated survey.

    Parameters
    ----------
    survey : str
    stars : array_like of str

    Returns
    -------
    labels : xarray.DataArray
        (star, label), in the order of `stars`.
    oddity : numpy.ndarray of str
        The kind of oddity of each star, "" for an ordinary star.

    Raises
    ------
    FileNotFoundError
        If the survey has no truth.ecsv: for a real survey the true labels are not known.
    ValueError
        If a star is not in the file.
    """
    path = survey_folder(survey, must_exist=True) / "truth.ecsv"
    if not path.is_file():
        raise FileNotFoundError(f"the true labels of survey {survey!r} are not known: there is no {path}")
    table = QTable.read(path, format="ascii.ecsv")
    index = {name: i for i, name in enumerate(table["apogee_id"])}
    unknown = [str(star) for star in np.atleast_1d(stars) if str(star) not in index]
    if unknown:
        raise ValueError(f"{path} has no star {', '.join(unknown[:3])}")
    rows = table[[index[str(star)] for star in np.atleast_1d(stars)]]
    values = np.stack([rows[name].value for name in label_names()], axis=1)
    labels = xr.DataArray(
        values, dims=("star", "label"), coords={"star": rows["apogee_id"].astype(str), "label": label_names()}
    )
    oddity = np.asarray(rows["oddity"], dtype=str)
    return labels, np.where(oddity == "none", "", oddity)


def _snr(catalog):
    return numbers(catalog["SNR"], name="SNR")


def _last_part(text) -> str:
    """The last part of a path from a table, so that it cannot point outside the survey's folder."""
    name = Path(text).name
    return "" if name == ".." else name


def _lesser_rows(names, snr, keep):
    """Rows of stars that have another kept row with higher S/N."""
    order = np.lexsort((-snr, names))
    order = order[keep[order]]
    _, first = np.unique(names[order], return_index=True)
    lesser = keep.copy()
    lesser[order[first]] = False
    return lesser
