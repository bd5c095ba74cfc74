import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lab2.network import basis


@pytest.fixture
def drawn():
    """Flux, ivar and the basis that they were drawn from: 400 stars, 60 pixels, 2 components."""
    rng = np.random.default_rng(1)
    truth = basis.Basis(np.linspace(0.8, 1.0, 60), 0.05 * rng.normal(size=(60, 2)), np.full(60, 0.01**2))
    error = rng.uniform(0.005, 0.02, size=(400, 1)) * np.ones(60)
    flux = truth.mean + rng.normal(size=(400, 2)) @ truth.spectra.T
    flux += np.sqrt(error**2 + truth.s2) * rng.normal(size=flux.shape)
    ivar = error**-2
    ivar[rng.random(ivar.shape) < 0.1] = 0.0
    return np.where(ivar > 0, flux, 99.0), ivar, truth


def test_the_covariance_of_the_spectra_is_found(drawn):
    flux, ivar, truth = drawn
    found = basis.learn(flux, ivar, 2)
    expected, got = (b.spectra @ b.spectra.T for b in (truth, found))
    assert np.abs(got - expected).max() < 0.15 * expected.max()
    np.testing.assert_allclose(found.mean, truth.mean, atol=0.02)
    assert np.median(found.s2) == pytest.approx(1e-4, rel=0.2)


def test_scores_are_those_of_the_conditional_normal_distribution(drawn):
    flux, ivar, truth = drawn
    good = ivar[0] > 0
    noise = np.diag(1 / ivar[0, good] + truth.s2[good])
    a = truth.spectra[good]
    # conditional mean and covariance of jointly normal z and flux, by the whole covariance of the flux
    gain = a.T @ np.linalg.inv(a @ a.T + noise)
    mean, covariance = basis.scores(truth, flux[:1], ivar[:1])
    np.testing.assert_allclose(mean[0], gain @ (flux[0, good] - truth.mean[good]), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(covariance[0], np.eye(2) - gain @ a, rtol=1e-3, atol=1e-6)


def test_every_round_makes_the_spectra_more_likely(drawn, monkeypatch):
    flux, ivar, _ = drawn

    def log_likelihood(found):
        total = 0.0
        for f, iv in zip(flux[:50], ivar[:50], strict=True):
            good = iv > 0
            a = found.spectra[good].astype(float)
            covariance = a @ a.T + np.diag(1 / iv[good] + found.s2[good])
            total += multivariate_normal.logpdf(f[good], found.mean[good], covariance)
        return total

    likelihoods = []
    for rounds in (0, 1, 3, 8):
        monkeypatch.setattr(basis, "_ROUNDS", rounds)
        likelihoods.append(log_likelihood(basis.learn(flux, ivar, 2)))
    assert np.all(np.diff(likelihoods) > -0.5)
    assert likelihoods[-1] > likelihoods[0] + 10


def test_pixels_without_information_say_nothing(drawn):
    flux, ivar, truth = drawn
    other = np.where(ivar > 0, flux, -7.0)
    for one, two in zip(basis.scores(truth, flux, ivar), basis.scores(truth, other, ivar), strict=True):
        np.testing.assert_array_equal(one, two)
    mean, covariance = basis.scores(truth, flux[:1], 0 * ivar[:1])
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_array_equal(covariance[0], np.eye(2))
