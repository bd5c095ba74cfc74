"""The simulated catalog's errors, and its labels of the radial-velocity pipeline, beside those of DR17."""

import numpy as np
import pytest
from astropy.table import Table
from scipy.stats import median_abs_deviation

from lab2.catalog import AspcapFlag, StarFlag
from lab2.labels import LABELS
from lab2.simulate.pipeline import SNREV_RATIO, formal_errors
from lab2.simulate.stars import draw_survey

# Giants of DR17's allStar: SNREV, TEFF and M_H, and their errors of TEFF, LOGG, FE_H, MG_FE, SI_FE and NI_FE.
ROWS = {
    (172.26703, 4800.77686, -0.62292): (10.82386, 0.03124, 0.00944, 0.01615, 0.01854, 0.01790),
    (74.79757, 4728.49805, -0.66810): (16.26189, 0.04330, 0.01498, 0.02444, 0.02970, 0.03178),
    (363.85919, 4840.49707, -0.95933): (10.64889, 0.03341, 0.00912, 0.01748, 0.01891, 0.01900),
    (151.24245, 4674.74756, -0.61272): (10.80829, 0.03296, 0.01066, 0.01737, 0.02010, 0.01986),
}


@pytest.fixture(scope="module")
def ordinary():
    selected, _ = draw_survey(128, 1886)
    return selected[selected["oddity"] == ""]


def scatter(values):
    return median_abs_deviation(values, scale="normal")


@pytest.mark.parametrize(("star", "errors"), ROWS.items())
def test_errors_are_those_of_dr17(star, errors):
    snrev, teff, m_h = star
    row = Table({"snr": [snrev / SNREV_RATIO], "TEFF": [teff], "M_H": [m_h]})
    formal_errors(row)
    found = [row[f"{name}_ERR"][0] for name in ("TEFF", "LOGG", "FE_H", "MG_FE", "SI_FE", "NI_FE")]
    np.testing.assert_allclose(found, errors, rtol=0.01)


def test_errors_of_stars_like_those_of_dr17_are_as_large(ordinary):
    # 94 giants with medians SNREV 156, 4808 K, [M/H] -0.68 have these median errors
    real = {"TEFF": 12.0, "LOGG": 0.034, "FE_H": 0.0104, "MG_FE": 0.0182, "SI_FE": 0.0210}
    close = (np.abs(ordinary["TEFF"] - 4808) < 200) & (np.abs(ordinary["M_H"] + 0.68) < 0.25)
    close &= np.abs(np.log(ordinary["snrev"] / 156)) < 0.4
    assert close.sum() > 30
    for name, size in real.items():
        assert np.median(ordinary[f"{name}_ERR"][close]) == pytest.approx(size, rel=0.12)


def test_errors_are_smaller_than_the_distance_from_the_truth(ordinary):
    pulls = [scatter((ordinary[x.column] - ordinary[x.name]) / ordinary[f"{x.column}_ERR"]) for x in LABELS]
    np.testing.assert_allclose(pulls, [2.1, 1.45, 1.6, 1.45, 1.2], atol=0.25)


def test_the_catalog_warns_of_low_signal_to_noise_at_the_limits_of_dr17(ordinary):
    snr = np.asarray(ordinary["snr"])
    assert ((snr < 70).sum(), (snr < 50).sum()) > (20, 0)
    for limit, bits in ((70, AspcapFlag.SN_WARN | AspcapFlag.STAR_WARN), (50, AspcapFlag.SN_BAD | AspcapFlag.STAR_BAD)):
        set_ = (np.asarray(ordinary["ASPCAPFLAG"]) & bits) == bits
        np.testing.assert_array_equal(set_[snr < limit], True)
    assert not (np.asarray(ordinary["ASPCAPFLAG"])[snr >= 70] & AspcapFlag.SN_WARN).any()
    assert not (np.asarray(ordinary["STARFLAG"])[snr >= 5] & StarFlag.LOW_SNR).any()


def test_a_star_without_labels_has_no_errors():
    row = Table({"snr": [100.0], "TEFF": [np.nan], "M_H": [np.nan]})
    formal_errors(row)
    assert np.isnan(row["TEFF_ERR"][0])


def test_labels_of_the_radial_velocity_pipeline_are_off_as_in_dr17(ordinary):
    real = {"TEFF": ("RV_TEFF", 165, 51), "LOGG": ("RV_LOGG", 0.63, 0.12), "FE_H": ("RV_FEH", -0.12, 0.045)}
    for aspcap, (column, offset, width) in real.items():
        difference = np.asarray(ordinary[column] - ordinary[aspcap])
        assert np.median(difference) == pytest.approx(offset, abs=width / 5)
        assert scatter(difference) == pytest.approx(width, rel=0.15)
    assert ordinary["RV_LOGG"].max() <= 5
