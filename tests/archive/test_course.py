import pytest

from lab2 import archive as sdss
from lab2.archive import course
from lab2.archive.web import ArchiveError
from lab2.files import sha256
from lab2.survey import course_file as present_course_file


def test_the_course_s_files_are_fetched_by_their_checksum(archive, home, folder, tmp_path, monkeypatch):
    archive.course = tmp_path / "course"
    archive.course.mkdir()
    for kind, known in list(course.FILES.items()):
        path = archive.course / known.name
        path.write_bytes(kind.encode() * 1000)
        monkeypatch.setitem(course.FILES, kind, known._replace(sha256=sha256(path)))
    _, notes = sdss.fetch(sdss.plan(limit=2))
    assert notes == []
    assert present_course_file("continuum").read_bytes() == b"continuum" * 1000
    assert (folder / "mystery.fits").read_bytes() == b"mystery" * 1000
    (archive.course / "mystery_spec_wiped.fits").write_bytes(b"another")
    (home / "data" / "mystery_spec_wiped.fits").unlink()
    with pytest.raises(ArchiveError, match=r"is not the course's: its SHA-256.*put it into data/"):
        course.course_file("mystery")
    assert present_course_file("mystery") is None


def test_a_server_that_is_down_is_asked_for_one_edition_only(archive, home, monkeypatch):
    monkeypatch.setenv("LAB2_COURSE_URL", "http://127.0.0.1:9")  # the discard port
    with pytest.raises(ArchiveError, match="could not be fetched") as raised:
        course.course_file("mystery")
    assert str(raised.value).count("http://127.0.0.1:9/") == 1


def test_a_course_file_that_is_there_is_not_asked_for(archive, home):
    (home / "data").mkdir()
    mine = home / "data" / "continuum_wavelengths.npz"
    mine.write_bytes(b"of another year")
    assert course.course_file("continuum") == mine
    assert archive.requests == []


def test_the_real_course_files_are_the_known_ones(real_data):
    for known in course.FILES.values():
        assert sha256(real_data / "course" / known.name) == known.sha256
