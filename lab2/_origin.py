"""Simulated or observed, according to the headers of the files.

Every file of a simulated survey has the card SIMULATE in a header: HDU 0 of a spectrum, HDU 1 (the table) of the
catalog.
"""

import contextlib
import gzip
import zlib
from itertools import islice
from pathlib import Path

__all__ = ["SIMULATED", "is_simulated", "says_simulated"]

SIMULATED = "SIMULATE"
CATALOG = "allStar.fits"
_CARD, _MOST = 80, 20_000  # bytes; no header of APOGEE has more than a few thousand cards


def says_simulated(path, headers=1):
    """Whether the first headers of a FITS file have the card SIMULATE with a value other than F.

    Parameters
    ----------
    path : path-like
        A FITS file, gzipped or not.
    headers : int
        Number of headers to read. Only the last of them may be followed by data.

    Returns
    -------
    bool or None
        None if the file does not have that many complete headers.
    """
    path, ends = Path(path), 0
    with (
        contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile),
        (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file,
    ):
        for card in islice(iter(lambda: file.read(_CARD), b""), _MOST):
            if card.startswith(f"{SIMULATED:8}=".encode()):
                return card[10:].split(b"/")[0].strip() != b"F"  # only simulated files have the card
            ends += card.rstrip() == b"END"
            if ends == headers:
                return False
    return None


def is_simulated(folder, names):
    """Whether a survey is simulated, according to the headers of its catalog and its spectra.

    Parameters
    ----------
    folder : path-like
        The survey's folder.
    names : iterable of str
        Its files, relative to the folder. Damaged files and files other than FITS are ignored.

    Returns
    -------
    bool
        False if no file gives an answer.

    Raises
    ------
    ValueError
        If some of the files are simulated and others are not.
    """
    folder, found = Path(folder), {True: [], False: []}
    for name in names:
        if name.startswith(("apStar/", "mystery.")):
            found.get(says_simulated(folder / name), []).append(name)
    simulated, observed = found[True], found[False]
    if simulated and observed:
        raise ValueError(
            f"{folder} holds simulated and observed spectra: {len(simulated)} are simulated, such as "
            f"{simulated[0]}, and {len(observed)} are not, such as {observed[0]}; keep them in separate folders"
        )
    catalog = says_simulated(folder / CATALOG, headers=2) if CATALOG in names else None
    if catalog is not None and catalog != bool(simulated) and (simulated or observed):
        kinds = ("observed", "simulated")
        raise ValueError(
            f"{folder} mixes surveys: {CATALOG} is {kinds[catalog]} according to its header, but "
            f"{len(simulated or observed)} spectra are {kinds[not catalog]}, such as {(simulated or observed)[0]}"
        )
    return bool(simulated or catalog)
