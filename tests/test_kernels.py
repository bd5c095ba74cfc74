import numpy as np
import pytest
import twins

from lab2 import kernels, polynomial

# Odd sizes, so that a loop unrolled by 2, 4 or 8 has a remainder.
N_PIXELS, N_STARS = 13, 61


def weights_like(rng, shape):
    ivar = 1 / rng.uniform(0.003, 0.3, shape) ** 2
    ivar[rng.random(shape) < 0.1] = 0.0
    return ivar


@pytest.mark.parametrize("n_stars", [1, 7, 8, 9, N_STARS])
def test_weigh(n_stars):
    rng = np.random.default_rng(3)
    ivar = weights_like(rng, (N_PIXELS, n_stars))
    flux = rng.normal(1, 0.2, ivar.shape)
    s2 = np.concatenate([[0.0, 1e-10], np.geomspace(1e-7, 1.0, N_PIXELS - 2)])
    weight, weighted = np.empty_like(ivar), np.empty_like(ivar)
    log_sum, chi_zero = np.empty(N_PIXELS), np.empty(N_PIXELS)
    kernels.weigh(ivar, flux, s2, weight, weighted, log_sum, chi_zero)
    for got, expected in zip((weight, weighted, log_sum, chi_zero), twins.weigh(ivar, flux, s2), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_weigh_does_not_overflow_for_bright_stars_and_much_scatter():
    ivar, s2 = np.full((1, 4001), 1e10), np.array([1e3])
    weight, weighted, log_sum, chi_zero = np.empty_like(ivar), np.empty_like(ivar), np.empty(1), np.empty(1)
    kernels.weigh(ivar, np.ones_like(ivar), s2, weight, weighted, log_sum, chi_zero)
    assert log_sum[0] == pytest.approx(4001 * np.log(1e13), rel=1e-12)


def test_gradient_sums():
    rng = np.random.default_rng(4)
    weight, residual = weights_like(rng, (N_PIXELS, N_STARS)), rng.normal(0, 0.1, (N_PIXELS, N_STARS))
    bent, first, second = twins.gradient_sums(weight, residual)
    got_first, got_second = np.empty(N_PIXELS), np.empty(N_PIXELS)
    kernels.gradient_sums(weight, residual, got_first, got_second)
    np.testing.assert_allclose(residual, bent, rtol=1e-12)
    np.testing.assert_allclose(got_first, first, rtol=1e-11)
    np.testing.assert_allclose(got_second, second, rtol=1e-11)


def normal_equations(rng, n_labels=3):
    pairs = polynomial.terms(n_labels, 2)
    x = rng.normal(size=(N_STARS, n_labels))
    monomials, place = polynomial.normal_monomials(x, pairs)
    weight = weights_like(rng, (N_PIXELS, N_STARS))
    return weight @ monomials, place, rng.normal(size=(N_PIXELS, len(pairs)))


def test_solve_normal():
    monomials, place, right = normal_equations(np.random.default_rng(5))
    theta, factor, solved = (
        np.empty_like(right),
        np.zeros((N_PIXELS, *place.shape)),
        np.empty(N_PIXELS, dtype=bool),
    )
    kernels.solve_normal(monomials, place, right, factor, theta, solved)
    expected, matrices = twins.solve_normal(monomials, place, right)
    assert solved.all()
    np.testing.assert_allclose(theta, expected, rtol=1e-8)
    np.testing.assert_allclose(np.tril(factor) @ np.swapaxes(np.tril(factor), 1, 2), matrices, rtol=1e-10)

    norm = np.empty(N_PIXELS)
    kernels.squared_norm_solved(factor, right, norm)
    np.testing.assert_allclose(norm, np.einsum("pt,pt->p", right, expected), rtol=1e-8)


def test_solve_normal_says_which_pixel_is_singular_and_does_the_others():
    monomials, place, right = normal_equations(np.random.default_rng(6))
    monomials[4] = 0.0  # nobody saw it
    monomials[7] = polynomial.normal_monomials(np.ones((1, 3)), polynomial.terms(3, 2))[0]  # one star only
    theta, factor, solved = (
        np.empty_like(right),
        np.zeros((N_PIXELS, *place.shape)),
        np.empty(N_PIXELS, dtype=bool),
    )
    kernels.solve_normal(monomials, place, right, factor, theta, solved)
    assert np.flatnonzero(~solved).tolist() == [4, 7]
    assert (theta[[4, 7]] == 0).all()
    others = np.flatnonzero(solved)
    np.testing.assert_allclose(theta[others], twins.solve_normal(monomials[others], place, right[others])[0], rtol=1e-8)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_star_weights(kind):
    rng = np.random.default_rng(7)
    ivar = weights_like(rng, (11, 67)).astype(kind)
    ivar[3] = 0.0
    flux, flux_zero = rng.normal(1, 0.2, ivar.shape).astype(kind), rng.uniform(0.5, 1, 67)
    flux[ivar == 0] = np.nan  # without weight, so it must not matter
    s2 = np.where(rng.random(67) < 0.3, 0.0, 1e-4)
    s2[5] = np.inf
    twin = twins.star_weights(ivar.astype(float), flux.astype(float), s2, flux_zero)
    chi_zero, n_pixels = np.zeros(11), np.zeros(11, dtype=np.int64)
    for start, stop in ((0, 30), (30, 60), (60, 67)):  # the sums go on from chunk to chunk
        weight, weighted = np.empty((2, 11, 30))
        kernels.star_weights(ivar, flux, s2, flux_zero, start, stop, weight, weighted, chi_zero, n_pixels)
        np.testing.assert_allclose(weight[:, : stop - start], twin[0][:, start:stop], rtol=1e-12)
        np.testing.assert_allclose(weighted[:, : stop - start], twin[1][:, start:stop], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(chi_zero, twin[2], rtol=1e-12)
    np.testing.assert_array_equal(n_pixels, twin[3])
    assert n_pixels[3] == 0


@pytest.mark.parametrize(("which", "value"), [(0, -1.0), (0, np.nan), (0, np.inf), (1, np.nan), (1, np.inf)])
def test_star_weights_tell_what_may_not_be_used(which, value):
    arrays = [np.full((3, 20), 100.0), np.ones((3, 20))]
    arrays[which][1, 13] = value
    chi_zero, n_pixels, (weight, weighted) = np.zeros(3), np.zeros(3, dtype=np.int64), np.empty((2, 3, 20))
    kernels.star_weights(*arrays, np.zeros(20), np.zeros(20), 0, 20, weight, weighted, chi_zero, n_pixels)
    assert np.isfinite(chi_zero).tolist() == [True, False, True]


def test_all_usable():
    rng = np.random.default_rng(10)
    ivar = weights_like(rng, (9, 33))
    ivar[2, 5] = 0.0
    flux = rng.normal(1, 0.2, ivar.shape)
    flux[2, 5] = np.nan  # without weight, so it does not matter
    for kind in ("f4", "f8"):
        assert kernels.all_usable(flux.astype(kind), ivar.astype(kind))
        for array, value in ((ivar, -1.0), (ivar, np.nan), (ivar, np.inf), (flux, np.nan), (flux, -np.inf)):
            wrong = array.copy()
            wrong[-1, -1] = value
            assert not kernels.all_usable(*((flux, wrong) if array is ivar else (wrong, ivar)))


def test_log_sums():
    rng = np.random.default_rng(13)
    for n_stars in (1, 8, 43):
        ivar = weights_like(rng, (5, n_stars))
        out = np.empty(5)
        kernels.log_sums(ivar, 3e-4, out)
        np.testing.assert_allclose(out, np.log1p(ivar * 3e-4).sum(axis=1), rtol=1e-12)
