"""Systems solved side by side against numpy, one after the other."""

import numpy as np
import pytest
import twins

from lab2.cannon import _linear, polynomial

N_STARS = 61


def normal_equations(rng, n_pixels, n_labels=3):
    """sums, place, right of as many systems; pixels last."""
    pairs = polynomial.terms(n_labels, 2)
    monomials, place = polynomial.normal_monomials(rng.normal(size=(N_STARS, n_labels)), pairs)
    weight = 1 / rng.uniform(0.003, 0.3, (n_pixels, N_STARS)) ** 2
    return monomials.T @ weight.T, place, rng.normal(size=(len(pairs), n_pixels))


def solve(sums, place, right):
    theta, solved = np.full_like(right, np.nan), np.empty(right.shape[1], dtype=bool)
    factor = _linear.factors(right.shape[1], len(right))
    factor[:] = np.nan  # nothing may be left of what was there
    _linear.solve_normal(sums, place, right, factor, theta, solved)
    return theta, solved, factor


@pytest.mark.parametrize("n_pixels", [1, _linear.LANES - 1, _linear.LANES, 2 * _linear.LANES + 5])
def test_solve_normal(n_pixels):
    sums, place, right = normal_equations(np.random.default_rng(5), n_pixels)
    before = right.copy()
    theta, solved, factor = solve(sums, place, right)
    expected = twins.solve_normal(sums.T, place, right.T).T
    assert solved.all()
    np.testing.assert_allclose(theta, expected, rtol=1e-8)
    np.testing.assert_array_equal(right, before)
    norm = np.empty(n_pixels)
    _linear.squared_norm_solved(factor, right, norm)
    np.testing.assert_allclose(norm, (before * expected).sum(axis=0), rtol=1e-8)


def test_solve_normal_says_which_pixel_is_singular_and_does_the_others():
    sums, place, right = normal_equations(np.random.default_rng(6), 40)
    sums[:, 4] = 0.0  # nobody saw it
    sums[:, 37] = polynomial.normal_monomials(np.ones((1, 3)), polynomial.terms(3, 2))[0][0]  # one star only
    theta, solved, _ = solve(sums, place, right)
    assert np.flatnonzero(~solved).tolist() == [4, 37]
    assert (theta[:, [4, 37]] == 0).all()
    expected = twins.solve_normal(sums[:, solved].T, place, right[:, solved].T).T
    np.testing.assert_allclose(theta[:, solved], expected, rtol=1e-8)


def test_one_system():
    rng = np.random.default_rng(7)
    root = rng.normal(size=(6, 9))
    matrix, right = root @ root.T, rng.normal(size=6)
    factor, out = np.zeros((6, 6)), np.empty(6)
    assert _linear.cholesky(matrix, factor)
    expected = np.linalg.cholesky(matrix)
    np.testing.assert_allclose(np.tril(factor, -1), np.tril(expected, -1), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(1 / np.diag(factor), np.diag(expected), rtol=1e-10)  # multiplied by, not divided
    _linear.forward(factor, right, out)
    _linear.backward(factor, out)
    np.testing.assert_allclose(out, np.linalg.solve(matrix, right), rtol=1e-8)


@pytest.mark.parametrize("matrix", [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]])
def test_one_system_that_is_not_positive(matrix):
    assert not _linear.cholesky(np.array(matrix), np.zeros((2, 2)))
