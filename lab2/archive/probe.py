"""A check of what lab2 assumes about the archives, for the first use with a network: `lab2 fetch --probe`."""

import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from lab2 import apstar, catalog
from lab2.archive import course, skyserver, stars
from lab2.archive.evidence import FIELD, MANY, Evidence
from lab2.archive.findings import Assumption, Finding, judge, so, table
from lab2.archive.table import FIELDS
from lab2.archive.web import ArchiveError
from lab2.grid import N_PIXELS

__all__ = ["probe", "table"]

LABEL_TREE = "synspec"
CARDS = ("OBJID", "FIELD", "SNR", "NVISITS", "STARFLAG", "CRVAL1", "CDELT1", "CRPIX1")
CHIPS = ("BMIN", "BMAX", "GMIN", "GMAX", "RMIN", "RMAX")
# Fraction by which a file may differ from the size expected for its number of visits.
SIZE_TOLERANCE = 0.2
ASSUMPTIONS = []


def probe() -> list[Finding]:
    """Send a dozen small requests to the archives, in less than a minute. Nothing is kept.

    Returns
    -------
    list of lab2.archive.findings.Finding

    Raises
    ------
    ArchiveError
        If no server can be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        evidence = Evidence(Path(folder))
        findings = [judge(one, evidence) for one in ASSUMPTIONS]
    if evidence.down.keys() == evidence.hosts:
        raise ArchiveError(
            f"no server can be reached ({', '.join(sorted(evidence.hosts))}): there is no network here, or it asks for "
            "a proxy (environment variable HTTPS_PROXY)"
        )
    return findings


def assumption(name, expected, advice):
    """Register a test."""

    def register(test):
        ASSUMPTIONS.append(Assumption(name, expected, advice, test))
        return test

    return register


# SkyServer


SQL_ADVICE = "give the catalog yourself: --allstar FILE"


@assumption("table apogeeStar", "the columns that the lab needs", SQL_ADVICE)
def _star_columns(evidence):
    return _columns("apogeeStar", evidence)


@assumption("table aspcapStar", "the columns that the lab needs", SQL_ADVICE)
def _aspcap_columns(evidence):
    return _columns("aspcapStar", evidence)


def _columns(name, evidence):
    names = skyserver.first_row(name, evidence.ask).colnames
    missing = skyserver.lacking(name, names)
    return so(not missing, f"none of {', '.join(missing)}" if missing else f"all, among {len(names)}")


@assumption("COUNT(*) AS n", "one row, one column n, a number", SQL_ADVICE)
def _count(evidence):
    n_rows = skyserver.count(FIELD, evidence.ask)
    return so(n_rows > 0, f"{n_rows} rows in {FIELD}")


@assumption("the lab's fields", ", ".join(FIELDS), "select existing ones: --fields")
def _fields(evidence):
    counts = {field: skyserver.count(field, evidence.ask) for field in FIELDS if field != FIELD}
    return so(all(counts.values()), ", ".join(f"{field}: {n_rows} rows" for field, n_rows in counts.items()))


@assumption("SQL of one field", "as many rows as counted, of the right types, none twice", SQL_ADVICE)
def _rows(evidence):
    return f"{len(evidence.rows())} rows of {FIELD}"


@assumption("SQL, rows in one answer", f"{MANY}, more than a field has", f"take smaller fields, or {SQL_ADVICE}")
def _row_limit(evidence):
    return f"{len(evidence.many())}"


@assumption(
    "label tree of SkyServer",
    LABEL_TREE,
    "nothing, if it is another run of the pipeline: results name it; compare them with those of the same run only",
)
def _label_tree(evidence):
    first = skyserver.first_row("aspcapStar", evidence.ask)
    tree = catalog.label_tree(first)
    return so(tree == LABEL_TREE, tree)


# The Science Archive Server


URL_ADVICE = "open the folder in a browser; if the archive moved, give its address: LAB2_SAS_URL"


@assumption("URL, telescope apo25m", f"{stars.STARS}/apo25m/{FIELD}/apStar-dr17-...", URL_ADVICE)
def _url(evidence):
    address, _ = evidence.spectrum()
    return f"{evidence.path.stat().st_size / 1e6:.2f} MB at {address}"


@assumption("URL, telescope apo1m", ".../apo1m/FIELD/FILE is FITS", f"the lab does not need it; {URL_ADVICE}")
def _url_apo1m(evidence):
    return _url_of("apo1m", evidence)


@assumption("URL, telescope lco25m", ".../lco25m/FIELD/FILE is FITS", f"the lab does not need it; {URL_ADVICE}")
def _url_lco25m(evidence):
    return _url_of("lco25m", evidence)


def _url_of(telescope, evidence):
    address, start = evidence.head(telescope)
    return so(start.startswith(b"SIMPLE  ="), address)


@assumption("part of a file", "206, and its last bytes", "nothing: broken transfers restart, and take longer")
def _ranges(evidence):
    status, headers, content = evidence.rest()
    same = content == evidence.path.read_bytes()[-len(content) :]
    where = headers.get("Content-Range", "no Content-Range")
    return so(status == 206 and same, f"{status}, {where}, {'the same' if same else 'other'} bytes")


@assumption("identity of a file", "ETag or Last-Modified, the same twice", "after an interruption, use --verify")
def _identity(evidence):
    _, first = evidence.spectrum()
    _, second, _ = evidence.rest()
    twice = [[headers.get(name) for headers in (first, second)] for name in ("ETag", "Last-Modified")]
    known = any(one for pair in twice for one in pair)
    return so(known and all(a == b for a, b in twice), "; ".join(f"{a}, then {b}" for a, b in twice))


@assumption("size of a file", f"that of its visits within {SIZE_TOLERANCE:.0%}", "--dry-run errs: check the free space")
def _size(evidence):
    _, headers = evidence.spectrum()
    told, expected = headers.get("Content-Length", "none told"), stars.size(int(_header(evidence)["NVISITS"]))
    close = told.isdecimal() and abs(int(told) / expected - 1) <= SIZE_TOLERANCE
    return so(close, f"{told} bytes announced, {expected} expected")


# The file


FILE_ADVICE = "report it to lab2: the archive's files differ from those that it was written for"


@assumption("lab2.apstar reads it", f"{N_PIXELS} pixels of flux, error and bitmask", FILE_ADVICE)
def _readable(evidence):
    evidence.spectrum()
    raw = apstar.read(evidence.path)
    good = int(np.isfinite(apstar.mask_bad_pixels(raw).error).sum())
    return so(good > 0, f"{raw.sizes['wavelength']} pixels, {good} of them good")


@assumption("OBJID is the APOGEE_ID", catalog.EXAMPLE, FILE_ADVICE)
def _objid(evidence):
    found = str(_header(evidence).get("OBJID"))
    return so(found.strip() == catalog.EXAMPLE, found)


@assumption("cards of its header", f"{', '.join(CARDS)}, {CHIPS[0]} to {CHIPS[-1]}", FILE_ADVICE)
def _cards(evidence):
    header = _header(evidence)
    missing = [card for card in (*CARDS, *CHIPS) if card not in header]
    return so(not missing, f"none of {', '.join(missing)}" if missing else "all of them")


@assumption("width of its bitmask", f"16 bits, of which 0 to {len(apstar.PixelBit) - 1} have names", FILE_ADVICE)
def _bitmask(evidence):
    evidence.spectrum()
    bits = fits.getdata(evidence.path, 3)
    width = 8 * bits.itemsize
    used = (int(np.bitwise_or.reduce(bits, axis=None)) % (1 << width)).bit_length()
    return so(width == 16 and used <= len(apstar.PixelBit), f"{width} bits, of which the first {used} are used")


def _header(evidence):
    evidence.spectrum()
    return fits.getheader(evidence.path)


# The course


COURSE_ADVICE = "put the file from your course into data/"


@assumption("course: continuum pixels", f"sha256 {course.FILES['continuum'].sha256[:12]}...", COURSE_ADVICE)
def _continuum(evidence):
    return _course("continuum", evidence)


@assumption("course: mystery spectrum", f"sha256 {course.FILES['mystery'].sha256[:12]}...", COURSE_ADVICE)
def _mystery(evidence):
    return _course("mystery", evidence)


def _course(kind, evidence):
    found = evidence.course_sha256(kind)
    return so(found == course.FILES[kind].sha256, f"sha256 {found[:12]}...")


# last, when all queries were sent


@assumption("SQL, queries per minute", "none refused by the query limit", "wait a minute; use one program at a time")
def _rate(evidence):
    found = f"{evidence.answered} answered, {evidence.too_many} refused"
    return so(evidence.answered and not evidence.too_many, found)
