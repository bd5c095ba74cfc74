"""Augmentation, likelihood, architectures and settings, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lab2.network import architectures, basis
from lab2.network.augmentation import redrawn
from lab2.network.likelihood import minus_log_likelihood
from lab2.network.settings import Settings


@pytest.fixture(scope="module")
def shown():
    """A thousand spectra without deviation, as they are shown: noise up to ten times their own, sigma 0.02."""
    ivar = jnp.full((1000, 300), 0.02**-2).at[:, 7].set(0.0)
    return redrawn(jax.random.key(1), jnp.zeros_like(ivar), ivar, 10.0), ivar


def test_the_noise_added_is_what_the_inverse_variance_lost(shown):
    (deviation, ivar), before = shown
    good = np.asarray(ivar) > 0
    added = 1 / np.asarray(ivar)[good] - 1 / np.asarray(before)[good]
    pulls = np.asarray(deviation)[good] / np.sqrt(np.maximum(added, 1e-12))
    much = added > 0.1 * 0.02**2
    assert pulls[much].std() == pytest.approx(1, abs=0.01)
    assert np.sqrt(added.max()) == pytest.approx(0.02 * np.sqrt(99), rel=0.05)


def test_a_stretch_is_masked_and_shows_nothing(shown):
    (deviation, ivar), _ = shown
    masked = np.asarray(ivar)[:, 8:] == 0
    assert not np.asarray(deviation)[np.asarray(ivar) == 0].any()
    assert (np.abs(np.diff(masked.astype(int), axis=1)).sum(axis=1) <= 2).all()  # one stretch
    assert 0.03 < masked.mean() < 0.06
    assert masked.sum(axis=1).max() <= 31


def test_each_spectrum_is_drawn_anew(shown):
    (deviation, _), ivar = shown
    again, _ = redrawn(jax.random.key(2), jnp.zeros_like(ivar), ivar, 10.0)
    assert np.abs(np.corrcoef(np.asarray(again).ravel(), np.asarray(deviation).ravel())[0, 1]) < 0.02


def test_the_loss_is_that_of_the_normal_distribution():
    rng = np.random.default_rng(3)
    outputs, labels, errors = rng.normal(size=9), rng.normal(size=3), np.array([0.0, 0.3, 2.0])
    mean, root = (np.asarray(x, dtype=float) for x in architectures.normal_of(jnp.asarray(outputs), 3))
    np.testing.assert_allclose(mean, outputs[:3], rtol=1e-6)
    covariance = root @ root.T + np.diag(errors**2)
    expected = -multivariate_normal.logpdf(labels, mean, covariance) - 1.5 * np.log(2 * np.pi)
    assert float(minus_log_likelihood(jnp.asarray(outputs), jnp.asarray(labels), jnp.asarray(errors))) == pytest.approx(
        expected, rel=1e-5
    )


def test_scores_by_jax_are_those_by_numpy():
    rng = np.random.default_rng(4)
    one = basis.Basis(*(x.astype(np.float32) for x in (np.ones(50), rng.normal(size=(50, 4)), np.full(50, 0.1))))
    flux, ivar = rng.normal(1, 1, size=(3, 50)), rng.uniform(0, 5, size=(3, 50))
    mean, covariance = basis.scores(one, flux, ivar)
    found = architectures.features("projection", architectures.lens(one), jnp.asarray(flux - 1), jnp.asarray(ivar))
    np.testing.assert_allclose(found[:, 0], mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[:, 1], 0.5 * np.log(np.diagonal(covariance, axis1=1, axis2=2)), atol=1e-4)


@pytest.mark.parametrize("kind", ["projection", "perceptron", "convolution"])
def test_masked_pixels_reach_no_network(kind):
    rng = np.random.default_rng(5)
    one = architectures.lens(basis.Basis(np.ones(40), rng.normal(size=(40, 3)), np.full(40, 0.1)))
    networks = architectures.assemble(
        Settings(kind=kind, hidden=(5,)), 3, ((0, 24), (24, 40)), 2, jax.random.split(jax.random.key(6), 2)
    )
    deviation, ivar = rng.normal(size=(2, 40)), np.ones((2, 40))
    ivar[:, 10:15] = 0.0
    other = deviation.copy()
    other[:, 10:15] = 77.0
    answers = [
        np.asarray(
            architectures.outputs(networks, architectures.features(kind, one, jnp.asarray(x), jnp.asarray(ivar)))
        )
        for x in (deviation, other)
    ]
    assert answers[0].shape == (2, 2, 5)
    np.testing.assert_array_equal(*answers)
    assert np.abs(answers[0][0] - answers[0][1]).max() > 0  # the members differ


def test_convolutions_do_not_cross_the_gap_between_chips():
    networks = architectures.assemble(
        Settings(kind="convolution", hidden=()), 3, ((0, 64), (64, 128)), 1, jax.random.split(jax.random.key(7), 1)
    )
    network = jax.tree.map(lambda x: x[0] if eqx_array(x) else x, networks)
    inputs = jnp.zeros((2, 128))
    first = network._filtered(inputs[:, :64])
    np.testing.assert_array_equal(network._filtered(inputs.at[:, 64:].set(5.0)[:, :64]), first)
    slopes = jax.jacobian(lambda x: jnp.concatenate([network._filtered(x[:, a:b]).ravel() for a, b in network.chips]))(
        inputs
    )
    half = slopes.shape[0] // 2
    assert not np.asarray(slopes[:half, :, 64:]).any()
    assert np.asarray(slopes[:half, :, :64]).any()


def eqx_array(x):
    return isinstance(x, jax.Array)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "transformer"}, "kind must be one of projection, perceptron, convolution; got 'transformer'"),
        ({"dropout": 1.0}, "dropout must be from 0 to less than 1; got 1.0"),
        ({"noise": 0.5}, "noise must be 1 or more"),
        ({"hidden": (3, 0)}, "hidden must be sizes of 1 or more"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"rate": 0.0}, "rate must be more than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)
