"""The allStar catalog: reading, selection of the giants of problem 1, joining with spectra."""

import os
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.table import QTable

from lab2._bits import Bits
from lab2._by_star import OtherStarWarning, by_star
from lab2._lock import alone
from lab2._origin import SIMULATED
from lab2.labels import from_catalog, label_names
from lab2.survey import manifest, survey_folder, verified, write_manifest

__all__ = [
    "AspcapFlag",
    "OtherStarWarning",
    "StarFlag",
    "adopt",
    "attach",
    "example_star",
    "label_tree",
    "load",
    "select_giants",
    "spectrum_paths",
    "truth",
    "with_spectra",
]


EXAMPLE = "2M21235315+1244123"  # checkpoint 1 shows this star of M15


class StarFlag(Bits):
    """STARFLAG of SDSS DR17 (sdss4.org, "bitmasks"): possible problems of a star's spectra."""

    BAD_PIXELS = 1 << 0
    COMMISSIONING = 1 << 1
    BRIGHT_NEIGHBOR = 1 << 2
    VERY_BRIGHT_NEIGHBOR = 1 << 3
    LOW_SNR = 1 << 4
    PERSIST_HIGH = 1 << 9
    PERSIST_MED = 1 << 10
    PERSIST_LOW = 1 << 11
    PERSIST_JUMP_POS = 1 << 12
    PERSIST_JUMP_NEG = 1 << 13
    SUSPECT_RV_COMBINATION = 1 << 16
    SUSPECT_BROAD_LINES = 1 << 17
    BAD_RV_COMBINATION = 1 << 18
    RV_REJECT = 1 << 19
    RV_SUSPECT = 1 << 20
    MULTIPLE_SUSPECT = 1 << 21
    RV_FAIL = 1 << 22
    SUSPECT_ROTATION = 1 << 23
    MTPFLUX_LT_75 = 1 << 24
    MTPFLUX_LT_50 = 1 << 25


class AspcapFlag(Bits):
    """ASPCAPFLAG of SDSS DR17 (sdss4.org, "bitmasks").

    Each problem as a warning (bits 0 and up) and as "bad" (bits 16 and up). Bits 31 to 36 say why there is no result,
    40 and 41 that the object is not one ordinary star. Older releases hold bits 0 to 31, in a 32-bit integer.
    """

    TEFF_WARN = 1 << 0
    LOGG_WARN = 1 << 1
    VMICRO_WARN = 1 << 2
    M_H_WARN = 1 << 3
    ALPHA_M_WARN = 1 << 4
    C_M_WARN = 1 << 5
    N_M_WARN = 1 << 6
    STAR_WARN = 1 << 7
    CHI2_WARN = 1 << 8
    COLORTE_WARN = 1 << 9
    ROTATION_WARN = 1 << 10
    SN_WARN = 1 << 11
    SPEC_HOLE_WARN = 1 << 12
    ATMOS_HOLE_WARN = 1 << 13
    VSINI_WARN = 1 << 14
    TEFF_BAD = 1 << 16
    LOGG_BAD = 1 << 17
    VMICRO_BAD = 1 << 18
    M_H_BAD = 1 << 19
    ALPHA_M_BAD = 1 << 20
    C_M_BAD = 1 << 21
    N_M_BAD = 1 << 22
    STAR_BAD = 1 << 23
    CHI2_BAD = 1 << 24
    COLORTE_BAD = 1 << 25
    ROTATION_BAD = 1 << 26
    SN_BAD = 1 << 27
    SPEC_HOLE_BAD = 1 << 28
    ATMOS_HOLE_BAD = 1 << 29
    VSINI_BAD = 1 << 30
    NO_ASPCAP_RESULT = 1 << 31
    MISSING_APSTAR = 1 << 32
    NO_GRID = 1 << 33
    BAD_FRAC_LOWSNR = 1 << 34
    BAD_FRAC_BADPIX = 1 << 35
    FERRE_FAIL = 1 << 36
    PROBLEM_TARGET = 1 << 40
    MULTIPLE_SUSPECT = 1 << 41


def load(survey) -> QTable:
    """The whole catalog of a survey's fields, before any cut.

    Parameters
    ----------
    survey : str
        Name of a survey under data/, "simulated" or "dr17".

    Returns
    -------
    astropy.table.QTable
        The rows of data/<survey>/allStar.fits, with DR17's column names.

    Raises
    ------
    FileNotFoundError
        If the survey or its catalog does not exist.
    ValueError
        If the catalog cannot be read, or is not the one that the survey's manifest lists.
    """
    path = survey_folder(survey, must_exist=True) / "allStar.fits"
    if not path.is_file():
        raise FileNotFoundError(f"survey {survey!r} has no catalog: expected {path}")
    return _read(verified(survey, path.name))


def _read(path):
    try:
        table = QTable.read(path, format="fits", hdu=1)
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is no whole FITS file with a table in HDU 1 ({error}); fetch it again") from error
    table.convert_bytestring_to_unicode()
    return table


def adopt(survey):
    """Write the manifest of a folder of original SDSS files, so that it can be used as a survey.

    Whether it is simulated, wherever its files were copied from, is read from their headers.

    Parameters
    ----------
    survey : str
        Name of a folder in data/ with allStar.fits and apStar/<field>/*.fits; mystery.fits is optional.

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


def select_giants(catalog):
    """Apply the cuts of problem 1, and count the rows removed by each.

    A star observed in two fields has two rows. Only the one with the higher S/N is kept, so that no star can be in both
    the training set and the test set.

    Parameters
    ----------
    catalog : astropy.table.Table
        With APOGEE_ID, SNR and the columns of the five labels.

    Returns
    -------
    giants : astropy.table.QTable
        The rows that remain, in the order of the catalog.
    cutflow : astropy.table.QTable
        Columns cut, removed, remaining; one row for each step.
    """
    values = from_catalog(catalog).values
    teff, logg, fe_h = values[:, :3].T
    snr = np.ma.filled(np.ma.asarray(catalog["SNR"].value, dtype=float), np.nan)
    # Each line says what is REMOVED. A comparison with NaN is False, so a row with a missing label is counted
    # under the first cut only.
    cuts = [
        ("one of the five labels missing", ~np.isfinite(values).all(axis=1)),
        ("S/N below 50", ~(snr >= 50)),
        ("dwarf: log g > 4 or Teff > 5700 K", (logg > 4) | (teff > 5700)),
        ("metal-poor: [Fe/H] < -1", fe_h < -1),
    ]
    keep = np.ones(len(catalog), dtype=bool)
    steps = [("rows in the catalog", 0, len(catalog))]
    for name, removed in [*cuts, ("second row of a star, lower S/N", None)]:
        if removed is None:
            removed = _lesser_rows(np.asarray(catalog["APOGEE_ID"], dtype=str), snr, keep)
        before = keep.sum()
        keep &= ~removed
        steps.append((name, int(before - keep.sum()), int(keep.sum())))
    cutflow = QTable(rows=steps, names=("cut", "removed", "remaining"))
    return QTable(catalog)[keep], cutflow


def spectrum_paths(catalog, survey) -> list[Path]:
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
    """
    folder = survey_folder(survey) / "apStar"
    files = []
    for row in catalog:
        name = _last_part(row["FILE"]) if "FILE" in catalog.colnames else ""
        if not name:
            prefix = "asStar" if str(row["TELESCOPE"]).strip().startswith("lco") else "apStar"
            name = f"{prefix}-dr17-{str(row['APOGEE_ID']).strip()}.fits"
        files.append(folder / _last_part(row["FIELD"]) / _last_part(name))
    return files


def with_spectra(catalog, survey):
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
        For each of the other rows the reason: the error recorded in the manifest, or "not fetched".

    Raises
    ------
    FileNotFoundError
        If the survey has no spectrum of any of the stars.
    """
    folder, missing = survey_folder(survey), manifest(survey).get("missing", {})
    files = spectrum_paths(catalog, survey)
    there = np.array([os.path.isfile(path) for path in files])  # False also for what cannot be a name
    if not there.any():
        raise FileNotFoundError(f"survey {survey!r} has no spectrum of these {len(catalog)} stars in {folder}/apStar")
    absent = (path.relative_to(folder).as_posix() for path, here in zip(files, there, strict=True) if not here)
    return catalog[there], [missing.get(name, "not fetched") for name in absent]


def label_tree(catalog):
    """The pipeline run that the labels come from, according to ASPCAP_ID: "synspec", "synspec_rev1", ...

    SkyServer's tables contain the labels of the run synspec, the archive files those of synspec_rev1 (SDSS DR17, "Ways
    to Access APOGEE Data"), so two catalogs of the same stars may differ.

    Parameters
    ----------
    catalog : astropy.table.Table

    Returns
    -------
    str
        "unknown" if the table has no ASPCAP_ID, or none has the expected form.
    """
    if "ASPCAP_ID" not in catalog.colnames:
        return "unknown"
    parts = [str(name).split(".") for name in catalog["ASPCAP_ID"]]  # apogee.<telescope>.<tree>.dr17.<field>.<star>
    trees = {part[2] for part in parts if len(part) > 3 and part[0] == "apogee"}
    return ", ".join(sorted(trees)) or "unknown"


def example_star(catalog) -> str:
    """The lab's example star: that of checkpoint 1 if it is in the catalog, otherwise the first star.

    Parameters
    ----------
    catalog : astropy.table.Table
        With APOGEE_ID.
    """
    stars = np.asarray(catalog["APOGEE_ID"], dtype=str)
    return EXAMPLE if EXAMPLE in stars else str(stars[0])


def attach(spectra, catalog):
    """Join spectra with their catalog rows.

    Parameters
    ----------
    spectra : xarray.Dataset
        With the dim ``star``, in the order of the catalog's rows.
    catalog : astropy.table.Table

    Returns
    -------
    xarray.Dataset
        With ``labels`` (star, label), and field, snr, starflag and aspcapflag (star) from the catalog. Where the file
        of a row is of another star, the row is left without a spectrum (ivar 0, flux 1), and ``read_error`` says why.

    Raises
    ------
    ValueError
        If the numbers of spectra and rows differ, or most spectra are of another star than their rows.

    Warns
    -----
    OtherStarWarning
        If some spectra are of another star.
    """
    labels = from_catalog(catalog)
    spectra = by_star(spectra, labels.star.values.astype(str))
    columns = {"field": ("FIELD", str), "snr": ("SNR", float), "starflag": ("STARFLAG", np.int64)}
    columns["aspcapflag"] = ("ASPCAPFLAG", np.int64)
    joined = {name: ("star", np.asarray(catalog[key], dtype=kind)) for name, (key, kind) in columns.items()}
    return spectra.assign(labels=labels, **joined)


def truth(survey, stars):
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


def _last_part(text) -> str:
    """The last part of a path from a table, so that it cannot point outside the survey's folder; "" if masked."""
    name = "" if text is np.ma.masked else Path(str(text).strip()).name
    return "" if name == ".." else name


def _lesser_rows(names, snr, keep):
    """Rows of stars that have another kept row with higher S/N."""
    order = np.lexsort((-snr, names))
    order = order[keep[order]]
    _, first = np.unique(names[order], return_index=True)
    lesser = keep.copy()
    lesser[order[first]] = False
    return lesser
