"""Fill the disk at every stage of a survey, make room, go on; compare with a run that had room. By hand, as root:

python tests/scale_full_disk.py FOLDER_OF_SPECTRA MODEL

The disk is a tmpfs of a few sizes, so small that the plan, the model's copy, a shard, the catalog, the store or the
table of `lab2 label` does not fit.
"""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from lab2.labelling.inputs import spectrum_files
from lab2.scale import open_store
from lab2.scale.catalog import read_labels

_STARS, _SHARD = 60, "4"
_SMALL = 8, 60, 1000  # too small for the lists, the plan, the model [kB]
_ROOMY = 300_000  # [kB]


def main(spectra, model):
    """Run, and print for each size what was said and whether the results are right in the end."""
    with tempfile.TemporaryDirectory() as place:
        names = Path(place, "names")
        names.write_text("".join(f"{path}\n" for path in spectrum_files([spectra])[:_STARS]))
        words = ["--files-from", str(names), "--model", model]
        _survey(Path(place), [*words, "--workers", "2"])
        _store(Path(place), [*words, "--workers", "1"])
        _label(Path(place), [*words, "--workers", "1"])


def _survey(place, words):
    whole = place / "whole"
    status, said = _lab2("label-survey", *words, "--shard", _SHARD, "-o", whole)
    assert status == 0, said
    expected = read_labels(whole / "labels.parquet")
    own = sum(path.stat().st_size for path in whole.glob("*.nc")) / 1024
    shards = sum(-(-path.stat().st_size // 4096) * 4 for path in whole.glob("shards/*"))  # a tmpfs has pages of 4 kB
    # half of the shards, all but the last, and all but then no catalog
    sizes = *_SMALL, own + 40 + 0.5 * shards, own + shards - 20, own + shards + 80
    for size in map(round, sizes):
        with _disk(place / "disk", size) as disk:
            status, said = _lab2("label-survey", *words, "--shard", _SHARD, "-o", disk / "run")
            finished = len(list(disk.glob("run/shards/0*.parquet")))
            assert status in (1, 2), said
            assert "the disk is full" in said, said
            assert "Traceback" not in said, said
            assert not list(disk.glob("run/labels.*")), "a catalog of a run that failed"
            _more(disk)
            again, last = _lab2("label-survey", *words, "--shard", _SHARD, "-o", disk / "run")
            assert again == 0, last
            _same(read_labels(disk / "run" / "labels.parquet"), expected)
            left = [path.name for path in disk.rglob(".part-*")]
            assert not left, left
        print(f"label-survey, {size} kB: status {status}, {finished} shards; then 0, the same labels\n  {_end(said)}")


def _store(place, words):
    assert _lab2("store", *words, "-o", place / "whole.zarr")[0] == 0
    with xr.set_options(keep_attrs=True):
        expected = open_store(place / "whole.zarr").load()
    total = sum(path.stat().st_size for path in (place / "whole.zarr").rglob("*") if path.is_file()) / 1024
    for size in map(round, (8, 200, 0.5 * total, total - 8)):
        with _disk(place / "disk", size) as disk:
            status, said = _lab2("store", *words, "-o", disk / "s.zarr")
            assert status in (1, 2), said
            assert "the disk is full" in said, said
            assert "Traceback" not in said, said
            assert not (disk / "s.zarr").exists()
            _more(disk)
            again, last = _lab2("store", *words, "-o", disk / "s.zarr")
            assert again == 0, last
            xr.testing.assert_identical(open_store(disk / "s.zarr").load(), expected)
        print(f"store, {size} kB: status {status}; then 0, the same spectra\n  {_end(said)}")


def _label(place, words):
    for suffix in (".fits", ".parquet", ".ecsv", ".csv"):
        out = f"labels{suffix}"
        assert _lab2("label", *words, "-o", place / out)[0] == 0
        expected = (place / out).read_bytes()
        for size in (8, 24):
            with _disk(place / "disk", size) as disk:
                status, said = _lab2("label", *words, "-o", disk / out)
                assert status == 2, said
                assert said.count("\n") == 1, said
                assert "the disk is full" in said, said
                assert not list(disk.iterdir())
                _more(disk)
                assert _lab2("label", *words, "-o", disk / out)[0] == 0
                assert abs(len((disk / out).read_bytes()) - len(expected)) < 100  # the date and the command differ
            print(f"label, {out}, {size} kB: status {status}\n  {_end(said)}")


def _lab2(*words):
    done = subprocess.run([sys.executable, "-m", "lab2", *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stderr


@contextlib.contextmanager
def _disk(folder, size):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _more(folder):
    subprocess.run(["mount", "-o", f"remount,size={_ROOMY}k", folder], check=True)


def _same(found, expected):
    assert found["file"].tolist() == expected["file"].tolist()
    for name in expected.colnames:
        np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(expected[name]), err_msg=name)


def _end(said):
    """The line that gives the reason."""
    return [line.strip() for line in said.splitlines() if "the disk is full" in line][-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
