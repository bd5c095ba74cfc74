"""The probe against the stand-in: with every assumption broken in turn, its row fails and no other that does not build
on it."""

import shutil
import time

import numpy as np
import pytest
from archive_server import ArchiveServer
from astropy.io import fits
from astropy.table import Table, vstack

from lab2 import catalog
from lab2.__main__ import main
from lab2.archive import course, evidence, findings, skyserver
from lab2.archive.probe import ASSUMPTIONS, probe
from lab2.archive.web import ArchiveError
from lab2.files import sha256

EXAMPLE = f"apStar-dr17-{catalog.EXAMPLE}.fits"
ONE_METER, SOUTHERN = "apStar-dr17-VESTA.fits", "asStar-dr17-2M00000000-1111111.fits"


@pytest.fixture(scope="module")
def served(observed_survey, tmp_path_factory):
    """A folder with what the archives would serve, and the catalog: stars of all telescopes, thousands of rows."""
    folder = tmp_path_factory.mktemp("served")
    table = Table.read(observed_survey / "allStar.fits")
    table.convert_bytestring_to_unicode()
    table = table[table["TELESCOPE"] == "apo25m"]
    example = table[table["APOGEE_ID"] == catalog.EXAMPLE][:1]
    source = observed_survey / "apStar" / "M15" / EXAMPLE
    others = []
    for telescope, field, name in (("apo1m", "calibration", ONE_METER), ("lco25m", "47TUC", SOUTHERN)):
        row = Table(example, copy=True)
        star = name.split("-", 2)[2].removesuffix(".fits")
        for column, text in (("TELESCOPE", telescope), ("FIELD", field), ("FILE", name), ("APOGEE_ID", star)):
            row[column] = [text]
        row["APSTAR_ID"] = [f"apogee.{telescope}.{star}"]
        others.append(row)
        (folder / "apStar" / field).mkdir(parents=True)
        shutil.copy(source, folder / "apStar" / field / name)
    filling = Table(np.resize(table[table["FIELD"] == "060+00"].as_array(), evidence.MANY))
    filling["FIELD"] = ["elsewhere"] * len(filling)
    filling["APSTAR_ID"] = [f"filling {number}" for number in range(len(filling))]
    (folder / "apStar" / "M15").mkdir()
    as_large_as_in_dr17(source, folder / "apStar" / "M15" / EXAMPLE)
    (folder / "course").mkdir()
    for kind, known in course.FILES.items():
        (folder / "course" / known.name).write_bytes(kind.encode() * 1000)
    return folder, vstack([table, *others, filling])


def as_large_as_in_dr17(source, path):
    """A simulated file with the images and the headers that it lacks."""
    with fits.open(source) as hdus:
        flux = hdus[1].data.astype("f8")
        for i in (1, 2):
            hdus[i].data = hdus[i].data.astype("f8")
        for i in range(4, 9):
            hdus[i] = fits.ImageHDU(flux)
        hdus.writeto(path)


@pytest.fixture
def archive(home, served, tmp_path, monkeypatch):
    folder = tmp_path / "served"
    shutil.copytree(served[0], folder)
    monkeypatch.setattr(skyserver, "PAUSE", 0.0)
    for kind, known in list(course.FILES.items()):
        monkeypatch.setitem(course.FILES, kind, known._replace(sha256=sha256(folder / "course" / known.name)))
    with ArchiveServer(served[1], folder / "apStar", folder / "course") as server:
        for variable, url in server.environment.items():
            monkeypatch.setenv(variable, url)
        yield server


def failed(rows):
    return {row.assumption for row in rows if row.advice}


def test_all_hold_and_it_takes_about_a_dozen_small_requests(archive, home, capsys):
    before = set(home.rglob("*"))
    start = time.monotonic()
    assert main(["fetch", "--probe"]) == 0
    assert time.monotonic() - start < 60
    said = capsys.readouterr().out
    assert said.splitlines()[0].split() == ["assumption", "expected", "found", "ok,", "or", "what", "to", "do"]
    assert sum(line.endswith("  ok") for line in said.splitlines()) == len(ASSUMPTIONS) == 20
    assert set(home.rglob("*")) == before, "nothing is kept"
    assert len(archive.statements) + len(archive.requests) == 16
    asked = ["/".join(request[0].split("/")[-3:]) for request in archive.requests]
    assert asked[:4] == [
        f"apo25m/M15/{EXAMPLE}",
        f"apo1m/calibration/{ONE_METER}",
        f"lco25m/47TUC/{SOUTHERN}",
        f"apo25m/M15/{EXAMPLE}",
    ]
    assert len(archive.statements) * 1.0 + 10 < 60, "a second apart, in a minute"


def edit(archive, change):
    """Change the example's file."""
    path = archive.stars / "M15" / EXAMPLE
    with fits.open(path) as hdus:
        change(hdus)
        hdus.writeto(path, overwrite=True)


def other_bits(hdus):
    hdus[3].data = hdus[3].data | np.int16(1 << 14)
    hdus[3].data[0, 4000] = -1  # all 16 of them


def wide_bits(hdus):
    hdus[3].data = hdus[3].data.astype("i4")


def course_file(archive, kind):
    (archive.course / course.FILES[kind].name).write_bytes(b"another")


SQL = {"table apogeeStar", "table aspcapStar", "COUNT(*) AS n", "the lab's fields", "SQL of one field"}
SQL |= {"SQL, rows in one answer", "label tree of SkyServer", "SQL, queries per minute"}
OTHERS = {"URL, telescope apo1m", "URL, telescope lco25m"}  # their names come from SkyServer
OF_FILE = {"lab2.apstar reads it", "OBJID is the APOGEE_ID", "cards of its header", "width of its bitmask"}
FILE = {"URL, telescope apo25m", "part of a file", "identity of a file", "size of a file"} | OF_FILE
COURSE = {"course: continuum pixels", "course: mystery spectrum"}

BROKEN = {
    "no signal-to-noise ratio": (
        lambda a: a.hide("SNR"),  # the brightest star of a telescope is not found either
        {"table apogeeStar", "SQL of one field", "URL, telescope apo1m", "URL, telescope lco25m"},
    ),
    "no magnesium": (lambda a: a.hide("MG_FE"), {"table aspcapStar", "SQL of one field"}),
    "a count of another name": (
        lambda a: setattr(a, "count_as", "Column1"),
        {"COUNT(*) AS n", "the lab's fields", "SQL of one field"},
    ),
    "a field of another name": (lambda a: a.rename("N6791", "NGC6791"), {"the lab's fields"}),
    "an answer cut short": (lambda a: setattr(a, "sql", "truncated"), {"SQL of one field"}),
    "words for numbers": (lambda a: a.set("M15", "TEFF", ["hot"]), {"SQL of one field"}),
    "few rows at once": (lambda a: setattr(a, "row_limit", 1000), {"SQL, rows in one answer"}),
    "another tree": (
        lambda a: a.set("", "ASPCAP_ID", ["apogee.apo25m.synspec_rev1.dr17.x.y"]),
        {"label tree of SkyServer"},
    ),
    "few queries at once": (
        lambda a: setattr(a, "most_queries", 9),
        {"SQL, queries per minute", "URL, telescope lco25m"},
    ),
    "SkyServer is broken": (lambda a: setattr(a, "sql", "500"), SQL | OTHERS),
    "no example": (lambda a: a.lost.add(EXAMPLE), FILE),
    "a web page for the example": (
        lambda a: (a.stars / "M15" / EXAMPLE).write_bytes(b"<html>" * 1000),
        OF_FILE | {"size of a file"},
    ),
    "no star of the 1 m": (lambda a: a.lost.add(ONE_METER), {"URL, telescope apo1m"}),
    "a web page for one of the 1 m": (
        lambda a: (a.stars / "calibration" / ONE_METER).write_bytes(b"<html>"),
        {"URL, telescope apo1m"},
    ),
    "no southern star": (lambda a: a.lost.add(SOUTHERN), {"URL, telescope lco25m"}),
    "southern stars elsewhere": (
        lambda a: a.redirects.update({SOUTHERN: "http://127.0.0.1:9/"}),
        {"URL, telescope lco25m"},
    ),
    "no ranges": (lambda a: setattr(a, "ranges", False), {"part of a file"}),
    "no identity": (lambda a: setattr(a, "etag", False), {"identity of a file"}),
    "another identity each time": (lambda a: setattr(a, "etag", None), {"identity of a file"}),
    "more visits": (lambda a: edit(a, lambda h: h[0].header.set("NVISITS", 40)), {"size of a file"}),
    "another grid": (lambda a: edit(a, lambda h: h[0].header.set("CRVAL1", 4.0)), {"lab2.apstar reads it"}),
    "another star": (
        lambda a: edit(a, lambda h: h[0].header.set("OBJID", "2M00000000+0000000")),
        {"OBJID is the APOGEE_ID"},
    ),
    "no chips": (lambda a: edit(a, lambda h: h[0].header.remove("BMIN")), {"cards of its header"}),
    "a wide bitmask": (lambda a: edit(a, wide_bits), {"width of its bitmask"}),
    "a bit without a name": (lambda a: edit(a, other_bits), {"width of its bitmask"}),
    "another list of pixels": (lambda a: course_file(a, "continuum"), {"course: continuum pixels"}),
    "another mystery": (lambda a: course_file(a, "mystery"), {"course: mystery spectrum"}),
    "no course": (lambda a: shutil.rmtree(a.course), COURSE),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_fails_and_nothing_else(archive, what):
    damage, expected = BROKEN[what]
    damage(archive)
    rows = probe()
    assert failed(rows) == expected
    for row in rows:
        for text in row[:3]:
            assert text
            assert text.isprintable()
            assert len(text) <= 300


def test_every_assumption_was_broken():
    broken = [names for _, names in BROKEN.values()]
    assert set.union(*broken) == {one.name for one in ASSUMPTIONS}
    assert {next(iter(names)) for names in broken if len(names) == 1} >= {one.name for one in ASSUMPTIONS} - {
        "table apogeeStar",
        "table aspcapStar",
        "COUNT(*) AS n",
        "SQL, queries per minute",
        "URL, telescope apo25m",
    }


def test_a_wrong_assumption_is_status_1_and_says_what_to_do(archive, capsys):
    archive.ranges = False
    assert main(["fetch", "--probe"]) == 1
    said = capsys.readouterr()
    assert "1 of 20 assumptions do not hold" in said.err
    (line,) = [line for line in said.out.splitlines() if line.startswith("part of a file")]
    assert "206, and its last bytes" in line
    assert "200, no Content-Range" in line
    assert "nothing: broken transfers restart" in line


@pytest.mark.parametrize(
    ("variable", "expected"), [("SKYSERVER", SQL | OTHERS), ("SAS", FILE | OTHERS), ("COURSE", COURSE)]
)
def test_a_host_that_is_down_fails_its_own_rows(archive, monkeypatch, variable, expected):
    monkeypatch.setenv(f"LAB2_{variable}_URL", "http://127.0.0.1:9")
    assert failed(probe()) == expected


def test_no_network_is_one_sentence(home, monkeypatch, capsys):
    for variable in ("SKYSERVER", "SAS", "COURSE"):
        monkeypatch.setenv(f"LAB2_{variable}_URL", "http://127.0.0.1:9")
    assert main(["fetch", "--probe"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("no server can be reached (127.0.0.1:9): there is no network here")
    assert said.err.count("\n") == 1


def test_a_slow_server_does_not_take_more_than_its_time(archive, monkeypatch):
    monkeypatch.setattr(evidence, "SECONDS", 1.5)
    monkeypatch.setattr(evidence, "LONGEST", 0.5)
    archive.sql, archive.trickle = "trickle", 0.1
    start = time.monotonic()
    rows = probe()
    assert time.monotonic() - start < 10
    assert failed(rows) == SQL | OTHERS | FILE | COURSE
    assert any("the 2 s of the probe were over" in row.found for row in rows)


def test_whatever_a_test_raises_is_a_row_of_the_table():
    def test(seen):
        raise ZeroDivisionError("\x1b[2J" + "long " * 1000)

    row = findings.judge(findings.Assumption("a", "b", "do c", test), None)
    assert row[:2] == ("a", "b")
    assert row.found.startswith("ZeroDivisionError: [2Jlong")
    assert len(row.found) <= 300
    assert row.advice == "do c"


def test_an_archive_error_is_shown_in_its_own_words():
    def test(seen):
        raise ArchiveError("gone")

    assert findings.judge(findings.Assumption("a", "b", "c", test), None).found == "gone"
