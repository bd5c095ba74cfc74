import csv
import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, QTable, Table
from astropy.units import Unit

from lab2.labelling.writing import SUFFIXES, check_output, writing

META = {"model": "degree 2, " + 20 * "many words ", "date": "2026-01-01", "command": "lab2 label 'a b' é"}
NAMES = ["plain.fits", 'with "quotes", commas.fits', "two\nlines.fits", "é.fits", os.fsdecode(b"\xff.fits")]
# Astropy does not like texts in Parquet without a longest one.
pytestmark = pytest.mark.filterwarnings("ignore:No table..len")


def part(names, seed):
    """A few rows with every kind of column, their texts as long as they happen to be."""
    rng = np.random.default_rng(seed)
    values = rng.normal(4500.0, 100.0, len(names))
    values[0] = np.nan
    return Table(
        [
            Column(np.array(names), "file", description="the file"),
            Column(values, "teff", unit="K", description="teff, effective"),
            Column(values / 1e7, "fe_h", unit="dex", description="iron"),
            Column(rng.integers(-(2**40), 2**40, len(names)), "flag", description="bits"),
            Column(rng.random(len(names)) < 0.5, "simulated", description="or not"),
        ]
    )


def written(path, parts):
    with writing(path, META) as write:
        for one in parts:
            write(one)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_numbers_come_back_exactly(tmp_path, suffix):
    parts = [part(NAMES[:2], 1), part(NAMES[2:], 2)]
    found = Table.read(written(tmp_path / f"labels{suffix}", parts))
    assert os.listdir(tmp_path) == [f"labels{suffix}"]
    for name in ("teff", "fe_h", "flag"):
        expected = np.concatenate([one[name] for one in parts])
        assert np.array_equal(np.ma.filled(found[name].astype(float), np.nan), expected.astype(float), equal_nan=True)
    expected = np.concatenate([one["simulated"] for one in parts])
    assert [str(value) for value in found["simulated"]] == [str(value) for value in expected]
    accented = "\\xe9.fits" if suffix == ".fits" else "é.fits"
    assert list(found["file"]) == [*NAMES[:2], "two\\nlines.fits", accented, "\\udcff.fits"]


@pytest.mark.parametrize("suffix", [".ecsv", ".parquet", ".fits"])
def test_units_and_what_is_known_of_the_whole(tmp_path, suffix):
    found = Table.read(written(tmp_path / f"labels{suffix}", [part(NAMES, 3)]))
    assert [str(found[name].unit) for name in ("teff", "fe_h")] == ["K", "dex"]
    keys = {key: key.upper() if suffix == ".fits" else key for key in META}
    assert found.meta[keys["model"]].strip() == META["model"].strip()
    assert found.meta[keys["command"]] == META["command"].replace("é", "\\xe9" if suffix == ".fits" else "é")
    assert found["teff"].description == "teff, effective"


def test_the_fits_file_obeys_the_standard(tmp_path):
    path = written(tmp_path / "labels.fits", [part(NAMES[:2], 4)])
    assert path.stat().st_size % 2880 == 0
    with fits.open(path) as hdus:
        hdus.verify("exception")
        header = hdus[1].header
    assert header["EXTNAME"] == "LABELS"
    assert header["TUNIT2"] == "K"
    assert "TUNIT3" not in header  # the standard has no dex
    assert [header[f"TCOMM{n}"] for n in (2, 3)] == ["teff, effective", "iron, in dex"]


@pytest.mark.parametrize("kind", [Table, QTable])
def test_astropy_reads_units_that_fits_lacks(tmp_path, kind):
    values = np.arange(3.0)
    units = ["dex", "K dex", "% / Gyr", "dex(cm / s2)", "furlong"]  # the last one nobody knows
    columns = [Column(values, f"x{n}", unit=unit, description="é") for n, unit in enumerate(units)]
    found = kind.read(written(tmp_path / "labels.fits", [Table(columns)]))
    read = [found[name].unit for name in found.colnames]
    assert [Unit("dex"), Unit("K dex"), Unit("% / Gyr"), Unit("dex(cm / s2)")] == read[:4]
    assert found.meta["TCOMM1"] == "\\xe9, in dex"
    assert found.meta["TCOMM5"] == "\\xe9, in furlong"
    for name in found.colnames:
        np.testing.assert_array_equal(np.asarray(getattr(found[name], "value", found[name])), values)


def test_csv_is_plain(tmp_path):
    path = written(tmp_path / "labels.csv", [part(NAMES[:2], 5), part(NAMES[2:], 6)])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert rows[1]["file"] == NAMES[1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_breaks_off_leaves_the_old_table(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    path.write_text("old")

    def broken():
        yield part(NAMES[:2], 7)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(path, broken())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_found_before_the_work(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="no permission to write"), writing(tmp_path / "a.csv", META):
        pytest.fail("the work has begun")


def test_a_folder_that_cannot_be_made_is_found_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    message = "a file has the name of its folder"
    with pytest.raises(OSError, match=message), writing(tmp_path / "file" / "a.csv", META):
        pytest.fail("the work has begun")


def test_the_output_is_checked(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"\.fits, \.parquet, \.ecsv, \.csv, .* got 'labels.hdf5'"):
        check_output("labels.hdf5")
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_output(tmp_path / "a.csv")
    monkeypatch.setattr("lab2._extras.find_spec", lambda name: None if name == "pyarrow" else True)
    with pytest.raises(ImportError, match=r"a table in Parquet needs pyarrow, .* 'lab2\[scale\]'"):
        check_output("labels.parquet")
