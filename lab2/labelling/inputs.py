"""Convert files, folders, patterns and lists of files to unique paths."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

__all__ = ["spectrum_files"]

_PREFIXES, _SUFFIXES = ("apStar-", "asStar-"), (".fits", ".fits.gz")


def spectrum_files(inputs: Sequence[str | os.PathLike] = (), files_from: str | os.PathLike | None = None) -> list[Path]:
    """Paths of apStar files.

    Parameters
    ----------
    inputs : sequence of path-like
        Files with any name, existing or not; folders, which stand for all apStar-*.fits and asStar-*.fits (also
        .fits.gz) in and below them, following links, sorted by path; and patterns with * or ?, ** for any folders.
    files_from : path-like, optional
        A text file with one path per line, "-" for standard input; empty lines are ignored.

    Returns
    -------
    list of pathlib.Path
        In the given order; repeated paths are dropped.

    Raises
    ------
    FileNotFoundError
        If a folder contains no such file, a pattern matches none, or `files_from` does not exist.
    ValueError
        If there is nothing at all, or a store among it.
    """
    found = [path for given in inputs for path in _expanded(given)]
    if files_from is not None:
        found += _listed(files_from)
    if not found:
        raise ValueError("no spectra were given: name files, folders or patterns, or a list of files (--files-from)")
    return list(dict.fromkeys(found))


def _expanded(given) -> Iterable[Path]:
    """The files given by one argument."""
    path, text = Path(given), os.fspath(given)
    if path.is_dir() and path.suffix == ".zarr":
        raise ValueError(f"{path} is a store: lab2 label-survey labels its spectra, lab2 train takes it alone")
    if path.is_dir():
        found = sorted(_below(path))
        if not found:
            names = ", ".join(f"{prefix}*.fits" for prefix in _PREFIXES)
            raise FileNotFoundError(
                f"the folder {path} holds no spectra named {names}: give files of other names one by one"
            )
        return found
    if glob.has_magic(text) and not path.exists():
        found = [Path(name) for name in sorted(glob.glob(text, recursive=True)) if not os.path.isdir(name)]
        if not found:
            raise FileNotFoundError(f"no file matches the pattern {text}")
        return found
    return [path]


def _below(folder) -> Iterator[Path]:
    """The spectra in and below a folder; a folder reached twice through links counts once."""
    visited = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        about = os.stat(here)
        if (about.st_dev, about.st_ino) in visited:
            folders.clear()
            continue
        visited.add((about.st_dev, about.st_ino))
        yield from (Path(here, name) for name in names if name.startswith(_PREFIXES) and name.endswith(_SUFFIXES))


def _listed(files_from):
    """The paths in a list. Bytes of a name that are not valid text are kept."""
    how = {"encoding": "utf-8", "errors": "surrogateescape"}
    if os.fspath(files_from) == "-":
        sys.stdin.reconfigure(**how)
        lines = sys.stdin.read().splitlines()
    elif not Path(files_from).exists():
        raise FileNotFoundError(f"no such list of files: {files_from}")
    else:
        lines = Path(files_from).read_text(**how).splitlines()
    return [Path(line) for line in lines if line.strip()]
