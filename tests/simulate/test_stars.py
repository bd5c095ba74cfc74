"""The stars of the simulated survey: who is drawn, and their chemistry."""

import numpy as np
from a_giant import GIANT
from scipy.spatial.distance import pdist

from lab2.simulate import chemistry, spectrum
from lab2.simulate.oddities import ODDITIES
from lab2.simulate.pipeline import apogee_id
from lab2.simulate.population import FIELDS, draw_giants
from lab2.simulate.stars import draw_survey


def test_full_catalog_has_the_labs_number_of_stars_and_every_oddity():
    selected, rows = draw_survey(128, 1886)
    assert len(selected) == len(set(selected["apogee_id"])) == 1886
    assert set(ODDITIES) < set(selected["oddity"])
    assert 0.025 < np.mean(selected["oddity"] != "") < 0.06
    assert 2500 < len(rows) < 3100
    metallicity = {f.name: np.median(selected["fe_h"][selected["field"] == f.name]) for f in FIELDS}
    members = np.isfinite(selected["radius"])
    assert abs(np.median(selected["fe_h"][members]) - 0.31) < 0.03
    assert metallicity["M15"] < metallicity["K2_C4_168-21"] < metallicity["060+00"]
    small, _ = draw_survey(128, 150)
    assert set(ODDITIES) < set(small["oddity"])


def test_giants_lie_on_a_branch_and_a_clump():
    stars = draw_giants(np.random.default_rng(3), FIELDS[3], 3000)
    counts, edges = np.histogram(stars["logg"], np.arange(0.5, 3.6, 0.2))
    assert 2.2 < edges[np.argmax(counts)] < 2.5
    clump = (stars["logg"] > 2.2) & (stars["logg"] < 2.6)
    beside = ((stars["logg"] > 1.8) & (stars["logg"] < 2.0)) | ((stars["logg"] > 2.8) & (stars["logg"] < 3.0))
    assert clump.sum() > 2 * beside.sum()
    branch = np.abs(stars["logg"] - 1.5) < 0.2
    assert np.corrcoef(stars["teff"][branch], stars["fe_h"][branch])[0, 1] < -0.5
    mg_si = np.corrcoef(stars["mg_fe"], stars["si_fe"])[0, 1]
    assert 0.75 < mg_si < 0.97
    # the first dredge-up
    c_n = np.asarray(stars["c_fe"] - stars["n_fe"])
    assert c_n[stars["logg"] > 3.58].mean() - c_n[stars["logg"] < 3.0].mean() > 0.2


def test_giants_lie_where_those_of_dr16_do():
    # 6077 giants of DR16 that asteroseismology classifies: median Teff of the branch at log g 2.4 and of clump stars
    stars, _ = draw_survey(128, 1886)
    teff, logg, fe_h = (np.asarray(stars[name], float) for name in ("TEFF", "LOGG", "FE_H"))
    clump = np.asarray(stars["phase"]) == 3
    ordinary = np.asarray(stars["oddity"]) == ""
    giants = ordinary & (logg > 1) & (logg < 3.4)
    assert 0.35 < clump[giants].mean() < 0.45
    for metallicity, median_teff, median_logg in ((-0.4, 4882, 2.408), (-0.2, 4857, 2.437), (0.0, 4813, 2.468)):
        here = giants & clump & (np.abs(fe_h - metallicity) < 0.1)
        # our stars of [Fe/H] -0.4 have [Mg/Fe] 0.05 below theirs: 25 K
        assert abs(np.median(teff[here]) - median_teff) < 45
        assert abs(np.median(logg[here]) - median_logg) < 0.03
    for metallicity, median_teff in ((-0.4, 4649), (-0.2, 4641), (0.0, 4624)):
        here = giants & ~clump & (np.abs(fe_h - metallicity) < 0.1) & (np.abs(logg - 2.425) < 0.075)
        assert abs(np.median(teff[here]) - median_teff) < 60  # a few dozen stars, of unequal [Mg/Fe]
    design = np.column_stack([np.ones(len(stars)), logg, logg**2, fe_h, np.asarray(stars["MG_FE"], float)])
    for which in (giants & clump, giants & ~clump):
        residual = teff[which] - design[which] @ np.linalg.lstsq(design[which], teff[which], rcond=None)[0]
        assert 20 < 1.4826 * np.median(np.abs(residual)) < 55


def test_only_metal_rich_giants_have_a_secondary_clump():
    # DR16: of 348 clump stars with [Fe/H] -1 to -0.25 six have log g above 2.6, of 1680 above -0.1 11 % above 2.65
    stars, _ = draw_survey(128, 6000)
    clump, logg, fe_h = np.asarray(stars["phase"]) == 3, np.asarray(stars["logg"]), np.asarray(stars["fe_h"])
    assert logg[clump & (fe_h < -0.25)].max() < 2.6
    assert 0.05 < (logg[clump & (fe_h > -0.1)] > 2.65).mean() < 0.15
    # and the hottest clump stars are hardly hotter than those of DR16 (5050 K: 2.4 %)
    assert 0.01 < (np.asarray(stars["TEFF"])[clump] > 5050).mean() < 0.04


def test_old_giants_are_dredged_up_as_in_dr17():
    # 59 and 16 alpha-rich giants of DR17: [C/Fe], [N/Fe], [O/Fe] below and above the bump
    labels = np.array([[4800.0, 2.7, -0.69, 0.34, 0.24], [4600.0, 2.1, -0.72, 0.35, 0.25]])
    found = chemistry.typical(labels)
    real = {"c_fe": (0.08, 0.05), "n_fe": (-0.01, 0.07), "o_fe": (0.40, 0.35)}
    for name, values in real.items():
        np.testing.assert_allclose(found[name], values, atol=0.06)


def test_names_follow_from_coordinates():
    assert apogee_id([320.97146], [12.73674]) == ["2M21235315+1244122"]
    ra, dec = 15 * (1 + 2 / 60 + 3.04 / 3600), -(5 + 6 / 60 + 7.8 / 3600)
    assert apogee_id([ra], [dec]) == ["2M01020304-0506078"]


def test_hidden_chemistry_scatters_as_published():
    stars = draw_giants(np.random.default_rng(4), FIELDS[2], 3000)
    c, n, logg = (np.asarray(stars[name]) for name in ("c_fe", "n_fe", "logg"))
    branch = (logg > 2.5) & (logg < 3.2) & (np.abs(stars["fe_h"] + 0.2) < 0.1) & (stars["mg_fe"] < 0.12)
    # Hasselquist et al. 2019, ApJ 871, 181: 0.13 far from the plane to 0.18 near it
    assert 0.13 < np.std(c[branch] - n[branch]) < 0.18
    assert np.corrcoef(c[branch], n[branch])[0, 1] < -0.2
    assert (c - np.asarray(stars["o_fe"])).max() < chemistry.CARBON_EXCESS + 1e-6


def test_stars_differ_in_more_than_their_labels():
    stars = draw_giants(np.random.default_rng(1), FIELDS[0], 40)
    hidden = {name: np.asarray(stars[name]) for name in chemistry.HIDDEN}
    assert np.mean(pdist(spectrum(np.tile(GIANT, (40, 1)), hidden)) / np.sqrt(8575)) > 0.003
