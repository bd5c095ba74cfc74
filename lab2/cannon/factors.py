"""Hidden factors: what moves many pixels of a spectrum together, and is none of the labels.

The Cannon takes each pixel for an independent witness. Pixels are not: an abundance without a label, carbon or nitrogen
say, moves hundreds of them together. The model with k factors says so,

    f_n = theta v(x_n) + U z_n + noise,    z_n ~ N(0, 1),    noise of variance 1 / ivar + s^2 in each pixel,

with *loadings* U (n_pixels, k) and *scores* z. It is factor analysis (Rubin & Thayer 1982, Psychometrika 47, 69) about
a mean that depends on the labels, with noise of its own in every pixel of every star. Training goes in rounds:

E. The scores of each star, given the parameters, are normal, with mean and covariance K^-1 N^T W r and K^-1, where
   r = f - theta v, W = diag(ivar / (1 + ivar s^2)) and K = N^T W N + P^-1. The columns of N are U, whose amplitudes are
   z, and G, the gradients of the spectrum by the labels, whose amplitudes e are the errors of the star's catalog
   labels: a star with a wrong label is moved along G, and that must not be read as a score.
M. Given the scores, theta and U of each pixel solve normal equations, in which v v^T, v <z>^T and <z z^T> stand; then
   s^2 takes Newton steps on the expected likelihood (Meng & Rubin 1993, Biometrika 80, 267).
X. U is multiplied by the Cholesky factor of the mean <z z^T>, which makes that of the new scores 1 (Liu, Rubin & Wu
   1998, Biometrika 85, 755): the loadings get their lengths in a few rounds.

The rounds end when the likelihood, with z and e integrated out, no longer rises. M stays at the catalog's labels: with
theta and U learned at the corrected labels v + (dv/dx) e, the exact step for a model of wrong labels, the likelihood
rises higher, but what the polynomial cannot follow is then taken for errors of the labels. The labels of other stars
become worse by a fifth, on the simulated survey, than with M as it is, and so they do with no e at all.

Odd spectra (two stars, a wrong velocity) would take factors for themselves. Stars that the model describes much worse
than others, or whose scores or errors no normal distribution would give, are fitted but not trained on.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.stats import mad_std
from tqdm.auto import tqdm

from lab2._blocks import map_blocks
from lab2.cannon import _kernels, _linear

__all__ = ["Design", "Learned", "learn_factors"]

_BLOCK = 2**19  # pixels times stars worked on at a time by one thread
_PARTS = 8  # of the pixels, whose sums are kept until all are there
_MOST_ROUNDS = 30
_SCREENED = (1, 3)  # rounds after which the odd stars are found anew
_TOLERANCE = 0.5  # gain of ln L, for each star, at which the rounds stop
# Prior standard deviation of the errors of catalog labels, in those of the labels. Half or twice as much gives the same
# to a few per cent.
_LABEL_ERROR = 0.25
# A star is odd whose chi^2 a pixel, |z|^2 or |e|^2 has a logarithm so many robust standard deviations above the median.
_ODD = 3.0
_SPARE, _PASSES = 15, 4  # more columns than factors, and passes, of the subspace iteration that starts the scores
_CLIP = 8.0  # residuals at the start, in standard deviations


@dataclass(frozen=True)
class Learned:
    """What the training stars say of the model with factors.

    Attributes
    ----------
    theta : numpy.ndarray, shape (n_pixels, n_terms)
        Of the flux less 1.
    loadings : numpy.ndarray, shape (n_pixels, k)
        In the order of what they explain, each with its largest loading positive; 0 in untrained pixels.
    s2 : numpy.ndarray, shape (n_pixels,)
    trained_on : numpy.ndarray of bool, shape (n_stars,)
        False for odd stars.
    log_likelihood : numpy.ndarray, shape (n_rounds,)
        Of the stars trained on, without its constant, at each round since these were chosen.
    """

    theta: np.ndarray
    loadings: np.ndarray
    s2: np.ndarray
    trained_on: np.ndarray
    log_likelihood: np.ndarray


class Design(NamedTuple):
    """The polynomial of the training stars: its terms (n_stars, n_terms), their products and places, as from
    `polynomial.normal_monomials`, and their derivatives by the scaled labels (n_stars, n_terms, n_labels)."""

    terms: np.ndarray
    monomials: np.ndarray
    place: np.ndarray
    jacobian: np.ndarray


class _Scores(NamedTuple):
    """Scores of each star given the parameters, errors of its labels, and how well it fits."""

    mean: np.ndarray  # (n_stars, k)
    covariance: np.ndarray  # (n_stars, k, k)
    errors: np.ndarray  # (n_stars, n_labels), in prior standard deviations
    log_likelihood: np.ndarray  # (n_stars,)
    chi2: np.ndarray  # (n_stars,) a pixel
    information: np.ndarray  # (n_stars, k, k): U^T W U


def learn_factors(take, design, theta, s2, n_factors, progress=False) -> Learned:
    """Learn theta, loadings and s2.

    Parameters
    ----------
    take : callable
        Takes a slice of pixels; returns flux less 1 and ivar, (n_pixels, n_stars).
    design : Design
    theta, s2 : numpy.ndarray
        Of the model without factors, theta of the flux less 1; s2 infinite in untrained pixels.
    n_factors : int
    progress : bool
        Show a progress bar.

    Returns
    -------
    Learned
    """
    learner = _Learner(take, design, theta, s2)
    scores = learner.scores(learner.sums())
    learner.use = _ordinary(scores)
    scores, history = learner.first_scores(scores, n_factors), []
    for rounds in tqdm(range(_MOST_ROUNDS), desc="learning factors", disable=not progress):
        before = learner.theta.copy(), learner.loadings, learner.s2.copy(), scores
        scores = learner.scores(learner.improve(scores))
        if rounds in _SCREENED:
            learner.use, history = _ordinary(scores), []
        history.append(scores.log_likelihood[learner.use].sum())
        gain = history[-1] - history[-2] if rounds > max(_SCREENED) else np.inf
        if gain < 0.0:
            learner.theta, learner.loadings, learner.s2, scores = before
            history.pop()
        if gain < _TOLERANCE * learner.use.sum():
            break
    loadings = _in_order(learner.loadings, scores.information[learner.use].mean(axis=0))
    return Learned(learner.theta, loadings, learner.s2, learner.use, np.array(history))


class _Learner:
    """Parameters, and passes over the pixels that improve them."""

    def __init__(self, take, design, theta, s2):
        self.take, self.design = take, design
        self.theta, self.s2 = theta.copy(), s2.copy()
        self.loadings = np.zeros((len(s2), 0))
        self.use = np.ones(len(design.terms), dtype=bool)

    def sums(self):
        """For each star what the pixels say of its scores: `_star_sums`, summed over all."""
        return self._over_pixels(lambda pixels: self._star_sums(pixels, *self.take(pixels)))

    def scores(self, sums) -> _Scores:
        """The E step."""
        information, right, chi2, log_weight, n_pixels = sums
        n_terms, n_labels = self.design.jacobian.shape[1:]
        k = right.shape[1] - n_terms
        columns = np.zeros((len(right), n_terms + k, n_labels + k))  # of theta and U that make G and U
        columns[:, :n_terms, :n_labels] = _LABEL_ERROR * self.design.jacobian
        columns[:, n_terms:, n_labels:] = np.eye(k)
        information = _symmetric(information, n_terms + k)
        normal = np.eye(n_labels + k) + columns.transpose(0, 2, 1) @ information @ columns
        right = (right[:, None, :] @ columns)[:, 0]
        covariance = np.linalg.inv(normal)
        mean = (covariance @ right[..., None])[..., 0]
        chi2 = chi2 - (right * mean).sum(axis=1)
        log_likelihood = -0.5 * (chi2 - log_weight + np.linalg.slogdet(normal)[1])
        hidden = slice(n_labels, None)
        return _Scores(
            mean[:, hidden],
            covariance[:, hidden, hidden],
            mean[:, :n_labels],
            log_likelihood,
            chi2 / np.maximum(n_pixels, 1),
            information[:, n_terms:, n_terms:],
        )

    def first_scores(self, scores, k) -> _Scores:
        """Scores to begin with: principal components of the residuals of the model without factors."""
        n_stars = len(self.use)
        moved = (self.design.jacobian @ (_LABEL_ERROR * scores.errors)[..., None])[..., 0]
        terms = self.design.terms + moved
        basis = np.random.default_rng(0).normal(size=(n_stars, min(k + _SPARE, n_stars)))
        for _ in range(_PASSES):
            basis = np.linalg.qr(basis * self.use[:, None])[0]
            basis = self._over_pixels(lambda pixels, basis=basis: (self._project(pixels, terms, basis),))[0]
        left = np.linalg.svd(basis, full_matrices=False)[0][:, :k] * np.sqrt(self.use.sum())
        self.loadings = np.zeros((len(self.s2), k))
        return scores._replace(mean=left, covariance=np.zeros((n_stars, k, k)))

    def improve(self, scores):
        """The M step and the step X, pixel by pixel; returns the new `sums`."""
        k = scores.mean.shape[1]
        first, second = np.triu_indices(k)
        squares = scores.covariance + scores.mean[:, :, None] * scores.mean[:, None, :]
        stretch = np.linalg.cholesky(squares[self.use].mean(axis=0))
        terms, monomials, place, _ = self.design
        across = (terms[:, :, None] * scores.mean[:, None, :]).reshape(len(terms), -1)
        row = np.concatenate([terms, scores.mean], axis=1)
        moments = np.concatenate([monomials, across, squares[:, first, second]], axis=1)
        place = _extended(place, k)
        spread = (scores.covariance[:, first, second] * np.where(first == second, 1.0, 2.0)).T
        self.loadings = self.loadings.copy()

        def of_block(pixels):
            flux, ivar = self.take(pixels)
            used, s2 = ivar * self.use, self.s2[pixels]
            weight = _kernels.weight(used, s2[:, None])
            both, solved = _solve(moments.T @ weight.T, row.T @ (weight * flux).T, place)
            theta, loadings = np.split(both, [terms.shape[1]], axis=1)
            square = (flux - both @ row.T) ** 2 + _products(loadings) @ spread
            self.s2[pixels] = np.where(solved, _kernels.step_scatter(used, square, s2), s2)
            self.theta[pixels] = np.where(solved[:, None], theta, self.theta[pixels])
            self.loadings[pixels] = np.where(solved[:, None], loadings @ stretch, 0.0)
            return self._star_sums(pixels, flux, ivar)

        return self._over_pixels(of_block)

    def _star_sums(self, pixels, flux, ivar):
        """Of each star, over these pixels, with B = (theta, U) and r = f - theta v: B^T W B, B^T W r, r^T W r, the sum
        of ln w and the number of pixels."""
        weight = _kernels.weight(ivar, self.s2[pixels, None])
        residual = flux - self.theta[pixels] @ self.design.terms.T
        weighted, both = weight * residual, np.concatenate([self.theta[pixels], self.loadings[pixels]], axis=1)
        seen = weight > 0
        log_weight = np.log(weight, out=np.zeros_like(weight), where=seen).sum(axis=0)
        chi2 = (weighted * residual).sum(axis=0)
        return weight.T @ _products(both), weighted.T @ both, chi2, log_weight, seen.sum(axis=0)

    def _project(self, pixels, terms, basis):
        """R^T R basis, R the residuals of these pixels in standard deviations, (n_pixels, n_stars)."""
        flux, ivar = self.take(pixels)
        weight = _kernels.weight(ivar * self.use, self.s2[pixels, None])
        residual = (flux - self.theta[pixels] @ terms.T) * np.sqrt(weight)
        residual = np.clip(residual, -_CLIP, _CLIP)
        return residual.T @ (residual @ basis)

    def _over_pixels(self, function):
        """Sums of the arrays that `function` returns for slices of pixels."""
        n_pixels, step = len(self.s2), max(1, _BLOCK // len(self.use))

        def of_part(part):
            start, stop, _ = part.indices(n_pixels)
            total = None
            for first in range(start, stop, step):
                some = function(slice(first, min(first + step, stop)))
                total = some if total is None else [a + b for a, b in zip(total, some, strict=True)]
            return total

        parts = map_blocks(of_part, n_pixels, -(-n_pixels // _PARTS))
        return [sum(arrays) for arrays in zip(*parts, strict=True)]


def _ordinary(scores):
    """Which stars to train on."""
    measures = [scores.chi2, (scores.errors**2).sum(axis=1)]
    if scores.mean.size:
        measures.append((scores.mean**2).sum(axis=1))
    logarithms = np.log(np.maximum(measures, 1e-300))
    limit = np.median(logarithms, axis=1) + _ODD * mad_std(logarithms, axis=1)
    return (limit >= logarithms.T).all(axis=1)


def _solve(sums, right, place):
    """Solutions of the normal equations of each pixel, (n_pixels, n), and whether there is one."""
    out, solved = np.empty(right.shape), np.empty(right.shape[1], dtype=bool)
    _linear.solve_normal(sums, place, right, _linear.factors(*right.shape[::-1]), out, solved)
    return out.T, solved


def _in_order(loadings, information):
    """The same factors turned so that each explains what it does by itself, the strongest first."""
    turned = loadings @ np.linalg.eigh(information)[1][:, ::-1]
    largest = np.take_along_axis(turned, np.abs(turned).argmax(axis=0)[None], axis=0)
    return turned * np.where(largest < 0, -1.0, 1.0)


def _products(columns):
    """Different products of two columns: (n, m) -> (n, m (m + 1) / 2)."""
    first, second = np.triu_indices(columns.shape[1])
    return columns[:, first] * columns[:, second]


def _symmetric(triangle, size):
    """Symmetric matrices from their upper triangles: (n, m (m + 1) / 2) -> (n, m, m)."""
    out = np.empty((len(triangle), size, size))
    first, second = np.triu_indices(size)
    out[:, first, second] = out[:, second, first] = triangle
    return out


def _extended(place, k):
    """Where the products of two of (v, z) stand among the moments of `_Learner.improve`."""
    n_terms, n_monomials = len(place), place.max() + 1
    out = np.empty((n_terms + k, n_terms + k), dtype=place.dtype)
    out[:n_terms, :n_terms] = place
    across = n_monomials + np.arange(n_terms * k).reshape(n_terms, k)
    out[:n_terms, n_terms:], out[n_terms:, :n_terms] = across, across.T
    first, second = np.triu_indices(k)
    among = n_monomials + n_terms * k + np.arange(len(first))
    out[n_terms + first, n_terms + second] = out[n_terms + second, n_terms + first] = among
    return out
