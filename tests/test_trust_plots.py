"""Figures of odd stars and of predicted spectra take results and compute nothing."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from lab2 import plots


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_an_odd_star_is_shown_whole_and_enlarged_in_the_given_window():
    wavelength = np.linspace(15200, 16400, 4000)
    chip = np.where(wavelength < 15835, "blue", "green")
    model = np.ones(4000)
    flux = model - 0.2 * np.exp(-0.5 * ((wavelength - 16000) / 2) ** 2)
    flux[:30] = np.nan
    window = slice(2600, 2800)
    figure = plots.odd_star(wavelength, chip, flux, model, window, "a verdict", explained=flux)
    blue, green, zoom = figure.axes
    assert blue.get_title(loc="left") == "a verdict"
    assert blue.get_xlim()[1] < 15836 < green.get_xlim()[1]
    assert zoom.get_xlim() == pytest.approx((wavelength[2600], wavelength[2799]))
    np.testing.assert_allclose(np.nanmin(zoom.lines[2].get_ydata()), 0.3 - 0.2, atol=0.01)  # the residual
    assert len(figure.legends[0].get_texts()) == 4


def test_the_band_of_predicted_spectra_is_the_one_given():
    wavelength = np.linspace(15700, 15800, 300)
    band = np.repeat([[0.96], [1.0], [1.04]], 300, axis=1)
    top, bottom = plots.predictive(wavelength, np.ones(300), band, (15720, 15780)).axes
    x, y = bottom.collections[0].get_paths()[0].vertices.T
    assert (x.min(), x.max()) == pytest.approx((15720, 15780), abs=1)
    assert (y.min(), y.max()) == pytest.approx((-0.04, 0.04))
    assert "[$" in bottom.get_xlabel()
    assert top.get_xlim() == (15720, 15780)
