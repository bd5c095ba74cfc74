"""The headers of the simulated apStar files: as real ones, and right."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from lab2 import apstar
from lab2.simulate import make_survey
from lab2.simulate.stars import NAMED

# Header keyword and allStar column of the same quantity.
SAME = {
    "OBJID": "APOGEE_ID", "FIELD": "FIELD", "SNR": "SNR", "SNREV": "SNREV", "RA": "RA", "DEC": "DEC", "GLON": "GLON",
    "GLAT": "GLAT", "J": "J", "H": "H", "K": "K", "NVISITS": "NVISITS", "STARFLAG": "STARFLAG", "ANDFLAG": "ANDFLAG",
    "N_COMP": "N_COMPONENTS", "VHELIO": "VHELIO_AVG", "VSCATTER": "VSCATTER", "VERR": "VERR", "RV_TEFF": "RV_TEFF",
    "RV_LOGG": "RV_LOGG", "RV_FEH": "RV_FEH",
}  # fmt: skip


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return make_survey(tmp_path_factory.mktemp("data") / "small", seed=11, n_stars=150, progress=False)


@pytest.fixture(scope="module")
def headers(survey):
    return [fits.getheader(path) for path in sorted((survey / "apStar").rglob("*.fits"))]


@pytest.mark.parametrize(("kind", "n_visits"), [("giant", 3), ("dwarf", 1)])
def test_keywords_are_those_of_dr17(real_spectra, headers, kind, n_visits):
    real = fits.getheader(real_spectra[kind])
    ours = next(header.copy() for header in headers if header["NVISITS"] == n_visits)
    assert [key for key in ours if key not in real] == ["SIMULATE"]
    assert ours.pop("SIMULATE") is True
    for key in set(ours) - {"COMMENT"}:
        assert type(ours[key]) is type(real[key]), key
        # the one file of one visit has another comma there
        assert ours.comments[key].replace(",,", ",") == real.comments[key].replace(",,", ","), key
    assert list(ours["COMMENT"]) == list(real["COMMENT"])
    # in the same order, and nothing about a visit is lacking
    assert list(ours) == [key for key in real if key in ours]
    of_visits = list(real)[list(real).index("SFILE1") :]
    assert set(of_visits) - set(ours) == {"HISTORY"}


def test_dates_velocities_and_names_of_visits_agree(headers):
    files = []
    for header in headers:
        n = header["NVISITS"]
        for k in range(1, n + 1):
            assert header[f"JD{k}"] - Time(header[f"DATE{k}"]).jd == pytest.approx(33.5 / 1440, abs=2e-5)
            assert header[f"VHELIO{k}"] == pytest.approx(header[f"VRAD{k}"] + header[f"BC{k}"], abs=2e-6)
            assert abs(header[f"BC{k}"]) < 31
            kind, release, plate, mjd, fiber = header[f"SFILE{k}"].removesuffix(".fits").split("-")
            assert (kind, release, len(fiber), int(fiber)) == ("apVisit", "dr17", 3, header[f"FIBER{k}"])
            assert int(mjd) == int(Time(header[f"DATE{k}"]).mjd)
            assert int(plate) > 20000 or header["OBJID"] == NAMED["M15"]
            files.append(header[f"SFILE{k}"])
        assert f"JD{n + 1}" not in header
    assert len(set(files)) == len(files)


def test_visits_make_up_the_star(headers):
    for header in headers:
        visits = range(1, header["NVISITS"] + 1)
        v, snr, flags = ([header[f"{key}{k}"] for k in visits] for key in ("VHELIO", "SNRVIS", "FLAG"))
        assert header["VHELIO"] == pytest.approx(np.average(v, weights=snr), abs=1e-4)
        assert header["VSCATTER"] == pytest.approx(np.std(v, ddof=1) if len(v) > 1 else 0.0, abs=1e-4)
        assert np.linalg.norm(snr) == pytest.approx(header["SNR"], rel=0.002)
        assert np.bitwise_or.reduce(flags) == header["STARFLAG"]
        assert np.bitwise_and.reduce(flags) == header["ANDFLAG"]
        assert header["N_COMP"] == (2 if header["STARFLAG"] & 1 << 21 else 1)


def test_chips_lie_where_the_velocities_put_them(headers):
    step = 6e-6 * np.log(10) * 299792.458
    for header in headers:
        velocities = [header[f"VRAD{k}"] for k in range(1, header["NVISITS"] + 1)]
        # DR17's file of a star at 16 km/s: BMIN + v / step is 201
        assert header["BMIN"] + max(velocities) / step == pytest.approx(201, abs=0.6)
        assert header["BOVERMIN"] + min(velocities) / step == pytest.approx(201, abs=0.6)


def test_catalog_and_headers_agree(survey, headers):
    table = Table.read(survey / "allStar.fits")
    for header in headers:
        row = table[(table["APOGEE_ID"] == header["OBJID"]) & (table["EXTRATARG"] == 0)]
        assert len(row) == 1
        for key, column in SAME.items():
            value = row[column][0]
            wanted = str(value) if isinstance(header[key], str) else pytest.approx(float(value), rel=1e-6, abs=2e-6)
            assert header[key] == wanted, key


def test_the_star_of_checkpoint_1_is_that_of_dr17(survey):
    path = survey / "apStar" / "M15" / f"apStar-dr17-{NAMED['M15']}.fits"
    header = fits.getheader(path)
    # what the header of DR17 has
    real = {"NVISITS": 2, "SNR": 212.042, "RA": 320.971464, "DEC": 12.736775, "J": 10.969, "H": 10.379, "K": 10.258,
            "VHELIO": -143.2591, "VSCATTER": 0.03641, "VERR": 0.037992, "VERR_MED": 0.037994, "RV_TEFF": 4822.87,
            "RV_LOGG": 2.8513, "RV_FEH": -0.7276, "N_COMP": 1, "STARFLAG": 0, "FIBER1": 225, "JD2": 2456838.88916,
            "VHELIO1": -143.233192, "VHELIO2": -143.284683, "SNRVIS1": 149.1635}  # fmt: skip
    assert {key: header[key] for key in real} == pytest.approx(real, rel=1e-5)
    assert header["SFILE1"] == "apVisit-dr17-6951-56837-225.fits"
    assert header["DATE1"][:19] == "2014-06-29T08:31:54"
    # and what follows here from other numbers
    near = {"GLON": (64.45548, 1e-4), "GLAT": (-25.80125, 2e-4), "SNREV": (217.7, 8), "BC1": (20.386, 0.01),
            "VRAD2": (-163.350, 0.01), "RMIN": (6335, 3), "GMAX": (6169, 3), "BMIN": (243, 3)}  # fmt: skip
    for key, (value, tolerance) in near.items():
        assert header[key] == pytest.approx(value, abs=tolerance), key
    assert fits.getdata(path, 1).shape == (4, 8575)
    row = Table.read(survey / "allStar.fits")
    row = row[row["APOGEE_ID"] == NAMED["M15"]][0]
    catalog = [row[c] for c in ("TEFF", "LOGG", "FE_H", "MG_FE")]
    np.testing.assert_array_less(np.abs(np.array(catalog) - [4660, 2.2, -0.60, 0.25]), [80, 0.2, 0.06, 0.07])
    assert row["ASPCAPFLAG"] == 0
    truth = Table.read(survey / "truth.ecsv", format="ascii.ecsv")
    truth = truth[truth["apogee_id"] == NAMED["M15"]][0]
    assert [truth[c] for c in ("teff", "logg", "fe_h", "mg_fe", "si_fe")] == [4660, 2.2, -0.60, 0.25, 0.20]
    assert truth["velocity"] == pytest.approx(-143.259, abs=0.001)


def test_reader_reads_it_all(survey):
    raw = apstar.read(survey / "apStar" / "M15" / f"apStar-dr17-{NAMED['M15']}.fits")
    assert raw.star.item() == NAMED["M15"]
    assert (raw.field.item(), raw.n_visits.item(), raw.starflag.item()) == ("M15", 2, 0)
    assert raw.snr.item() == pytest.approx(212.042, abs=0.001)
    assert raw.chip_range.sel(chip_name="red").values.tolist() == [[6334, 8421]]
