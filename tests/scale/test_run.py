"""Labels of a survey in shards: those of one process, whatever happens on the way, or no catalog."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

from lab2 import labelling
from lab2._failure import Failure
from lab2._lock import BusyError, alone
from lab2.scale import catalog, labels, run
from lab2.scale.catalog import read_labels
from lab2.scale.plan import read_plan
from lab2.scale.shards import Job, finish


def quiet(text):
    pass


def same(one, other):
    """Whether two tables have the same columns and values, bit by bit."""
    assert one.colnames == other.colnames
    return all(
        np.array_equal(np.asarray(one[name]), np.asarray(other[name]), equal_nan=one[name].dtype.kind == "f")
        for name in one.colnames
    )


def close(one, other):
    """Whether two tables have the same columns and values; the last bits depend on how many stars a block has."""
    assert one.colnames == other.colnames
    columns = [(np.asarray(one[name]), np.asarray(other[name])) for name in one.colnames]
    return all(
        np.allclose(x, y, rtol=1e-6, atol=1e-9, equal_nan=True) if x.dtype.kind == "f" else np.array_equal(x, y)
        for x, y in columns
    )


@pytest.fixture
def spectra(files, tmp_path):
    """Good files, and between them a cut one and a missing one."""
    cut = tmp_path / "cut.fits"
    cut.write_bytes(files[0].read_bytes()[:50_000])
    return [*files[:20], cut, *files[20:40], tmp_path / "missing.fits", *files[40:]]


@pytest.fixture
def done(spectra, model, address, tmp_path):
    """A finished run: its folder, its summary, and how it is called once more."""
    folder = tmp_path / "run"

    def again(out=folder):
        return run.label_survey(spectra, model.path, out, shard=16, scheduler=address, report=quiet)

    return SimpleNamespace(folder=folder, summary=again(), again=again)


def states(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("shards/*")}


def test_labels_are_those_of_one_process_and_the_counts_add_up(done, spectra, model):
    expected = labelling.label_files(spectra, model.model)
    found = read_labels(done.folder / "labels.parquet")
    assert close(found, expected)
    assert [found[name].unit for name in ("teff", "ra")] == [expected[name].unit for name in ("teff", "ra")]
    assert [found[name].description for name in found.colnames] == [c.description for c in expected.itercols()]
    in_fits = Table.read(done.folder / "labels.fits")
    assert in_fits["file"].tolist() == [str(path) for path in spectra]
    np.testing.assert_array_equal(in_fits["teff"], found["teff"])
    assert in_fits.meta["MODEL"] == model.model.fingerprint
    assert (done.summary.stars, done.summary.unreadable) == (62, 2)
    assert done.summary.stars - done.summary.without == np.isfinite(expected["teff"]).sum()


def test_the_same_call_again_makes_nothing_anew(done):
    before = states(done.folder)
    assert len([name for name in before if name.endswith(".parquet")]) == 4
    assert vars(done.again()) == vars(done.summary)
    assert states(done.folder) == before


def test_only_the_shard_that_is_damaged_is_made_anew(done):
    before, whole = states(done.folder), read_labels(done.folder / "labels.parquet")
    path = done.folder / "shards" / "000002.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done.again()
    after = states(done.folder)
    assert {name for name in before if after[name] != before[name]} == {"000002.parquet", "000002.json"}
    assert same(read_labels(done.folder / "labels.parquet"), whole)


def test_a_spectrum_that_has_come_is_labelled(done, spectra, files):
    spectra[41].write_bytes(files[3].read_bytes())
    assert done.again().unreadable == 1
    found = read_labels(done.folder / "labels.parquet")
    np.testing.assert_allclose(found["teff"][41], found["teff"][3], rtol=1e-9)


def test_the_catalog_of_a_run_before_is_not_taken_for_that_of_one_that_failed(done):
    before = {name: (done.folder / name).read_bytes() for name in catalog.CATALOG}
    path = done.folder / "shards" / "000001.parquet"
    path.unlink()
    path.mkdir()  # cannot be written
    for _ in range(2):
        with pytest.raises(Failure, match="1 of 4 shards failed"):
            done.again()
        assert not list(done.folder.glob("labels.*"))
        assert {name: (done.folder / f"previous_{name}").read_bytes() for name in catalog.CATALOG} == before
    path.rmdir()
    done.again()
    assert sorted(path.name for path in done.folder.glob("*labels*")) == sorted(catalog.CATALOG)
    assert len(read_labels(done.folder / "labels.parquet")) == 62


def test_two_runs_at_once_are_refused(done):
    with alone(done.folder), pytest.raises(BusyError, match="is in use by"):
        done.again()


def records(done):
    plan = read_plan(done.folder)
    return plan, [finish(Job.of(done.folder, plan, labels.labelling), shard) for shard in plan.shards]


def test_shards_that_do_not_fit_the_plan_make_no_catalog(done):
    plan, found = records(done)
    for name in ("labels.parquet", "labels.fits"):
        (done.folder / name).unlink()
    swapped = [found[0] | {"files": found[1]["files"], "counts": found[1]["counts"]}, *found[1:]]
    miscounted = [found[0] | {"counts": found[0]["counts"] | {"stars": 15}}, *found[1:]]
    for wrong in (swapped, miscounted):
        with pytest.raises(Failure, match=r"shard 000000 .* does not hold the spectra that were planned"):
            catalog.assemble(done.folder, plan, wrong, {})
    (done.folder / "shards" / "000003.parquet").write_bytes(b"")
    with pytest.raises(Failure, match=r"000003\.parquet was changed or removed"):
        catalog.assemble(done.folder, plan, found, {})
    assert not list(done.folder.glob("*labels*"))


def test_a_full_disk_at_the_end_leaves_no_catalog(done, monkeypatch):
    plan, found = records(done)
    for name in ("labels.parquet", "labels.fits"):
        (done.folder / name).unlink()

    def no_room(self, table):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(catalog.Summary, "add", no_room)
    with pytest.raises(OSError, match="the disk is full"):
        catalog.assemble(done.folder, plan, found, {})
    assert not list(done.folder.glob("*labels*"))


def test_a_model_that_was_exchanged_in_the_folder_is_restored(done, model, tmp_path):
    plan = read_plan(done.folder)
    (done.folder / "model.nc").write_bytes(b"another")
    labels.load_model.cache_clear()
    (done.folder / "shards" / "000000.json").unlink()
    with pytest.raises(ValueError, match="is not the file of the plan"):
        finish(Job.of(done.folder, plan, labels.labelling), plan.shards[0])
    done.again()
    assert (done.folder / "model.nc").read_bytes() == model.path.read_bytes()


def test_a_run_that_is_killed_goes_on_where_it_was(files, model, address, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "lab2", "label-survey", *map(str, files), "--model", str(model.path)]
    command += ["-o", str(folder), "--shard", "2", "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    finished = []
    for _ in range(6000):
        finished = list(folder.glob("shards/0*.json"))
        if finished or process.poll() is not None:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("shards/0*.json")}
    assert 0 < len(before) < 30
    assert not (folder / "labels.fits").exists()
    run.label_survey(files, model.path, folder, shard=2, scheduler=address, report=quiet)
    assert {name: stamp for name, stamp in states(folder).items() if name in before} == before
    assert close(read_labels(folder / "labels.parquet"), labelling.label_files(files, model.model))
