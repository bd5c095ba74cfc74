"""The files of the simulated survey."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable, Table

from lab2 import _code, apstar, catalog, labels
from lab2._lock import BusyError
from lab2.simulate import make_survey, replacing, writing
from lab2.simulate.population import FIELDS
from lab2.simulate.replacing import replacing_survey
from lab2.simulate.stars import NAMED
from lab2.survey import list_files


@pytest.fixture(scope="module", autouse=True)
def few_stars():
    """Surveys too small for the notebooks, which are quick to make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "SMALLEST", 20)
        yield


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return make_survey(tmp_path_factory.mktemp("data") / "small", seed=7, n_stars=24, progress=False)


def test_folder_is_whole_and_as_its_manifest_says(survey):
    about = json.loads((survey / "manifest.json").read_text())
    on_disk = {p.relative_to(survey).as_posix() for p in survey.rglob("*") if p.is_file()}
    assert set(about["files"]) == on_disk - {"manifest.json"}
    assert about["simulated"] is True
    assert about["survey"] == "small"
    assert (about["seed"], about["n_stars"], about["label_tree"]) == (7, 24, "simulated")
    assert names(survey.parent) == ["small"]


TABLES_READ = """
import sys
from pathlib import Path
from lab2 import _code
from lab2.simulate import make_survey, writing
read = set()
sys.addaudithook(lambda event, given: read.add(str(given[0])) if event == "open" else None)
writing.SMALLEST, _code.digest = 20, lambda patterns: "none"  # which would read them too
make_survey(sys.argv[1], n_stars=24, progress=False)
print(*sorted(Path(path).name for path in read if Path(path).parent.name == "tables"))
"""


def test_a_survey_is_made_anew_when_a_table_that_it_is_made_of_changes_and_for_no_other(tmp_path):
    command = [sys.executable, "-c", TABLES_READ, tmp_path / "small"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(Path(one).name for one in _code.SIMULATION if one.startswith("tables/"))


def test_cuts_leave_the_number_asked_for_and_each_removes_something(survey):
    table = QTable.read(survey / "allStar.fits", hdu=1)
    giants, cutflow = catalog.select_giants(table)
    assert len(giants) == 24
    assert (cutflow["removed"][1:] > 0).all()
    assert set(NAMED.values()) <= set(np.asarray(giants["APOGEE_ID"], str))
    assert set(np.asarray(giants["FIELD"], str)) == {field.name for field in FIELDS}


def test_catalog_has_types_and_null_of_dr17(survey):
    table = Table.read(survey / "allStar.fits", hdu=1)
    kinds = {"TEFF": "f4", "SNR": "f4", "NVISITS": "i4", "EXTRATARG": "i4", "ASPCAPFLAG": "i8", "RA": "f8"}
    assert {name: table[name].dtype.newbyteorder("=").str[1:] for name in kinds} == kinds
    assert (table["TEFF"] == labels.CATALOG_NULL).any()
    assert np.isfinite(table["SI_FE"]).all()
    lesser = table[(table["EXTRATARG"] & 1 << 4) > 0]
    assert len(lesser) == 2
    assert set(lesser["APOGEE_ID"]) <= set(table["APOGEE_ID"][table["EXTRATARG"] == 0])
    assert set(lesser["TELESCOPE"]) == {"apo25m", "apo1m"}
    assert len(set(table["APSTAR_ID"])) == len(table)


def test_every_selected_star_has_a_spectrum_and_a_truth(survey):
    giants, _ = catalog.select_giants(QTable.read(survey / "allStar.fits", hdu=1))
    truth = QTable.read(survey / "truth.ecsv")
    paths = {str(g["APOGEE_ID"]): survey / "apStar" / g["FIELD"] / g["FILE"] for g in giants}
    assert set(truth["apogee_id"]) == set(paths) | {"MYSTERY"}
    raw = apstar.read_many(paths.values(), progress=False)
    assert list(raw.star.values) == list(paths)
    np.testing.assert_allclose(raw.snr, giants["SNR"], rtol=1e-5)
    masked = np.isinf(apstar.mask_bad_pixels(raw).error).sum("wavelength")
    assert 790 < float(masked.mean()) < 1250
    # the level of a star of magnitude H
    flux = raw.flux.where((raw.bitmask & 0x0FFF) == 0).median("wavelength")
    np.testing.assert_allclose(flux, 1.12e7 * 10 ** (-0.4 * np.asarray(giants["H"])), rtol=0.25)


def test_mystery_star_is_in_no_catalog(survey):
    raw = apstar.read(survey / "mystery.fits")
    assert raw.star.item() == "MYSTERY"
    assert raw.snr.item() > 300
    assert "MYSTERY" not in set(Table.read(survey / "allStar.fits", hdu=1)["APOGEE_ID"])


def test_same_seed_same_bytes_another_seed_others(survey, tmp_path):
    again = make_survey(tmp_path / "again", seed=7, n_stars=24, progress=False)
    other = make_survey(tmp_path / "other", seed=8, n_stars=24, progress=False)
    files = [json.loads((folder / "manifest.json").read_text())["files"] for folder in (survey, again, other)]
    assert files[0] == files[1]
    assert files[0]["mystery.fits"] != files[2]["mystery.fits"]


# --- what stands where the survey is to be -------------------------------------------------------------------


def small(folder, **given):
    return make_survey(folder, **({"n_stars": 20, "progress": False} | given))


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def whole(folder):
    """The seed of a survey whose files are those of its manifest."""
    about = json.loads((folder / "manifest.json").read_text())
    assert list_files(folder) == about["files"]
    return about["seed"]


@pytest.fixture
def no_stars(monkeypatch):
    """Simulations of a catalog and one spectrum, which take no time."""

    def write(folder, seed, n_stars, progress):
        Table({"a": [seed]}, meta={"SIMULATE": True}).write(folder / "allStar.fits")
        (folder / "apStar" / "M15").mkdir(parents=True)
        (folder / "apStar" / "M15" / "a.fits").write_text(f"{seed}")

    monkeypatch.setattr(writing, "_write", write)


def test_an_older_survey_stays_until_the_new_one_is_complete(tmp_path, monkeypatch, no_stars):
    folder = small(tmp_path / "mine", seed=1)

    def stop(*_, **given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_manifest", stop)
        with pytest.raises(KeyboardInterrupt):
            small(folder, seed=2)
    assert (names(tmp_path), whole(folder)) == (["mine"], 1)
    small(folder, seed=2)
    assert (names(tmp_path), whole(folder)) == (["mine"], 2)


def test_what_others_have_beside_the_survey_stays(tmp_path, no_stars):
    """Folders of the names that a temporary folder might have, with files of observed surveys."""
    for name in ("dr17.old", "dr17.partial", ".dr17.making-", ".dr17.making-mine", ".dr17.making-12345678.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text('{"simulated": false}')
    before = names(tmp_path)
    small(tmp_path / "dr17")
    small(tmp_path / "dr17", seed=5)
    assert names(tmp_path) == sorted([*before, "dr17"])
    assert whole(tmp_path / "dr17") == 5


@pytest.mark.parametrize("kept", ["notes.txt", "apStar/M15/apStar-mine.fits", ".hidden/x", "apStar/M67"])
def test_files_that_the_manifest_does_not_list_are_not_lost(tmp_path, no_stars, kept):
    folder = small(tmp_path / "mine")
    path = folder / kept
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tmp_path) if kept == "apStar/M67" else path.write_text("mine")
    with pytest.raises(ValueError, match=rf"would be lost: {kept}; move them away"):
        small(folder, seed=2)
    assert os.path.lexists(path)
    assert names(tmp_path) == ["mine"]


def test_a_file_that_comes_while_the_survey_is_made_is_not_lost(tmp_path, no_stars, monkeypatch):
    folder, write = small(tmp_path / "mine"), writing._write

    def and_a_note(*given):
        write(*given)
        (folder / "notes.txt").write_text("mine")

    monkeypatch.setattr(writing, "_write", and_a_note)
    with pytest.raises(ValueError, match=r"would be lost: notes\.txt"):
        small(folder, seed=2)
    assert (folder / "notes.txt").read_text() == "mine"
    assert names(tmp_path) == ["mine"]


@pytest.mark.parametrize(
    "about", [None, "{", '{"simulated": false, "files": {}}', '{"simulated": true, "files": {"apStar/M15/a.fits": {}}}']
)
def test_what_was_not_simulated_there_is_not_replaced(tmp_path, about):
    folder = tmp_path / "dr17"
    (folder / "apStar" / "M15").mkdir(parents=True)
    (folder / "apStar" / "M15" / "a.fits").write_text("observed")
    if about:
        (folder / "manifest.json").write_text(about)
    with pytest.raises(ValueError, match=r"were not simulated there, and would be lost: apStar/M15/a\.fits"):
        small(folder)
    assert (folder / "apStar" / "M15" / "a.fits").read_text() == "observed"


def test_worthless_files_do_not_keep_a_survey_from_being_replaced(tmp_path, no_stars):
    folder = small(tmp_path / "mine")
    (folder / ".DS_Store").write_text("of a file manager")
    (folder / "apStar" / ".part-1-a.fits").write_text("left over")
    assert whole(small(folder, seed=2)) == 2


def test_a_file_in_the_place_of_the_survey(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ValueError, match="mine is a file; a survey is a folder"):
        small(tmp_path / "mine")


def test_a_link_to_a_folder_on_another_disk_stays_a_link(tmp_path, no_stars):
    (tmp_path / "data").mkdir()
    (tmp_path / "disk").mkdir()
    link = tmp_path / "data" / "simulated"
    link.symlink_to(tmp_path / "disk" / "survey")  # not there yet
    for seed in (1, 2):
        small(link, seed=seed)
        assert link.readlink() == tmp_path / "disk" / "survey"
        assert whole(tmp_path / "disk" / "survey") == seed
        assert json.loads((link / "manifest.json").read_text())["survey"] == "simulated"
    assert names(tmp_path / "data") == ["simulated"]
    assert names(tmp_path / "disk") == ["survey"]


# The system calls that replace a survey, in the order in which they are made; each is the last one that succeeds.
@pytest.mark.parametrize("calls", [0, 1, 2])
@pytest.mark.parametrize("death", [SystemExit, OSError])
def test_killed_or_failing_at_a_rename_one_survey_is_whole(tmp_path, no_stars, monkeypatch, calls, death):
    folder, made, rename = small(tmp_path / "mine", seed=1), [], os.rename

    def dying(*given):
        if len(made) == calls:
            if death is SystemExit:  # a killed process tidies nothing up
                patch.setattr(replacing, "_restore", lambda *_: None)
                patch.setattr(replacing.shutil, "rmtree", lambda *_: None)
            made.append(None)
            raise death(5, "killed")
        made.append(given)
        rename(*given)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", dying)
        if calls < 2:
            with pytest.raises(death):
                small(folder, seed=2)
        else:
            small(folder, seed=2)
    if folder.exists():
        assert whole(folder) == (2 if calls == 2 else 1)
    else:
        (hidden,) = tmp_path.glob(".mine.making-*")
        assert (whole(hidden / "old"), whole(hidden / "new")) == (1, 2)
    with monkeypatch.context() as patch:  # the next run puts the old one back before it begins
        patch.setattr(writing, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            small(folder, seed=3)
    assert whole(folder) == (2 if calls == 2 else 1)
    assert names(tmp_path) == ["mine"]


def test_two_at_once_leave_one_whole_survey(tmp_path):
    """The second is refused while the first is at work, and says who that is."""
    code = "import sys; from lab2.simulate import make_survey; make_survey(sys.argv[1], n_stars=150, progress=False)"
    first = subprocess.Popen([sys.executable, "-c", code, tmp_path / "mine"])
    while not list(tmp_path.glob(".mine.making-*/new/apStar")):
        time.sleep(0.01)
    with pytest.raises(BusyError, match=rf"mine is in use by process {first.pid} on .*; run the same command when"):
        small(tmp_path / "mine")
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert list(tmp_path.glob(".mine.making-*")), "killed too late to test anything"
    whole(small(tmp_path / "mine"))  # the lock of a dead process is free, and what it left is removed
    assert names(tmp_path) == ["mine"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte, which only root can make."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path]
    if sys.platform != "linux" or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    yield path
    subprocess.run(["umount", path], check=True)


def test_on_a_full_disk_nothing_is_left_and_the_old_survey_stays(small_disk, no_stars, monkeypatch):
    folder = small(small_disk / "mine", seed=1)
    monkeypatch.undo()
    with pytest.raises(OSError, match=r"[Ss]pace|disk is full"):
        small(folder, seed=2)
    assert (names(small_disk), whole(folder)) == (["mine"], 1)


@pytest.mark.parametrize(("options", "error"), [
    ({"n_stars": 19}, ValueError), ({"seed": -1}, ValueError), ({"seed": 1.5}, TypeError),
    ({"n_stars": True}, TypeError),
])  # fmt: skip
def test_bad_arguments_are_refused(options, error, tmp_path):
    with pytest.raises(error, match=next(iter(options))):
        make_survey(tmp_path / "none", progress=False, **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_files_of_others_is_refused_before_anything_is_made(tmp_path):
    (tmp_path / "observed.fits").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"would be lost: observed\.fits"), replacing_survey(tmp_path):
        pytest.fail("it began")
