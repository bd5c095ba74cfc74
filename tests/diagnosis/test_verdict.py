"""Verdicts on stars that were made odd on purpose, among many that were not."""

import numpy as np
import pytest
from astropy.table import MaskedColumn
from stars_with_lines import (
    COOL,
    GRID,
    MEAN,
    SPREAD,
    catalog,
    clean,
    labels_of,
    observe,
)

from lab2.cannon import Flag
from lab2.catalog import AspcapFlag, StarFlag
from lab2.diagnosis import diagnose
from lab2.grid import BRACKETT
from lab2.validation import cross_validate

LIGHT = np.exp(-0.5 * ((GRID - BRACKETT[:, None]) / 3.5) ** 2).sum(axis=0)
GREEN = GRID > 15835

# kind of verdict, the flux of a star made odd, where its catalog labels are put, in spreads
PLANTED = {
    0: ("double", lambda label: 0.7 * clean(label) + 0.3 * clean(COOL, 55.0), 0.0),
    1: ("shifted", lambda label: clean(label, -25.0), 0.0),
    2: ("broadened", lambda label: clean(label, width=2.8), 0.0),
    3: ("emission", lambda label: clean(label) + 0.2 * LIGHT, 0.0),
    4: ("added light", lambda label: 1 - (1 - clean(label)) * np.where(GREEN, np.linspace(0.4, 1, GRID.size), 1), 0.0),
    5: ("labels", clean, 1.0),
    6: ("labels", clean, -1.0),
    7: ("poor fit", lambda label: clean(label) + 0.06 * np.sin(np.arange(GRID.size) ** 2.0), 0.0),
}


@pytest.fixture(scope="module")
def survey():
    """Spectra of 300 stars, eight of them odd, their cross-validated fits, and catalog rows."""
    rng = np.random.default_rng(50)
    labels = MEAN + SPREAD * np.clip(rng.normal(size=(300, 3)), -2.5, 2.5)
    labels[: len(PLANTED)] = MEAN + SPREAD * rng.uniform(-0.5, 0.5, (len(PLANTED), 3))
    flux = clean(labels)
    for star, (_, made, _) in PLANTED.items():
        flux[star] = made(labels[star])
    spectra = observe(flux, labels, rng)
    for star, (*_, offset) in PLANTED.items():
        spectra["labels"][star] += offset * SPREAD
    rows = catalog(spectra)
    rows["ASPCAPFLAG"][6] = AspcapFlag.STAR_BAD | AspcapFlag.TEFF_BAD
    return cross_validate(spectra, 2), spectra, rows


@pytest.fixture(scope="module")
def table(survey):
    return diagnose(*survey)


def test_planted_kinds_are_told_apart_and_few_others_accused(table):
    assert table["kind"][: len(PLANTED)].tolist() == [kind for kind, *_ in PLANTED.values()]
    others = table[len(PLANTED) :]
    assert (others["kind"] != "").mean() < 0.02
    assert ((table["kind"] == "") == (table["verdict"] == "")).all()


def test_verdicts_measure_what_they_name(table):
    assert table["velocity"][0] == pytest.approx(55.0, abs=1.5)
    assert table["share"][0] == pytest.approx(0.3, abs=0.05)
    assert table["verdict"][0].startswith("a second star at +5")
    assert table["velocity"][1] == pytest.approx(-25.0, abs=0.5)
    assert table["share"][1] == 1.0
    assert table["verdict"][1].startswith("the spectrum is moved by \N{MINUS SIGN}2")
    assert 5 < table["v_sin_i"][2] < 30
    assert "green chip: shallow lines" in table["verdict"][4]
    assert table["verdict"][5] == "a good fit: the catalog's labels are in doubt"
    assert table["verdict"][6] == "the catalog's labels are wrong, as its flags say"
    assert table["verdict"][7] == "the model does not fit: everywhere"
    assert table["deviation"][5] > 10
    assert table["outlier"][5] > 0.99
    assert abs(table["chi2_z"][5]) < 4


def test_what_is_known_of_each_star_is_told(survey, table):
    fits, spectra, _ = survey
    assert table["star"].tolist() == spectra.star.values.tolist()
    np.testing.assert_array_equal(table["n_minima"], fits.n_minima)
    np.testing.assert_allclose(table["masked"], 1 - fits.n_pixels / fits.n_pixels.max())
    assert table["fit_flags"].tolist() == [Flag.words(flag) for flag in fits.flag.values]
    assert table["aspcapflag"][6] == "TEFF_BAD STAR_BAD"
    assert np.isnan(table["continuum"]).all()  # nobody said which pixels are trusted


def test_a_flag_that_points_the_same_way_makes_weak_evidence_enough():
    rng = np.random.default_rng(51)
    labels = labels_of(300, rng)
    flux = clean(labels)
    flux[:12] = 1 - (1 - flux[:12]) * np.where(GREEN, np.linspace(0.93, 1, GRID.size), 1)
    spectra = observe(flux, labels, rng)
    fits, rows = cross_validate(spectra, 2), catalog(spectra)
    before = diagnose(fits, spectra, rows)
    rows["STARFLAG"][:12] = StarFlag.PERSIST_HIGH
    after = diagnose(fits, spectra, rows)
    weak = (before["veil_z"] > 3) & (before["veil_z"] < 5) & (np.arange(300) < 12)
    assert weak.any()
    assert (before["kind"][weak] == "").all()
    assert (after["kind"][weak] == "added light").all()
    assert all(text.endswith("persistence of the detector") for text in after["verdict"][weak])
    np.testing.assert_array_equal(before["kind"][12:], after["kind"][12:])


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        ({"flag": Flag.NOT_CONVERGED}, "no fit: not converged"),
        ({"flag": Flag.NO_DATA}, "no fit: no pixels with information"),
        ({"flag": Flag.BAD_CONTINUUM}, "the continuum of a chip could not be determined"),
        ({"flag": Flag.MULTIPLE_MINIMA, "n_minima": 2}, "two minima compete"),
        ({"flag": Flag.OUTSIDE_TRAINING}, "the fit lies outside the training set"),
        ({"n_pixels": 600}, "few good pixels"),
        ({"VSCATTER": 5.0}, "the velocity varies: a binary"),
        # of one visit there is no scatter
        ({"VSCATTER": 5.0, "NVISITS": 1}, "a good fit: the catalog's labels are in doubt"),
        ({"ASPCAPFLAG": AspcapFlag.TEFF_WARN}, "a good fit; the catalog warns of its labels"),
        # the surer evidence goes first
        ({"ASPCAPFLAG": AspcapFlag.STAR_BAD, "flag": Flag.MULTIPLE_MINIMA}, "two minima compete"),
        # this says nothing about labels
        ({"STARFLAG": StarFlag.BRIGHT_NEIGHBOR}, "a good fit: the catalog's labels are in doubt"),
    ],
)
def test_verdict_on_labels_by_what_else_is_known(survey, evidence, verdict):
    fits, spectra, rows = survey[0].copy(deep=True), survey[1], survey[2].copy()
    rows["NVISITS"] = 3
    for name, value in evidence.items():
        (rows if name in rows.colnames else fits)[name][5] = value
    assert diagnose(fits, spectra, rows)["verdict"][5] == verdict


def test_a_star_without_data_is_diagnosed(survey):
    spectra = survey[1].copy(deep=True)
    spectra["ivar"][7] = 0.0
    table = diagnose(cross_validate(spectra, 2), spectra, survey[2])
    assert (table["kind"][7], table["outlier"][7], table["deviation"][7]) == ("no fit", 1.0, np.inf)
    assert table["kind"][0] == "double"


def test_flags_that_are_masked_or_absent_are_unknown(survey, table):
    fits, spectra, rows = survey[0], survey[1], survey[2].copy()
    rows["STARFLAG"] = MaskedColumn(rows["STARFLAG"], mask=np.arange(len(rows)) % 2 == 0)
    rows["ASPCAPFLAG"], rows["VSCATTER"] = rows["ASPCAPFLAG"].astype(float), ["0.1 km/s"] * len(rows)
    masked = diagnose(fits, spectra, rows)
    assert masked["starflag"][:2].tolist() == ["unknown", "-"]
    assert masked["aspcapflag"].tolist() == table["aspcapflag"].tolist()
    assert np.isnan(masked["vscatter"]).all()
    without = diagnose(fits, spectra, rows[["APOGEE_ID"]])
    assert set(without["starflag"]) == set(without["aspcapflag"]) == {"unknown"}
    assert (
        without["verdict"][6] == "a good fit: the catalog's labels are in doubt"
    )  # the flags said that they are wrong
    for found in (masked, without):
        assert found["kind"].tolist() == table["kind"].tolist()


def test_a_star_without_a_catalog_label_is_diagnosed(survey, table):
    fits, spectra, rows = survey[0], survey[1].copy(deep=True), survey[2]
    spectra["labels"][9, 1] = np.nan
    found = diagnose(fits, spectra, rows)
    assert (found["kind"][9], found["verdict"][9]) == ("labels", "the catalog has no logg of this star")
    others = np.arange(len(rows)) != 9
    assert found["kind"][others].tolist() == table["kind"][others].tolist()


def test_spectra_with_a_gap_are_diagnosed_as_with_masked_pixels(survey):
    spectra, rows = survey[1], survey[2]
    gap = (np.arange(GRID.size) > 700) & (np.arange(GRID.size) < 800)
    masked = spectra.assign(ivar=spectra.ivar.where(~gap, 0.0))
    cut = spectra.isel(wavelength=~gap)
    fits = cross_validate(cut, 2)
    with_gap, whole = diagnose(fits, cut, rows), diagnose(fits, masked, rows)
    assert with_gap["kind"].tolist() == whole["kind"].tolist()
    np.testing.assert_allclose(with_gap["velocity_z"], whole["velocity_z"], rtol=1e-6, atol=1e-6)
    assert with_gap["kind"][1] == "shifted"


@pytest.mark.parametrize("n_pixels", [25, 60, 400])
def test_a_small_part_of_the_grid_will_do(survey, n_pixels):
    part = survey[1].isel(wavelength=slice(300, 300 + n_pixels))
    found = diagnose(cross_validate(part, 2), part, survey[2])
    assert len(found) == len(survey[2])
    assert (found["excess"] == "everywhere").all() == (n_pixels == 25)


def test_diagnosis_refuses_other_stars(survey):
    fits, spectra, rows = survey
    for wrong in ((fits[{"star": slice(None, None, -1)}], spectra, rows), (fits, spectra, rows[::-1])):
        with pytest.raises(ValueError, match="are not of the same stars in the same order"):
            diagnose(*wrong)


def test_with_factors_a_hidden_abundance_is_not_accused():
    """Lines of every star grow and shrink together, by a score that no label describes; two stars are far out in it."""
    rng = np.random.default_rng(49)
    labels, scores = labels_of(240, rng), rng.normal(size=(240, 1))
    scores[[11, 12], 0] = 4.0, -4.0
    growth = 1.0 + 0.1 * scores * (1 + np.sin(np.arange(GRID.size) / 40)) / 2
    flux = 1.0 - growth * (1.0 - clean(labels))
    flux[7] = clean(labels[7], -25.0)
    flux[20], flux[21] = 1.0 - 0.75 * (1.0 - flux[20]), 1.0 - 1.25 * (1.0 - flux[21])
    spectra = observe(flux, labels, rng)
    found = [diagnose(cross_validate(spectra, 2, k), spectra, catalog(spectra), k) for k in (0, 1)]
    plain, better = (np.asarray(evidence["kind"]) for evidence in found)
    assert plain[7] == better[7] == "shifted"
    assert "" not in plain[[11, 12]]
    assert better[[11, 12]].tolist() == ["", ""]
    assert (better != "").sum() < (plain != "").sum()
    assert better[[20, 21]].tolist() == ["added light"] * 2
    added, subtracted = found[1]["verdict"][[20, 21]]
    assert "of light added to every chip" in added
    assert "of light subtracted from every chip" in subtracted
