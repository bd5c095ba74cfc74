import datetime
import hashlib
from dataclasses import dataclass

import h5netcdf
import numpy as np
import pytest
import xarray as xr

from lab2.cannon import Cannon
from lab2.files import Kept, now, replacing, sha256
from lab2.network import Network
from lab2.validation import Calibration


@dataclass(frozen=True, eq=False)
class Thing(Kept):
    """Something that is kept."""

    kind, version = "lab2 thing", 3


@dataclass(frozen=True, eq=False)
class Other(Kept):
    """Something else that is kept."""

    kind, version = "lab2 other thing", 3


@pytest.fixture
def thing():
    values = np.array([1.0, np.inf, -0.0, 1e-300])
    return Thing(
        xr.Dataset({"a": ("x", values), "b": ((), 3)}, coords={"x": list("uvwx")}, attrs={"label_tree": "synspec"})
    )


def test_what_is_kept_comes_back_exactly(thing, tmp_path):
    path = tmp_path / "new" / "thing.nc"
    thing.save(path)
    back = Thing.load(path)
    assert type(back) is Thing
    xr.testing.assert_identical(back.dataset, thing.dataset)
    assert thing.dataset.attrs == {"label_tree": "synspec"}  # the marks are in the file only
    assert [file.name for file in path.parent.iterdir()] == ["thing.nc"]
    thing.save(path)  # in the place of an older one
    xr.testing.assert_identical(Thing.load(path).dataset, thing.dataset)
    path.unlink()
    assert back.dataset.a.values[3] == 1e-300  # it is in memory


def test_the_file_says_what_it_is(thing, tmp_path):
    thing.save(tmp_path / "thing.nc")
    with h5netcdf.File(tmp_path / "thing.nc") as file:
        assert (file.attrs["format"], file.attrs["format_version"]) == ("lab2 thing", 3)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file of a lab2 thing: .*none\.nc"):
        Thing.load(tmp_path / "none.nc")
    with pytest.raises(FileNotFoundError, match="no such file"):
        Thing.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 100, 2000, -1])
def test_a_file_that_is_cut(thing, tmp_path, keep):
    path = tmp_path / "thing.nc"
    thing.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"thing\.nc is not a whole netCDF file .*; train and save it again"):
        Thing.load(path)


def test_files_of_another_kind_are_refused(thing, tmp_path):
    Other(thing.dataset).save(tmp_path / "other.nc")
    with pytest.raises(ValueError, match=r"other\.nc is not a lab2 thing: its .* is 'lab2 other thing'"):
        Thing.load(tmp_path / "other.nc")
    thing.dataset.to_netcdf(tmp_path / "plain.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"plain\.nc is not a lab2 thing: its attribute 'format' is None"):
        Thing.load(tmp_path / "plain.nc")


@pytest.mark.parametrize("version", [2, 4])
def test_a_file_of_another_version(thing, tmp_path, version):
    path = tmp_path / "thing.nc"
    thing.save(path)
    with h5netcdf.File(path, "a") as file:
        file.attrs["format_version"] = version
    with pytest.raises(ValueError, match=f"has format version {version}, this code reads 3; train it again"):
        Thing.load(path)


def test_a_save_that_fails_leaves_the_older_file(thing, tmp_path, monkeypatch):
    path = tmp_path / "thing.nc"
    thing.save(path)
    before = path.read_bytes()

    def fail(self, part, **how):
        part.write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="the disk is full"):
        Thing(thing.dataset * 2).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_kinds_in_the_package_are_told_apart():
    kinds = {kept.kind for kept in (Cannon, Calibration, Network)}
    assert kinds == {"lab2 Cannon", "lab2 calibration", "lab2 network"}
    assert all(isinstance(kept.version, int) for kept in (Cannon, Calibration, Network))


def test_replacing_leaves_all_or_nothing(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as part:
        part.write_text("one")
        assert not path.exists()
        assert part.suffix == ".txt"
    assert path.read_text() == "one"
    with pytest.raises(RuntimeError), replacing(path) as part:  # noqa: PT012
        part.write_text("half of two")
        raise RuntimeError
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_sha256(tmp_path):
    content = np.random.default_rng(0).bytes(3_000_001)  # more than one block of any reader
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_now_is_utc_in_whole_seconds():
    read = datetime.datetime.fromisoformat(now())
    assert read.utcoffset() == datetime.timedelta(0)
    assert read.microsecond == 0
    assert abs(datetime.datetime.now(datetime.UTC) - read) < datetime.timedelta(minutes=1)
