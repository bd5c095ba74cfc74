"""The numbers of the page against those of the package: coefficients, distances and residuals."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lab2 import cannon
from lab2.explorer import model, packing, stars

TOLERANCE = 3e-4  # of the continuum, for labels inside the training set; a pixel's noise is 30 times larger at S/N 100


def predicted(described, labels, factors=()):
    """The page's spectrum of one star, written out term by term (the twin of page/model.js)."""
    x = [(value - label["mean"]) / label["scale"] for value, label in zip(labels, described["labels"], strict=True)]
    y = [1.0, *x]
    flux = 1.0
    for part, amounts in (("theta", [y[i] * y[j] for i, j in described["pairs"]]), ("loadings", factors)):
        whole = packing.unpacked(described[part]["whole"]).astype(float)
        for row, step, amount in zip(whole, described[part]["steps"], amounts, strict=True):
            flux = flux + amount * step * row
    return flux


@pytest.fixture(scope="module")
def coefficients(read):
    return model.described(read.model)


@given(arrays(np.int16, array_shapes(max_dims=3, max_side=5)))
def test_packed_arrays_are_unpacked_as_they_were(values):
    found = packing.unpacked(packing.packed(values, "int16"))
    assert found.shape == values.shape
    assert (found == values).all()


@given(arrays(float, (3, 7), elements=st.floats(-1e6, 1e6)))
@example(np.full((3, 7), 5e-324))  # a step of such a row is no number above 0
@example(np.full((3, 7), 2.3e-319))  # and of this one it is 1.4 times the smallest number
def test_rounding_to_steps_is_off_by_half_a_step(rows):
    whole, steps = packing.in_steps(rows)
    assert np.abs(whole).max() <= 32767
    assert (np.abs(whole * steps[:, None] - rows) <= steps[:, None] * 0.5000001).all()


def test_the_model_of_the_page_predicts_what_the_model_predicts(read, coefficients):
    rng = np.random.default_rng(1)
    labels = read.model.training_labels.values[::10]
    factors = rng.normal(size=(len(labels), read.model.loadings.sizes["factor"]))
    wanted = read.model.predict(labels, factors).values[:, read.model.trained.values]
    found = np.array([predicted(coefficients, one, z) for one, z in zip(labels, factors, strict=True)])
    error = np.abs(found - wanted).max(axis=1)
    assert (error <= model.rounding(read.model, labels, factors) + 1e-12).all()
    assert error.max() < TOLERANCE
    assert error.max() > 1e-7  # they are rounded


def test_every_training_star_is_predicted_within_the_tolerance(read):
    assert model.rounding(read.model, read.model.training_labels.values).max() < TOLERANCE


def test_the_distance_of_the_page_is_the_training_distance(read, coefficients):
    rng = np.random.default_rng(2)
    mean, scale = read.model.label_mean.values, read.model.label_scale.values
    x = rng.normal(0, 4, (50, len(mean)))
    q = np.array(coefficients["distance"])
    found = np.sqrt(np.einsum("nk,kl,nl->n", x, q, x))
    np.testing.assert_allclose(found, cannon.training_distance(read.model, mean + scale * x), rtol=1e-9)


def test_sliders_reach_beyond_all_training_labels(read, coefficients):
    labels = read.model.training_labels.values
    for k, label in enumerate(coefficients["labels"]):
        assert label["low"] < labels[:, k].min()
        assert label["high"] > labels[:, k].max()
        assert label["low"] < label["mean"] < label["high"]


def test_lines_are_named_where_pixels_are_trained_the_strongest_first(read):
    found = model.line_list(read.model)
    wavelength = read.model.wavelength.values[read.model.trained.values]
    assert all(wavelength[0] < where < wavelength[-1] for _, where in found)
    magnesium = [where for species, where in found[:40] if species == "Mg I"]
    assert {round(where) for where in magnesium} >= {15745, 15753, 15770}


def test_the_data_of_a_star_come_back_from_model_and_residuals(read, coefficients):
    found = stars.described(read, size=40)
    residuals = packing.unpacked(found["residuals"])
    good = read.model.trained.values
    assert len(found["sample"]) == 40
    for n in (1, 20, 39):
        star = found["sample"][n]
        flux = predicted(coefficients, star["curve"], star["factors"]) + star["step"] * residuals[n]
        wanted = read.spectra.flux.values[star["star"], good]
        weight = cannon.weights(read.model, read.spectra.ivar.values[[star["star"]]])[0, good]
        assert ((residuals[n] == packing.MISSING) == (weight == 0)).all()
        inside = (np.abs(residuals[n]) < 127) & (weight > 0)
        assert inside.sum() > 0.9 * (weight > 0).sum()
        assert np.abs(flux - wanted)[inside].max() < star["step"] / 2 + TOLERANCE


def test_a_star_without_data_has_words_and_no_numbers(read):
    found = stars.described(read)
    star = next(one for one in found["sample"] if one["star"] == 0)
    assert star["flags"][0] == "too few pixels carry information"
    assert star["error"] == [None] * 5
    assert star["kind"] == "no fit"
    assert np.isnan(packing.unpacked(found["fitted"])[0]).all()


def test_labels_errors_and_truth_are_those_of_the_survey(read):
    found = stars.described(read, size=30)
    np.testing.assert_allclose(packing.unpacked(found["catalog"]), read.spectra.labels.values, rtol=1e-6)
    star = found["sample"][10]
    n = star["star"]
    assert star["id"] == str(read.fits.star.values[n])
    np.testing.assert_allclose(star["error"], np.sqrt(np.diag(read.fits.covariance.values[n])), rtol=5e-3)
    np.testing.assert_allclose(star["truth"], read.truth.values[n], rtol=1e-5)


def test_every_flag_of_a_fit_has_words():
    assert set(stars._SENTENCES) == {flag.name for flag in cannon.Flag}


def test_a_sample_holds_odd_stars_and_ordinary_ones_of_all_temperatures():
    kind = np.array(["", "", "double", ""] * 100)
    teff = np.linspace(3500.0, 5500.0, 400)
    chosen = stars.sample(kind, teff, 100)
    assert len(chosen) == len(set(chosen.tolist())) == 100
    assert (kind[chosen] != "").sum() == 50
    ordinary = teff[chosen][kind[chosen] == ""]
    assert ordinary.min() == teff[0]
    assert ordinary.max() == teff[-1]
    assert np.diff(np.sort(ordinary)).max() < 60.0
    assert stars.sample(kind[:20], teff[:20], 100).tolist() == list(range(20))
