import os
import re
import shutil
import time

import numpy as np
import pytest
from archive_server import Faults
from astropy.io import fits
from astropy.table import Table
from downloads import fetch, parts_in, spectra

from lab2 import apstar, catalog
from lab2 import archive as sdss
from lab2.__main__ import main
from lab2._lock import BusyError, alone
from lab2.archive import fetching, parallel, stars, transfer
from lab2.archive.web import ArchiveError, RefusedError
from lab2.files import sha256
from lab2.survey import check, list_files


def test_a_survey_comes_complete_through_a_bad_line(archive, folder, observed_survey, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 1)
    # an eighth of all answers: that one of 150 files fails six times in a row happens in one run of 2000
    archive.faults = Faults(drop=0.05, busy=0.04, page=0.02, stall=0.015)
    about, notes = fetch()
    assert spectra(folder) == spectra(observed_survey)
    assert parts_in(folder) == []
    assert about["missing"] == {}
    assert about["simulated"] is False
    assert about["label_tree"] == "synspec"
    assert len(notes) == 2, "the course's files are not on this server"
    assert len(archive.requests) > 155, "not much went wrong"
    found = check("dr17")
    assert found == about
    assert found["files"] == list_files(folder)


def test_nothing_is_fetched_twice(archive, folder):
    about, _ = fetch()
    archive.requests.clear()
    archive.statements.clear()
    written = (folder / "manifest.json").stat().st_mtime_ns
    assert fetch()[0] == about
    assert (folder / "manifest.json").stat().st_mtime_ns == written, "make would run everything again"
    assert archive.statements == []
    assert [request for request in archive.requests if request[2] == 200] == []


def test_a_plan_writes_nothing(archive, folder, capsys):
    assert main(["fetch", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "0 present; 150 to fetch, about 0." in said
    assert "fields 060+00, K2_C4_168-21, M15, N6791; " in said
    assert "tree synspec, from http://127.0.0.1" in said
    assert not folder.exists()
    assert archive.requests == []


def test_sizes_are_those_of_dr17(real_spectra):
    sizes = {"dwarf": 2, "giant": 5}  # rows
    for kind, rows in sizes.items():
        assert real_spectra[kind].stat().st_size == stars.HEADERS + stars.ROW * rows


def test_some_spectra_are_spread_over_all(archive, folder):
    fetch(limit=12)
    here = spectra(folder)
    assert len(here) == 12
    assert len({name.split("/")[0] for name in here}) == 4
    assert f"M15/apStar-dr17-{catalog.EXAMPLE}.fits" in here
    giants, _ = catalog.select_giants(catalog.load("dr17"))
    present, reasons = catalog.with_spectra(giants, "dr17")
    assert len(present) == 12
    assert reasons == ["not fetched"] * 138
    about, _ = fetch()
    assert len(spectra(folder)) == 150
    assert about["missing"] == {}


def test_a_few_missing_spectra_are_told_and_done_without(archive, folder, capsys):
    lost = [name.split("/")[1] for name in sorted(spectra(archive.stars.parent))[:3]]
    archive.lost = set(lost)
    assert main(["fetch"]) == 0
    said = capsys.readouterr().out
    for name in lost:
        assert f"{name}: " in said
    assert "the server answered 404" in said
    assert "147 spectra" in said
    assert "3 are missing, and the lab runs without them" in said
    giants, _ = catalog.select_giants(catalog.load("dr17"))
    present, reasons = catalog.with_spectra(giants, "dr17")
    assert len(present) == 147
    assert all("404" in reason for reason in reasons)
    archive.lost = set()
    about, _ = fetch()
    assert about["missing"] == {}
    assert len(spectra(folder)) == 150


def test_many_missing_spectra_are_an_error_and_what_came_is_kept(archive, folder, capsys):
    archive.lost = {name.split("/")[1] for name in sorted(spectra(archive.stars.parent))[:9]}
    assert main(["fetch"]) == 1
    said = capsys.readouterr().err
    assert "9 of 150 spectra could not be fetched" in said
    assert said.count("missing: apStar/") == 9
    assert "python -m lab2 survey --survey dr17" in said
    assert len(spectra(folder)) == 141
    assert not (folder / "manifest.json").exists()
    assert main(["survey", "--survey", "dr17"]) == 0


def test_another_star_s_spectrum_is_refused(archive, folder, tmp_path, observed_survey):
    archive.stars = tmp_path / "served"
    shutil.copytree(observed_survey / "apStar", archive.stars)
    one, other = sorted(archive.stars.glob("N6791/*.fits"))[:2]
    shutil.copyfile(one, other)
    about, _ = fetch()
    ((name, reason),) = about["missing"].items()
    assert name == f"apStar/N6791/{other.name}"
    assert reason.startswith("the file belongs to the star")


def test_spectra_are_read_one_at_a_time(archive, monkeypatch):
    now, most = [], []

    def read(path):
        now.append(path)
        most.append(len(now))
        time.sleep(0.01)
        now.remove(path)
        raise apstar.SpectrumError("never one")

    monkeypatch.setattr(apstar, "read", read)
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(ArchiveError, match="in a row failed"):
        fetch()
    assert len(most) >= parallel.FAILURES_IN_A_ROW
    assert max(most) == 1


def test_what_is_not_a_spectrum_never_gets_its_name(archive, folder, tmp_path, observed_survey, monkeypatch):
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    archive.stars = tmp_path / "served"
    shutil.copytree(observed_survey / "apStar", archive.stars)
    cut, page, other = sorted(archive.stars.glob("N6791/*.fits"))[:3]
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])  # whole by its length, cut by its header
    page.write_bytes(b"<html>")
    fits.PrimaryHDU(np.zeros(3)).writeto(other, overwrite=True)
    about, _ = fetch()
    assert {name.split("/")[-1] for name in about["missing"]} == {cut.name, page.name, other.name}
    assert len(spectra(folder)) == 147
    assert parts_in(folder) == []


def test_a_file_that_always_comes_damaged_is_its_own_fault(archive, folder, tmp_path, observed_survey):
    archive.stars = tmp_path / "served"
    shutil.copytree(observed_survey / "apStar", archive.stars)
    bad = sorted(archive.stars.glob("N6791/*.fits"))[0]
    whole = bad.read_bytes()
    bad.write_bytes(whole.replace(b"CRVAL1  =", b"CRVAL1  = 'what?' /"))
    for _ in range(2):  # the second run is no worse
        archive.requests.clear()
        about, _ = fetch()
        ((name, reason),) = about["missing"].items()
        assert name == f"apStar/N6791/{bad.name}"
        assert "CRVAL1" in reason or "not a complete FITS file" in reason
        assert sum(request[0].endswith(bad.name) for request in archive.requests) == transfer.ATTEMPTS
        assert len(spectra(folder)) == 149
        assert parts_in(folder) == []
    bad.write_bytes(whole)
    assert fetch()[0]["missing"] == {}


def test_a_file_of_two_rows_is_fetched_once(archive, folder):
    plan = sdss.plan()
    giants, _ = catalog.select_giants(plan.table)
    names = giants["FILE"].tolist()
    fields = giants["FIELD"].tolist()
    names[1], fields[1] = names[0], fields[0]
    giants["FILE"], giants["FIELD"] = names, fields
    twice = fetching.Plan(folder, plan.table, plan.record, new=False)
    fetching._look(twice, giants, catalog.spectrum_paths(giants, "dr17"), verify=False)
    assert len(twice.downloads) == len({download.path for download in twice.downloads}) == len(giants) - 1
    parallel.fetch_all(twice.downloads, "spectra")
    asked = [request[0] for request in archive.requests]
    assert len(asked) == len(set(asked)) == len(giants) - 1
    assert spectra(folder)[f"{fields[0]}/{names[0]}"] == (archive.stars / fields[0] / names[0]).read_bytes()


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_of_two_stars_is_that_of_either(archive, folder, order):
    table = sdss.plan().table
    rows = [table[0], table[-1]][::order]
    path = folder / "apStar" / str(rows[0]["FIELD"]) / str(rows[0]["FILE"])
    download = stars.download(rows, path)
    (path.parent).mkdir(parents=True)
    shutil.copy(archive.stars / path.parent.name / path.name, path)
    download.check(path)
    with pytest.raises(RefusedError, match=f"not {re.escape(rows[1]['APOGEE_ID'])}$"):
        stars.download(rows[1:], path).check(path)


@pytest.mark.parametrize("field", ["0123", "1E5", "nan", "null"])
def test_a_field_s_name_is_text_from_the_catalog_to_the_disk(archive, folder, tmp_path, observed_survey, field):
    archive.stars = tmp_path / "served"
    shutil.copytree(observed_survey / "apStar" / "M15", archive.stars / field)
    archive.rename("M15", field)
    about, _ = fetch(fields=[field], limit=2)
    assert {name.split("/")[0] for name in spectra(folder)} == {field}
    assert about["missing"] == {}
    again = sdss.plan(fields=[field], limit=2)
    assert again.present == 2
    assert again.record["fields"] == [field]
    assert again.record["sha256"] == sha256(folder / "allStar.fits")


def test_sizes_are_bounded_by_the_visits(archive, folder, tmp_path, observed_survey):
    plan = sdss.plan()
    rows = {row["FILE"]: row for row in plan.table}
    for download in plan.downloads:
        assert download.limit == 2 * stars.size(rows[download.path.name]["NVISITS"]) < 50_000_000
    assert stars.size(0) == stars.size(1) == 1_045_440
    assert stars.size(2**31 - 1) == stars.size(400) < 250_000_000
    archive.stars = tmp_path / "served"
    shutil.copytree(observed_survey / "apStar", archive.stars)
    big = plan.downloads[3]
    with (archive.stars / big.path.parent.name / big.path.name).open("ab") as file:
        file.truncate(40_000_000)
    ((name, reason),) = fetch()[0]["missing"].items()
    assert name.endswith(big.path.name)
    assert f"larger than {big.limit / 1e6:.1f} MB" in reason
    assert sum(request[0].endswith(big.path.name) for request in archive.requests) == 1


def test_damaged_files_are_found_set_aside_and_fetched_again(archive, folder, capsys):
    fetch()
    flipped, cut, lost = sorted(folder.glob("apStar/N6791/*.fits"))[:3]
    right = flipped.read_bytes()
    wrong = bytearray(right)
    wrong[20_000] ^= 1  # in the flux: still a spectrum
    flipped.write_bytes(wrong)
    cut.write_bytes(cut.read_bytes()[:-1])
    lost.unlink()
    quick = sdss.plan()
    assert set(quick.damaged) == {cut}, "a look at the sizes only"
    assert main(["fetch", "--verify"]) == 0
    said = capsys.readouterr().out
    assert f"to be fetched again: {flipped}: has another SHA-256 than in the manifest" in said
    assert flipped.read_bytes() == right
    assert (flipped.parent / f".damaged-{flipped.name}").read_bytes() == wrong
    check("dr17")


def test_damage_is_never_written_down_as_right(archive, folder):
    fetch()
    flipped, lost = sorted(folder.glob("apStar/N6791/*.fits"))[:2]
    wrong = bytearray(flipped.read_bytes())
    wrong[20_000] ^= 1
    flipped.write_bytes(wrong)
    lost.unlink()
    fetch()  # fetches the lost one, and writes the manifest anew
    with pytest.raises(ValueError, match=f"apStar/N6791/{re.escape(flipped.name)} has changed"):
        check("dr17")
    fetch(verify=True)
    check("dr17")


def test_a_file_of_unknown_origin_is_read(archive, folder):
    fetch()
    (folder / "manifest.json").unlink()
    bad = sorted(folder.glob("apStar/M15/*.fits"))[0]
    bad.write_bytes(b"SIMPLE  =")
    assert list(sdss.plan().damaged) == [bad]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("FILE", "../../../../escape.fits"),
        ("FILE", "/tmp/escape.fits"),
        ("FILE", "a\0b.fits"),
        ("FILE", "x" * 400 + ".fits"),
        ("FILE", ".hidden.fits"),
        ("TELESCOPE", "../.."),
        ("FIELD", "../.."),
        ("FIELD", "/tmp"),
        ("TELESCOPE", "apo25m?x="),
        ("APOGEE_ID", "../../escape"),
    ],
)
def test_no_name_leads_out_of_the_folder(archive, home, folder, column, value):
    plan = sdss.plan()
    row = int(np.flatnonzero(plan.table["APOGEE_ID"] == catalog.EXAMPLE)[0])
    values = plan.table[column].tolist()
    values[row] = value
    plan.table[column] = values
    folder.mkdir(parents=True)
    # FITS drops what follows a NUL, so the table is given as it would come
    bad = fetching.Plan(folder, plan.table, plan.record, new=False)
    giants, _ = catalog.select_giants(plan.table)
    fetching._look(bad, giants, catalog.spectrum_paths(giants, "dr17"), verify=False)
    assert len(bad.refused) == 1
    assert "not plain names" in next(iter(bad.refused.values()))
    assert len(bad.downloads) == len(giants) - 1
    inside = folder.resolve() / "apStar"
    assert all(inside in download.path.resolve().parents for download in bad.downloads)


def test_a_field_with_an_odd_name_is_refused(archive):
    with pytest.raises(ValueError, match=r"'\.\./M15' is not the name of an APOGEE field"):
        sdss.plan(fields=["../M15"])
    assert archive.statements == []


def test_southern_files_have_their_own_prefix(archive, folder):
    plan = sdss.plan()
    table = plan.table[:1]
    del table["FILE"]
    table["TELESCOPE"] = ["lco25m"]
    (path,) = catalog.spectrum_paths(table, "dr17")
    download = stars.download([table[0]], path)
    star, field = table["APOGEE_ID"][0], table["FIELD"][0]
    expected = f"/sas/dr17/apogee/spectro/redux/dr17/stars/lco25m/{field}/asStar-dr17-{star}.fits"
    assert download.url == archive.url + expected


def test_a_second_process_has_to_wait(archive, folder):
    plan = sdss.plan()
    folder.mkdir(parents=True)
    with alone(folder), pytest.raises(BusyError, match=r"dr17 is in use by process \d+ on .*; run the same command"):
        sdss.fetch(plan)
    assert archive.requests == []


def test_a_full_disk_is_told_before_anything_is_fetched(archive, folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 10**6))
    with pytest.raises(ArchiveError, match=r"0\.2 GB are to be fetched .* 0\.0 GB are\s+free; make room"):
        fetch()
    assert archive.requests == []


def test_a_simulated_survey_is_left_alone(archive, home, tiny_survey):
    (home / "data").mkdir()
    (home / "data" / "simulated").symlink_to(tiny_survey)
    with pytest.raises(ValueError, match="'simulated' is a simulated one; choose another name"):
        sdss.plan("simulated")


def test_a_catalog_that_is_there_is_kept(archive, folder):
    fetch(limit=4, fields=["M15"])
    plan = sdss.plan(limit=4)
    assert plan.record["fields"] == ["M15"]
    assert plan.record["sql"][0].endswith("WHERE s.field = 'M15'")
    assert plan.record["sha256"] == sha256(folder / "allStar.fits")
    assert plan.present == 4
    with pytest.raises(ValueError, match=r"has the fields M15, not these.*Choose another name"):
        sdss.plan(fields=["N6791"])
    with pytest.raises(ValueError, match="has a catalog already, from http"):
        sdss.plan(allstar="allStar-dr17.fits")
    Table.read(folder / "allStar.fits")[:-1].write(folder / "allStar.fits", overwrite=True)
    with pytest.raises(ValueError, match=r"allStar\.fits has changed.*--adopt"):
        sdss.plan()
    catalog.adopt("dr17")
    assert sdss.plan().record["source"] == "put there by its user"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_a_number_of_spectra(archive, limit):
    with pytest.raises(ValueError, match=f"limit is {limit}; give the number"):
        sdss.plan(limit=limit)


def test_the_catalog_can_come_from_allstar(archive, folder, allstar, observed_survey):
    plan = sdss.plan(allstar=allstar)
    assert archive.statements == []
    assert plan.record["source"] == allstar.name
    assert plan.record["label_tree"] == "synspec_rev1"
    assert "FPARAM" not in plan.table.colnames
    by_sql = sdss.plan().table
    for name in set(by_sql.colnames) - {"ASPCAP_ID"}:
        if by_sql[name].dtype.kind == "f":
            np.testing.assert_allclose(plan.table[name], by_sql[name], rtol=2e-7)
        else:
            assert plan.table[name].tolist() == by_sql[name].tolist()
    sdss.fetch(plan)
    assert spectra(folder) == spectra(observed_survey)
    assert sdss.plan(allstar=allstar).present == 150


def test_real_dr17_files_pass_the_check_and_come_byte_for_byte(archive, home, folder, real_spectra, tmp_path):
    archive.stars = tmp_path / "served"
    stars = apstar.read_many(real_spectra.values(), progress=False)
    rows = Table({"APOGEE_ID": stars.star.values, "FIELD": stars.field.values, "NVISITS": stars.n_visits.values})
    rows["TELESCOPE"] = "apo25m"
    for field, path in zip(rows["FIELD"], real_spectra.values(), strict=True):
        (archive.stars / field).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, archive.stars / field)
    plan = fetching.Plan(folder, rows, {"label_tree": "synspec", "fields": ["served"]}, new=False)
    files = catalog.spectrum_paths(rows, "dr17")
    fetching._look(plan, rows, files, verify=True)
    assert len(plan.downloads) == 2
    failed = parallel.fetch_all(plan.downloads, "real")
    assert failed == {}
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in real_spectra.values()]
    assert [d.expected for d in plan.downloads] == [path.stat().st_size for path in files]
    assert os.path.commonpath(files) == str(folder / "apStar")
