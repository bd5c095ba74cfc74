"""Spectra as a store: the same spectra, the same labels, and damage that is noticed."""

import shutil

import numpy as np
import pytest
import xarray as xr

from lab2 import _code, cannon, continuum, labelling
from lab2.scale import build_store, label_survey, open_store, store
from lab2.scale.catalog import read_labels
from lab2.scale.plan import make_plan, read_plan
from lab2.scale.shards import Job, finish


def quiet(text):
    pass


def test_a_store_has_the_spectra_of_its_files(built, normalized):
    found = open_store(built).isel(star=slice(60))
    expected = normalized.drop_vars("continuum")
    assert set(found.coords) == set(expected.coords)
    assert set(found.data_vars) == set(expected.data_vars)
    for name, variable in expected.variables.items():
        np.testing.assert_array_equal(found[name].values, variable.values, err_msg=name)
        assert found[name].dtype.kind == variable.dtype.kind
        assert found[name].attrs == variable.attrs
    missing = open_store(built, slice(60, 61))
    assert "missing.fits" in str(missing.path.values[0])
    assert missing.read_error.values[0] != ""
    assert not missing.ivar.values.any()


def test_flux_is_read_only_when_it_is_used(built):
    assert not open_store(built).variables["flux"]._in_memory
    assert not (built.parent / "s.zarr.building").exists()


def test_fits_take_a_store_as_it_is(built, normalized, model):
    found = cannon.fit_labels(model.model, open_store(built, slice(10)))
    xr.testing.assert_identical(found.labels, cannon.fit_labels(model.model, normalized.isel(star=slice(10))).labels)


def test_labels_from_a_store_are_those_from_the_files(built, files, model, address, tmp_path):
    summary = label_survey(built, model.path, tmp_path / "run", shard=25, scheduler=address, report=quiet)
    assert (summary.stars, summary.unreadable) == (61, 1)
    found = read_labels(tmp_path / "run" / "labels.parquet")
    expected = labelling.label_files([*files, built.parent / "missing.fits"], model.model)
    assert found["file"].tolist() == expected["file"].tolist()
    assert found["flag"].tolist() == expected["flag"].tolist()
    for name in ("teff", "fe_h", "sigma_teff", "chi2"):  # the last bits depend on how many stars a block has
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)


def test_a_store_of_other_continuum_pixels_is_refused(model, files, address, tmp_path):
    pixels = model.model.trusted.copy()
    pixels[np.flatnonzero(pixels)[0]] = False
    out = build_store(files[:3], tmp_path / "other.zarr", pixels, scheduler=address, report=quiet)
    with pytest.raises(ValueError, match="with other continuum pixels than the spectra"):
        label_survey(out, model.path, tmp_path / "run", scheduler=address, report=quiet)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("change", [flip, cut, lambda path: path.unlink()], ids=["changed", "cut", "missing"])
@pytest.mark.parametrize("name", ["zarr.json", "snr/c/0", "ivar/c/0/0", "manifest.json"])
def test_damage_is_noticed(built, tmp_path, name, change):
    copy = tmp_path / "s.zarr"
    shutil.copytree(built, copy)
    change(copy / name)
    said = r"damaged|no such store|not a complete|checksum"
    with pytest.raises((ValueError, FileNotFoundError, RuntimeError), match=said):
        open_store(copy).ivar.values.sum()


def test_a_file_of_another_size_is_noticed_before_its_spectra_are_read(built, tmp_path):
    copy = tmp_path / "s.zarr"
    shutil.copytree(built, copy)
    cut(copy / "ivar/c/0/0")
    with pytest.raises(ValueError, match="is damaged: ivar/c/0/0 has another size"):
        open_store(copy)


def test_damage_matters_to_the_stars_that_it_concerns(files, address, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_FILE", 256)  # 2 files along the stars, of which the second has one star
    copies = [tmp_path / f"{n:03d}.fits" for n in range(257)]
    copies[256].symlink_to(files[0])
    out = tmp_path / "s.zarr"
    building, pixels = tmp_path / "s.zarr.building", continuum.load_pixels()
    plan = make_plan(building, copies, 256, {"code": _code.digest(_code.RUN)})
    store._begin(building / "store", plan.count, pixels)
    job = Job.of(building, plan, store.reading)
    store._close(building, plan, [finish(job, shard) for shard in plan.shards])
    (building / "store").rename(out)
    assert open_store(out, slice(256, 257)).snr.values[0] > 0
    (out / "snr" / "c" / "1").unlink()
    assert open_store(out, slice(256)).sizes["star"] == 256
    for stars in (slice(None), slice(256, 257), slice(255, 257), slice(-1, None)):
        with pytest.raises(ValueError, match=r"is damaged: snr/c/1 is missing"):
            open_store(out, stars)


def test_what_cannot_be_built_is_refused(built, files, address):
    with pytest.raises(FileExistsError, match="is there already"):
        build_store(files, built, scheduler=address, report=quiet)
    with pytest.raises(ValueError, match=r"a store's name ends with \.zarr"):
        build_store(files, built.parent / "store", scheduler=address, report=quiet)
    with pytest.raises(ValueError, match="no spectra were given"):
        build_store([], built.parent / "none.zarr", scheduler=address, report=quiet)


def test_a_full_disk_is_said_in_plain_words_and_the_build_goes_on(files, address, tmp_path, monkeypatch):
    out = tmp_path / "s.zarr"

    def no_room(*given, **more):
        raise OSError(28, "No space left on device")

    for name in ("create_group", "consolidate_metadata"):
        with monkeypatch.context() as patch:
            patch.setattr(store.zarr, name, no_room)
            with pytest.raises(OSError, match=r"cannot write .*s\.zarr\.building/store: the disk is full"):
                build_store(files[:2], out, scheduler=address, report=quiet)
        assert not out.exists()
    plan = read_plan(tmp_path / "s.zarr.building")
    job = Job.of(tmp_path / "s.zarr.building", plan, store.reading)
    monkeypatch.setattr(store.zarr.Array, "__setitem__", no_room)
    with pytest.raises(OSError, match=r"cannot write .*s\.zarr\.building/store/\w+: the disk is full"):
        store.reading(job, plan.shards[0], list(map(str, files[:2])))
    monkeypatch.undo()
    build_store(files[:2], out, scheduler=address, report=quiet)
    assert open_store(out).sizes["star"] == 2


def test_a_build_that_is_interrupted_goes_on(files, model, address, tmp_path, monkeypatch):
    out, pixels = tmp_path / "s.zarr", model.model.trusted
    with monkeypatch.context() as patch:
        patch.setattr(store, "_close", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build_store(files[:5], out, pixels, scheduler=address, report=quiet)
    assert not out.exists()
    record = tmp_path / "s.zarr.building" / "shards" / "000000.json"
    chunk = tmp_path / "s.zarr.building" / "store" / "flux" / "c" / "0" / "0"
    before = chunk.stat().st_mtime_ns
    assert record.is_file()
    build_store(files[:5], out, pixels, scheduler=address, report=quiet)
    assert (out / "flux" / "c" / "0" / "0").stat().st_mtime_ns == before
    assert open_store(out).sizes["star"] == 5
