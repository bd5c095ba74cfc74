"""The search for minima against plain twins: scipy's general minimizers on the same quartic, term by term."""

import numpy as np
import pytest
import twins

from lab2.cannon import _minima, polynomial
from lab2.cannon._minima import Search, Surface, Wall


def coefficients(matrix, right, constant, pairs, n_labels):
    """chi^2 = u.A.u - 2 b.u + c, u the terms without the constant, as coefficients of its monomials."""
    place = polynomial.symmetric_form(n_labels).place
    summed = np.zeros((len(right), place.max() + 1))
    for star in summed:
        for t in range(1, len(pairs)):
            for u in range(1, len(pairs)):
                star[place[t, u]] += matrix[t, u]
    for t in range(1, len(pairs)):
        summed[:, place[0, t]] -= 2 * right[:, t]
    summed[:, place[0, 0]] += constant
    return summed


def find_minima(matrix, right, constant, pairs, starts, wall):
    n_labels = starts.shape[1]
    summed = coefficients(matrix, right, constant, pairs, n_labels)
    return _minima.find_minima(summed, polynomial.symmetric_form(n_labels), Search(starts, wall, 1e-10))


def half_hessian(x, statistics, h=1e-3):
    """Half the second derivatives of the twin's chi^2, by differences."""
    unit = h * np.eye(len(x))
    total = np.zeros((len(x), len(x)))
    for k in range(len(x)):
        for m in range(len(x)):
            for a in (1, -1):
                for b in (1, -1):
                    total[k, m] += a * b * twins.quartic_value(x + a * unit[k] + b * unit[m], *statistics)
    return total / (8 * h**2)


@pytest.mark.parametrize("radius2", [100.0, 0.5])  # well inside the wall, and beyond it
@pytest.mark.parametrize("degree", [1, 2])
def test_derivatives_of_the_quartic(radius2, degree):
    rng = np.random.default_rng(9)
    pairs = polynomial.terms(3, degree)
    theta = rng.normal(size=(31, len(pairs)))
    matrix, right = theta.T @ theta, theta.T @ rng.normal(size=31)
    spread = rng.normal(size=(3, 3))
    wall = Wall(spread @ spread.T + np.eye(3), radius2, 7.0)
    form = polynomial.symmetric_form(3)
    spread_out = coefficients(matrix, right[None], 5.0, pairs, 3)[0][form.place] * form.share
    gradient, hessian = np.empty(3), np.empty((3, 3))
    x, h, unit = np.array([0.7, -0.9, 0.4]), 1e-3, np.eye(3)
    value = _minima.quartic(x, Surface(spread_out, form.pairs, wall), gradient, hessian, np.empty(10))
    statistics = matrix, right, 5.0, pairs, wall
    assert value == pytest.approx(twins.quartic_value(x, *statistics), rel=1e-12)
    for k in range(3):
        ahead, behind = (twins.quartic_value(x + sign * h * unit[k], *statistics) for sign in (1, -1))
        assert 2 * gradient[k] == pytest.approx((ahead - behind) / (2 * h), rel=1e-4)
    np.testing.assert_allclose(hessian, half_hessian(x, statistics), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_labels", [1, 2, 3])
def test_find_minima(n_labels):
    rng = np.random.default_rng(8)
    pairs = polynomial.terms(n_labels, 2)
    n_stars, starts = 3, np.vstack([np.zeros(n_labels), rng.normal(0, 1.5, (3, n_labels))])
    theta = rng.normal(size=(41, len(pairs))) * np.where(pairs[:, 0] == 0, 1.0, 0.4)
    x_true = rng.normal(size=(n_stars, n_labels))
    design = polynomial.design(x_true, pairs)
    flux = (design - 1.0 * (pairs == 0).all(axis=1)) @ theta.T + rng.normal(0, 0.3, (n_stars, 41))
    wall = Wall(np.eye(n_labels), 9.0, 100.0)
    matrix = theta.T @ theta / 0.09
    right, constant = flux @ theta / 0.09, (flux**2).sum(axis=1) / 0.09
    x, chi2, fisher, n_minima, delta = find_minima(matrix, right, constant, pairs, starts, wall)
    assert (n_minima >= 1).all()
    for n in range(n_stars):
        statistics = matrix, right[n], constant[n], pairs, wall
        twin = [twins.minimize_quartic(start, *statistics) for start in starts]
        expected = min(twin, key=lambda result: result.fun)
        assert chi2[n] <= expected.fun + 1e-8
        np.testing.assert_allclose(x[n], expected.x, atol=1e-5)
        assert chi2[n] == pytest.approx(twins.quartic_value(x[n], *statistics), rel=1e-9)
        np.testing.assert_allclose(fisher[n], half_hessian(x[n], statistics), rtol=1e-4, atol=1e-3)
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
    matrix, right, wall = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 50.0]]), Wall(np.eye(1), 4.0, 100.0)
    constant = np.array([2500.0])
    x, chi2, _, n_minima, _ = find_minima(matrix, right, constant, pairs, np.zeros((1, 1)), wall)
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
    starts, wall = np.array([[0.0], [-3.0], [0.5], [2.5]]), Wall(np.eye(1), 100.0, 1.0)
    x, chi2, _, n_minima, delta = find_minima(matrix, right, constant, pairs, starts, wall)
    expected = np.sqrt(right[0, 2] / matrix[2, 2])
    assert abs(x[0, 0]) == pytest.approx(expected, rel=1e-7)
    assert n_minima[0] == 2
    assert delta[0] == pytest.approx(0.0, abs=1e-8)
    assert chi2[0] == pytest.approx(constant[0] - right[0, 2] ** 2 / matrix[2, 2], abs=1e-8)
