"""The catalog of a survey: fetched once, and stored with a record of its source."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from astropy.table import Table

from lab2 import catalog
from lab2.archive import allstar as allstar_file
from lab2.archive import skyserver
from lab2.archive.columns import PLAIN_NAME, checked
from lab2.archive.hosts import base_url
from lab2.archive.web import words
from lab2.files import now, replacing, sha256
from lab2.survey import survey_folder

__all__ = ["FIELDS", "RELEASE", "obtain", "save"]

RELEASE = "DR17"
FIELDS = ("M15", "N6791", "K2_C4_168-21", "060+00")  # fields of the handout
_NAME, _RECORD = "allStar.fits", "catalogue.json"


def obtain(
    survey: str, fields: Sequence[str] | None = None, allstar: str | os.PathLike | None = None
) -> tuple[Table, dict]:
    """The catalog in the survey's folder; if there is none, the catalog is fetched.

    Parameters
    ----------
    survey : str
    fields : sequence of str, optional
        Default: those of the catalog in the folder, or the lab's four fields if there is none.
    allstar : path-like, optional
        An allStar file of DR17 to read it from, instead of SkyServer.

    Returns
    -------
    table : astropy.table.Table
        As from `lab2.archive.columns.checked`.
    record : dict
        Its source: server or file, release, fields, rows, label tree, date, and the SQL.
    new : bool
        Whether `save` must still be called.

    Raises
    ------
    ValueError
        If a field name is invalid, or the folder has a catalog of other fields or from another source than requested.
    ArchiveError
        If it cannot be fetched, or fails a check.
    """
    folder = survey_folder(survey)
    if not (folder / _NAME).is_file():
        fields = list(dict.fromkeys(fields or FIELDS))
        if odd := [name for name in fields if not PLAIN_NAME.fullmatch(name)]:
            raise ValueError(f"{odd[0]!r} is not the name of an APOGEE field, such as M15, N6791 or 060+00")
        if allstar is None:
            table, statements = skyserver.query(fields)
            origin = {"source": base_url("LAB2_SKYSERVER_URL"), "sql": statements}
        else:
            table = allstar_file.read(allstar, fields)
            origin = {"source": Path(allstar).name, "size": Path(allstar).stat().st_size}
        return table, origin | _described(table), True
    table = catalog.load(survey)
    table = checked(table, set(table["FIELD"]), str(folder / _NAME))
    record = _recorded(folder) or {"source": "put there by its user"} | _described(table)
    advice = f"Choose another name with --survey, or move {folder / _NAME} away"
    if fields and set(fields) != set(record["fields"]):
        raise ValueError(f"survey {survey!r} has the fields {', '.join(record['fields'])}, not these. {advice}")
    if allstar and record["source"] != Path(allstar).name:
        raise ValueError(f"survey {survey!r} has a catalog already, from {record['source']}. {advice}")
    return table, record, False


def save(folder: Path, table: Table, record: dict) -> dict:
    """Write a catalog and its record, the catalog last; return the record as written."""
    with replacing(folder / _NAME) as part:
        table.write(part, format="fits")
        kept = {**record, "date": now(), "sha256": sha256(part)}
        with replacing(folder / _RECORD) as record_part:
            record_part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return kept


def _described(table):
    return {
        "release": RELEASE,
        "fields": sorted(set(table["FIELD"].tolist())),
        "rows": len(table),
        "label_tree": words(catalog.label_tree(table)),
    }


def _recorded(folder):
    """The record of the catalog in the folder; None if there is none, or it belongs to another catalog."""
    path = folder / _RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if record["sha256"] == sha256(folder / _NAME) else None
    except (ValueError, KeyError, TypeError):  # damaged: no information about the catalog
        return None
