"""A spectrum in the archive: its address, its size, and the check of its file."""

import threading
from functools import partial
from pathlib import Path
from urllib.parse import quote

from astropy.table import Table

from lab2 import apstar
from lab2.archive.hosts import base_url
from lab2.archive.transfer import Download
from lab2.archive.web import RefusedError, TransientError, words

__all__ = ["download", "size", "url"]

# SDSS DR17, data model of apStar: APOGEE_REDUX/dr17/stars/TELESCOPE/FIELD/FILE.
STARS = "sas/dr17/apogee/spectro/redux/dr17/stars"
# From two files of DR17, one of 2 rows (one visit) and one of 5 (three visits and two coadds) [bytes].
HEADERS, ROW = 43_200, 501_120
MOST_VISITS = 400  # no star has more than about a hundred
# Downloads are checked in threads, but reading turns astropy's warnings into errors, for all threads at once.
_READING = threading.Lock()


def download(rows: Table, path: Path) -> Download:
    """The download of a file, which several rows of a catalog may name: it must be the spectrum of one of their stars.

    Parameters
    ----------
    rows : sequence of astropy.table.Row
        With TELESCOPE, FIELD, APOGEE_ID, NVISITS.
    path : pathlib.Path
        Its final name, in a folder named like the field.

    Returns
    -------
    lab2.archive.transfer.Download
        The file may be twice the size expected from the catalog's number of visits, because the pipeline decides which
        visits it contains and how long its headers are.
    """
    expected = size(max(int(row["NVISITS"]) for row in rows))
    return Download(
        url=url(str(rows[0]["TELESCOPE"]).strip(), path.parent.name, path.name),
        path=path,
        check=partial(_check, stars={str(row["APOGEE_ID"]).strip() for row in rows}),
        expected=expected,
        limit=2 * expected,
    )


def url(telescope: str, field: str, name: str) -> str:
    """The address of a file, in the folder of its telescope and field."""
    parts = (quote(part, safe="+") for part in (telescope, field, name))
    return "/".join([base_url("LAB2_SAS_URL"), STARS, *parts])


def size(visits: int) -> int:
    """Size of the file of a star with this many visits [bytes]."""
    visits = min(max(visits, 1), MOST_VISITS)
    return HEADERS + ROW * (visits + 2 if visits > 1 else 2)


def _check(path, stars):
    """Check that a file is a complete spectrum of one of the stars."""
    try:
        with _READING:
            found = str(apstar.read(path).star.values[0])
    except apstar.SpectrumError as error:
        raise TransientError(words(str(error))) from error
    if found not in stars:
        raise RefusedError(f"the file belongs to the star {words(found)}, not {' or '.join(sorted(stars))}")
