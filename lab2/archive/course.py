"""The two files that the course provides: its list of continuum pixels, and the mystery spectrum."""

from pathlib import Path
from typing import NamedTuple

from lab2.archive.hosts import base_url
from lab2.archive.session import Session
from lab2.archive.transfer import Download, fetch
from lab2.archive.web import ArchiveError, RefusedError, TransientError
from lab2.files import sha256
from lab2.survey import course_file as present_course_file
from lab2.survey import home

__all__ = ["course_file"]

# Editions of the course's public repository that hold the files.
FOLDERS = (
    "course_materials_fa2025/main/labs/lab2_data",
    "course_materials_sp2024/782128c1d818b7b5ddbdfdf461ecccef575aa614/labs/lab2_data",
)


class _Known(NamedTuple):
    name: str
    size: int  # bytes
    sha256: str


FILES = {
    "continuum": _Known(
        "cannon_continuum_apogee.npz", 65_448, "5fe07f06360ec109b58f8d325c23ae8cd0ea68279aa62737cea59ed5f8bdc48f"
    ),
    "mystery": _Known(
        "mystery_spec_wiped.fits", 279_360, "ab9278a490042cbfea047447150dc84b8c77a77966fdb8d38778ecb9653a5d2c"
    ),
}


def course_file(kind: str) -> Path:
    """A file of the course, fetched into data/ if it is missing.

    Parameters
    ----------
    kind : str
        "continuum" or "mystery".

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ArchiveError
        If it is missing and cannot be fetched; the message says where to find it.
    """
    if (present := present_course_file(kind)) is not None:
        return present
    known = FILES[kind]
    path = home() / "data" / known.name
    problems = []
    for folder in FOLDERS:
        download = Download(url(folder, known.name), path, lambda part: _check(part, known), known.size, known.size)
        try:
            with Session() as http:
                fetch(http, download)
        except RefusedError as error:
            problems.append(str(error))
        except TransientError as error:  # the other editions are on the same server
            problems.append(str(error))
            break
        else:
            return path
    raise ArchiveError(
        f"the course's {known.name} could not be fetched ({'; '.join(problems)}). "
        f"Get it from the course's materials and put it into {Path('data')}/"
    )


def url(folder: str, name: str) -> str:
    """The address of a file of the course."""
    return f"{base_url('LAB2_COURSE_URL')}/{folder}/{name}"


def _check(part, known):
    if (found := sha256(part)) != known.sha256:
        raise RefusedError(f"the file {known.name} received is not the course's: its SHA-256 is {found}")
