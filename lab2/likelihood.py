"""The likelihood of the training set in each pixel, and its maximum (Ness et al. 2015, eqs. 3-4, section 2.4).

For one pixel, with stars n, fluxes f_n, errors sigma_n and terms of the polynomial v_n,

    ln L = -1/2 sum_n [ (f_n - theta . v_n)^2 / (sigma_n^2 + s^2) + ln(sigma_n^2 + s^2) ] + const

is maximised over the coefficients theta and the scatter s^2. At fixed s^2 theta solves a linear system whose matrix,
for every pixel, is one matrix product of the weights with the different monomials of the labels. Then s^2 is found by
Newton's method in ln s^2 from the best point of a coarse grid: d(-2 ln L)/ds^2 = sum w - sum (w r)^2 with
w = 1/(sigma^2 + s^2), theta following s^2 (it drops out of the first derivative because theta is at its optimum).
"""

import numpy as np

from lab2 import kernels

__all__ = ["PixelLikelihood", "minus_two_log_likelihood"]

# s^2 of normalised flux: from far below the noise of any star to a third of the continuum. The likelihood is compared
# at zero, where many pixels end, and at all of these before Newton's method takes over. Two a decade: with stars of
# very different S/N one a decade can step over the deepest of several minima.
_S2_GRID = np.geomspace(1e-8, 1e-1, 15)
_STEP = _S2_GRID[1] / _S2_GRID[0]
_MIDDLE = 1e-5
# Where s^2 is this much smaller than the least sigma^2, -2 ln L is linear in s^2: nothing between here and zero.
_NEGLIGIBLE = 0.03
_SMALLEST_S2 = 1e-12
_TOLERANCE = 1e-8  # predicted gain in -2 ln L below which Newton's method stops
_MAX_STEPS = 40
# A pixel that few of the stars saw (at the edge of a chip, say) would be fitted exactly and predict nonsense.
_SEEN = 0.2


def minus_two_log_likelihood(flux, ivar, terms, s2):
    """-2 ln L of one pixel at fixed s2, theta at its optimum, by the plain formula (for showing, not speed).

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
        Flux finite everywhere; ivar 0 where a star did not see the pixel.
    terms : numpy.ndarray, shape (n_stars, n_terms)
        The polynomial's terms, as from `lab2.polynomial.design`.
    monomials, place
        As from `lab2.polynomial.normal_monomials`.
    """

    def __init__(self, flux, ivar, terms, monomials, place):
        self.flux, self.ivar, self.terms, self.monomials, self.place = flux, ivar, terms, monomials, place

    def _solve(self, which, s2):
        """-2 ln L (up to a constant a pixel), theta and what the derivatives need, for some pixels."""
        flux, ivar = (self.flux, self.ivar) if which is None else (self.flux[which], self.ivar[which])
        n_pixels, n_terms = len(flux), self.terms.shape[1]
        weight, weighted = np.empty_like(ivar), np.empty_like(ivar)
        log_sum, chi_zero = np.empty(n_pixels), np.empty(n_pixels)
        kernels.weigh(ivar, flux, s2, weight, weighted, log_sum, chi_zero)
        right = weighted @ self.terms
        factor = np.zeros((n_pixels, n_terms, n_terms))
        theta, solved = np.empty((n_pixels, n_terms)), np.empty(n_pixels, dtype=bool)
        kernels.solve_normal(weight @ self.monomials, self.place, right, factor, theta, solved)
        objective = chi_zero - np.einsum("pt,pt->p", right, theta) + log_sum
        return objective, theta, solved, (flux, weight, factor)

    def _derivatives(self, theta, state):
        """First and second derivative of -2 ln L by s2, theta following."""
        flux, weight, factor = state
        residual = flux - theta @ self.terms.T
        first, second, bend = np.empty((3, len(flux)))
        kernels.gradient_sums(weight, residual, first, second)
        kernels.squared_norm_solved(factor, residual @ self.terms, bend)
        return first, second - 2.0 * bend

    def maximise(self):
        """The most likely s2 and theta of each pixel.

        Returns
        -------
        s2 : numpy.ndarray, shape (n_pixels,)
            Infinite where no more stars than terms, or not more than a fifth of them, saw the pixel, or where they
            do not determine theta.
        theta : numpy.ndarray, shape (n_pixels, n_terms)
            Zero there.
        """
        n_pixels, n_terms = len(self.flux), self.terms.shape[1]
        s2, theta = np.full(n_pixels, np.inf), np.zeros((n_pixels, n_terms))
        seen = (self.ivar > 0).sum(axis=1)
        trainable = np.flatnonzero((seen > n_terms) & (seen > _SEEN * self.ivar.shape[1]))
        at_zero, _, solved, _ = self._solve(trainable, np.zeros(len(trainable)))
        trainable = trainable[solved]
        if not trainable.size:
            return s2, theta
        self.flux, self.ivar = self.flux[trainable], self.ivar[trainable]
        best, best_theta = self._newton(self._scan(at_zero[solved]))
        s2[trainable], theta[trainable] = best, best_theta
        return s2, theta

    def _scan(self, at_zero):
        """Near the best point of the grid for each pixel, given -2 ln L at s2 = 0.

        From the middle of the grid outwards, leaving out what cannot be best: -2 ln L = chi^2 + sum ln(1 + ivar s2),
        where chi^2 >= 0 falls with s2 and the sum >= 0 grows. So at larger s2 it is at least the sum, and at smaller
        s2 at least the chi^2 of any s2 above.
        """
        grid = _S2_GRID[_S2_GRID * self.ivar.max() > _NEGLIGIBLE]
        curve = np.full((len(grid) + 1, len(at_zero)), np.inf)
        curve[0] = at_zero
        lowest, sums, bound = at_zero.copy(), np.empty(len(at_zero)), np.zeros(len(at_zero))
        middle = np.searchsorted(grid, _MIDDLE)

        def evaluate(k):
            possible = np.flatnonzero(bound <= lowest)
            if possible.size:
                which = None if possible.size == len(lowest) else possible
                curve[k + 1, possible] = self._solve(which, np.full(possible.size, grid[k]))[0]
                np.minimum(lowest, curve[k + 1], out=lowest)
            return possible.size

        for k in range(middle, len(grid)):
            kernels.log_sums(self.ivar, grid[k], bound)
            if not evaluate(k):
                break
        bound[:] = 0.0
        for k in range(middle - 1, -1, -1):
            if k + 1 < len(grid):
                kernels.log_sums(self.ivar, grid[k + 1], sums)
                known = np.isfinite(curve[k + 2])
                bound[known] = (curve[k + 2] - sums)[known]
            if not evaluate(k):
                break

        best = curve.argmin(axis=0)
        start = np.concatenate([[_SMALLEST_S2], grid])[best]
        # where both neighbours are on the logarithmic grid, the vertex of the parabola through the three is nearer
        inside = np.flatnonzero((best > 1) & (best < len(grid)))
        below, here, above = (curve[best[inside] + k, inside] for k in (-1, 0, 1))
        inside, below, here, above = (part[np.isfinite(below + above)] for part in (inside, below, here, above))
        shift = 0.5 * (below - above) / np.maximum(below - 2 * here + above, 1e-300)
        start[inside] *= _STEP ** np.clip(shift, -0.5, 0.5)
        return start

    def _newton(self, start):
        """Newton's method in u = ln s2, pixel by pixel; pixels that run to nothing are settled at s2 = 0."""
        s2, theta = start.copy(), np.zeros((len(start), self.terms.shape[1]))
        value = np.full(len(start), np.inf)
        previous = start.copy()
        active = np.arange(len(start))
        for _ in range(_MAX_STEPS):
            new, new_theta, _, state = self._solve(None if len(active) == len(start) else active, s2[active])
            worse = new > value[active] + _TOLERANCE
            first, second = self._derivatives(new_theta, state)
            s = s2[active]
            slope, curvature = first * s, second * s**2 + first * s
            convex = curvature > 0
            step = np.where(convex, -slope / np.where(convex, curvature, 1.0), -1.5 * np.sign(slope))
            step = np.clip(step, -2.0, 2.0)
            bottom = s <= _SMALLEST_S2
            # ln s2 is flat at the bottom, whatever lies above: there the step is Newton's in s2 itself
            rising = bottom & (first < 0)
            settled = ~worse & ~rising & (np.abs(0.5 * slope * step) < _TOLERANCE)
            ending = ~worse & bottom & (first >= 0)
            better = ~worse
            value[active[better]], theta[active[better]] = new[better], new_theta[better]
            # an overshoot goes back half the way, in ln s2
            back = np.sqrt(s * previous[active])
            target = np.where(worse, back, np.maximum(s * np.exp(step), 0.99 * _SMALLEST_S2))
            leap = np.where(second > 0, -first / np.where(second > 0, second, 1.0), _S2_GRID[0])
            target = np.where(rising, np.clip(leap, 10 * _SMALLEST_S2, _S2_GRID[-1]), target)
            previous[active[better]] = s[better]
            s2[active] = np.where(settled, s, np.where(ending, 0.0, target))
            active = active[~(settled | ending)]
            if not active.size:
                break
        zero = np.flatnonzero(s2 == 0.0)
        if zero.size:
            theta[zero] = self._solve(zero, np.zeros(zero.size))[1]
        return s2, theta
