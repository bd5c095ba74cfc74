import tracemalloc

import numpy as np
import pytest
from astropy.table import Table

from lab2 import archive as sdss
from lab2 import catalog
from lab2.archive import allstar as module
from lab2.archive.web import ArchiveError


def test_a_lighter_allstar_will_do(archive, allstar, tmp_path):
    table = Table.read(allstar)
    table.remove_columns(["FILE", "APSTAR_ID", "FPARAM", "GLON", "NI_FE"])
    table.write(tmp_path / "allStarLite.fits")
    plan = sdss.plan(allstar=tmp_path / "allStarLite.fits")
    assert len(plan.downloads) == 150
    assert plan.downloads[0].url == sdss.plan(allstar=allstar).downloads[0].url
    table["ASPCAP_ID"] = [str(name).replace("dr17", "r12") for name in table["ASPCAP_ID"]]
    table.write(tmp_path / "allStarLite-r12.fits")
    with pytest.raises(ArchiveError, match="of another data release: its ASPCAP_ID is apogee"):
        sdss.plan(allstar=tmp_path / "allStarLite-r12.fits")


def test_an_empty_column_is_no_other_release(archive, allstar, tmp_path):
    table = Table.read(allstar)
    table["FILE"] = [""] * len(table)
    table.write(tmp_path / "without.fits")
    assert len(module.read(tmp_path / "without.fits", sdss.FIELDS)) > 100


def test_a_damaged_allstar_is_named(allstar, tmp_path):
    whole = allstar.read_bytes()
    for damage in (b"TFORM3  =", b"NAXIS1  =", b"BITPIX  =", b"TFIELDS ="):
        at = whole.index(damage, 2880)
        (tmp_path / "bad.fits").write_bytes(whole[:at] + damage + b"'\x80?'".ljust(71) + whole[at + 80 :])
        with pytest.raises(ArchiveError, match=r"bad\.fits"):
            module.read(tmp_path / "bad.fits", ["M15"])


def test_only_the_fields_rows_of_allstar_are_read(tmp_path, allstar):
    table = Table.read(allstar)
    many = Table(np.resize(table.as_array(), 40_000))
    many["FIELD"] = np.where(np.arange(len(many)) < len(table), many["FIELD"], "elsewhere")
    many["PAD"] = np.zeros((len(many), 400), "f4")
    path = tmp_path / "large.fits"
    many.write(path)
    del many
    tracemalloc.start()
    read = module.read(path, sdss.FIELDS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 100 < len(read) <= len(table)
    assert peak < 0.2 * path.stat().st_size


def test_other_files_are_no_allstar(tmp_path, allstar, real_spectra):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing"):
        module.read(tmp_path / "nothing.fits", ["M15"])
    (tmp_path / "text.fits").write_text("not FITS")
    with pytest.raises(ArchiveError, match=r"text\.fits is not a complete FITS file"):
        module.read(tmp_path / "text.fits", ["M15"])
    with pytest.raises(ArchiveError, match=r"is not a complete FITS file with a table in HDU 1|has no column FIELD"):
        module.read(real_spectra["giant"], ["M15"])
    table = Table.read(allstar)
    table["FILE"] = [str(name).replace("-dr17-", "-r12-") for name in table["FILE"]]
    table.write(tmp_path / "allStar-r12.fits")
    with pytest.raises(ArchiveError, match="of another data release: its FILE is apStar-r12-"):
        module.read(tmp_path / "allStar-r12.fits", sdss.FIELDS)


def test_an_empty_column_of_names_says_nothing_about_the_data_release(tmp_path, allstar):
    table = Table.read(allstar)
    table["FILE"] = ""
    table.write(tmp_path / "no_names.fits")
    assert len(module.read(tmp_path / "no_names.fits", sdss.FIELDS)) > 100
    table["ASPCAP_ID"] = [str(name).replace("dr17", "r12") for name in table["ASPCAP_ID"]]
    table.write(tmp_path / "r12.fits")
    with pytest.raises(ArchiveError, match="of another data release: its ASPCAP_ID is apogee"):
        module.read(tmp_path / "r12.fits", sdss.FIELDS)


def test_what_the_lab_can_do_without_may_be_absent(tmp_path, allstar):
    table = Table.read(allstar)
    optional = [name for name in (*catalog.OPTIONAL, "ASPCAP_ID", "VERR") if name in table.colnames]
    table.remove_columns(optional)
    table.write(tmp_path / "short.fits")
    read = module.read(tmp_path / "short.fits", sdss.FIELDS)
    assert {*catalog.REQUIRED, "TELESCOPE", "NVISITS"} <= set(read.colnames)
    table.remove_column("SNR")
    table.write(tmp_path / "shorter.fits")
    with pytest.raises(ArchiveError, match="has no column SNR"):
        module.read(tmp_path / "shorter.fits", sdss.FIELDS)
