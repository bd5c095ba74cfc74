import datetime
import errno
import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5netcdf
import numpy as np
import pytest
import xarray as xr

from lab2.cannon import Cannon
from lab2.files import Kept, check_writable, holds, now, replacing, sha256, write_dataset
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
    with pytest.raises(FileNotFoundError, match=r"no such lab2 thing file: .*none\.nc"):
        Thing.load(tmp_path / "none.nc")
    with pytest.raises(FileNotFoundError, match="no such lab2 thing file"):
        Thing.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 100, 2000, -1])
def test_a_file_that_is_cut(thing, tmp_path, keep):
    path = tmp_path / "thing.nc"
    thing.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"thing\.nc is not a complete file: .* truncated.*; train and save it again"):
        Thing.load(path)


def test_files_of_another_kind_are_refused(thing, tmp_path):
    Other(thing.dataset).save(tmp_path / "other.nc")
    with pytest.raises(ValueError, match=r"other\.nc is not a lab2 thing: its .* is 'lab2 other thing'"):
        Thing.load(tmp_path / "other.nc")
    thing.dataset.to_netcdf(tmp_path / "plain.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"plain\.nc is not a complete file: .* written by an older version; train"):
        Thing.load(tmp_path / "plain.nc")


def test_two_results_in_one_file(thing, tmp_path):
    # the dim of the second has the name of the first's, and another length
    values = {"other": ("x", np.arange(5.0)), "words": ("x", ["é", "b", "c", "d", "eee"])}
    second = Other(xr.Dataset(values, coords={"x": list("lmnop")}, attrs={"about": "the second"}))
    thing.save(tmp_path / "both.nc", second)
    xr.testing.assert_identical(Thing.load(tmp_path / "both.nc").dataset, thing.dataset)
    xr.testing.assert_identical(Other.load(tmp_path / "both.nc").dataset, second.dataset)
    assert holds(tmp_path / "both.nc", Other.kind)
    thing.save(tmp_path / "alone.nc")
    assert not holds(tmp_path / "alone.nc", Other.kind)
    with pytest.raises(ValueError, match="is not a"):
        Other.load(tmp_path / "alone.nc")


@pytest.mark.parametrize("version", [2, 4])
def test_a_file_of_another_version(thing, tmp_path, version):
    path = tmp_path / "thing.nc"
    thing.save(path)
    write_dataset(path, thing.dataset, thing.kind, version)
    with pytest.raises(ValueError, match=f"has format version {version}, this code reads 3; train and save it again"):
        Thing.load(path)


FULL = """
import resource, signal, sys
import numpy as np, xarray as xr
from lab2 import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    files.write_dataset(sys.argv[1], xr.Dataset({"a": ("x", np.random.default_rng(1).random(50000))}), "lab2 thing", 3)
except OSError as problem:
    print(problem)
"""


@pytest.mark.parametrize("room", [0, 500, 20_000, 300_000])
def test_a_file_that_there_is_no_room_for(thing, tmp_path, room):
    """A limit to the size of files fails as a full disk does, in the middle of a write."""
    path = tmp_path / "thing.nc"
    thing.save(path)
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, path, str(room)], capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot write {path}: it would exceed the maximum file size\n"
    assert done.stderr == ""
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EIO, "the disk reports an error"),
    ],
)
def test_a_disk_that_fails_when_the_file_is_synced(tmp_path, monkeypatch, number, words):
    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    path = tmp_path / "a.txt"
    path.write_text("one")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=rf"^cannot write {path}: {words}$"), replacing(path) as part:
        part.write_text("two")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_that_cannot_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a.txt", tmp_path / "file" / "b" / "a.txt"):
        with pytest.raises(OSError, match=f"{path}: a file has the name of its folder"), replacing(path) as part:
            part.write_text("one")
    with pytest.raises(OSError, match=r"cannot write .*: a folder has this name"), replacing(tmp_path) as part:
        part.write_text("one")
    with (
        pytest.raises(OSError, match=r"cannot write .*: the name is too long"),
        replacing(tmp_path / ("a" * 250)) as part,
    ):
        part.write_text("one")

    def fail(self, *arguments, **how):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", fail)
    with (
        pytest.raises(OSError, match=r"new/a\.txt: the file system is read-only"),
        replacing(tmp_path / "new" / "a.txt"),
    ):
        pass


def test_errors_of_other_files_stay_as_they_are(tmp_path):
    with pytest.raises(PermissionError, match="other"), replacing(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "Permission denied", "other")
    with pytest.raises(ConnectionError, match="no network"), replacing(tmp_path / "a.txt"):
        raise ConnectionError("no network")
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    with pytest.raises(OSError, match=r"^cannot write .*b\.txt: the disk is full"), replacing(a), replacing(b):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from lab2.files import replacing
with replacing(sys.argv[1]) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path):
    path = tmp_path / "a.txt"
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".part-")
    with replacing(tmp_path / "b.txt") as part:
        part.write_text("b")
    assert list(tmp_path.iterdir()) == [tmp_path / "b.txt"]


def test_temporary_files_of_living_writers_stay(tmp_path):
    elsewhere, old = tmp_path / ".part-00000000-1-aaaaaaaa-a.txt", tmp_path / ".part-99-a.txt"
    for file in (elsewhere, old):
        file.write_text("half")
    os.utime(old, (0, 0))
    with replacing(tmp_path / "a.txt") as ours:
        ours.write_text("one")
        with replacing(tmp_path / "a.txt") as also_ours:
            assert ours != also_ours
            also_ours.write_text("two")
        assert ours.exists()
    assert sorted(tmp_path.iterdir()) == sorted([elsewhere, tmp_path / "a.txt"])  # the old one is nobody's
    assert (tmp_path / "a.txt").read_text() == "one"  # the last to end


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order, fsync, replace = [], os.fsync, os.replace

    def sync(descriptor):
        order.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def rename(part, path):
        order.append("renamed")
        replace(part, path)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    with replacing(tmp_path / "a.txt") as part:
        part.write_text("one")
    assert order == [str(part), "renamed", str(tmp_path)]


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


def test_a_file_that_can_be_written_is_not_written_when_asked(tmp_path):
    check_writable(tmp_path / "new" / "a.nc")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "old.nc").write_text("old")
    check_writable(tmp_path / "old.nc")
    assert (tmp_path / "old.nc").read_text() == "old"
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(OSError, match="a file has the name of its folder"):
        check_writable(tmp_path / "old.nc" / "a.nc")


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
