import time
import tracemalloc
from urllib.parse import urlencode

import numpy as np
import pytest
from archive_server import bomb
from astropy.table import Table, vstack

from lab2 import archive
from lab2.archive import columns, skyserver, web
from lab2.archive.web import ArchiveError, RefusedError, TransientError

FIELDS = list(archive.FIELDS)


def test_the_answer_is_the_catalog(archive, observed_survey):
    table, statements = skyserver.query(FIELDS)
    expected = whole(observed_survey)
    expected = expected[np.isin(expected["FIELD"], FIELDS)]  # not second rows in a field beside
    expected = expected[np.lexsort((-expected["SNR"], expected["APOGEE_ID"]))]
    assert len(table) == len(expected)
    assert len(statements) == len(FIELDS)
    for column in columns.COLUMNS:
        came, sent = table[column.name], expected[column.name]
        if column.kind == "U":
            assert came.tolist() == sent.tolist(), column.name
        else:
            assert came.dtype == np.dtype(column.kind)
            np.testing.assert_allclose(came, sent, rtol=2e-7, err_msg=column.name)
    assert (table["TEFF"] == -9999).any(), "SDSS's own NULL stays in the catalog"


def test_each_field_is_counted_first(archive):
    skyserver.query(["M15"])
    tables = "FROM apogeeStar AS s JOIN aspcapStar AS a ON a.apstar_id = s.apstar_id WHERE s.field = 'M15'"
    *_, count, rows = archive.statements
    assert count == f"SELECT COUNT(*) AS n {tables}"
    assert rows.startswith("SELECT s.[file], s.apstar_id, s.apogee_id, ")
    assert rows.endswith(tables)


def test_the_query_is_what_astroquery_sends_and_what_the_web_server_takes(archive):
    sdss = pytest.importorskip("astroquery.sdss")
    skyserver.query(["K2_C4_168-21"])
    statement = skyserver.sql("K2_C4_168-21")
    payload = sdss.SDSSClass().query_sql(statement, get_query_payload=True, data_release=17)
    assert archive.queries[-1] == payload | {"cmd": statement}
    assert payload["cmd"].strip() == statement
    assert sdss.SDSSClass()._get_query_url(17) == f"https://skyserver.sdss.org/{skyserver.PATH}"
    assert len(urlencode(payload)) < 2048
    assert "--" not in statement  # where astroquery would cut it off
    with pytest.raises(ValueError, match="more than the 1500 that SkyServer accepts"):
        skyserver.sql("x" * 1500)


def test_a_quote_stays_inside_the_field_s_name():
    assert skyserver.sql("a' OR '1'='1").endswith("WHERE s.field = 'a'' OR ''1''=''1'")


def test_tables_without_the_file_s_name_will_do(archive):
    archive.hide("FILE")
    table, (statement,) = skyserver.query(["M15"])
    assert "FILE" not in table.colnames
    assert "file" not in statement


def test_tables_without_a_label_will_not(archive):
    archive.hide("MG_FE")
    with pytest.raises(ArchiveError, match=r"lack aspcapStar\.mg_fe: is this its release 17"):
        skyserver.query(["M15"])


def test_an_unknown_field_is_named(archive):
    with pytest.raises(ArchiveError, match="no star in the field 'M16'"):
        skyserver.query(["M15", "M16"])


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        (
            "500",
            TransientError,
            r"answered 500: SkyServer Error , sorry\. Try again later, or give .*--allstar",
        ),
        ("page", TransientError, r"text instead of rows: SkyServer Error , sorry\. Try again later"),
        ("refused", RefusedError, r"answered SELECT .*Invalid column name.*Try again later, or give"),
        (
            "words",
            RefusedError,
            r"answered SELECT .* text instead of rows: .*SQL returned an error.*Invalid object name 'x'.*or give",
        ),
        ("empty", TransientError, r"sent 0 of \d+ rows.*Try again later"),
        ("truncated", TransientError, r"sent \d+ of \d+ rows"),
        ("stall", TransientError, r"SkyServer: http\S+: no complete answer within 0\.2 s\. Try again later"),
    ],
)
def test_every_way_to_fail_has_its_advice(archive, monkeypatch, how, kind, message):
    monkeypatch.setattr(skyserver, "TIMEOUT", 0.2)
    archive.sql = how
    with pytest.raises(kind, match=message) as raised:
        skyserver.query(["M15"])
    assert type(raised.value) is kind
    assert "<" not in str(raised.value)
    asked = len(archive.statements)
    expected = {"truncated": 3}.get(how, 0) + (skyserver.ATTEMPTS if kind is TransientError else 1)
    assert asked == expected


def test_too_many_queries_are_told_in_skyserver_s_words_and_asked_again_after_a_minute(archive, monkeypatch):
    monkeypatch.setattr(web, "LONGEST_WAIT", 0.01)
    archive.sql = "too many"
    message = (
        r"SkyServer says: .*ERROR: Maximum 60 queries allowed per minute\. Rejected query: SELECT TOP 1.* Try again"
    )
    with pytest.raises(TransientError, match=message) as raised:
        skyserver.query(["M15"])
    assert raised.value.retry_after == 60
    assert len(archive.statements) == skyserver.ATTEMPTS
    archive.recover_after(1)
    assert len(skyserver.query(["M15"])[0]) > 10


@pytest.mark.parametrize("how", ["endless", "bomb"])
def test_a_body_is_bounded_by_the_rows_that_were_asked_for(archive, how):
    archive.sql = how
    bomb()  # made before time and memory are measured
    start = time.monotonic()
    tracemalloc.start()
    with pytest.raises(RefusedError, match=r"SkyServer: the answer is longer than 0\.1 MB, .*Try again later, or give"):
        skyserver.query(["M15"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - start < 20
    assert peak < 3_000_000
    assert len(archive.statements) == 1


def test_a_body_s_time_is_bounded_though_there_is_always_a_next_byte(archive, monkeypatch):
    monkeypatch.setattr(skyserver, "TIMEOUT", 0.4)
    monkeypatch.setattr(skyserver, "ATTEMPTS", 1)
    archive.sql = "trickle"
    start = time.monotonic()
    with pytest.raises(TransientError, match=r"no complete answer within 0\.4 s"):
        skyserver.query(["M15"])
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("ending", ["1,2\n3\n", '1,2\n3,"4\n', "1,2\n3,4,5\n", "1,2\n", "1,2\n3,4\n5,6\n"])
def test_rows_that_are_not_whole_are_asked_for_again(archive, monkeypatch, ending):
    monkeypatch.setattr(archive, "answer", lambda statement: f"#Table1\na,b\n{ending}")
    with pytest.raises(TransientError, match=r"SkyServer sent \d of 2 rows"):
        skyserver.ask("SELECT", ["A", "B"], 2)
    assert len(archive.statements) == skyserver.ATTEMPTS


def test_cells_are_those_of_csv(archive, monkeypatch):
    said = '\ufeff#Table1\r\nName,b\r\n"a,""b""\nc",007\r\n# 1,NaN\r\n'
    monkeypatch.setattr(archive, "answer", lambda statement: said)
    table = skyserver.ask("SELECT", ["NAME", "B"], 2)
    assert [tuple(row) for row in table] == [('a,"b"\nc', "007"), ("# 1", "NaN")]


@pytest.mark.parametrize("n", ["many", "-1", "1e9", "99999999999", ""])
def test_a_count_is_a_number_of_rows_of_a_field(archive, monkeypatch, n):
    monkeypatch.setattr(archive, "answer", lambda statement: f'#Table1\nn\n"{n}"\n')
    with pytest.raises(ArchiveError, match=r"SkyServer counts '.*' rows in the field M15|sent 0 of 1 rows"):
        skyserver.count("M15", skyserver.ask)


@pytest.mark.parametrize("field", ["0123", "1E5", "nan", "null", "inf", "NA", "-0"])
def test_a_cell_of_text_stays_text(archive, field):
    archive.rename("M15", field)
    table, _ = skyserver.query([field])
    assert set(table["FIELD"]) == {field}
    assert len(table) > 10


def test_a_row_s_names_stay_text(archive):
    archive.rename("M15", "7")
    archive.set("7", "APOGEE_ID", [f"{number:05d}" for number in range(1, 1000)])
    table, _ = skyserver.query(["7"])
    assert table["APOGEE_ID"].tolist() == [f"{number:05d}" for number in range(1, len(table) + 1)]


@pytest.mark.parametrize("target", ["https://127.0.0.1/x", "ftp://127.0.0.1/x", "http://127.0.0.1:9/x"])
def test_no_redirect_leads_to_another_server(archive, target):
    archive.sql, archive.redirect = "redirect", target
    with pytest.raises(RefusedError, match=r"redirects to another server, which is refused: \w+://127"):
        skyserver.query(["M15"])


def test_a_failure_that_passes_is_not_told(archive):
    archive.sql = "500"
    archive.recover_after(2)
    table, _ = skyserver.query(["M15"])
    assert set(table["FIELD"]) == {"M15"}


def test_nobody_there(monkeypatch, archive):
    monkeypatch.setenv("LAB2_SKYSERVER_URL", "http://127.0.0.1:9")  # the discard port
    with pytest.raises(TransientError, match=r"SkyServer: http://127.0.0.1:9/.*Connection refused"):
        skyserver.query(["M15"])


@pytest.mark.parametrize("url", ["ftp://x", "skyserver.sdss.org", "file:///tmp"])
def test_the_archive_s_address_is_one_of_the_web(monkeypatch, url):
    monkeypatch.setenv("LAB2_SKYSERVER_URL", url)
    with pytest.raises(ValueError, match=r"LAB2_SKYSERVER_URL is .*http:// or https://"):
        skyserver.query(["M15"])


@pytest.fixture
def table(observed_survey):
    table = whole(observed_survey)
    return table[table["FIELD"] == "M15"]


def whole(survey):
    table = Table.read(survey / "allStar.fits")
    table.convert_bytestring_to_unicode()
    return table


def test_rows_that_were_multiplied_are_found(table):
    columns.checked(table, ["M15"], "it")
    with pytest.raises(
        ArchiveError, match=r"it has the star 2M\S+ of apo25m, M15 2 times: rows were multiplied\. Ask again"
    ):
        columns.checked(vstack([table, table[:1]]), ["M15"], "it")


def test_fields_are_those_that_were_asked_for(table):
    with pytest.raises(ArchiveError, match=r"it: nothing for N6791"):
        columns.checked(table, ["M15", "N6791"], "it")
    with pytest.raises(ArchiveError, match=r"it: nothing for N6791; not requested: M15"):
        columns.checked(table, ["N6791"], "it")


@pytest.mark.parametrize("name", ["TEFF", "SNR", "STARFLAG"])
def test_words_in_the_place_of_numbers_are_found(table, name):
    table[name] = ["what?", *map(str, table[name][1:])]
    with pytest.raises(ArchiveError, match=rf"it: {name} holds no numbers \(.*what\?"):
        columns.checked(table, ["M15"], "it")


@pytest.mark.parametrize("value", ["99999999999999999999", "4294967296", "1E5", "1.5", 2**40, 1.5, np.nan])
def test_what_is_no_number_of_visits_is_found(table, value):
    table["NVISITS"] = [value, *(type(value)(n) for n in table["NVISITS"][1:])]
    with pytest.raises(ArchiveError, match=r"it: NVISITS (holds no numbers|is empty in 1 rows)"):
        columns.checked(table, ["M15"], "it")


def test_a_name_has_no_character_that_fits_has_not(table):
    table["APOGEE_ID"] = ["2M\u00c4\x1b\n0", *table["APOGEE_ID"][1:]]
    assert "2M???0" in columns.checked(table, ["M15"], "it")["APOGEE_ID"]


@pytest.mark.parametrize("nothing", ["null", "NULL", ""])
def test_sql_s_null_is_not_a_number(table, nothing):
    numbers = np.array(table["MG_FE"])
    table["MG_FE"] = [nothing, *map(str, numbers[1:])]
    checked = columns.checked(table, ["M15"], "it")
    star = checked["APSTAR_ID"] == table["APSTAR_ID"][0]
    assert np.isnan(checked["MG_FE"][star]).all()
    assert np.isfinite(checked["MG_FE"][~star]).all()


def test_an_empty_place_is_not_a_number_but_a_flag_must_be_there(table):
    masked = Table(table, masked=True)
    masked["LOGG"].mask[3] = True
    assert np.isnan(columns.checked(masked, ["M15"], "it")["LOGG"]).sum() == 1
    masked["STARFLAG"].mask[2:4] = True
    with pytest.raises(ArchiveError, match="it: STARFLAG is empty in 2 rows"):
        columns.checked(masked, ["M15"], "it")
