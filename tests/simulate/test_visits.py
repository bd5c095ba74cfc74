"""The visits behind a star's spectrum: dates, velocities, plates."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_sun
from astropy.io import fits
from astropy.time import Time
from astropy.utils import iers

from lab2.simulate.stars import EXAMPLE_HEADER, EXAMPLE_VISITS, draw_survey
from lab2.simulate.visits import DATE_TO_JD, FIBERS, barycentric_correction

APACHE_POINT = EarthLocation.from_geodetic(-105.82 * u.deg, 32.78 * u.deg, 2788 * u.m)


@pytest.fixture(scope="module")
def stars():
    return draw_survey(7, 300)[0]


@pytest.fixture
def offline():
    with iers.conf.set_temp("auto_download", False):
        yield


@pytest.mark.parametrize(("ra", "dec"), [(321.0, 12.7), (58.4, 25.2), (290.0, 38.0), (100.0, -20.0)])
def test_barycentric_correction_is_that_of_astropy(offline, ra, dec):
    jd = 2456000.3 + 37.37 * np.arange(20)
    time, star = Time(jd, format="jd"), SkyCoord(ra * u.deg, dec * u.deg)
    expected = star.radial_velocity_correction(obstime=time, location=APACHE_POINT).to_value("km/s")
    np.testing.assert_allclose(barycentric_correction(ra, dec, jd), expected, atol=0.01)


def test_barycentric_correction_is_that_of_real_headers(real_spectra):
    for path in real_spectra.values():
        header = fits.getheader(path)
        for k in range(1, header["NVISITS"] + 1):
            jd = (header[f"JD{k}"] + Time(header[f"DATE{k}"]).jd) / 2
            assert barycentric_correction(header["RA"], header["DEC"], jd) == pytest.approx(header[f"BC{k}"], abs=0.01)
    # the star of checkpoint 1 in DR17
    jd = np.array(EXAMPLE_VISITS["visit_jd"]) - DATE_TO_JD / 2
    found = barycentric_correction(EXAMPLE_HEADER["ra"], EXAMPLE_HEADER["dec"], jd)
    np.testing.assert_allclose(found, [20.38595, 20.06534], atol=0.01)


def test_stars_are_up_and_the_sun_is_down(offline, stars):
    for visit in range(3):
        here = stars[np.isfinite(stars["visit_jd"][:, visit])]
        for jd in np.unique(here["visit_jd"][:, visit]):
            field = here[here["visit_jd"][:, visit] == jd]
            sky = AltAz(obstime=Time(jd, format="jd"), location=APACHE_POINT)
            places = SkyCoord(field["ra"] * u.deg, field["dec"] * u.deg).transform_to(sky)
            assert places.alt.deg.min() > 40
            assert get_sun(Time(jd, format="jd")).transform_to(sky).alt.deg < -12


def test_visits_are_as_many_as_the_catalog_says_and_in_order(stars):
    for name in ("visit_jd", "visit_snr", "visit_v", "visit_verr", "visit_bc"):
        np.testing.assert_array_equal(np.isfinite(stars[name]).sum(axis=1), stars["n_visits"])
    several = stars["n_visits"] == 3
    assert (np.diff(stars["visit_jd"][several], axis=1) > 0.9).all()


def test_no_fiber_of_a_plate_is_used_twice(stars):
    places = list(zip(stars["plate"], stars["fiber"], strict=True))
    assert len(set(places)) == len(places)
    assert 1 <= stars["fiber"].min() <= stars["fiber"].max() <= FIBERS
    for plate in np.unique(stars["plate"]):
        on_it = stars[stars["plate"] == plate]
        assert len(set(on_it["field"])) == len(set(map(tuple, np.nan_to_num(on_it["visit_jd"])))) == 1


def test_what_is_said_of_the_visits_together_is_right(stars):
    one, many = stars[stars["n_visits"] == 1], stars[stars["n_visits"] > 1]
    np.testing.assert_allclose(one["v_helio"], one["visit_v"][:, 0])
    assert (one["v_scatter"] == 0).all()
    np.testing.assert_allclose(one["v_err"], one["visit_verr"][:, 0])
    for star in many:
        n = star["n_visits"]
        v, snr = star["visit_v"][:n], star["visit_snr"][:n]
        assert star["v_helio"] == pytest.approx(np.average(v, weights=snr))
        assert star["v_scatter"] == pytest.approx(np.std(v, ddof=1))
        assert np.linalg.norm(snr) == pytest.approx(star["snr"], rel=2e-3)


def test_relations_between_velocities_are_those_of_a_real_header(real_spectra):
    header = fits.getheader(real_spectra["giant"])
    v, snr, error = (np.array([header[f"{key}{k}"] for k in (1, 2, 3)]) for key in ("VHELIO", "SNRVIS", "VERR"))
    assert np.average(v, weights=snr) == pytest.approx(header["VHELIO"], abs=0.001)
    assert np.std(v, ddof=1) == pytest.approx(header["VSCATTER"], abs=1e-6)
    assert np.sqrt(np.average(error**2, weights=snr**2)) == pytest.approx(header["VERR"], rel=0.001)
    assert np.median(error) == pytest.approx(header["VERR_MED"])
    assert np.linalg.norm(snr) == pytest.approx(header["SNR"], rel=0.005)


def test_velocities_of_binaries_vary(stars):
    odd = np.asarray(stars["oddity"]) == "binary"
    assert stars["v_sigma"][odd].min() > 2 > 0.6 > stars["v_sigma"][~odd].max()
    assert 0.02 < np.median(stars["v_scatter"][~odd & (stars["n_visits"] > 1)]) < 0.15  # DR17: 0.08
