"""The training of the emulator, on a grid whose spectra are known in closed form."""

import numpy as np

from lab2.simulate import emulator
from tools.synthesis import emulator as trainer
from tools.synthesis.grid import ABUNDANCES, RANGE

BOUNDS = np.array([RANGE["teff"], RANGE["logg"], RANGE["fe_h"], *ABUNDANCES.values(), (0.8, 2.5)])


def grid(n_spectra, seed):
    """Labels within the grid, and spectra that depend on three of them."""
    labels = np.random.default_rng(seed).uniform(*BOUNDS.T, size=(n_spectra, len(BOUNDS)))
    x = (labels - BOUNDS.mean(axis=1)) / np.ptp(BOUNDS, axis=1)
    shapes = np.random.default_rng(0).normal(size=(3, 150))
    return labels, 1.0 - 0.05 * np.column_stack([np.sin(2 * x[:, 0]), x[:, 1] ** 2, x[:, 2] * x[:, 0]]) @ shapes


def test_the_trained_network_gives_back_spectra_that_it_never_saw(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "_EPOCHS", 120)
    monkeypatch.setattr(emulator, "TABLE", tmp_path / "emulator.npz")
    trainer.save(trainer.train(*grid(1500, seed=1)), emulator.TABLE)
    emulator._arrays.cache_clear()
    try:
        labels, flux = grid(100, seed=2)
        error = emulator.spectra(labels) - flux
    finally:
        emulator._arrays.cache_clear()
    assert error.std() < 0.15 * flux.std()
