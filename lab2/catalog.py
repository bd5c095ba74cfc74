"""The allStar catalogue: read it, cut it to the giants of problem 1, join it with spectra."""

from pathlib import Path

import numpy as np
import xarray as xr
from astropy.table import QTable

from lab2 import paths
from lab2.labels import from_catalog, label_names

__all__ = [
    "ASPCAPFLAG",
    "STARFLAG",
    "attach",
    "example_star",
    "flag_words",
    "label_tree",
    "load",
    "select_giants",
    "spectrum_paths",
    "truth",
    "with_spectra",
]

EXAMPLE = "2M21235315+1244123"  # checkpoint 1 shows this star of M15

# Catalogue bitmasks of SDSS DR17 (sdss4.org, "bitmasks"): bit -> name.
# ASPCAP flags each of these twice: a warning (bit 0 and up), and "bad" (bit 16 and up).
_ASPCAP_KINDS = (
    "TEFF",
    "LOGG",
    "VMICRO",
    "M_H",
    "ALPHA_M",
    "C_M",
    "N_M",
    "STAR",
    "CHI2",
    "COLORTE",
    "ROTATION",
    "SN",
    "SPEC_HOLE",
    "ATMOS_HOLE",
    "VSINI",
)
ASPCAPFLAG = {
    **{bit: f"{kind}_WARN" for bit, kind in enumerate(_ASPCAP_KINDS)},
    **{16 + bit: f"{kind}_BAD" for bit, kind in enumerate(_ASPCAP_KINDS)},
    31: "NO_ASPCAP_RESULT",
}
STARFLAG = {
    0: "BAD_PIXELS",
    1: "COMMISSIONING",
    2: "BRIGHT_NEIGHBOR",
    3: "VERY_BRIGHT_NEIGHBOR",
    4: "LOW_SNR",
    9: "PERSIST_HIGH",
    10: "PERSIST_MED",
    11: "PERSIST_LOW",
    12: "PERSIST_JUMP_POS",
    13: "PERSIST_JUMP_NEG",
    16: "SUSPECT_RV_COMBINATION",
    17: "SUSPECT_BROAD_LINES",
    18: "BAD_RV_COMBINATION",
    19: "RV_REJECT",
    20: "RV_SUSPECT",
    21: "MULTIPLE_SUSPECT",
    22: "RV_FAIL",
}


def load(survey) -> QTable:
    """The whole catalogue of a survey's fields, before any cut.

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
        If the survey, or its catalogue, is not there.
    ValueError
        If the catalogue cannot be read.
    """
    path = paths.survey_folder(survey, must_exist=True) / "allStar.fits"
    if not path.is_file():
        raise FileNotFoundError(f"survey {survey!r} has no catalogue: expected {path}")
    try:
        table = QTable.read(path, format="fits", hdu=1)
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is no whole FITS file with a table in HDU 1 ({error}); fetch it again") from error
    table.convert_bytestring_to_unicode()
    return table


def select_giants(catalog):
    """Apply the cuts of problem 1, and count what each removed.

    A star observed in two fields has two rows; the one of highest S/N stays, so that no star can stand on
    both sides of a training split.

    Parameters
    ----------
    catalog : astropy.table.Table
        With APOGEE_ID, SNR and the columns of the five labels.

    Returns
    -------
    giants : astropy.table.QTable
        The rows that stay, in the catalogue's order.
    cutflow : astropy.table.QTable
        Columns cut, removed, remaining: one row a step.
    """
    values = from_catalog(catalog).values
    teff, logg, fe_h = values[:, :3].T
    snr = np.ma.filled(np.ma.asarray(catalog["SNR"].value, dtype=float), np.nan)
    # Each line says what is REMOVED. A comparison with NaN is False, so that a missing label falls to the
    # first cut and to no other.
    cuts = [
        ("one of the five labels missing", ~np.isfinite(values).all(axis=1)),
        ("S/N below 50", ~(snr >= 50)),
        ("dwarf: log g > 4 or Teff > 5700 K", (logg > 4) | (teff > 5700)),
        ("metal-poor: [Fe/H] < -1", fe_h < -1),
    ]
    keep = np.ones(len(catalog), dtype=bool)
    steps = [("rows in the catalogue", 0, len(catalog))]
    for name, removed in [*cuts, ("second row of a star, lower S/N", None)]:
        if removed is None:
            removed = _lesser_rows(np.asarray(catalog["APOGEE_ID"], dtype=str), snr, keep)
        before = keep.sum()
        keep &= ~removed
        steps.append((name, int(before - keep.sum()), int(keep.sum())))
    cutflow = QTable(rows=steps, names=("cut", "removed", "remaining"))
    return QTable(catalog)[keep], cutflow


def spectrum_paths(catalog, survey) -> list[Path]:
    """Where the survey keeps the apStar file of each catalogue row.

    The file's name is the catalogue's FILE; where that is empty or absent it is built as DR17 builds it
    (apStar for the northern telescopes, asStar for lco25m).

    Parameters
    ----------
    catalog : astropy.table.Table
        With FIELD and FILE, or FIELD, TELESCOPE and APOGEE_ID.
    survey : str

    Returns
    -------
    list of pathlib.Path
    """
    folder = paths.survey_folder(survey) / "apStar"
    files = []
    for row in catalog:
        name = _last_part(row["FILE"]) if "FILE" in catalog.colnames else ""
        if not name:
            prefix = "asStar" if str(row["TELESCOPE"]).strip().startswith("lco") else "apStar"
            name = f"{prefix}-dr17-{str(row['APOGEE_ID']).strip()}.fits"
        files.append(folder / _last_part(row["FIELD"]) / _last_part(name))
    return files


def with_spectra(catalog, survey):
    """Split catalogue rows by whether the survey has their spectra.

    Parameters
    ----------
    catalog : astropy.table.Table
        As for `spectrum_paths`.
    survey : str

    Returns
    -------
    present : astropy.table.Table
        The rows whose file is there.
    reasons : list of str
        Why each of the others is not: what the manifest has kept of its fetching, or "not fetched".

    Raises
    ------
    FileNotFoundError
        If the survey has no spectrum of any of them.
    """
    folder, missing = paths.survey_folder(survey), paths.manifest(survey).get("missing", {})
    files = spectrum_paths(catalog, survey)
    there = np.array([path.is_file() for path in files])
    if not there.any():
        raise FileNotFoundError(f"survey {survey!r} has no spectrum of these {len(catalog)} stars in {folder}/apStar")
    absent = (path.relative_to(folder).as_posix() for path, here in zip(files, there, strict=True) if not here)
    return catalog[there], [missing.get(name, "not fetched") for name in absent]


def label_tree(catalog):
    """Which run of the pipeline the labels come from, as ASPCAP_ID says it: "synspec", "synspec_rev1", ...

    SkyServer's tables hold the tree synspec, the files of the archive synspec_rev1 (SDSS DR17, "Ways to Access
    APOGEE Data"), so that two catalogues of the same stars may differ.

    Parameters
    ----------
    catalog : astropy.table.Table

    Returns
    -------
    str
        "unknown" where the table does not say.
    """
    if "ASPCAP_ID" not in catalog.colnames:
        return "unknown"
    parts = [str(name).split(".") for name in catalog["ASPCAP_ID"]]  # apogee.<telescope>.<tree>.dr17.<field>.<star>
    trees = {part[2] for part in parts if len(part) > 3 and part[0] == "apogee"}
    return ", ".join(sorted(trees)) or "unknown"


def example_star(catalog) -> str:
    """The star that the lab shows as its example: that of checkpoint 1, or else the catalogue's first.

    Parameters
    ----------
    catalog : astropy.table.Table
        With APOGEE_ID.
    """
    stars = np.asarray(catalog["APOGEE_ID"], dtype=str)
    return EXAMPLE if EXAMPLE in stars else str(stars[0])


def attach(spectra, catalog):
    """Join spectra with the catalogue rows that they were read for.

    Parameters
    ----------
    spectra : xarray.Dataset
        With the dim ``star``, in the order of the catalogue's rows.
    catalog : astropy.table.Table

    Returns
    -------
    xarray.Dataset
        With ``labels`` (star, label), and field, snr, starflag and aspcapflag (star) of the catalogue.

    Raises
    ------
    ValueError
        If the stars of the two differ.
    """
    labels = from_catalog(catalog)
    if list(labels.star.values) != list(spectra.star.values):
        raise ValueError(
            f"spectra of {spectra.sizes['star']} stars do not match {len(catalog)} catalogue rows star by star"
        )
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
        What is wrong with each star, "" for an ordinary one.

    Raises
    ------
    FileNotFoundError
        If the survey has no truth.ecsv: the truth of a real survey is not known.
    ValueError
        If a star is not in it.
    """
    path = paths.survey_folder(survey, must_exist=True) / "truth.ecsv"
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


def flag_words(value, names) -> str:
    """Names of the bits set in a catalogue bitmask: "STAR_BAD TEFF_BAD"; "-" when none is.

    Parameters
    ----------
    value : int
        STARFLAG or ASPCAPFLAG of a star.
    names : dict of int to str
        `STARFLAG` or `ASPCAPFLAG`.
    """
    return " ".join(name for bit, name in names.items() if int(value) >> bit & 1) or "-"


def _last_part(text) -> str:
    """The last part of a path in a table, "" where it is masked: it must not lead out of the survey's folder."""
    name = "" if text is np.ma.masked else Path(str(text).strip()).name
    return "" if name == ".." else name


def _lesser_rows(names, snr, keep):
    """Rows whose star has another kept row of higher S/N."""
    order = np.lexsort((-snr, names))
    order = order[keep[order]]
    first = np.ones(len(order), dtype=bool)
    first[1:] = names[order][1:] != names[order][:-1]
    lesser = np.zeros(len(names), dtype=bool)
    lesser[order[~first]] = True
    return lesser
