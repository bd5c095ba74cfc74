"""The quadratic in the labels that training and fitting are built on.

With y = (1, x_1, ..., x_L), L scaled labels, every term of degree 2 or less is a product y_i y_j. A term is
therefore a pair of indices (i, j) into y, and the polynomial is a (T, 2) table of pairs:
(0, 0) the constant, (0, j) linear, (i, j) quadratic. For L = 5, T = 21 (Ness et al. 2015, eq. 8).
"""

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Form", "design", "jacobian", "normal_monomials", "symmetric_form", "term_names", "terms"]


def terms(n_labels: int, degree: int) -> np.ndarray:
    """Index pairs of the polynomial's terms: constant, linear, then quadratic.

    Parameters
    ----------
    n_labels : int
    degree : int
        1 or 2.

    Returns
    -------
    numpy.ndarray of int, shape (n_terms, 2)

    Raises
    ------
    ValueError
        If the degree is neither 1 nor 2.

    Examples
    --------
    >>> terms(2, 2).tolist()
    [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]
    """
    if degree not in (1, 2):
        raise ValueError(f"the degree of the model must be 1 or 2, got {degree!r}")
    linear = [(0, j) for j in range(n_labels + 1)]
    quadratic = list(combinations_with_replacement(range(1, n_labels + 1), 2)) if degree == 2 else []
    return np.array(linear + quadratic)


def term_names(labels: Sequence[str], pairs: np.ndarray) -> list[str]:
    """Names such as "1", "teff", "teff*logg"."""
    y = ["1", *labels]
    return [y[j] if i == 0 else f"{y[i]}*{y[j]}" for i, j in pairs]


def _y(x):
    x = np.asarray(x, dtype=float)
    return np.concatenate([np.ones((*x.shape[:-1], 1)), x], axis=-1)


def design(x: ArrayLike, pairs: np.ndarray) -> np.ndarray:
    """Terms of the polynomial at scaled labels `x`, shape (..., n_labels) -> (..., n_terms).

    Examples
    --------
    >>> design([2.0, 3.0], terms(2, 2)).tolist()
    [1.0, 2.0, 3.0, 4.0, 6.0, 9.0]
    """
    y = _y(x)
    return y[..., pairs[:, 0]] * y[..., pairs[:, 1]]


def jacobian(x: ArrayLike, pairs: np.ndarray) -> np.ndarray:
    """Derivative of each term with respect to each scaled label: (..., n_labels) -> (..., n_terms, n_labels)."""
    y = _y(x)
    dy = np.eye(y.shape[-1])[:, 1:]
    i, j = pairs.T
    return y[..., j, None] * dy[i] + y[..., i, None] * dy[j]


def normal_monomials(x: ArrayLike, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct products of two terms, and their places in the normal matrix.

    A product of two terms is y_i y_j y_k y_l, and many pairs of terms have the same product: the 21 x 21 matrix of a
    quadratic in 5 labels has 441 elements but only 126 distinct values. One matrix product therefore gives the normal
    matrices of all pixels.

    Parameters
    ----------
    x : array_like, shape (n, n_labels)
    pairs : numpy.ndarray of int, shape (n_terms, 2)

    Returns
    -------
    monomials : numpy.ndarray, shape (n, n_monomials)
    place : numpy.ndarray of int, shape (n_terms, n_terms)
        ``term_t * term_u == monomials[:, place[t, u]]``.
    """
    unique, place = _products(pairs)
    return np.prod(_y(x)[..., unique], axis=-1), place


class Form(NamedTuple):
    """How the coefficients of a quartic form a symmetric tensor of fourth order.

    sum_m c_m (monomial m) = sum S_ijkl y_i y_j y_k y_l, where S is c_m divided by the number of distinct orderings of
    the monomial's four factors.

    Attributes
    ----------
    pairs : numpy.ndarray of int, shape (n_pairs, 2)
        The index pairs (i, j), i <= j, of ``terms(n_labels, 2)``.
    place : numpy.ndarray of int, shape (n_pairs, n_pairs)
        Index of the monomial y_i y_j y_k y_l of the pairs (i, j) and (k, l), in the order of `normal_monomials`.
    share : numpy.ndarray, shape (n_pairs, n_pairs)
        ``S[(i, j), (k, l)] = c[place] * share``.
    """

    pairs: np.ndarray
    place: np.ndarray
    share: np.ndarray

    def matrix(self, coefficients: np.ndarray) -> np.ndarray:
        """A symmetric matrix M such that u . M . u is the quartic, with u the terms up to degree 2. Each coefficient is
        divided evenly among its places: (n_monomials,) -> (n_pairs, n_pairs)."""
        return (coefficients / np.bincount(self.place.ravel()))[self.place]

    def compress(self, matrix: np.ndarray) -> np.ndarray:
        """Coefficients c_m of the quartic u . matrix . u: (..., n_pairs, n_pairs) -> (..., n_monomials).

        Elements of the matrix that multiply the same monomial are summed, in a fixed order.
        """
        order = np.argsort(self.place, axis=None, kind="stable")
        first = np.searchsorted(self.place.ravel()[order], np.arange(self.place.max() + 1))
        flat = np.reshape(matrix, (*np.shape(matrix)[:-2], -1))
        return np.add.reduceat(flat[..., order], first, axis=-1)


@cache
def symmetric_form(n_labels: int) -> Form:
    """The `Form` of quartics in this number of labels.

    Examples
    --------
    >>> int(symmetric_form(5).place.max()) + 1  # different monomials of degree 4 or less in five labels
    126
    """
    pairs = terms(n_labels, 2)
    unique, place = _products(pairs)
    times = (unique[:, :, None] == np.arange(n_labels + 1)).sum(axis=1)  # multiplicity of each factor
    share = np.array([1, 1, 2, 6, 24])[times].prod(axis=1) / 24  # 1 / number of orderings: factorials over 4!
    return Form(pairs, place, share[place])


def _products(pairs):
    """The distinct products of two terms as four indices into y, (n_monomials, 4), and their places."""
    n_terms = len(pairs)
    fours = np.concatenate([np.repeat(pairs, n_terms, axis=0), np.tile(pairs, (n_terms, 1))], axis=1)
    unique, place = np.unique(np.sort(fours, axis=1), axis=0, return_inverse=True)
    return unique, place.reshape(n_terms, n_terms)
