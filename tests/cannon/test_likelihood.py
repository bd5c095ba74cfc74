import numpy as np
import pytest
import twins

from lab2.cannon import polynomial
from lab2.cannon.likelihood import _S2_GRID, PixelLikelihood, minus_two_log_likelihood


def hard_pixels(rng, n_pixels=40, n_stars=150):
    """Pixels of every kind: none, little or much scatter, outliers, S/N from 20 to 2000, many unseen."""
    x = rng.normal(size=(n_stars, 2))
    pairs = polynomial.terms(2, 2)
    terms = polynomial.design(x, pairs)
    sigma = 10 ** rng.uniform(-3.3, -1.3, (n_pixels, n_stars))
    scatter = np.geomspace(1e-7, 0.05, n_pixels) ** 0.5 * (np.arange(n_pixels) % 4 > 0)
    noise = rng.normal(size=sigma.shape) * np.sqrt(sigma**2 + scatter[:, None] ** 2)
    noise[::5] *= np.where(rng.random((len(noise[::5]), n_stars)) < 0.03, 15.0, 1.0)
    flux = (rng.normal(size=(n_pixels, len(pairs))) * 0.05) @ terms.T + noise
    ivar = 1 / sigma**2
    ivar[::3] *= rng.random((len(ivar[::3]), n_stars)) > 0.5
    return flux, ivar, terms, x, pairs


@pytest.fixture(scope="module")
def maximum():
    flux, ivar, terms, x, pairs = hard_pixels(np.random.default_rng(11))
    likelihood = PixelLikelihood(flux, ivar, terms, *polynomial.normal_monomials(x, pairs))
    s2, theta = likelihood.maximize(np.arange(len(flux)))
    return flux, ivar, terms, s2, theta


def test_never_worse_than_a_fine_grid(maximum):
    flux, ivar, terms, s2, theta = maximum
    for p in range(len(flux)):
        value, best_theta = twins.minus_two_log_likelihood(flux[p], ivar[p], terms, s2[p])
        on_grid = twins.train_pixel(flux[p], ivar[p], terms)[0]
        assert value <= on_grid + 1e-5
        np.testing.assert_allclose(theta[p], best_theta, rtol=1e-6, atol=1e-9)


def test_pixels_are_of_every_kind(maximum):
    s2 = maximum[3]
    assert (s2 == 0).sum() >= 3  # settled at the edge
    assert (s2 > 1e-2).sum() >= 3  # beyond the last point of the coarse grid
    assert ((s2 > 1e-7) & (s2 < 1e-5)).sum() >= 3


def test_derivative_vanishes_at_the_maximum(maximum):
    flux, ivar, terms, s2, _ = maximum
    for p in range(len(flux)):
        seen = flux[p], ivar[p], terms

        def curve(log_s2, seen=seen):
            return twins.minus_two_log_likelihood(*seen, np.exp(log_s2))[0]

        if s2[p] == 0:
            h = 1e-9
            rise = twins.minus_two_log_likelihood(*seen, h)[0] - twins.minus_two_log_likelihood(*seen, 0.0)[0]
            assert rise > -1e-6
        else:
            u, h = np.log(s2[p]), 1e-3
            low, middle, high = curve(u - h), curve(u), curve(u + h)
            slope, curvature = (high - low) / (2 * h), (high - 2 * middle + low) / h**2
            assert curvature > 0
            # a Newton step from here would gain less than 1e-7 in -2 ln L
            assert 0.5 * slope**2 / curvature < 1e-7


def test_derivatives_by_s2():
    # few stars a coefficient, so that theta following s2 makes up much of the second derivative
    flux, ivar, terms, x, pairs = hard_pixels(np.random.default_rng(14), n_pixels=6, n_stars=14)
    ivar = np.maximum(ivar, 100.0)
    likelihood = PixelLikelihood(flux, ivar, terms, *polynomial.normal_monomials(x, pairs))
    s2, h = 3e-4, 3e-6
    which = np.arange(6)[::-1]  # some pixels in any order
    _, _, theta, _, _ = likelihood._solve(which, np.full(6, s2))
    first, second = (derivative[::-1] for derivative in likelihood._derivatives(which, theta))
    for p in range(6):
        low, middle, high = (
            twins.minus_two_log_likelihood(flux[p], ivar[p], terms, value)[0] for value in (s2 - h, s2, s2 + h)
        )
        assert first[p] == pytest.approx((high - low) / (2 * h), rel=1e-3)
        assert second[p] == pytest.approx((high - 2 * middle + low) / h**2, rel=1e-2)


def test_scan_leaves_out_only_what_cannot_be_best():
    flux, ivar, terms, x, pairs = hard_pixels(np.random.default_rng(15), n_pixels=60, n_stars=40)
    which, start = PixelLikelihood(flux, ivar, terms, *polynomial.normal_monomials(x, pairs))._scan(np.arange(60))
    assert which.tolist() == list(range(60))
    points, bests = np.concatenate([[0.0], _S2_GRID]), set()
    for p in range(60):
        best = points[np.argmin([twins.minus_two_log_likelihood(flux[p], ivar[p], terms, s2)[0] for s2 in points])]
        # the parabola moves it by half a step of the grid at most
        assert start[p] == best == 0 or abs(np.log10(start[p] / best)) < 0.2501
        bests.add(best)
    assert len(bests) > 6


def test_plain_formula_of_the_package_is_the_textbooks():
    flux, ivar, terms, _, _ = hard_pixels(np.random.default_rng(12), n_pixels=4)
    for p in range(4):
        for s2 in (0.0, 1e-5, 1e-2):
            value, theta = minus_two_log_likelihood(flux[p], ivar[p], terms, s2)
            expected, expected_theta = twins.minus_two_log_likelihood(flux[p], ivar[p], terms, s2)
            assert value == pytest.approx(expected, rel=1e-10)
            np.testing.assert_allclose(theta, expected_theta, rtol=1e-7, atol=1e-10)


def test_log_term_is_in_it():
    # Without ln(sigma^2 + s2) a larger s2 would always be better; with it, this noise needs none.
    rng = np.random.default_rng(13)
    sigma = np.full(200, 0.01)
    flux, terms = rng.normal(size=200) * sigma, np.ones((200, 1))
    at_zero = minus_two_log_likelihood(flux, 1 / sigma**2, terms, 0.0)[0]
    assert minus_two_log_likelihood(flux, 1 / sigma**2, terms, 1e-2)[0] > at_zero + 100


def test_scatter_far_below_the_noise_is_found():
    # stars alike, no scatter planted: half of the pixels end at zero, and many just above it, where ln s2 is flat
    rng = np.random.default_rng(51)
    n_pixels, n_stars, ivar = 80, 300, 1e4
    x = rng.normal(size=(n_stars, 1))
    pairs = polynomial.terms(1, 1)
    terms, (monomials, place) = polynomial.design(x, pairs), polynomial.normal_monomials(x, pairs)
    flux, weights = rng.normal(0, ivar**-0.5, (n_pixels, n_stars)), np.full((n_pixels, n_stars), ivar)
    s2, _ = PixelLikelihood(flux, weights, terms, monomials, place).maximize(np.arange(len(flux)))
    # with equal errors the maximum is known: the mean squared residual less sigma^2, or zero
    residual = flux - (np.linalg.lstsq(terms, flux.T, rcond=None)[0].T @ terms.T)
    expected = np.maximum((residual**2).mean(axis=1) - 1 / ivar, 0.0)
    np.testing.assert_allclose(s2, expected, rtol=1e-3, atol=1e-12)
    assert ((expected > 0) & (expected < 3e-6)).sum() > 5
    assert (expected == 0).sum() > 20
