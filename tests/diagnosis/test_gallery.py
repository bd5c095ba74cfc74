"""Odd stars to look at, and counts of them."""

import numpy as np
import pytest
from astropy.table import QTable
from plain_survey import WAVELENGTH, model, spectra

from lab2.diagnosis import gallery, tally


def evidence(kinds, **columns):
    table = QTable({"kind": kinds})
    for name in ("deviation", "velocity_z", "rotation_z", "emission_z", "veil_z", "reduced_chi2"):
        table[name] = columns.get(name, np.zeros(len(kinds)))
    return table


def test_kinds_come_in_one_order():
    assert gallery.kinds_found(evidence(["", "emission", "labels", "emission"])) == ["labels", "emission"]


def test_the_most_telling_star_is_that_of_its_own_filter():
    table = evidence(
        ["double", "double", "emission", "poor fit", "poor fit"],
        velocity_z=[5.0, 9.0, 99.0, 0, 0],
        emission_z=[99.0, 0, 6.0, 0, 0],
        reduced_chi2=[9, 9, 9, 3.0, np.nan],
    )
    assert gallery.most_telling(table, "double") == 1
    assert gallery.most_telling(table, "emission") == 2
    assert gallery.most_telling(table, "poor fit") == 3
    with pytest.raises(ValueError, match="no star is of the kind 'shifted'"):
        gallery.most_telling(table, "shifted")


def test_the_worst_window_holds_the_line_that_does_not_fit_and_no_gap():
    wavelength = np.arange(15100.0, 16100.0, 0.25)
    residual = 0.01 * np.sin(wavelength)
    residual[(wavelength > 15695) & (wavelength < 15705)] = 0.3
    found = gallery.worst_window(wavelength, residual)
    assert wavelength[found.start] <= 15695
    assert wavelength[found.stop] >= 15705
    assert wavelength[found.stop] - wavelength[found.start] == pytest.approx(90.0)
    # a larger one whose neighbors are missing does not count
    residual[(wavelength > 15300) & (wavelength < 15500)] = np.nan
    residual[(wavelength > 15400) & (wavelength < 15402)] = 9.0
    assert gallery.worst_window(wavelength, residual).start > 1500
    with pytest.raises(ValueError, match="not longer than"):
        gallery.worst_window(wavelength[:100], residual[:100])


def test_a_portrait_shows_what_can_be_shown():
    trained, star = model(), spectra(n_stars=1, seed=9)
    star.ivar[0, :5] = 0.0
    shown = gallery.portrait(trained, star, {"kind": "labels"})
    assert "explained" not in shown
    assert np.isnan(shown.flux.values).sum() == 5
    np.testing.assert_allclose(shown.best, 0.9 + (star.flux.values[0] - 0.9), atol=0.03)
    star.ivar[:] = 0.0
    assert gallery.portrait(trained, star, {"kind": "no fit"}) is None


def test_mean_residuals_find_what_a_kind_shares():
    trained, stars = model(n_stars=300), spectra(n_stars=60, seed=9)
    kind = np.array(["emission"] * 25 + ["labels"] * 3 + [""] * 32)
    bump = np.where(np.abs(WAVELENGTH - 16000) < 25, 0.1, 0.0)
    stars.flux[:25] += bump
    stars.ivar[:25, 7] = 0.0
    found = gallery.mean_residuals(trained, stars, kind)
    assert found.kind.values.tolist() == ["emission"]  # three are too few
    assert found.n_stars.values.tolist() == [25]
    mean = found.values[0]
    assert np.isnan(mean).nonzero()[0].tolist() == [7]
    inside = bump > 0
    # the labels take up a part of the bump; noise of the mean is 0.001
    np.testing.assert_allclose(mean[inside], 0.1, atol=0.03)
    assert np.nanstd(mean[~inside]) < 0.02


def test_what_was_planted_against_what_was_found():
    planted = ["double", "double", "veil", "", "", ""]
    kind = ["double", "", "labels", "", "", "double"]
    table = tally.confusion(planted, kind, ["labels", "double"])
    assert table.colnames == ["planted", "stars", "labels", "double", "nothing found"]
    assert [tuple(row) for row in table] == [("double", 2, 0, 1, 1), ("veil", 1, 1, 0, 0), ("nothing", 3, 0, 1, 2)]
    score = tally.detection(planted, kind)
    assert score == {"odd": 3, "normal": 3, "found": pytest.approx(2 / 3), "accused": 1, "missed": {"double": 1}}


def test_nothing_planted_is_no_division_by_zero():
    score = tally.detection(["", ""], ["", "labels"])
    assert np.isnan(score["found"])
    assert score["missed"] == {}


def test_circumstances_of_outlying_labels():
    n = 100
    outlier = np.where(np.arange(n) < 10, 0.9, 0.1)
    table = QTable(
        {
            "outlier": outlier,
            "kind": np.where(np.arange(n) < 5, "double", np.where(np.arange(n) < 10, "labels", "")),
            "continuum": np.where(np.arange(n) < 3, 1.05, 1.0 + 1e-4 * np.arange(n) / n),
            "fit_flags": ["MULTIPLE_MINIMA" if i == 0 else "-" for i in range(n)],
            "aspcapflag": ["TEFF_BAD STAR_BAD" if i < 2 else "TEFF_WARN" for i in range(n)],
            "starflag": ["PERSIST_HIGH" if i % 10 == 0 else "-" for i in range(n)],
        }
    )
    found = tally.circumstances(table)
    shares = {row["circumstance"]: (row["outlying"], row["others"]) for row in found}
    assert shares["competing minima"] == (0.1, 0.0)
    assert shares["odd spectrum"] == (0.5, 0.0)
    assert shares["BAD flag"] == (0.2, 0.0)
    assert shares["STARFLAG"] == (0.1, 0.1)
    assert shares["continuum off"][0] == 0.3
    assert found.meta["outlying"] == 10
    assert 0 < found.meta["continuum"] < 0.05
    assert tally.shares_in_words(found)["STARFLAG"] == "10 % of the stars with outlying labels and 10.0 % of the others"
    table["starflag"] = "unknown"
    table["aspcapflag"][0] = "unknown"
    found = tally.circumstances(table)
    shares = {row["circumstance"]: (row["outlying"], row["others"]) for row in found}
    assert shares["BAD flag"] == (pytest.approx(1 / 9), 0.0)
    assert np.isnan(shares["STARFLAG"]).all()
    assert tally.shares_in_words(found)["STARFLAG"] == "an unknown number of stars"


def test_zooms_show_one_star_of_each_kind_in_its_worst_window():
    trained, stars = model(), spectra(n_stars=6, seed=9)
    wavelength = stars.wavelength.values
    line = slice(len(wavelength) // 2, len(wavelength) // 2 + 5)
    stars.flux[3, line] = stars.flux[3, line] + 0.5
    stars.ivar[5] = 0.0  # cannot be fitted
    table = evidence(["", "labels", "labels", "emission", "", "poor fit"], deviation=[9.0, 3.0, 5.0, 0, 0, 0])
    table["star"], table["verdict"] = stars.star.values, [f"verdict {k}" for k in range(6)]
    found = gallery.zooms(trained, stars, table)
    assert [(zoom.kind, zoom.row) for zoom in found] == [("labels", 2), ("emission", 3)]
    assert found[1].verdict == "verdict 3"
    assert found[1].wavelength.min() <= wavelength[line.start]
    assert found[1].wavelength.max() >= wavelength[line.stop - 1]
    assert len(gallery.zooms(trained, stars, table, most=1)) == 1
