"""Find the notebooks in a folder of students' work, and identify the lab notebook of each."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab2._text import visible
from lab2.files import sha256

__all__ = ["Submission", "find"]

# The argument of `Page` in the source of a cell, as in JSON.
_PAGE = re.compile(rb"""\bPage\(\s*\\?["'](\d\d)_""")
_SEARCHED = 20_000_000  # bytes of a file that are searched for it


@dataclass(frozen=True)
class Submission:
    """One notebook that was handed in.

    Attributes
    ----------
    path : pathlib.Path
    name : str
        Its path relative to the folder, in printable characters.
    digest : str
        The SHA-256 of its contents; "" if it is not a regular file.
    number : str
        The corresponding notebook of the lab, such as "04"; "" if unknown.
    """

    path: Path
    name: str
    digest: str
    number: str

    @property
    def key(self) -> str:
        """A unique file name of plain characters."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", self.name.removesuffix(".ipynb")).strip("-")
        return f"{plain[:60]}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


def find(folder: str | os.PathLike, stems: Sequence[str]) -> list[Submission]:
    """The notebooks FOLDER/*.ipynb and FOLDER/<student>/*.ipynb, without hidden ones.

    Parameters
    ----------
    folder : path-like
    stems : sequence of str
        The names of the lab's notebooks, such as "04_spectral_model". A notebook is identified by the name that it
        passes to `Page`, else by its file name or the number with which that begins.

    Returns
    -------
    list of Submission
        In order of their paths.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no notebook in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} of notebooks to check")
    paths = {path.relative_to(folder) for pattern in ("*.ipynb", "*/*.ipynb") for path in folder.glob(pattern)}
    shown = sorted(path for path in paths if not any(part.startswith(".") for part in path.parts))
    if not shown:
        raise FileNotFoundError(f"there is no notebook in {folder}: neither *.ipynb nor <student>/*.ipynb")
    return [_submission(folder, path, stems) for path in shown]


def _submission(folder, relative, stems):
    path = folder / relative
    plain = path.is_file() and not path.is_symlink()
    name = visible(os.fsencode(relative.as_posix()).decode(errors="backslashreplace"))
    return Submission(path, name, sha256(path) if plain else "", _number(path, stems) if plain else "")


def _number(path, stems):
    with path.open("rb") as file:
        called = [found.decode() for found in _PAGE.findall(file.read(_SEARCHED))]
    numbers = [stem[:2] for stem in stems]
    named = [stem[:2] for stem in stems if stem in path.name]
    begun = [number for number in numbers if re.match(rf"{number}(?!\d)", path.name)]
    return next((number for number in [*called, *named, *begun] if number in numbers), "")
