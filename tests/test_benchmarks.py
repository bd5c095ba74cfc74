"""The benchmark's data, its plain codes, and what it measures with; the peers themselves are not needed."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import lab2

ROOT = Path(__file__).parents[1]


@pytest.fixture
def load(monkeypatch):
    """Import a module of benchmarks/, which is no package that is installed."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def stars(load):
    data = load("data")
    return data.make(200, data.spread(60))


def test_the_data_come_from_the_seed(load, stars):
    data = load("data")
    again, other = data.make(200, data.spread(60)), data.make(200, data.spread(60), seed=1)
    assert np.array_equal(stars.flux, again.flux)
    assert np.array_equal(stars.ivar, again.ivar)
    assert not np.array_equal(stars.labels, other.labels)


def test_gaps_and_bad_pixels_have_no_weight_and_a_finite_flux(load, stars):
    data = load("data")
    pixels = data.spread(60)
    on_chip = np.any([(pixels >= first) & (pixels < last) for first, last in data.CHIPS], axis=0)
    assert not stars.ivar[:, ~on_chip].any()
    assert (stars.ivar[:, on_chip] == 0).mean() == pytest.approx(0.03, abs=0.006)
    assert np.isfinite(stars.flux).all()


def test_the_loop_finds_no_better_scatter_than_the_training(load, stars):
    peers, accuracy = load("peers"), load("accuracy")
    loop, ours = peers.Loop(stars, stars), peers.Lab2(stars, stars)
    loop.train()
    ours.train()
    result = accuracy.against_grid(ours.model, ours.training, n_pixels=20)
    assert result["max_excess"] < 1e-5
    trained = ours.model.trained.values
    assert np.array_equal(trained, np.isfinite(loop.model[1]))
    assert np.corrcoef(np.sqrt(loop.model[1][trained]), np.sqrt(ours.model.s2.values[trained]))[0, 1] > 0.95


@pytest.mark.parametrize("method", ["lm", "trf"])
def test_curve_fit_gives_the_same_labels(load, stars, method):
    peers = load("peers")
    ours = peers.Lab2(stars, stars.stars(slice(0, 5)))
    ours.train()
    code = peers.CurveFit(stars, stars.stars(slice(0, 5)), method)
    code.model = ours.model
    fits = lab2.fit_labels(ours.model, ours.testing)
    sigma = np.sqrt(np.diagonal(fits.covariance.values, 0, 1, 2))
    same = np.all(np.abs(code.fit() - ours.fit()) < 0.1 * sigma, axis=1)
    # from one start, another minimum may be found where there are several
    assert same[fits.n_minima.values == 1].all()
    assert same.sum() >= 3


def test_every_matrix_product_is_watched(load):
    import ast

    tree = load("probes")._WatchMatmul().visit(ast.parse("x = a @ (b @ c) + np.dot(d, e) + np.matmul(f, g, out=h)"))
    source = ast.unparse(ast.fix_missing_locations(tree))
    assert source.count("watched_matmul(") == 4
    assert "@" not in source
    assert "np." not in source
