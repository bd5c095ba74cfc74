"""Whether an executed notebook is up to date, judged by the contents of its inputs and products, or why it is stale.

The record is part of the executed notebook. It contains checksums of the notebook's cells, of the code, of the survey,
of the results of other notebooks that it reads and of its products, its parameters, and the package versions. File
times are ignored: a notebook that is opened and saved without a change stays up to date.
"""

import hashlib
import json
import os
import re
from functools import lru_cache
from pathlib import Path

import nbformat

from lab2 import _code
from lab2.files import replacing, sha256
from lab2.report import provenance
from lab2.survey import build_folder, course_file, figure_folder, home, manifest, survey_folder

__all__ = ["choices", "made_of", "products", "reads", "remember", "why_stale", "with_needed"]

# Name of a product that a notebook reads or saves, in its code.
_PRODUCT = re.compile(r"""["']((\d\d)_\w+\.(?:nc|ecsv))["']""")
# Entries of a record, and the messages if they differ.
_PARTS = {"cells": "its cells have changed", "code": "the package lab2 has changed", "data": "the survey has changed"}


def reads(source: Path) -> list[str]:
    """Names of the files of other notebooks that a notebook reads, according to its code."""
    code = "\n".join(cell.source for cell in nbformat.read(source, as_version=4).cells if cell.cell_type == "code")
    return sorted({name for name, number in _PRODUCT.findall(code) if number != source.name[:2]})


def with_needed(sources: list[Path], all_sources: list[Path]) -> list[Path]:
    """Notebooks, and those on which they depend, directly or indirectly.

    Parameters
    ----------
    sources : list of pathlib.Path
        The notebooks.
    all_sources : list of pathlib.Path
        All notebooks of the project, in order.

    Returns
    -------
    list of pathlib.Path
        In order: each after those on which it depends.
    """
    by_number = {source.name[:2]: source for source in all_sources}
    found, waiting = set(), list(sources)
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting += [by_number[name[:2]] for name in reads(source) if name[:2] in by_number]
    return [source for source in all_sources if source in found]


def choices(survey: str) -> dict:
    """The default parameters of the notebooks of a survey.

    Parameters
    ----------
    survey : str
        The survey.

    Returns
    -------
    dict
        "seed": that of the simulated survey, else the one that `remember` noted; "mystery": likewise noted. Only what
        there is.
    """
    path = _choices_path(survey)
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    about = manifest(survey)
    return noted | ({"seed": about["seed"]} if "seed" in about else {})


def remember(survey: str, **chosen: int | str | None) -> None:
    """Store parameters for all later runs on a survey; None removes one."""
    path = _choices_path(survey)
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    new = {name: value for name, value in (noted | chosen).items() if value is not None}
    if new != noted:
        with replacing(path) as part:
            part.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")


def made_of(source: Path, survey: str, parameters: dict) -> dict:
    """Everything that an execution of a notebook depends on, to be determined before it.

    Parameters
    ----------
    source : pathlib.Path
        The notebook.
    survey : str
        The survey.
    parameters : dict
        Its parameters other than the survey.

    Returns
    -------
    dict
        "cells", "code" and "data" (manifest and files of the course), each a checksum; "versions"; "parameters"; and
        "inputs", the checksum of each file that other notebooks saved, and of files that parameters name (None for one
        that is not there).
    """
    folder = build_folder(survey)
    inputs = {name: _checksum(folder / name) for name in reads(source)}
    inputs |= {name: _checksum(Path(value)) for name, value in parameters.items() if name == "mystery" and value}
    return {
        "cells": _cells(source),
        "code": _code.digest(_code.RUN),
        "data": _data(survey),
        "versions": provenance.installed(),
        "parameters": dict(sorted(parameters.items())),
        "inputs": inputs,
    }


def products(source: Path, survey: str) -> dict:
    """The checksum of each file that a notebook has made, by its path relative to the home folder."""
    folders = build_folder(survey), figure_folder(survey)
    found = sorted(path for folder in folders for path in folder.glob(f"{source.name[:2]}_*") if path.is_file())
    return {path.relative_to(home()).as_posix(): _checksum(path) for path in found if path.suffix != ".ipynb"}


def why_stale(source: Path, survey: str, parameters: dict) -> str:
    """Why a notebook has to be executed again.

    Parameters
    ----------
    source : pathlib.Path
        One of the project's notebooks.
    survey : str
        The survey.
    parameters : dict
        Its required parameters, other than the survey.

    Returns
    -------
    str
        In a few words; empty if it is up to date.
    """
    executed = build_folder(survey) / source.name
    if not executed.is_file():
        failed = executed.with_suffix(".failed.ipynb").is_file()
        return "its last execution did not come to its end" if failed else "not executed yet"
    try:
        record = json.loads(executed.read_text(encoding="utf-8"))["metadata"]["lab2"]
        return _difference(record["made_of"], made_of(source, survey, parameters)) or _lost(record["products"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its record cannot be read"


def _difference(before, now):
    for part, words in _PARTS.items():
        if before[part] != now[part]:
            return words
    for part in ("parameters", "versions"):
        for name in sorted(before[part].keys() | now[part].keys()):
            old, new = (values.get(name, "not set") for values in (before[part], now[part]))
            if old != new:
                return f"{name} is {new}, and was {old} when it was executed"
    for name in sorted(before["inputs"].keys() | now["inputs"].keys()):
        if before["inputs"].get(name) != now["inputs"].get(name):
            return f"{name} {'has changed' if now['inputs'].get(name) else 'is missing'}"
    return ""


def _lost(made):
    """The product that is missing or has changed since the notebook wrote it."""
    for name, known in made.items():
        found = _checksum(home() / name)
        if found != known:
            return f"{name} {'has changed' if found else 'is missing'}"
    return ""


def _cells(source):
    """The checksum of a notebook's cells without their outputs."""
    cells = nbformat.read(source, as_version=4).cells
    content = [[cell.cell_type, cell.source, sorted(cell.metadata.get("tags", ()))] for cell in cells]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _data(survey):
    files = [survey_folder(survey) / "manifest.json", course_file("continuum"), course_file("mystery")]
    return hashlib.sha256(repr([path and _checksum(path) for path in files]).encode()).hexdigest()


def _checksum(path):
    """The SHA-256 of a file; None if there is none. Files that many notebooks read are not read as many times."""
    try:
        state = os.stat(path)
    except FileNotFoundError:
        return None
    return _checksum_in_state(path, state.st_size, state.st_ctime_ns, state.st_ino)


@lru_cache(maxsize=1000)
def _checksum_in_state(path, size, changed, inode):
    return sha256(path)


def _choices_path(survey):
    return build_folder(survey) / "choices.json"
