"""What goes wrong with a star."""

import numpy as np
import pytest
from a_giant import GIANT, nearest_pixel

from lab2 import grid
from lab2.simulate import spectrum
from lab2.simulate.oddities import disturb


@pytest.mark.parametrize("kind", ["binary", "wrong_rv", "emission", "rotation"])
def test_oddities_change_a_spectrum(kind):
    flux = spectrum(GIANT)
    odd = disturb(np.random.default_rng(2), kind, flux, GIANT)
    assert np.std(odd - flux) > 0.005
    if kind == "rotation":
        # broader lines take away as much light
        assert np.sum(1 - odd) == pytest.approx(np.sum(1 - flux), rel=0.01)
    if kind == "emission":
        assert (odd - flux)[nearest_pixel(grid.BRACKETT[0])].item() > 0.05
