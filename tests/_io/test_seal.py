"""Files of results that were damaged, and the lines that tell it."""

import os

import h5py
import numpy as np
import pytest
import xarray as xr
from astropy.table import QTable, Table

from lab2._io import netcdf
from lab2._io.seal import check_seal, seal
from lab2.files import read_dataset, read_table, write_dataset, write_table

KIND = {"lab2 thing": 1}


@pytest.fixture
def path(tmp_path):
    """A file of a small dataset, with text in variables and attributes."""
    rng = np.random.default_rng(1)
    dataset = xr.Dataset(
        {"flux": (("star", "x"), rng.normal(size=(5, 40))), "why": ("star", ["", "é", "ok", "", "flagged"])},
        coords={"star": [f"2M{n}" for n in range(5)]},
        attrs={"survey": "simulated", "flags": ["1: A", "2: B"]},
    )
    write_dataset(tmp_path / "thing.nc", dataset, "lab2 thing", 1)
    return tmp_path / "thing.nc"


def resealed(content):
    """Contents that someone made, with a seal that fits."""
    return content + seal(content)


def test_any_flipped_bit_is_seen(path):
    content = path.read_bytes()
    rng = np.random.default_rng(2)
    for place in [*rng.integers(0, len(content), 300), *range(len(content) - 110, len(content))]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"thing\.nc is (damaged|not a complete file)"):
            read_dataset(path, KIND)
    path.write_bytes(content)
    assert read_dataset(path, KIND)[1] == "lab2 thing"


def test_zeroed_blocks_cuts_and_additions_are_seen(path):
    content = path.read_bytes()
    blocks = [content[:n] + bytes(32) + content[n + 32 :] for n in range(0, len(content) - 32, 32)]
    others = [b"", content[:1], content[: len(content) // 2], content[:-1], content + b"\0", content + content, b"\n"]
    for damaged in (*blocks, *others):
        if damaged == content:
            continue
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"thing\.nc is (damaged|not a complete file)"):
            read_dataset(path, KIND)


def test_a_file_that_another_program_has_changed_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["flux"][0, 0] = 7.0
    with pytest.raises(ValueError, match=r"thing\.nc is (damaged|not a complete file).*another program"):
        read_dataset(path, KIND)


def test_other_readers_read_the_file(path):
    ours, _ = read_dataset(path, KIND)
    with xr.open_dataset(path, engine="h5netcdf") as theirs:
        xr.testing.assert_equal(theirs.load(), ours)
    with h5py.File(path) as file:
        # no variable keeps its text in a heap
        assert {file[name].dtype.kind for name in ("star", "why", "flux")} == {"S", "f"}
    assert ours.star.dtype.kind == ours.why.dtype.kind == "U"
    assert ours.why.values.tolist() == ["", "é", "ok", "", "flagged"]


@pytest.mark.parametrize("kind", ["compressed", "chunked", "filled", "external", "virtual", "link", "strings", "group"])
def test_what_such_a_file_never_holds_is_refused_unread(tmp_path, kind):
    """Small files that declare 8 GB, or whose values lie elsewhere, with a seal that fits."""
    path, other = tmp_path / "a.nc", tmp_path / "b.nc"
    other.write_bytes(bytes(8000))
    with h5py.File(path, "w") as file:
        huge = {"shape": (10**9,), "dtype": "f8"}
        if kind == "compressed":
            file.create_dataset("x", **huge, chunks=(10**6,), compression="gzip")
        elif kind == "chunked":
            file.create_dataset("x", **huge, chunks=(10**6,))
        elif kind == "filled":
            file.create_dataset("x", **huge, fillvalue=1.0)
        elif kind == "group":
            file.create_dataset("posterior/x", **huge, chunks=True)
        elif kind == "external":
            file.create_dataset("x", shape=(1000,), dtype="f8", external=[(str(other), 0, 8000)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(10,), dtype="f8")
            layout[:] = h5py.VirtualSource(str(other), "x", shape=(10,))
            file.create_virtual_dataset("x", layout)
        elif kind == "link":
            file["x"] = h5py.ExternalLink(str(other), "/x")
        elif kind == "strings":
            file.create_dataset("x", data=["a", "b"], dtype=h5py.string_dtype())
    path.write_bytes(resealed(path.read_bytes()))
    check_seal(path)
    with pytest.raises(ValueError, match=r"a\.nc cannot be read as netCDF: .*(declares|another file|a link|of type)"):
        netcdf.read(path)


def test_a_variable_with_more_dims_than_axes_is_refused_unread(path):
    """HDF5 corrupts memory when it is asked for the dims of such a variable."""
    content = path.read_bytes()
    path.write_bytes(content[: -len(seal(b""))])
    with h5py.File(path, "r+") as file:
        dims, flux = file["flux"].attrs["DIMENSION_LIST"], file["flux"][...].ravel()
        del file["flux"]
        file["flux"] = flux
        file["flux"].attrs.create("DIMENSION_LIST", dims, dtype=h5py.vlen_dtype(h5py.ref_dtype))
    path.write_bytes(resealed(path.read_bytes()))
    with pytest.raises(ValueError, match="the dims of flux are not as many as its axes"):
        netcdf.read(path)


def test_bytes_that_are_no_netcdf_are_refused_with_file_and_reason(tmp_path):
    (tmp_path / "a.nc").write_bytes(resealed(b"theta: 1 2 3\n" * 100))
    with pytest.raises(ValueError, match=r"a\.nc cannot be read as netCDF"):
        netcdf.read(tmp_path / "a.nc")


def test_what_netcdf_does_not_hold_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="why holds Python objects"):
        write_dataset(tmp_path / "a.nc", xr.Dataset({"why": ("x", np.array([None, 1], object))}), "lab2 thing", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_large_sparse_file_is_refused_at_once(tmp_path):
    with (tmp_path / "a.nc").open("wb") as file:
        file.truncate(20 << 30)
    with pytest.raises(ValueError, match="not a complete file"):
        netcdf.read(tmp_path / "a.nc")


def test_no_file_and_no_plain_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.nc")
    for name in ("none.nc", "pipe.nc", "."):
        with pytest.raises(FileNotFoundError, match="no such lab2 thing file"):
            read_dataset(tmp_path / name, KIND)


# --- tables -------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    return QTable({"star": ["a", "b, c", 'd "e"', "f"], "teff": [4800.0, np.nan, 1e300, -0.0]}, meta={"about": "test"})


def test_a_table_comes_back_and_other_readers_read_it(table, tmp_path):
    path = tmp_path / "new" / "a.ecsv"
    write_table(path, table)
    for found in (read_table(path), QTable.read(path), Table.read(path, format="ascii.ecsv")):
        assert found["star"].tolist() == table["star"].tolist()
        np.testing.assert_array_equal(found["teff"], table["teff"])
        assert found.meta["about"] == "test"
    assert read_table(path).meta == table.meta == {"about": "test"}
    write_table(path, table[:0])
    assert len(read_table(path)) == 0


def test_a_row_that_a_reader_takes_for_a_comment_is_missed(table, tmp_path):
    table["star"][1] = "#b"
    write_table(tmp_path / "a.ecsv", table)
    with pytest.raises(ValueError, match=r"a\.ecsv was written with 4 rows and has 3"):
        read_table(tmp_path / "a.ecsv")


def test_a_table_cut_at_the_end_of_a_row_is_seen(table, tmp_path):
    path = tmp_path / "a.ecsv"
    write_table(path, table)
    lines = path.read_text().splitlines(keepends=True)
    for kept in range(len(lines)):
        path.write_text("".join(lines[:kept]))
        with pytest.raises(ValueError, match=r"a\.ecsv is not a complete file"):
            read_table(path)
    path.write_text("".join(lines[:-2] + lines[-1:]))  # a row is missing, the seal is there
    with pytest.raises(ValueError, match=r"a\.ecsv is damaged"):
        read_table(path)
    path.write_text("".join(lines).replace("4800", "4900"))
    with pytest.raises(ValueError, match=r"a\.ecsv is damaged"):
        read_table(path)
