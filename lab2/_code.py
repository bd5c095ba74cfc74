"""A checksum of files of the package, by which results know whether the code has changed since."""

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["EXPLORER", "PDF", "RUN", "SIMULATION", "digest"]

_TOP = Path(__file__).resolve().parent
# Files of the package, by patterns: what writes a simulated survey, what sets a PDF, what a notebook may use, and what
# the interactive page is made by.
SIMULATION = (
    "simulate/*.py",
    "tables/emulator.npz",
    "tables/isochrones_mist_6gyr.ecsv",
    "apstar.py",
    "grid.py",
    "isochrones.py",
)
PDF = tuple(
    f"report/{name}"
    for name in (
        "checkpoints.py",
        "credits.py",
        "document.py",
        "pdfs.py",
        "records.py",
        "references.*",
        "typeset.py",
        "typst.py",
        "*.typ",
    )
)
RUN = ("**/*.py", "**/*.mplstyle", "tables/*")
EXPLORER = ("**/*.py", "tables/*", "explorer/page/*")
_NO_PART_OF_A_RUN = ("__main__.py", "_making.py", "explorer/*.py", *PDF)


@cache
def digest(patterns: tuple[str, ...]) -> str:
    """The SHA-256 of those files of the package, names and contents.

    Parameters
    ----------
    patterns : tuple of str
        `SIMULATION`, `PDF`, `RUN` or `EXPLORER`.

    Returns
    -------
    str
        Hexadecimal.
    """
    files = _files(patterns) - (_files(_NO_PART_OF_A_RUN) if patterns == RUN else set())
    total = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        total.update(f"{path.relative_to(_TOP).as_posix()} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()


def _files(patterns):
    return {path for pattern in patterns for path in _TOP.glob(pattern) if path.is_file()}
