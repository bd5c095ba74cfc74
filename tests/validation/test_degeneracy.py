"""A label that imitates a change of others, where the model is linear and the answer is known."""

import numpy as np
import pytest
from plain_survey import MEAN, SPREAD, model, slopes

from lab2.validation import match_absorption

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
