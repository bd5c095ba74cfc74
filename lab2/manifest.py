"""The manifest of a survey: what files it has, and whether they are still what they were."""

import datetime
import hashlib
import importlib.metadata
import json
from pathlib import Path

from tqdm import tqdm

from lab2 import catalog, paths

__all__ = ["check", "files", "now", "sha256", "write"]


def now():
    """The time, UTC, as ISO 8601 in whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def sha256(path):
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files(folder, known=None):
    """Size and SHA-256 of every file of a survey.

    Parameters
    ----------
    folder : path-like
        The survey's folder.
    known : dict, optional
        What an earlier manifest said of files that nobody has changed since. They are not read again: what has become
        of them is for `check` to find, and must not be written down as right.

    Returns
    -------
    dict
        Relative path to {"size", "sha256"}; without the manifest itself and without hidden files.
    """
    folder = Path(folder)
    known = known or {}
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {
        name: known.get(name) or {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in tqdm(found, desc="manifest", unit="file", delay=1)
        if (name := path.relative_to(folder).as_posix()) != "manifest.json"
    }


def write(folder, known=None, **about):
    """Write a survey's manifest.json.

    Parameters
    ----------
    folder : path-like
        The survey's folder, all its files in place.
    known : dict, optional
        As for `files`.
    **about
        What else the manifest says, such as simulated=True and seed=1.

    Returns
    -------
    dict
        The manifest.
    """
    folder = Path(folder)
    content = {
        "survey": folder.name,
        **about,
        "created": now(),
        "versions": {name: importlib.metadata.version(name) for name in ("lab2", "numpy", "astropy")},
        "files": files(folder, known),
    }
    with paths.replacing(folder / "manifest.json") as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def check(survey):
    """Check a survey's files against its manifest; where it has none, write it.

    So does a folder of SDSS's own files become a survey: allStar.fits and apStar/<field>/*.fits.
    A mystery.fits beside them is welcome, and is not asked for.

    Parameters
    ----------
    survey : str
        The survey's name.

    Returns
    -------
    manifest : dict
        The survey's manifest.
    new : bool
        Whether it has just been written.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it lacks the catalogue or the spectra.
    ValueError
        If files are missing, changed or added since the manifest was written.
    """
    folder = paths.survey_folder(survey, must_exist=True)
    for pattern, what in {
        "allStar.fits": "the catalogue",
        "apStar/*/*.fits": "the spectra, apStar/<field>/<file>.fits",
    }.items():
        if not any(folder.glob(pattern)):
            raise FileNotFoundError(f"survey {survey!r} lacks {what}: there is no {folder / pattern}")
    if not (folder / "manifest.json").is_file():
        return write(folder, simulated=False, label_tree=catalog.label_tree(catalog.load(survey))), True
    found, expected = files(folder), paths.manifest(survey)["files"]
    problems = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    problems += [f"{name} is not in the manifest" for name in sorted(found.keys() - expected.keys())]
    problems += [
        f"{name} has changed" for name in sorted(found.keys() & expected.keys()) if found[name] != expected[name]
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"survey {survey!r} is not what its manifest says: {'; '.join(problems[:3])}{more}. "
            "Make or fetch it again, or delete manifest.json if these files are right"
        )
    return paths.manifest(survey), False
