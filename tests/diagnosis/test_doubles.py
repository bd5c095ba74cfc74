"""Fits with a velocity against spectra in which it was planted."""

import numpy as np
import pytest
from stars_with_lines import COOL, GRID, LABELS, SPREAD, clean, labels_of, observe, one

from lab2 import cannon
from lab2.diagnosis import doubles


@pytest.mark.parametrize("planted", [-33.0, -7.3, 0.0, 12.0, 61.5])
def test_a_planted_velocity_is_measured(model, planted):
    fit = doubles.fit_shift(model, one(clean(LABELS, planted)))
    assert fit["velocity"] == pytest.approx(planted, abs=0.4)
    assert (np.abs(fit["labels"] - LABELS) < 0.15 * SPREAD).all()


def test_a_shift_explains_a_moved_spectrum_and_not_a_broadened_one(model):
    moved, broad = (doubles.fit_shift(model, one(flux)) for flux in (clean(LABELS, 14.0), clean(LABELS, width=2.8)))
    assert moved["fall"] > 3 * moved["chi2"]
    assert broad["fall"] < 10
    assert broad["chi2"] > 1.3 * GRID.size


@pytest.mark.parametrize(("planted", "share"), [(50.0, 0.3), (-38.0, 0.2), (80.0, 0.4)])
def test_a_planted_second_star_is_measured(model, planted, share):
    flux = (1.0 - share) * clean(LABELS) + share * clean(COOL, planted)
    spectrum = one(flux)
    start = cannon.fit_labels(model, spectrum).labels.values[0]
    fit = doubles.fit_double(model, spectrum, start, planted + 3.0, 0.25)
    assert fit["velocity"] == pytest.approx(planted, abs=1.0)
    assert fit["share"] == pytest.approx(share, abs=0.05)
    assert (np.abs(fit["labels"] - LABELS) < 0.4 * SPREAD).all()
    assert fit["chi2"] / GRID.size == pytest.approx(0.97, abs=0.12)  # 3 % of the pixels say nothing
    shifted = doubles.fit_shift(model, spectrum)
    assert shifted["chi2"] > 2 * fit["chi2"]


def test_the_price_of_a_second_star_is_its_parameters(model):
    spectrum = one(clean(LABELS, 20.0))
    shift = doubles.fit_shift(model, spectrum)
    assert (shift["parameters"], doubles.fit_double(model, spectrum, LABELS, 20.0, 0.4)["parameters"]) == (4, 8)


def test_a_second_star_is_measured_beside_a_hidden_factor():
    rng = np.random.default_rng(48)
    shape = 0.05 * (1.0 - clean(LABELS)[0]) * (1 + np.sin(np.arange(GRID.size) / 40))
    labels = labels_of(300, rng)
    model = cannon.train(observe(clean(labels) + rng.normal(size=(300, 1)) * shape, labels, rng), factors=1)
    spectrum = one(0.7 * clean(LABELS) + 0.3 * clean(COOL, 50.0) + 2.0 * shape)
    start = cannon.fit_labels(model, spectrum).labels.values[0]
    fit = doubles.fit_double(model, spectrum, start, 53.0, 0.25)
    assert fit["velocity"] == pytest.approx(50.0, abs=1.0)
    assert fit["share"] == pytest.approx(0.3, abs=0.05)
    residual = np.where(spectrum.ivar.values[0] > 0, spectrum.flux.values[0] - fit["flux"], 0.0)
    assert residual.std() == pytest.approx(0.01, rel=0.1)
