"""The likelihood of the training set in each pixel, and its maximum (Ness et al. 2015, eqs. 3-4, section 2.4).

For one pixel, with stars n, fluxes f_n, errors sigma_n and terms of the polynomial v_n,

    ln L = -1/2 sum_n [ (f_n - theta . v_n)^2 / (sigma_n^2 + s^2) + ln(sigma_n^2 + s^2) ] + const

is maximized over the coefficients theta and the scatter s^2. At fixed s^2, theta solves a linear system; a single
product of the weights with the distinct monomials of the labels gives the matrices of all pixels. Then s^2 is found by
Newton's method in ln s^2, starting from the best point of a coarse grid: d(-2 ln L)/ds^2 = sum w - sum (w r)^2 with
w = 1/(sigma^2 + s^2). Here theta is the optimum for each s^2, so the change of theta with s^2 does not contribute to
the first derivative.
"""

import numpy as np
from numpy.typing import ArrayLike

from lab2.cannon import _kernels, _linear

__all__ = ["PixelLikelihood", "minus_two_log_likelihood"]

# s^2 of the normalized flux: s from far below the noise of any star to a third of the continuum. Newton's method starts
# from the best of these points and zero, where many pixels end. Two points per decade: with stars of very different
# S/N, one per decade can miss the deepest of several minima.
_S2_GRID = np.geomspace(1e-8, 1e-1, 15)
_STEP = _S2_GRID[1] / _S2_GRID[0]
_MIDDLE = 1e-5
# Where s^2 is less than this fraction of the smallest sigma^2, -2 ln L is linear in s^2, so there is no minimum between
# this s^2 and zero.
_NEGLIGIBLE = 0.03
_SMALLEST_S2 = 1e-12
_TOLERANCE = 1e-8  # predicted gain in -2 ln L below which Newton's method stops
_MAX_STEPS = 40


def minus_two_log_likelihood(flux: ArrayLike, ivar: ArrayLike, terms: ArrayLike, s2: float) -> tuple[float, np.ndarray]:
    """-2 ln L of one pixel at fixed s2, theta at its optimum, from the formula (written for clarity, not speed).

    Parameters
    ----------
    flux, ivar : array_like, shape (n_stars,)
    terms : array_like, shape (n_stars, n_terms)
    s2 : float

    Returns
    -------
    value : float
    theta : numpy.ndarray, shape (n_terms,)
    """
    seen = ivar > 0
    variance = 1.0 / ivar[seen] + s2
    root = np.sqrt(variance)
    theta = np.linalg.lstsq(terms[seen] / root[:, None], flux[seen] / root, rcond=None)[0]
    residual = flux[seen] - terms[seen] @ theta
    return float((residual**2 / variance + np.log(variance)).sum()), theta


class PixelLikelihood:
    """The likelihood of a block of pixels as a function of their s2.

    Parameters
    ----------
    flux, ivar : numpy.ndarray, shape (n_pixels, n_stars)
        Flux finite everywhere; ivar 0 where the pixel is masked.
    terms : numpy.ndarray, shape (n_stars, n_terms)
        The polynomial's terms, as from `lab2.cannon.polynomial.design`.
    monomials, place
        As from `lab2.cannon.polynomial.normal_monomials`.

    Notes
    -----
    Arrays over pixels and terms have the pixels last, as `lab2.cannon._linear` requires. The work space is allocated
    once and reused by every evaluation.
    """

    def __init__(
        self, flux: np.ndarray, ivar: np.ndarray, terms: np.ndarray, monomials: np.ndarray, place: np.ndarray
    ) -> None:
        self.flux, self.ivar, self.terms, self.monomials, self.place = flux, ivar, terms, monomials, place
        self._weight, self._room = np.empty_like(flux), np.empty_like(flux)
        self._factor = _linear.factors(len(flux), terms.shape[1])

    def _solve(self, which, s2):
        """The two parts of -2 ln L = chi^2 + sum ln(1 + ivar s2) + const of some pixels; theta; whether theta is
        determined; the sum of the weights. `_derivatives` uses the work space as left here."""
        n, n_terms = len(which), self.terms.shape[1]
        weight, weighted = self._weight[:n], self._room[:n]
        theta, solved = np.empty((n_terms, n)), np.empty(n, dtype=bool)
        log_sum, chi_zero = _kernels.weigh(self.ivar, self.flux, which, s2, weight, weighted)
        right = self.terms.T @ weighted.T
        sums = self.monomials.T @ weight.T
        _linear.solve_normal(sums, self.place, right, self._factor, theta, solved)
        chi2 = chi_zero - (right * theta).sum(axis=0)
        return chi2, log_sum, theta, solved, sums[self.place[0, 0]]

    def _derivatives(self, which, theta):
        """First and second derivatives of -2 ln L with respect to s2, theta at its optimum for each s2. Call `_solve`
        for the same pixels first."""
        model = np.matmul(theta.T, self.terms.T, out=self._room[: len(which)])
        first, second, bend = np.empty((3, len(which)))
        _kernels.gradient_sums(self.flux, which, self._weight, model, first, second)
        _linear.squared_norm_solved(self._factor, self.terms.T @ model.T, bend)
        return first, second - 2.0 * bend

    def maximize(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Maximum-likelihood s2 and theta of some pixels.

        Parameters
        ----------
        which : numpy.ndarray of int
            Row numbers of pixels that are not masked in too many stars.

        Returns
        -------
        s2 : numpy.ndarray, shape (n_pixels,)
            Infinite in all other pixels, and where the stars do not determine theta.
        theta : numpy.ndarray, shape (n_pixels, n_terms)
            Zero where s2 is infinite.
        """
        n_pixels, n_terms = len(self.flux), self.terms.shape[1]
        s2, theta = np.full(n_pixels, np.inf), np.zeros((n_pixels, n_terms))
        trainable, start = self._scan(which)
        if trainable.size:
            s2[trainable], theta[trainable] = self._newton(trainable, start)
        return s2, theta

    def _scan(self, which):
        """The pixels in which theta is determined, and a starting s2 for each, near the best point of the grid.

        -2 ln L = chi2(s2) + g(s2) + const, g = sum ln(1 + ivar s2), is evaluated at the middle of the grid and then
        outward, as long as it can still be below the smallest value found. With w = 1 / (sigma^2 + s2) and k > 1

            chi2(k s2) >= chi2(s2) / k                      no weight decreases by more than a factor k
            g(k s2)    >= g(s2) + ln k  s2 sum w            g is convex in ln s2: its tangent
            g(s2 / k)  >= g(s2) / k                         g is concave in s2, and g(0) = 0
            chi2(s2 - d) >= chi2(s2) + d [chi2(s2) - chi2(s3)] / (s3 - s2),  s3 > s2
                                                            chi2 is convex in s2: the chord through two points above

        Grid points whose lower bound exceeds the smallest value found are skipped.
        """
        points = np.concatenate([[0.0], _S2_GRID[_S2_GRID * self.ivar.max() > _NEGLIGIBLE]])
        middle = min(np.searchsorted(points, _MIDDLE), len(points) - 1)

        chi2, log_sum, _, solved, total = self._solve(which, np.full(len(which), points[middle]))
        which, chi2, log_sum, total = which[solved], chi2[solved], log_sum[solved], total[solved]
        n = len(which)
        curve = np.full((len(points), n), np.inf)
        curve[middle] = lowest = chi2 + log_sum
        at, fall = np.full(n, points[middle]), np.zeros(n)

        above, bound = np.arange(n), chi2 / _STEP + log_sum + np.log(_STEP) * points[middle] * total
        for k in range(middle + 1, len(points)):
            possible = bound <= lowest[above]
            above = above[possible]
            if not above.size:
                break
            there, logs, _, _, total = self._solve(which[above], np.full(above.size, points[k]))
            curve[k, above] = there + logs
            lowest = np.minimum(lowest, curve[k])
            if k == middle + 1:
                fall[above] = (chi2[above] - there) / (points[k] - points[middle])
            bound = there / _STEP + logs + np.log(_STEP) * points[k] * total

        for k in range(middle - 1, -1, -1):
            bound = chi2 + fall * (at - points[k]) + log_sum * points[k] / at
            below = np.flatnonzero(bound <= lowest)
            if not below.size:
                continue
            there, logs, *_ = self._solve(which[below], np.full(below.size, points[k]))
            curve[k, below] = there + logs
            lowest = np.minimum(lowest, curve[k])
            fall[below] = (there - chi2[below]) / (at[below] - points[k])
            chi2[below], log_sum[below], at[below] = there, logs, points[k]

        best = curve.argmin(axis=0)
        start = points[best]
        # where both neighbors are on the logarithmic grid, the vertex of the parabola through the three points is a
        # better start
        inside = np.flatnonzero((best > 1) & (best < len(points) - 1))
        left, here, right = (curve[best[inside] + k, inside] for k in (-1, 0, 1))
        inside, left, here, right = (part[np.isfinite(left + right)] for part in (inside, left, here, right))
        shift = 0.5 * (left - right) / np.maximum(left - 2 * here + right, 1e-300)
        start[inside] *= _STEP ** np.clip(shift, -0.5, 0.5)
        return which, start

    def _newton(self, which, start):
        """Newton's method in u = ln s2, pixel by pixel; pixels whose s2 goes to zero end at s2 = 0."""
        s2, theta = start.copy(), np.zeros((self.terms.shape[1], len(start)))
        value = np.full(len(start), np.inf)
        previous = start.copy()
        active = np.arange(len(start))
        for _ in range(_MAX_STEPS):
            s = s2[active]
            chi2, log_sum, new_theta, *_ = self._solve(which[active], s)
            first, second = self._derivatives(which[active], new_theta)
            better = chi2 + log_sum <= value[active] + _TOLERANCE
            value[active[better]] = (chi2 + log_sum)[better]
            theta[:, active[better]] = new_theta[:, better]
            slope, curvature = first * s, second * s**2 + first * s
            convex = curvature > 0
            step = np.where(convex, -slope / np.where(convex, curvature, 1.0), -1.5 * np.sign(slope))
            step = np.clip(step, -2.0, 2.0)
            # -2 ln L is always flat in ln s2 as s2 goes to zero: there the Newton step is taken in s2 itself
            rising = (s == 0.0) & (first < 0)
            settled = better & ~rising & (np.abs(0.5 * slope * step) < _TOLERANCE)
            target = s * np.exp(step)
            target[target < _SMALLEST_S2] = 0.0
            leap = np.where(second > 0, -first / np.where(second > 0, second, 1.0), _S2_GRID[0])
            target = np.where(rising, np.clip(leap, 10 * _SMALLEST_S2, _S2_GRID[-1]), target)
            # after an overshoot go back half of the step in ln s2
            back = np.sqrt(np.maximum(s, _SMALLEST_S2) * np.maximum(previous[active], _SMALLEST_S2))
            previous[active[better]] = s[better]
            s2[active] = np.where(settled, s, np.where(better, target, back))
            active = active[~settled]
            if not active.size:
                break
        return s2, theta.T
