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


def test_star_weights():
    rng = np.random.default_rng(7)
    ivar = weights_like(rng, (11, 67))
    ivar[3] = 0.0
    flux, flux_zero = rng.normal(1, 0.2, ivar.shape), rng.uniform(0.5, 1, 67)
    s2 = np.where(rng.random(67) < 0.3, 0.0, 1e-4)
    weight, weighted = np.empty_like(ivar), np.empty_like(ivar)
    chi_zero, n_pixels = np.empty(11), np.empty(11, dtype=np.int64)
    kernels.star_weights(ivar, flux, s2, flux_zero, weight, weighted, chi_zero, n_pixels)
    twin = twins.star_weights(ivar, flux, s2, flux_zero)
    for got, expected in zip((weight, weighted, chi_zero), twin, strict=False):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(n_pixels, twin[3])
    assert n_pixels[3] == 0


@pytest.mark.parametrize("radius2", [100.0, 0.5])  # well inside the wall, and beyond it
def test_derivatives_of_the_quartic(radius2):
    rng = np.random.default_rng(9)
    pairs = polynomial.terms(3, 2)
    theta = rng.normal(size=(31, len(pairs)))
    matrix, right = theta.T @ theta, theta.T @ rng.normal(size=31)
    spread = rng.normal(size=(3, 3))
    wall = (spread @ spread.T + np.eye(3), radius2, 7.0)
    work = (np.empty(4), np.empty(10), np.empty(10), np.empty((10, 3)))
    gradient, gauss, hessian = np.empty(3), np.empty((3, 3)), np.empty((3, 3))
    x, h, unit = np.array([0.7, -0.9, 0.4]), 1e-3, np.eye(3)
    value = kernels._quartic(x, matrix, right, 5.0, pairs, wall, gradient, gauss, hessian, work)

    def twin(shift):
        return twins.quartic_value(x + h * shift, matrix, right, 5.0, pairs, wall)

    assert value == pytest.approx(twin(np.zeros(3)), rel=1e-12)
    slope = theta @ polynomial.jacobian(x, pairs)
    np.testing.assert_allclose(gauss, slope.T @ slope, rtol=1e-10)
    for k in range(3):
        assert 2 * gradient[k] == pytest.approx((twin(unit[k]) - twin(-unit[k])) / (2 * h), rel=1e-4)
        for m in range(3):
            corners = [twin(a * unit[k] + b * unit[m]) * a * b for a in (1, -1) for b in (1, -1)]
            assert 2 * hessian[k, m] == pytest.approx(sum(corners) / (4 * h**2), rel=1e-4)


@pytest.mark.parametrize("n_labels", [1, 2, 3])
def test_minimize_quartics(n_labels):
    rng = np.random.default_rng(8)
    pairs = polynomial.terms(n_labels, 2)
    n_stars, starts = 3, np.vstack([np.zeros(n_labels), rng.normal(0, 1.5, (3, n_labels))])
    theta = rng.normal(size=(41, len(pairs))) * np.where(pairs[:, 0] == 0, 1.0, 0.4)
    x_true = rng.normal(size=(n_stars, n_labels))
    design = polynomial.design(x_true, pairs)
    flux = (design - 1.0 * (pairs == 0).all(axis=1)) @ theta.T + rng.normal(0, 0.3, (n_stars, 41))
    wall = (np.eye(n_labels), 9.0, 100.0)
    matrix = theta.T @ theta / 0.09
    right, constant = flux @ theta / 0.09, (flux**2).sum(axis=1) / 0.09
    packed = np.tile(matrix[np.triu_indices(len(pairs))], (n_stars, 1))
    shape = (n_stars, len(starts))
    x, chi2, fisher = np.empty((*shape, n_labels)), np.empty(shape), np.empty((*shape, n_labels, n_labels))
    done = np.zeros(shape, dtype=bool)
    kernels.minimize_quartics(packed, right, constant, pairs, starts, wall, 1e-10, x, chi2, fisher, done)
    assert done.all()
    for n in range(n_stars):
        statistics = matrix, right[n], constant[n], pairs, wall
        twin = [twins.minimize_quartic(start, *statistics) for start in starts]
        best = chi2[n].argmin()
        expected = min(twin, key=lambda result: result.fun)
        assert chi2[n, best] <= expected.fun + 1e-8
        np.testing.assert_allclose(x[n, best], expected.x, atol=1e-5)
        slope = theta @ polynomial.jacobian(x[n, best], pairs)
        np.testing.assert_allclose(fisher[n, best], slope.T @ slope / 0.09, rtol=1e-10)
        for start in range(len(starts)):
            here = x[n, start]
            value = twins.quartic_value(here, *statistics)
            assert chi2[n, start] == pytest.approx(value, rel=1e-9)
            for k in range(n_labels):
                for step in (1e-3, -1e-3):
                    assert twins.quartic_value(here + step * np.eye(n_labels)[k], *statistics) > value


def test_minimize_quartics_stops_at_the_wall():
    # flux falls with x for ever: the wall alone holds it
    pairs = polynomial.terms(1, 1)
    matrix, right, wall = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 50.0]]), (np.eye(1), 4.0, 100.0)
    x, chi2, fisher = np.empty((1, 1, 1)), np.empty((1, 1)), np.empty((1, 1, 1, 1))
    done = np.zeros((1, 1), dtype=bool)
    packed, constant = matrix[np.triu_indices(2)][None], np.array([2500.0])
    kernels.minimize_quartics(packed, right, constant, pairs, np.zeros((1, 1)), wall, 1e-10, x, chi2, fisher, done)
    expected = twins.minimize_quartic(np.zeros(1), matrix, right[0], 2500.0, pairs, wall)
    assert done[0, 0]
    assert 2.0 < x[0, 0, 0] < 2.1  # just beyond the radius 2; without the wall x = 50
    assert x[0, 0, 0] == pytest.approx(expected.x[0], abs=1e-5)
    assert chi2[0, 0] == pytest.approx(expected.fun, abs=1e-6)
