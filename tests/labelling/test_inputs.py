import os

import pytest

from lab2.labelling.inputs import spectrum_files


@pytest.fixture
def folder(tmp_path):
    for name in ("b/apStar-2.fits", "b/asStar-1.fits.gz", "a/x/apStar-3.fits", "allStar.fits", "b/aspcapStar-2.fits"):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).touch()
    return tmp_path / "all"


def names(paths):
    return [path.name for path in paths]


def test_a_folder_stands_for_its_spectra_and_for_nothing_else(folder):
    assert names(spectrum_files([folder])) == ["apStar-3.fits", "apStar-2.fits", "asStar-1.fits.gz"]


def test_links_are_followed_and_never_for_ever(folder):
    (folder / "a/again").symlink_to(folder)  # a loop
    other = folder.with_name("elsewhere")
    other.mkdir()
    (other / "apStar-9.fits").touch()
    (folder / "c").symlink_to(other)
    found = names(spectrum_files([folder]))
    assert sorted(found) == ["apStar-2.fits", "apStar-3.fits", "apStar-9.fits", "asStar-1.fits.gz"]


def test_files_patterns_and_lists_in_the_given_order_each_once(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    odd = os.fsdecode(b"b/caf\xe9.fits")
    (tmp_path / "list").write_bytes(b"b/apStar-2.fits\n\nb/caf\xe9.fits\n")
    found = spectrum_files(["not there.fits", "**/apStar-*.fits", "allStar.fits"], tmp_path / "list")
    assert [str(path) for path in found] == [
        "not there.fits",
        "a/x/apStar-3.fits",
        "b/apStar-2.fits",
        "allStar.fits",
        odd,
    ]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    (tmp_path / "apStar-[1].fits").touch()
    assert names(spectrum_files([tmp_path / "apStar-[1].fits"])) == ["apStar-[1].fits"]


@pytest.mark.parametrize(
    ("given", "message"),
    [([], "no spectra were given"), (["b"], "holds no spectra named apStar"), (["*.fit"], "no file matches")],
)
def test_nothing_is_an_error(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.fits").touch()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        spectrum_files(given)


def test_an_empty_list_is_an_error(tmp_path):
    (tmp_path / "list").write_text("\n\n")
    with pytest.raises(ValueError, match="no spectra were given"):
        spectrum_files([], tmp_path / "list")
