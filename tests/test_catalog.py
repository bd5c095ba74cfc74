import gzip

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table

from lab2 import LABELS, catalog, from_arrays
from lab2.labels import from_catalog
from lab2.survey import write_manifest

NULL = -9999.0
# name, SNR, TEFF, LOGG, FE_H, MG_FE, SI_FE, and why it goes ("" stays)
ROWS = [
    ("giant", 120.0, 4500.0, 2.0, -0.2, 0.1, 0.1, ""),
    ("no teff", 120.0, NULL, 2.0, -0.2, 0.1, 0.1, "missing"),
    ("no silicon", 120.0, 4500.0, 2.0, -0.2, 0.1, NULL, "missing"),
    ("nan logg", 120.0, 4500.0, np.nan, -0.2, 0.1, 0.1, "missing"),
    ("missing and faint", 10.0, 4500.0, np.nan, -0.2, 0.1, 0.1, "missing"),
    ("faint", 49.99, 4500.0, 2.0, -0.2, 0.1, 0.1, "S/N"),
    ("just bright", 50.0, 4500.0, 2.0, -0.2, 0.1, 0.1, ""),
    ("no S/N", np.nan, 4500.0, 2.0, -0.2, 0.1, 0.1, "S/N"),
    ("dwarf", 120.0, 4500.0, 4.01, -0.2, 0.1, 0.1, "dwarf"),
    ("edge of logg", 120.0, 4500.0, 4.0, -0.2, 0.1, 0.1, ""),
    ("hot", 120.0, 5700.1, 3.0, -0.2, 0.1, 0.1, "dwarf"),
    ("edge of teff", 120.0, 5700.0, 3.0, -0.2, 0.1, 0.1, ""),
    ("hot and poor", 120.0, 6100.0, 3.0, -1.7, 0.1, 0.1, "dwarf"),
    ("poor", 120.0, 4500.0, 2.0, -1.01, 0.3, 0.1, "metal"),
    ("edge of iron", 120.0, 4500.0, 2.0, -1.0, 0.3, 0.1, ""),
    ("twice", 80.0, 4400.0, 2.0, 0.0, 0.1, 0.1, "second"),
    ("twice", 90.0, 4410.0, 2.0, 0.0, 0.1, 0.1, ""),
    ("twice", 300.0, 6410.0, 2.0, 0.0, 0.1, 0.1, "dwarf"),
]  # fmt: skip
COLUMNS = ("APOGEE_ID", "SNR", "TEFF", "LOGG", "FE_H", "MG_FE", "SI_FE")


def table():
    made = Table(rows=[row[:-1] for row in ROWS], names=COLUMNS)
    made["FIELD"], made["TELESCOPE"] = "M67", "apo25m"
    made["FILE"] = [f"apStar-dr17-{k}.fits" for k in range(len(ROWS))]
    made["STARFLAG"], made["ASPCAPFLAG"] = 0, 0
    return made


def expected_flow(rows):
    remaining, flow = len(rows), [(0, len(rows))]
    for reason in ("missing", "S/N", "dwarf", "metal", "second"):
        removed = sum(row[-1] == reason for row in rows)
        remaining -= removed
        flow.append((removed, remaining))
    return flow


@pytest.mark.parametrize("shuffled", [False, True])
def test_cuts_on_a_table_with_known_answers(shuffled):
    made = table()
    made["why"] = [row[-1] for row in ROWS]
    order = np.random.default_rng(51).permutation(len(ROWS)) if shuffled else np.arange(len(ROWS))
    giants, cutflow = catalog.select_giants(made[order])
    assert list(giants["APOGEE_ID"]) == [ROWS[k][0] for k in order if ROWS[k][-1] == ""]
    assert set(giants["why"]) == {""}
    assert [(row["removed"], row["remaining"]) for row in cutflow] == expected_flow(ROWS)
    # of the star with two good rows the one of higher S/N stays; a brighter row that was cut does not count
    assert giants["SNR"][giants["APOGEE_ID"] == "twice"].tolist() == [90.0]


def test_cutflow_adds_up():
    giants, cutflow = catalog.select_giants(table())
    assert cutflow.colnames == ["cut", "removed", "remaining"]
    assert cutflow["remaining"][0] - cutflow["removed"].sum() == cutflow["remaining"][-1] == len(giants)
    np.testing.assert_array_equal(-np.diff(cutflow["remaining"]), cutflow["removed"][1:])


def test_cuts_after_a_trip_through_fits(tmp_path, monkeypatch):
    # astropy masks NaN and empty strings when it reads FITS, and the units make Quantities
    monkeypatch.setenv("LAB2_HOME", str(tmp_path))
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    made = table()
    made["TEFF"].unit = "K"
    made.write(folder / "allStar.fits")
    loaded = catalog.load("tiny")
    assert isinstance(loaded, QTable)
    giants, cutflow = catalog.select_giants(loaded)
    assert list(giants["APOGEE_ID"]) == [row[0] for row in ROWS if row[-1] == ""]
    assert [(row["removed"], row["remaining"]) for row in cutflow] == expected_flow(ROWS)


def test_null_and_nan_are_missing_alike(home):
    # a catalog has -9999 or NaN where there is no label, by its source
    found = {}
    for name, nothing in {"null": NULL, "nan": np.nan}.items():
        made = table()
        for column in ("TEFF", "LOGG", "SI_FE"):
            made[column] = np.where((made[column] == NULL) | np.isnan(made[column]), nothing, made[column])
        folder = home / "data" / name
        folder.mkdir(parents=True)
        made.write(folder / "allStar.fits")
        loaded = catalog.load(name)
        giants, cutflow = catalog.select_giants(loaded)
        found[name] = from_catalog(loaded).values, list(giants["APOGEE_ID"]), cutflow["removed"].tolist()
    np.testing.assert_array_equal(found["null"][0], found["nan"][0])
    assert found["null"][1:] == found["nan"][1:]
    # rows "no teff", "no silicon", "nan logg", "missing and faint", and no others
    assert np.argwhere(np.isnan(found["nan"][0])).tolist() == [[1, 0], [2, 4], [3, 1], [4, 1]]


def test_selection_of_nothing():
    giants, cutflow = catalog.select_giants(table()[:0])
    assert len(giants) == 0
    assert cutflow["remaining"].tolist() == [0] * 6


def test_catalog_without_a_label():
    made = table()
    made.remove_column("FE_H")
    with pytest.raises(ValueError, match="no column FE_H"):
        catalog.select_giants(made)


def test_survey_that_was_never_made(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB2_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"'nowhere' does not exist.*python -m lab2 fetch --survey nowhere"):
        catalog.load("nowhere")


def test_survey_without_catalog(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB2_HOME", str(tmp_path))
    (tmp_path / "data" / "half").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"'half' has no catalog: expected .*allStar.fits"):
        catalog.load("half")


@pytest.mark.parametrize("content", [b"", b"no FITS file", fits.PrimaryHDU().header.tostring().encode()])
def test_a_catalog_that_cannot_be_read(tmp_path, monkeypatch, content):
    monkeypatch.setenv("LAB2_HOME", str(tmp_path))
    (tmp_path / "data" / "half").mkdir(parents=True)
    (tmp_path / "data" / "half" / "allStar.fits").write_bytes(content)
    with pytest.raises(ValueError, match=r"allStar\.fits is not a complete FITS file with a table in HDU 1"):
        catalog.load("half")


# --- required and optional columns --------------------------------------------------------------------------


@pytest.fixture
def load(home):
    """Write a table as the catalog of a survey, and read it."""

    def written(made):
        folder = home / "data" / "tiny"
        folder.mkdir(parents=True, exist_ok=True)
        made.write(folder / "allStar.fits", overwrite=True)
        return catalog.load("tiny")

    return written


@pytest.mark.parametrize("name", catalog.REQUIRED)
def test_a_required_column_that_is_missing_is_named_with_the_file(load, name):
    made = table()
    made.remove_column(name)
    with pytest.raises(ValueError, match=rf"tiny/allStar\.fits: the catalog has no column {name}; it needs APOGEE_ID"):
        load(made)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("SNR", "high", "SNR holds no numbers, but text such as 'high'"),
        ("SNR", np.nan, f"no usable value of SNR in {len(ROWS)} rows"),
        ("SNR", [[1.0, 2.0]] * len(ROWS), "SNR must hold a number in each row"),
        ("TEFF", 0.0, "no usable value of TEFF"),
        ("FE_H", -9999.99, "no usable value of FE_H"),
        ("LOGG", "-9999", "no usable value of LOGG"),
        ("MG_FE", True, "MG_FE must hold a number in each row; got the type bool"),
        ("FIELD", 0.1, "FIELD is not a column of text, but of >f8"),
        ("APOGEE_ID", 17, "APOGEE_ID is not a column of text, but of >i8"),
    ],
)
def test_a_required_column_that_cannot_be_read_is_named_with_the_file(load, name, values, message):
    made = table()
    made.remove_column(name)
    made[name] = values
    with pytest.raises(ValueError, match=rf"tiny/allStar\.fits: .*{message}"):
        load(made)


def test_every_other_column_may_be_missing(load):
    made = table()[list(catalog.REQUIRED)]
    giants, _ = catalog.select_giants(load(made))
    assert len(giants) == sum(row[-1] == "" for row in ROWS)
    assert set(catalog.lacking(giants)) == set(catalog.OPTIONAL)
    names = [*giants["APOGEE_ID"]]
    joined = catalog.attach(spectra_of(names), giants)
    assert (joined.starflag == 0).all()
    assert (joined.aspcapflag == 0).all()
    assert joined.starflag.dtype == np.int64
    assert np.isnan(catalog.optional(giants, "VSCATTER")).all()
    assert np.isnan(catalog.typical_errors(giants)).all()
    assert np.isnan(catalog.label_errors(giants)).all()
    assert len(catalog.typical_errors(giants)) == len(LABELS)
    with pytest.raises(
        ValueError, match=r"allStar\.fits of survey 'tiny' has no TELESCOPE, and not every star has FILE"
    ):
        catalog.spectrum_paths(giants, "tiny")


def test_optional_columns_that_cannot_be_read_are_as_good_as_none(load):
    made = table()
    made["STARFLAG"] = ["four"] * len(made)
    made["ASPCAPFLAG"] = MaskedColumn(np.full(len(made), 1 << 23), mask=np.arange(len(made)) == 0)
    made["VSCATTER"] = np.where(np.arange(len(made)) < 9, 0.2, -9999.0)
    made["TEFF_ERR"] = np.where(np.arange(len(made)) < 9, 60.0, -9999.0)
    made["LOGG_ERR"] = np.where(np.arange(len(made)) < 9, 0.0, np.nan)
    made["C_FE"] = -9999.0
    made["FILE"] = [["a", "b"]] * len(made)
    read = load(made)
    lacking = catalog.lacking(read)
    assert {"STARFLAG", "C_FE", "RA", "FILE"} <= set(lacking)
    assert not {"ASPCAPFLAG", "VSCATTER", "TEFF_ERR"} & set(lacking)
    assert catalog.flags(read, "STARFLAG").tolist() == [0] * len(made)
    assert catalog.flags(read, "ASPCAPFLAG").tolist() == [0] + [1 << 23] * (len(made) - 1)
    np.testing.assert_array_equal(catalog.optional(read, "VSCATTER")[[0, 9]], [0.2, np.nan])
    np.testing.assert_array_equal(catalog.typical_errors(read), [60.0] + [np.nan] * 4)
    assert np.nanmedian(catalog.label_errors(read).sel(label="teff")) == 60.0
    assert catalog.spectrum_paths(read, "tiny")[0].name == "apStar-dr17-giant.fits"


def test_units_of_optional_columns():
    made = Table({"VSCATTER": [200.0, 300.0]})
    made["VSCATTER"].unit = "m/s"
    np.testing.assert_allclose(catalog.optional(made, "VSCATTER", "km/s"), [0.2, 0.3])
    made["VSCATTER"].unit = "K"
    assert np.isnan(catalog.optional(made, "VSCATTER", "km/s")).all()


@pytest.mark.parametrize("null", ["-9999", "-9999.99", "nan", "", "abc"])
def test_columns_of_text_are_read_as_numbers(load, null):
    made = table()
    made["SNR"] = [str(snr) for snr in made["SNR"]]
    made["TEFF"] = [null if teff == NULL else str(teff) for teff in made["TEFF"]]
    giants, flow = catalog.select_giants(load(made))
    assert list(giants["APOGEE_ID"]) == [row[0] for row in ROWS if row[-1] == ""]
    assert [(row["removed"], row["remaining"]) for row in flow] == expected_flow(ROWS)


def test_impossible_labels_and_nameless_rows_are_cut_first():
    made = table()
    made["APOGEE_ID"] = made["APOGEE_ID"].astype("U18")
    stay = [k for k, row in enumerate(ROWS) if row[-1] == ""]
    made["TEFF"][stay[0]], made["FE_H"][stay[1]], made["APOGEE_ID"][stay[2]] = 0.0, 25.0, " "
    giants, flow = catalog.select_giants(made)
    assert list(giants["APOGEE_ID"]) == [ROWS[k][0] for k in stay[3:]]
    assert flow["removed"][1] == expected_flow(ROWS)[1][0] + 3


def test_a_byte_that_is_no_text_costs_no_catalog(home, load):
    made = table()
    load(made)
    path = home / "data" / "tiny" / "allStar.fits"
    path.write_bytes(path.read_bytes().replace(b"no silicon", b"no sil\xffcon"))
    assert catalog.load("tiny")["APOGEE_ID"][2] == "no sil\ufffdcon"


def damaged(content, how):
    """A whole allStar.fits with one fault."""
    table_at = content.index(b"XTENSION")
    if how == "cut":
        return content[:-2000]
    if how == "gz":
        return gzip.compress(content)
    if how == "rows of zeros":
        return content[:-2880] + b"\0" * 2880
    name, value = how.split("=")
    at = content.index(name.encode().ljust(8), table_at)
    return content[:at] + f"{name:<8}= {value:>20}".encode().ljust(80) + content[at + 80 :]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "its header declares .* bytes of data"),
        ("gz", "is not a complete FITS file"),
        ("rows of zeros", "the last row has neither name nor field: the file is incomplete"),
        ("NAXIS2=2147483648", "its header declares .* bytes of data"),
        ("NAXIS1=7", "its columns do not fill the 7 bytes of a row"),
        ("NAXIS2=-1", "is not a complete FITS file"),
        ("TFIELDS=2147483648", "its header declares 2147483648 columns"),
        ("PCOUNT=1E400", "is not a complete FITS file"),
        ("TFORM3='1000000D'", "is not a complete FITS file"),
        ("BITPIX='x'", "is not a complete FITS file"),
        ("TTYPE2='TEFF'", "is not a complete FITS file"),
    ],
)
def test_a_damaged_file_is_refused_by_name(home, load, how, message):
    load(table()[sorted(table().colnames, key=lambda name: name != "APOGEE_ID")])
    path = home / "data" / "tiny" / "allStar.fits"
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(ValueError, match=rf"allStar\.fits.*{message}"):
        catalog.load("tiny")


# --- where the spectra are ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB2_HOME", str(tmp_path))
    return tmp_path.resolve() / "data" / "tiny" / "apStar"


def test_paths_take_the_name_from_the_table(folder):
    rows = Table({"FIELD": [" M67 "], "FILE": ["apStar-dr17-2M1.fits  "]})
    assert catalog.spectrum_paths(rows, "tiny") == [folder / "M67" / "apStar-dr17-2M1.fits"]


def test_paths_after_a_trip_through_fits(folder):
    # reading FITS masks an empty string
    rows = table()[:1]
    rows["FILE"], rows["TELESCOPE"], rows["APOGEE_ID"] = "", "lco25m", "2M1"
    folder.parent.mkdir(parents=True)
    rows.write(folder.parent / "allStar.fits")
    assert catalog.spectrum_paths(catalog.load("tiny"), "tiny") == [folder / "M67" / "asStar-dr17-2M1.fits"]


@pytest.mark.parametrize("with_empty_file", [False, True])
def test_paths_are_built_where_the_table_has_none(folder, with_empty_file):
    rows = Table({"FIELD": ["M67", "K2"], "TELESCOPE": ["apo25m", "lco25m"], "APOGEE_ID": ["2M1", "2M2"]})
    if with_empty_file:
        rows["FILE"] = MaskedColumn(["", "asStar-own.fits"], mask=[True, False])
    names = [folder / "M67" / "apStar-dr17-2M1.fits", folder / "K2" / "asStar-dr17-2M2.fits"]
    if with_empty_file:
        names[1] = folder / "K2" / "asStar-own.fits"
    assert catalog.spectrum_paths(rows, "tiny") == names


@pytest.mark.parametrize(
    ("field", "file"),
    [
        ("../../..", "../../../etc/passwd"),
        ("M67", "/etc/passwd"),
        ("/etc", "passwd"),
        ("..", "allStar.fits"),
        ("..", ".."),
    ],
)
def test_paths_never_lead_out_of_the_folder(folder, field, file):
    row = Table({"FIELD": [field], "FILE": [file], "TELESCOPE": ["apo25m"], "APOGEE_ID": ["2M1"]})
    (path,) = catalog.spectrum_paths(row, "tiny")
    assert path.suffix == ".fits" or path.name == "passwd"
    assert path.resolve().is_relative_to(folder)


# --- flags and joins ----------------------------------------------------------------------------------------


def test_rows_are_split_by_whether_their_spectra_are_there(folder):
    made = table()
    for path in catalog.spectrum_paths(made[:3], "tiny"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    reason = {"apStar/M67/apStar-dr17-4.fits": "the server answered 404"}
    write_manifest(folder.parent, simulated=False, missing=reason)
    present, reasons = catalog.with_spectra(made[:6], "tiny")
    assert present["FILE"].tolist() == made["FILE"][:3].tolist()
    assert reasons == ["not fetched", "the server answered 404", "not fetched"]
    with pytest.raises(FileNotFoundError, match="has no spectrum of these 2 stars"):
        catalog.with_spectra(made[4:6], "tiny")
    with pytest.raises(ValueError, match="no star of the catalog is left"):
        catalog.with_spectra(made[:0], "tiny")


@pytest.mark.parametrize("file", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_not_there(folder, file):
    made = table()[:2]
    made["FILE"] = [file, made["FILE"][1]]
    (there,) = catalog.spectrum_paths(made[1:], "tiny")
    there.parent.mkdir(parents=True)
    there.write_bytes(b"x")
    write_manifest(folder.parent, simulated=False)
    assert catalog.with_spectra(made, "tiny")[1] == ["not fetched"]


def typical_stars(n=200):
    """Stars of normal labels in odd units; star 7 is at the median of all, but faint, and star 8 near it and bright."""
    rng = np.random.default_rng(52)
    labels = rng.normal(size=(n, 3)) * [300.0, 0.7, 0.2] + [4500.0, 2.0, -0.2]
    median = np.median(labels, axis=0)
    labels[7], labels[8] = median, median + np.array([3.0, 0.007, 0.002])
    snr = rng.uniform(60, 200, n)
    snr[7], snr[8] = 60.0, 150.0
    stars = [f"2M{k:03d}" for k in range(n)]
    return xr.Dataset({"labels": (("star", "label"), labels), "snr": ("star", snr)}, coords={"star": stars})


def test_a_star_that_is_there_is_the_one_that_is_named():
    assert catalog.named_or_typical("2M150", typical_stars()) == "2M150"


@pytest.mark.parametrize("name", [catalog.PREDICTED, ""])
def test_a_bright_star_of_typical_labels_takes_the_place_of_one_that_is_not_there(name):
    stars = typical_stars()
    assert catalog.named_or_typical(name, stars) == "2M008"
    order = np.random.default_rng(53).permutation(stars.sizes["star"])
    assert catalog.named_or_typical(name, stars.isel(star=order)) == "2M008"
    in_mega_kelvin = stars.assign(labels=stars.labels * [1e-6, 1.0, 1.0])
    assert catalog.named_or_typical(name, in_mega_kelvin) == "2M008"


def test_a_star_without_a_spectrum_or_labels_is_as_good_as_absent():
    stars = typical_stars()
    ivar = xr.DataArray(np.ones((stars.sizes["star"], 2)), dims=("star", "wavelength"))
    ivar[150] = 0.0
    assert catalog.named_or_typical("2M150", stars.assign(ivar=ivar)) == "2M008"
    assert catalog.named_or_typical("2M151", stars.assign(ivar=ivar)) == "2M151"
    stars["labels"][151, 1] = np.nan
    assert catalog.named_or_typical("2M151", stars) == "2M008"
    with pytest.raises(ValueError, match="none of 200 stars has labels, S/N and a spectrum"):
        catalog.named_or_typical("2M151", stars.assign(ivar=0 * ivar))


def test_the_example_is_that_of_the_checkpoint_or_else_a_typical_one():
    made, _ = catalog.select_giants(table())
    assert catalog.example_star(made) in made["APOGEE_ID"].tolist()
    made["APOGEE_ID"] = made["APOGEE_ID"].astype("U18")
    made["APOGEE_ID"][1] = "2M21235315+1244123"
    assert catalog.example_star(made) == catalog.EXAMPLE == "2M21235315+1244123"


@pytest.mark.parametrize(
    ("names", "tree"),
    [
        (["apogee.apo25m.synspec.dr17.M15.2M1"], "synspec"),
        (["apogee.apo25m.synspec_rev1.dr17.M15.2M1", "apogee.lco25m.synspec_rev1.dr17.060+00.2M2"], "synspec_rev1"),
        (["apogee.apo25m.synspec.dr17.M15.2M1", "apogee.apo25m.turbo20.dr17.M15.2M2"], "synspec, turbo20"),
        (["what", ""], "unknown"),
    ],
)
def test_the_run_of_the_pipeline_is_in_the_name_of_the_labels(names, tree):
    assert catalog.label_tree(Table({"ASPCAP_ID": names})) == tree
    assert catalog.label_tree(Table({"other": names})) == "unknown"


def test_flag_words():
    words = catalog.AspcapFlag.words
    assert words(0) == "-"
    assert words((1 << 23) + (1 << 16)) == "TEFF_BAD STAR_BAD"
    assert words(1 << 7) == "STAR_WARN"
    assert words(np.int32(-(2**31))) == "NO_ASPCAP_RESULT"
    assert words(np.int32(-(2**31)) + 1) == "TEFF_WARN NO_ASPCAP_RESULT"
    assert words(np.int64(2**31)) == "NO_ASPCAP_RESULT"
    assert words(1 << 15) == "-"
    # a row of DR17's allStar, which has these words in its ASPCAPFLAGS
    assert words(2199031644224) == "N_M_WARN STAR_BAD MULTIPLE_SUSPECT"
    assert words(np.int64(2**41 + 2**40 + 2**36)) == "FERRE_FAIL PROBLEM_TARGET MULTIPLE_SUSPECT"
    assert catalog.StarFlag.words(np.int64(1028)) == "BRIGHT_NEIGHBOR PERSIST_MED"


@pytest.mark.parametrize(
    ("flag", "name", "bit"),
    [
        ("AspcapFlag", "TEFF_WARN", 0),
        ("AspcapFlag", "CHI2_WARN", 8),
        ("AspcapFlag", "SN_WARN", 11),
        ("AspcapFlag", "VSINI_WARN", 14),
        ("AspcapFlag", "TEFF_BAD", 16),
        ("AspcapFlag", "STAR_BAD", 23),
        ("AspcapFlag", "SN_BAD", 27),
        ("AspcapFlag", "NO_ASPCAP_RESULT", 31),
        ("AspcapFlag", "MISSING_APSTAR", 32),
        ("AspcapFlag", "NO_GRID", 33),
        ("AspcapFlag", "BAD_FRAC_LOWSNR", 34),
        ("AspcapFlag", "BAD_FRAC_BADPIX", 35),
        ("AspcapFlag", "FERRE_FAIL", 36),
        ("AspcapFlag", "PROBLEM_TARGET", 40),
        ("AspcapFlag", "MULTIPLE_SUSPECT", 41),
        ("StarFlag", "LOW_SNR", 4),
        ("StarFlag", "PERSIST_HIGH", 9),
        ("StarFlag", "SUSPECT_BROAD_LINES", 17),
        ("StarFlag", "MULTIPLE_SUSPECT", 21),
        ("StarFlag", "RV_FAIL", 22),
        ("StarFlag", "SUSPECT_ROTATION", 23),
        ("StarFlag", "MTPFLUX_LT_75", 24),
        ("StarFlag", "MTPFLUX_LT_50", 25),
    ],
)
def test_bits_are_those_of_dr17(flag, name, bit):
    assert getattr(catalog, flag)[name] == 1 << bit


def spectra_of(names):
    shape = (len(names), 4)
    return from_arrays(np.ones(shape), np.full(shape, 1e4), np.arange(4.0), star=names)


def test_attach():
    rows = table()[[0, 6]]
    rows["SNR"], rows["STARFLAG"], rows["ASPCAPFLAG"] = [70.0, 80.0], [1, 2], [3, 4]
    joined = catalog.attach(spectra_of(["giant", "just bright"]), rows)
    assert joined.labels.sel(star="giant", label="teff") == 4500.0
    assert joined.snr.values.tolist() == [70.0, 80.0]
    assert joined.field.values.tolist() == ["M67", "M67"]
    assert (joined.starflag.values.tolist(), joined.aspcapflag.values.tolist()) == ([1, 2], [3, 4])
    np.testing.assert_array_equal(joined.flux, 1.0)


def test_attach_takes_the_labels_that_are_wanted():
    rows = table()[[0, 6]]
    rows["AL_FE"] = [0.1, -9999.0]
    joined = catalog.attach(spectra_of(["giant", "just bright"]), rows, ["TEFF", "AL_FE"])
    assert joined.label.values.tolist() == ["teff", "al_fe"]
    np.testing.assert_array_equal(joined.labels, [[4500.0, 0.1], [4500.0, np.nan]])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["just bright", "giant"], "2 of 2 spectra do not match .* spectrum of just bright and the row of giant"),
        (["giant"], "spectra of 1 stars do not match 2 catalog rows"),
        (["other", "another"], "2 of 2 spectra do not match"),
    ],
)
def test_attach_refuses_other_stars(names, message):
    with pytest.raises(ValueError, match=message):
        catalog.attach(spectra_of(names), table()[[0, 6]])


def test_a_file_of_another_star_is_left_empty_and_named():
    rows = table()[[0, 6]]
    rows["SNR"], rows["STARFLAG"], rows["ASPCAPFLAG"] = [70.0, 80.0], [1, 2], [3, 4]
    spectra = spectra_of(["giant", "Betelgeuse"])
    spectra = spectra.assign(flux=spectra.flux * 0.5)
    with pytest.warns(
        catalog.OtherStarWarning, match="1 of 2 spectra .*: the file belongs to the star Betelgeuse, not"
    ):
        joined = catalog.attach(spectra, rows)
    assert joined.star.values.tolist() == ["giant", "just bright"]
    assert joined.read_error.values.tolist() == ["", "the file belongs to the star Betelgeuse, not just bright"]
    np.testing.assert_array_equal(joined.ivar, [[1e4] * 4, [0.0] * 4])
    np.testing.assert_array_equal(joined.flux, [[0.5] * 4, [1.0] * 4])


def test_a_file_that_could_not_be_read_keeps_its_reason_under_the_name_of_its_row():
    rows = table()[[0, 6]]
    rows["SNR"], rows["STARFLAG"], rows["ASPCAPFLAG"] = [70.0, 80.0], [1, 2], [3, 4]
    spectra = spectra_of(["giant", "of-the-file"]).assign(read_error=("star", ["", "cut"]))
    joined = catalog.attach(spectra, rows)
    assert joined.star.values.tolist() == ["giant", "just bright"]
    assert joined.read_error.values.tolist() == ["", "cut"]


def test_truth_in_the_order_asked_for(home):
    folder = home / "data" / "made"
    folder.mkdir(parents=True)
    columns = {"apogee_id": ["a", "b", "c"], "oddity": ["none", "binary", "none"]}
    columns |= {label.name: np.arange(3) + 10.0 * k for k, label in enumerate(LABELS)}
    Table(columns).write(folder / "truth.ecsv")
    labels, oddity = catalog.truth("made", ["c", "b"])
    assert list(labels.star.values) == ["c", "b"]
    np.testing.assert_array_equal(labels.sel(label="fe_h"), [22.0, 21.0])
    assert oddity.tolist() == ["", "binary"]
    with pytest.raises(ValueError, match="has no star d"):
        catalog.truth("made", ["a", "d"])
    (folder / "truth.ecsv").unlink()
    with pytest.raises(FileNotFoundError, match="true labels of survey 'made' are not known"):
        catalog.truth("made", ["a"])
