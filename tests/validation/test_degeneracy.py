"""A label that imitates a change of others, where the model is linear and the answer is known."""

import numpy as np
import pytest
from plain_survey import MEAN, SPREAD, model, slopes, spectra

from lab2.validation import match_absorption, matched_pairs, mean_absorption

PIXELS = np.arange(40)


@pytest.fixture(scope="module")
def trained():
    return model(n_stars=400, error=1e-4)


def test_the_label_that_makes_up_for_another(trained):
    a, b = slopes()[:, PIXELS].mean(axis=1)
    target = MEAN + SPREAD * [0.3, 0.0]
    found, equal = match_absorption(trained, MEAN, target, "logg", (-8.0, 12.0), PIXELS)
    assert equal
    assert found[0] == MEAN[0]
    assert found[1] == pytest.approx(MEAN[1] + SPREAD[1] * 0.3 * a / b, abs=0.02)
    flux = trained.predict(np.array([found, target])).values[:, PIXELS].mean(axis=1)
    assert flux[0] == pytest.approx(flux[1], abs=1e-9)


def test_where_no_value_will_do_the_nearest_is_given(trained):
    a, b = slopes()[:, PIXELS].mean(axis=1)
    wanted = MEAN[1] + SPREAD[1] * 2 * a / b
    bounds = (MEAN[1], MEAN[1] + 0.5 * (wanted - MEAN[1]))
    found, equal = match_absorption(trained, MEAN, MEAN + SPREAD * [2.0, 0.0], "logg", tuple(sorted(bounds)), PIXELS)
    assert not equal
    assert found[1] == pytest.approx(bounds[1], abs=1e-3)  # the end on the side of what is wanted


def test_a_label_that_is_not_there_and_bounds_the_wrong_way_round(trained):
    with pytest.raises(ValueError, match="no label 'fe_h'"):
        match_absorption(trained, MEAN, MEAN, "fe_h", (0, 1), PIXELS)
    with pytest.raises(ValueError, match="bounds"):
        match_absorption(trained, MEAN, MEAN, "logg", (1, 0), PIXELS)


def test_absorption_of_groups_with_its_error():
    rng = np.random.default_rng(4)
    error = rng.uniform(0.01, 0.05, 4000)
    flux = 0.7 + rng.normal(0, error, (500, 4000))
    groups = {"all": np.ones(4000, bool), "few": np.arange(4000) < 50, "none": np.zeros(4000, bool)}
    absorption, uncertainty = mean_absorption(flux, groups, np.tile(error**-2, (500, 1)))
    assert absorption[:, :2].mean(axis=0) == pytest.approx([0.3, 0.3], abs=1e-3)
    scatter = absorption[:, :2].std(axis=0)
    assert uncertainty[0, :2] == pytest.approx(scatter, rel=0.12)
    assert np.isnan(absorption[:, 2]).all()


def test_a_pixel_that_one_spectrum_lacks_counts_in_none():
    flux = np.array([[0.5, 0.9, np.nan], [0.4, 0.8, 0.2]])
    absorption, _ = mean_absorption(flux, {"all": [True] * 3}, [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert absorption[:, 0] == pytest.approx([0.3, 0.4])


def test_pairs_lie_near_the_targets_and_absorb_equally():
    stars = spectra(n_stars=400, error=1e-4)
    steps = slopes()[:, PIXELS].mean(axis=1)
    first = MEAN + SPREAD * [0.5, 0.0]
    second = MEAN + SPREAD * [0.0, 0.5 * steps[0] / steps[1]]  # the same mean flux
    pixels = np.arange(stars.sizes["wavelength"]) < len(PIXELS)
    pairs = matched_pairs(stars, [first, second], 0.1 * SPREAD, pixels, count=5)
    assert len({star for pair in pairs for star in pair}) == 10
    mean = stars.flux[:, PIXELS].mean("wavelength")
    for pair in pairs:
        chosen = stars.sel(star=list(pair))
        assert (np.abs(chosen.labels - [first, second]) < 0.45 * SPREAD).all()
        assert np.ptp(mean.sel(star=list(pair)).values) < 0.003
    lone = stars.isel(star=[0])
    with pytest.raises(ValueError, match="needs two stars"):
        matched_pairs(lone, [first, second], SPREAD, pixels)
