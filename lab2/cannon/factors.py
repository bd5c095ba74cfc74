"""Hidden factors: variations that affect many pixels of a spectrum together and that no label describes.

The Cannon treats the pixels as independent. They are not: an element whose abundance is not a label, carbon or nitrogen
for example, changes hundreds of pixels together. The model with k factors includes this,

    f_n = theta v(x_n) + U z_n + noise,    z_n ~ N(0, 1),    noise of variance 1 / ivar + s^2 in each pixel,

with *loadings* U (n_pixels, k) and *scores* z. It is factor analysis (Rubin & Thayer 1982, Psychometrika 47, 69) about
a mean that depends on the labels, with a separate noise variance for every pixel of every star. Training is iterative,
with three steps in each round:

E. The scores of each star, given the parameters, are normal, with mean K^-1 N^T W r and covariance K^-1, where
   r = f - theta v, W = diag(ivar / (1 + ivar s^2)) and K = N^T W N + P^-1. The columns of N are U, with amplitudes z,
   and G, the gradients of the spectrum with respect to the labels, with amplitudes e, the errors of the star's catalog
   labels. An error in a label shifts the residuals along G, and must not be mistaken for a score.

M. Given the scores, theta and U of each pixel solve normal equations that contain v v^T, v <z>^T and <z z^T>. Then
   s^2 takes Newton steps on the expected likelihood (Meng & Rubin 1993, Biometrika 80, 267).

X. U is multiplied by the Cholesky factor of the mean <z z^T>, so that the new scores have unit second moments (Liu,
   Rubin & Wu 1998, Biometrika 85, 755). The amplitudes of the loadings then converge in a few rounds.

The rounds stop when the likelihood, marginalized over z and e, no longer increases. Step M uses the catalog labels. The
exact step for a model with label errors would learn theta and U at the corrected labels v + (dv/dx) e. It reaches a
higher likelihood, but misfits of the polynomial are then absorbed as label errors: on the simulated survey the labels
fitted to other stars scatter more, by up to a fifth. Without e altogether they scatter more by up to a tenth.

Peculiar spectra (a double star, a wrong velocity) would occupy factors of their own. Stars that the model describes
much worse than others, or whose scores or label errors are improbable for a normal distribution, are fitted but not
trained on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.stats import mad_std
from tqdm.auto import tqdm

from lab2._blocks import map_blocks
from lab2.cannon import _kernels, _linear

__all__ = ["Design", "Learned", "learn_factors"]

_BLOCK = 2**19  # pixels times stars worked on at a time by one thread
_PARTS = 8  # groups of pixels, whose sums are kept until all are done
_MOST_ROUNDS = 30
_SCREENED = (1, 3)  # rounds after which the odd stars are selected again
_TOLERANCE = 0.5  # gain of ln L per star at which the rounds stop
# Prior standard deviation of the errors of catalog labels, in standard deviations of the labels. Half or twice this
# value gives the same results to a few per cent.
_LABEL_ERROR = 0.25
# A star is odd if the logarithm of its chi^2 per pixel, |z|^2 or |e|^2 lies this many robust standard deviations above
# the median.
_ODD = 3.0
_SPARE, _PASSES = 15, 4  # additional columns and number of passes of the subspace iteration for the initial scores
_CLIP = 8.0  # limit of the residuals that give the initial scores, in standard deviations


@dataclass(frozen=True)
class Learned:
    """Parameters of the model with factors, learned from the training stars.

    Attributes
    ----------
    theta : numpy.ndarray, shape (n_pixels, n_terms)
        Coefficients of the flux minus 1.
    loadings : numpy.ndarray, shape (n_pixels, k)
        The factor that explains most first, each with its largest loading positive; 0 in untrained pixels.
    s2 : numpy.ndarray, shape (n_pixels,)
    trained_on : numpy.ndarray of bool, shape (n_stars,)
        False for odd stars.
    log_likelihood : numpy.ndarray, shape (n_rounds,)
        Of the stars trained on, without the constant, for each round since these stars were selected.
    """

    theta: np.ndarray
    loadings: np.ndarray
    s2: np.ndarray
    trained_on: np.ndarray
    log_likelihood: np.ndarray


class Design(NamedTuple):
    """The polynomial at the training stars: its terms (n_stars, n_terms), their products and places, as from
    `polynomial.normal_monomials`, and their derivatives with respect to the scaled labels (n_stars, n_terms, n_labels).
    """

    terms: np.ndarray
    monomials: np.ndarray
    place: np.ndarray
    jacobian: np.ndarray


class _Scores(NamedTuple):
    """Scores and label errors of each star given the parameters, and how well the star fits."""

    mean: np.ndarray  # (n_stars, k)
    covariance: np.ndarray  # (n_stars, k, k)
    errors: np.ndarray  # (n_stars, n_labels), in prior standard deviations
    log_likelihood: np.ndarray  # (n_stars,)
    chi2: np.ndarray  # (n_stars,) per pixel
    information: np.ndarray  # (n_stars, k, k): U^T W U


def learn_factors(
    take: Callable[[slice], tuple[np.ndarray, np.ndarray]],
    design: Design,
    theta: np.ndarray,
    s2: np.ndarray,
    n_factors: int,
    progress: bool = False,
) -> Learned:
    """Learn theta, loadings and s2.

    Parameters
    ----------
    take : callable
        Takes a slice of pixels; returns flux minus 1 and ivar, (n_pixels, n_stars).
    design : Design
    theta, s2 : numpy.ndarray
        Of the model without factors: theta for the flux minus 1; s2 infinite in untrained pixels.
    n_factors : int
    progress : bool
        Show a progress bar.

    Returns
    -------
    Learned

    Raises
    ------
    ValueError
        If too few stars are left to train on once the odd ones are removed.
    """
    learner = _Learner(take, design, theta, s2)
    scores = learner.scores(learner.sums())
    learner.use = _ordinary(scores, n_factors)
    scores, history = learner.first_scores(scores, n_factors), []
    for rounds in tqdm(range(_MOST_ROUNDS), desc="learning factors", disable=not progress):
        before = learner.theta.copy(), learner.loadings, learner.s2.copy(), scores
        scores = learner.scores(learner.improve(scores))
        if rounds in _SCREENED:
            learner.use, history = _ordinary(scores, n_factors), []
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
    """The parameters, and the passes over the pixels that improve them."""

    def __init__(self, take, design, theta, s2):
        self.take, self.design = take, design
        self.theta, self.s2 = theta.copy(), s2.copy()
        self.loadings = np.zeros((len(s2), 0))
        self.use = np.ones(len(design.terms), dtype=bool)

    def sums(self):
        """The sums from which each star's scores follow: `_star_sums` over all pixels."""
        return self._over_pixels(lambda pixels: self._star_sums(pixels, *self.take(pixels)))

    def scores(self, sums) -> _Scores:
        """The E step."""
        information, right, chi2, log_weight, n_pixels = sums
        n_terms, n_labels = self.design.jacobian.shape[1:]
        k = right.shape[1] - n_terms
        columns = np.zeros((len(right), n_terms + k, n_labels + k))  # combinations of theta and U that give G and U
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
        """Initial scores: principal components of the residuals of the model without factors."""
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
        """The steps M and X, pixel by pixel; returns the new `sums`."""
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
        """Sums of each star over these pixels, with B = (theta, U) and r = f - theta v: B^T W B, B^T W r, r^T W r, the
        sum of ln w and the number of pixels."""
        weight = _kernels.weight(ivar, self.s2[pixels, None])
        residual = flux - self.theta[pixels] @ self.design.terms.T
        weighted, both = weight * residual, np.concatenate([self.theta[pixels], self.loadings[pixels]], axis=1)
        seen = weight > 0
        log_weight = np.log(weight, out=np.zeros_like(weight), where=seen).sum(axis=0)
        chi2 = (weighted * residual).sum(axis=0)
        return weight.T @ _products(both), weighted.T @ both, chi2, log_weight, seen.sum(axis=0)

    def _project(self, pixels, terms, basis):
        """R^T R basis, where R are the residuals of these pixels in standard deviations, (n_pixels, n_stars)."""
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


def _ordinary(scores, n_factors):
    """Which stars to train on: those that have pixels and are not odd."""
    measures = [scores.chi2, (scores.errors**2).sum(axis=1)]
    if scores.mean.size:
        measures.append((scores.mean**2).sum(axis=1))
    seen = scores.chi2 > 0
    logarithms = np.log(np.array(measures)[:, seen])
    use = np.zeros(len(seen), dtype=bool)
    if seen.any():
        limit = np.median(logarithms, axis=1) + _ODD * mad_std(logarithms, axis=1)
        use[seen] = (limit >= logarithms.T).all(axis=1)
    if use.sum() <= 2 * n_factors:
        raise ValueError(
            f"only {use.sum()} of {len(use)} training stars have pixels and resemble each other: too few for "
            f"{n_factors} factors; check the spectra and their labels, or learn fewer factors"
        )
    return use


def _solve(sums, right, place):
    """Solution of the normal equations of each pixel, (n_pixels, n), and whether there is one."""
    out, solved = np.empty(right.shape), np.empty(right.shape[1], dtype=bool)
    _linear.solve_normal(sums, place, right, _linear.factors(*right.shape[::-1]), out, solved)
    return out.T, solved


def _in_order(loadings, information):
    """The same factors, rotated so that their contributions are independent, the strongest first."""
    turned = loadings @ np.linalg.eigh(information)[1][:, ::-1]
    largest = np.take_along_axis(turned, np.abs(turned).argmax(axis=0)[None], axis=0)
    return turned * np.where(largest < 0, -1.0, 1.0)


def _products(columns):
    """Distinct products of two columns: (n, m) -> (n, m (m + 1) / 2)."""
    first, second = np.triu_indices(columns.shape[1])
    return columns[:, first] * columns[:, second]


def _symmetric(triangle, size):
    """Symmetric matrices from their upper triangles: (n, m (m + 1) / 2) -> (n, m, m)."""
    out = np.empty((len(triangle), size, size))
    first, second = np.triu_indices(size)
    out[:, first, second] = out[:, second, first] = triangle
    return out


def _extended(place, k):
    """Column of each product of two elements of (v, z) among the moments in `_Learner.improve`."""
    n_terms, n_monomials = len(place), place.max() + 1
    out = np.empty((n_terms + k, n_terms + k), dtype=place.dtype)
    out[:n_terms, :n_terms] = place
    across = n_monomials + np.arange(n_terms * k).reshape(n_terms, k)
    out[:n_terms, n_terms:], out[n_terms:, :n_terms] = across, across.T
    first, second = np.triu_indices(k)
    among = n_monomials + n_terms * k + np.arange(len(first))
    out[n_terms + first, n_terms + second] = out[n_terms + second, n_terms + first] = among
    return out
