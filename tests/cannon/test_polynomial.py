import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lab2.cannon import polynomial

POINT = arrays(float, 3, elements=st.floats(-5, 5))


@pytest.mark.parametrize(
    ("n_labels", "degree", "n_terms"), [(5, 2, 21), (5, 1, 6), (1, 2, 3), (1, 1, 2), (2, 2, 6), (7, 2, 36)]
)
def test_number_of_terms(n_labels, degree, n_terms):
    pairs = polynomial.terms(n_labels, degree)
    assert pairs.shape == (n_terms, 2)
    assert len(np.unique(pairs, axis=0)) == n_terms
    # constant, then linear, then quadratic: the order that a saved model and the wall of figures rely on
    assert pairs[: n_labels + 1].tolist() == [[0, k] for k in range(n_labels + 1)]
    assert (pairs[n_labels + 1 :] > 0).all()


@pytest.mark.parametrize("degree", [0, 3, -1, 1.5, "2"])
def test_other_degrees_are_refused(degree):
    with pytest.raises(ValueError, match=r"must be 1 or 2, got"):
        polynomial.terms(5, degree)


def test_term_names():
    names = polynomial.term_names(["a", "b"], polynomial.terms(2, 2))
    assert names == ["1", "a", "b", "a*a", "a*b", "b*b"]


def test_design_of_two_labels_written_out():
    assert polynomial.design([2.0, 3.0], polynomial.terms(2, 2)).tolist() == [1, 2, 3, 4, 6, 9]
    assert polynomial.design([2.0, 3.0], polynomial.terms(2, 1)).tolist() == [1, 2, 3]


def test_design_keeps_leading_axes():
    x = np.random.default_rng(1).normal(size=(4, 5, 3))
    pairs = polynomial.terms(3, 2)
    assert polynomial.design(x, pairs).shape == (4, 5, 10)
    assert polynomial.jacobian(x, pairs).shape == (4, 5, 10, 3)
    np.testing.assert_array_equal(polynomial.design(x, pairs)[2, 3], polynomial.design(x[2, 3], pairs))


@settings(deadline=None, max_examples=60)
@given(x=POINT, degree=st.sampled_from([1, 2]))
def test_jacobian_is_the_derivative_of_the_design(x, degree):
    pairs = polynomial.terms(3, degree)
    slope = polynomial.jacobian(x, pairs)
    step = 0.5  # a central difference of a quadratic is exact at any step
    for k in range(3):
        shift = step * np.eye(3)[k]
        difference = (polynomial.design(x + shift, pairs) - polynomial.design(x - shift, pairs)) / (2 * step)
        np.testing.assert_allclose(slope[:, k], difference, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(x=POINT, degree=st.sampled_from([1, 2]))
def test_normal_matrix_from_monomials(x, degree):
    pairs = polynomial.terms(3, degree)
    monomials, place = polynomial.normal_monomials(x[None], pairs)
    design = polynomial.design(x, pairs)
    np.testing.assert_allclose(monomials[0, place], np.outer(design, design), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("n_labels", "degree", "n_monomials"), [(5, 2, 126), (5, 1, 21), (1, 2, 5), (3, 2, 35)])
def test_number_of_different_products(n_labels, degree, n_monomials):
    pairs = polynomial.terms(n_labels, degree)
    x = np.random.default_rng(2).normal(size=(11, n_labels))
    monomials, place = polynomial.normal_monomials(x, pairs)
    assert monomials.shape == (11, n_monomials)
    assert place.shape == (len(pairs), len(pairs))
    assert set(place.ravel()) == set(range(n_monomials))


def test_a_symmetric_form_is_the_quartic():
    rng = np.random.default_rng(12)
    for n_labels in (1, 2, 5):
        pairs = polynomial.terms(n_labels, 2)
        _, place, share = polynomial.symmetric_form(n_labels)
        coefficients = rng.normal(size=place.max() + 1)
        form = coefficients[place] * share
        np.testing.assert_allclose(form, form.T)
        x = rng.normal(size=n_labels)
        y = np.r_[1.0, x]
        index = {tuple(pair): t for t, pair in enumerate(pairs.tolist())}
        total = 0.0  # over all orders of the four factors
        for i, j, k, m in np.ndindex(*(4 * (n_labels + 1,))):
            total += form[index[tuple(sorted((i, j)))], index[tuple(sorted((k, m)))]] * y[i] * y[j] * y[k] * y[m]
        monomials, _ = polynomial.normal_monomials(x[None], pairs)
        assert total == pytest.approx(monomials[0] @ coefficients, rel=1e-10)


@pytest.mark.parametrize("n_labels", [1, 2, 5])
def test_coefficients_and_matrices_of_a_quartic_are_one_thing(n_labels):
    rng = np.random.default_rng(13)
    form = polynomial.symmetric_form(n_labels)
    np.testing.assert_array_equal(form.pairs, polynomial.terms(n_labels, 2))
    coefficients = rng.normal(size=form.place.max() + 1)
    matrix = form.matrix(coefficients)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(form.compress(matrix), coefficients, rtol=1e-13)
    # a matrix that is not symmetric, and not spread evenly, is the same quartic
    other = rng.normal(size=matrix.shape)
    np.testing.assert_allclose(form.compress(form.matrix(form.compress(other))), form.compress(other), rtol=1e-13)
    for x in rng.normal(size=(5, n_labels)):
        u = polynomial.design(x, form.pairs)
        monomials, _ = polynomial.normal_monomials(x[None], form.pairs)
        assert u @ matrix @ u == pytest.approx(monomials[0] @ coefficients, rel=1e-10)
        assert u @ other @ u == pytest.approx(monomials[0] @ form.compress(other), rel=1e-10)
