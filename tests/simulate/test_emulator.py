"""The network behind the spectra, against the synthesis."""

from pathlib import Path

import numpy as np
from a_giant import NAMES

from lab2.simulate import chemistry, emulator

DATA = Path(__file__).parents[1] / "data"


def test_hidden_abundances_are_those_of_the_emulator():
    assert set(emulator.inputs()) - set(NAMES) == set(chemistry.HIDDEN) - {"vmacro"}


def test_emulator_gives_back_spectra_that_it_never_saw():
    # a few spectra of the grid that were held out of the training, as the synthesis made them
    with np.load(DATA / "synthesis.npz", allow_pickle=False) as held_out:
        labels_of_grid, flux = held_out["labels"], held_out["flux"].astype(float)
    error = emulator.spectra(labels_of_grid) - flux
    # 0.0020 over all 490 of them; these few span the grid, its cool end too
    assert np.sqrt(np.mean(error[:, 322:8306] ** 2)) < 0.0025
