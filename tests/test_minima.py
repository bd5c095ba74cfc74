"""The search for minima against plain twins: scipy's general minimisers on the same quartic, term by term."""

import numpy as np
import pytest
import twins

from lab2 import minima, polynomial


def find_minima(packed, right, constant, pairs, starts, wall):
    n_stars, n_labels = len(right), starts.shape[1]
    x, fisher = np.zeros((n_stars, n_labels)), np.zeros((n_stars, n_labels, n_labels))
    chi2, delta, n_minima = np.empty(n_stars), np.empty(n_stars), np.empty(n_stars, dtype=np.int64)
    minima.find_minima(packed, right, constant, pairs, starts, wall, 1e-10, x, chi2, fisher, n_minima, delta)
    return x, chi2, fisher, n_minima, delta


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
    value = minima.quartic(x, matrix, right, 5.0, pairs, wall, gradient, gauss, hessian, work)

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
def test_find_minima(n_labels):
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
    x, chi2, fisher, n_minima, delta = find_minima(packed, right, constant, pairs, starts, wall)
    assert (n_minima >= 1).all()
    for n in range(n_stars):
        statistics = matrix, right[n], constant[n], pairs, wall
        twin = [twins.minimize_quartic(start, *statistics) for start in starts]
        expected = min(twin, key=lambda result: result.fun)
        assert chi2[n] <= expected.fun + 1e-8
        np.testing.assert_allclose(x[n], expected.x, atol=1e-5)
        assert chi2[n] == pytest.approx(twins.quartic_value(x[n], *statistics), rel=1e-9)
        slope = theta @ polynomial.jacobian(x[n], pairs)
        np.testing.assert_allclose(fisher[n], slope.T @ slope / 0.09, rtol=1e-10)
        # the twin's own minima, counted by hand
        distinct = []
        for result in sorted(twin, key=lambda result: result.fun):
            if all((result.x - x0) @ fisher[n] @ (result.x - x0) > 1 for x0, _ in distinct):
                distinct.append((result.x, result.fun))
        assert n_minima[n] == len(distinct)
        expected_delta = distinct[1][1] - distinct[0][1] if len(distinct) > 1 else np.inf
        assert delta[n] == pytest.approx(expected_delta, abs=1e-6)


def test_the_wall_stops_a_fit():
    # flux falls with x for ever: the wall alone holds it
    pairs = polynomial.terms(1, 1)
    matrix, right, wall = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 50.0]]), (np.eye(1), 4.0, 100.0)
    packed, constant = matrix[np.triu_indices(2)][None], np.array([2500.0])
    x, chi2, _, n_minima, _ = find_minima(packed, right, constant, pairs, np.zeros((1, 1)), wall)
    expected = twins.minimize_quartic(np.zeros(1), matrix, right[0], 2500.0, pairs, wall)
    assert n_minima[0] == 1
    assert 2.0 < x[0, 0] < 2.1  # just beyond the radius 2; without the wall x = 50
    assert x[0, 0] == pytest.approx(expected.x[0], abs=1e-5)
    assert chi2[0] == pytest.approx(expected.fun, abs=1e-6)


def test_two_minima_of_a_symmetric_star():
    # one label that the flux depends on through its square: +x and -x fit equally, and 0 is a maximum between
    pairs = polynomial.terms(1, 2)
    theta = np.column_stack([np.zeros(5), np.zeros(5), np.arange(1.0, 6.0)])
    flux = theta[:, 2] * 4.0 + np.array([0.1, -0.2, 0.1, 0.0, -0.1])
    matrix, right, constant = theta.T @ theta, (theta.T @ flux)[None], np.array([flux @ flux])
    starts, wall = np.array([[0.0], [-3.0], [0.5], [2.5]]), (np.eye(1), 100.0, 1.0)
    packed = matrix[np.triu_indices(3)][None]
    x, chi2, _, n_minima, delta = find_minima(packed, right, constant, pairs, starts, wall)
    expected = np.sqrt(right[0, 2] / matrix[2, 2])
    assert abs(x[0, 0]) == pytest.approx(expected, rel=1e-7)
    assert n_minima[0] == 2
    assert delta[0] == pytest.approx(0.0, abs=1e-8)
    assert chi2[0] == pytest.approx(constant[0] - right[0, 2] ** 2 / matrix[2, 2], abs=1e-8)
