"""From spectra to chi^2: an exact quartic in the labels of each star, marginalized over linear nuisances.

A spectrum is f = theta v(x) + N z + noise: v(x) the terms of the polynomial at the scaled labels x, noise of variance
1 / ivar + s^2 in each pixel. The columns of N are *linear nuisances*, whose unknown amplitudes z have a normal prior of
mean 0 and variances P: the model's hidden factors, or errors of the continuum. Marginalizing over z correlates the
noise,

    C = D + N P N^T,    C^-1 = W - W N (P^-1 + N^T W N)^-1 N^T W,    W = D^-1 = diag(ivar / (1 + ivar s^2))

(Woodbury 1950), and chi^2 = (f - theta v)^T C^-1 (f - theta v) stays a polynomial of fourth order in x. With the matrix
T whose column 0 is theta_0 - f and whose others are theta_1, theta_2, ..., and u = v(x) with u_0 = 1,

    chi^2(x) = u . (T^T C^-1 T) . u,

where many elements multiply the same monomial of the labels, so 126 coefficients (for five labels) are enough. One
matrix product over the pixels gives the coefficients of a block of stars. After that the pixels are no longer needed,
neither to find the minimum nor to sample the posterior. Subtracting theta_0 first preserves the precision of the
constant term.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2._arguments import expect
from lab2._blocks import map_blocks
from lab2._io.arrays import native
from lab2.cannon import _kernels, polynomial
from lab2.cannon.model import Cannon
from lab2.cannon.nuisances import Nuisance, Precision, factors_of, inverse_information
from lab2.spectra import check, check_dims, check_wavelengths, per_full_weight, seen

__all__ = [
    "Quartics",
    "count_pixels",
    "quartics",
    "star_quartic",
    "weights",
]

_BLOCK = 256  # stars worked on at a time by one thread ...
_CHUNK = 512  # ... in so many pixels: their weights fit in its cache


@dataclass(frozen=True, eq=False)
class Quartics:
    """chi^2 of each star as a function of its scaled labels.

    Attributes
    ----------
    coefficients : numpy.ndarray, shape (n_stars, n_monomials)
        Coefficients of the monomials of degree 4 or less, in the order of `lab2.cannon.polynomial.normal_monomials`
        for a polynomial of degree 2.
    n_pixels : numpy.ndarray of int, shape (n_stars,)
        Number of pixels with weight; one of very low weight counts as a fraction (`lab2.spectra.seen`).
    n_labels : int
    responses : numpy.ndarray, shape (n_stars, n_factors, n_terms)
        The posterior mean of the model's hidden factors is ``responses @ u``, with u the terms up to degree 2 at the
        labels.
    """

    coefficients: np.ndarray
    n_pixels: np.ndarray
    n_labels: int
    responses: np.ndarray

    def chi2(self, x: ArrayLike) -> np.ndarray:
        """chi^2 of each star at its scaled labels x: (n_stars, n_labels) -> (n_stars,)."""
        monomials, _ = polynomial.normal_monomials(x, polynomial.terms(self.n_labels, 2))
        return (self.coefficients * monomials).sum(axis=1)

    def factors(self, x: ArrayLike) -> np.ndarray:
        """Posterior means of the hidden factors at scaled labels x: (n_stars, n_labels) -> (n_stars, n_factors)."""
        terms = polynomial.design(x, polynomial.terms(self.n_labels, 2))
        return (self.responses @ terms[..., None])[..., 0]


def quartics(
    model: Cannon, spectra: xr.Dataset, nuisances: Sequence[Nuisance] = (), progress: bool = False
) -> Quartics:
    """chi^2 of every star as an exact quartic in its labels.

    The model's hidden factors are always marginalized over.

    Parameters
    ----------
    model : lab2.Cannon
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) on the model's wavelengths. A dataset that is opened lazily is read block
        by block.
    nuisances : sequence of Nuisance
        Further nuisances to marginalize over.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Quartics

    Raises
    ------
    ValueError
        If the wavelengths are not the model's, `lab2.spectra.check` rejects the spectra, or a nuisance does not have
        the spectra's shape.
    TypeError
        If `nuisances` is not a sequence of `Nuisance`.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> found = quartics(model, spectra)
    >>> fits = lab2.fit_labels(model, spectra)
    >>> bool(np.allclose(found.chi2(model.scale(fits.labels)), fits.chi2))
    True
    """
    expect(model=model, spectra=spectra)
    check_dims(spectra)
    check_wavelengths(spectra, model.wavelength)
    spectra = native(spectra)
    sizes = spectra.sizes["star"], spectra.sizes["wavelength"]
    if isinstance(nuisances, Nuisance) or not all(isinstance(nuisance, Nuisance) for nuisance in nuisances):
        raise TypeError(f"nuisances are a sequence of lab2.cannon.Nuisance; got {type(nuisances).__name__}")
    for nuisance in nuisances:
        if nuisance.columns.shape[:-1] not in (sizes, sizes[1:]):
            raise ValueError(
                f"a nuisance has columns of shape {nuisance.columns.shape}; {sizes[0]} spectra of {sizes[1]} pixels "
                f"need ({sizes[1]}, n_columns) or ({sizes[0]}, {sizes[1]}, n_columns)"
            )
    every = [factors_of(model), *nuisances]
    shared = all(nuisance.columns.ndim == 2 for nuisance in every)
    sums = _PixelSums(model, every) if shared else _StarByStar(model, every)

    def of_block(stars):
        return sums(spectra[["flux", "ivar"]].isel(star=stars).load(), stars.indices(sizes[0])[0])

    parts = map_blocks(of_block, sizes[0], _BLOCK, "summing pixels" if progress else None)
    coefficients, n_pixels, responses = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Quartics(coefficients, n_pixels, len(model.labels), responses)


def weights(model: Cannon, ivar: ArrayLike) -> np.ndarray:
    """The inverse variance of each pixel about the model, 1 / (sigma^2 + s^2); 0 where masked or untrained.

    Parameters
    ----------
    model : lab2.Cannon
    ivar : array_like, shape (..., n_pixels)

    Returns
    -------
    numpy.ndarray, shape (..., n_pixels)

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> weight = weights(model, spectra.ivar)
    >>> weight.shape, bool((weight <= spectra.ivar.values).all())
    ((60, 8575), True)
    """
    return _kernels.weight(ivar, model.s2.values)


def count_pixels(model: Cannon, ivar: ArrayLike) -> np.ndarray:
    """Number of pixels of each star with weight in the model; one of very low weight counts as a fraction.

    Parameters
    ----------
    model : lab2.Cannon
    ivar : array_like, shape (n_stars, n_pixels)

    Returns
    -------
    numpy.ndarray of int, shape (n_stars,)
    """
    counts = np.where(weights(model, ivar) > 0, seen(ivar, model.typical_s2), 0.0)
    return np.rint(counts.sum(axis=1)).astype(int)


def star_quartic(
    theta: np.ndarray, flux: np.ndarray, precision: Precision, form: polynomial.Form
) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients of one star's chi^2 directly from T^T C^-1 T, and the nuisances' responses.

    Parameters
    ----------
    theta : numpy.ndarray, shape (n_pixels, n_terms)
        Coefficients of each pixel; they may differ from star to star.
    flux : numpy.ndarray, shape (n_pixels,)
    precision : Precision
    form : lab2.cannon.polynomial.Form

    Returns
    -------
    coefficients : numpy.ndarray, shape (n_monomials,)
    responses : numpy.ndarray, shape (n_columns, n_terms)
        As in `Quartics`, but for all nuisances.
    """
    columns = _columns(theta, len(form.pairs))
    columns[:, 0] = np.where(precision.weight > 0, theta[:, 0] - flux, 0.0)
    return form.compress(columns.T @ precision.times(columns)), -precision.amplitudes(columns)


class _StarByStar:
    """Quartics if a nuisance has different columns for each star: one star after the other."""

    def __init__(self, model, nuisances):
        self.model, self.nuisances = model, nuisances
        self.sd = np.concatenate([nuisance.sd for nuisance in nuisances])
        self.form = polynomial.symmetric_form(len(model.labels))

    def __call__(self, block, first):
        """As in `_PixelSums`; `first` is the index of the block's first star."""
        check(block)
        n_stars, n_factors = block.sizes["star"], self.model.loadings.shape[1]
        coefficients = np.empty((n_stars, self.form.place.max() + 1))
        responses = np.empty((n_stars, n_factors, len(self.form.pairs)))
        each_weight = weights(self.model, block.ivar.values)
        for n, (flux, weight) in enumerate(zip(block.flux.values, each_weight, strict=True)):
            columns = np.concatenate([nuisance.of_star(first + n) for nuisance in self.nuisances], axis=1)
            precision = Precision(weight, columns, self.sd)
            coefficients[n], all_responses = star_quartic(self.model.theta.values, flux, precision, self.form)
            responses[n] = all_responses[:n_factors]
        return coefficients, count_pixels(self.model, block.ivar.values), responses


class _PixelSums:
    """Quartics of a block of stars from sums over the pixels, if the nuisances' columns are common to all stars.

    One matrix product sums, for each star, weights times products of two columns: two columns of theta, which give the
    coefficients; one of theta and one nuisance; and two nuisances.
    """

    def __init__(self, model, nuisances):
        self.form = polynomial.symmetric_form(len(model.labels))
        self.s2, self.scatter, self.n_factors = model.s2.values, model.typical_s2, model.loadings.shape[1]
        self.flux_zero = np.ascontiguousarray(model.theta.values[:, 0])
        theta = _columns(model.theta.values, len(self.form.pairs))
        nuisance = np.concatenate([nuisance.columns for nuisance in nuisances], axis=1)
        self.sd = np.concatenate([nuisance.sd for nuisance in nuisances])
        self.columns = np.concatenate([theta, nuisance], axis=1)
        self.n_terms, self.n_columns = theta.shape[1], nuisance.shape[1]
        self.n_monomials = self.form.place.max() + 1
        first, second = np.triu_indices(self.n_columns)
        self.products = np.zeros((self.n_monomials + self.n_terms * self.n_columns + len(first), len(theta)))
        _kernels.sum_products(np.ascontiguousarray(theta.T), self.form.place, self.products[: self.n_monomials])
        across, among = np.split(self.products[self.n_monomials :], [self.n_terms * self.n_columns])
        np.multiply(nuisance.T[:, None, :], theta.T, out=across.reshape(self.n_columns, *theta.T.shape))
        np.multiply(nuisance.T[first], nuisance.T[second], out=among)

    def __call__(self, block, first):
        """Coefficients of a block of stars, their numbers of pixels with weight, and the factors' responses."""
        flux, ivar = block.flux.values, block.ivar.values
        n_stars, n_pixels = flux.shape
        summed, products = np.zeros((2, len(self.products), n_stars))
        linear = np.zeros((n_stars, self.columns.shape[1]))
        constant, counts = np.zeros((2, n_stars))
        count = per_full_weight(ivar, self.scatter), self.scatter
        weight, weighted = np.empty((2, n_stars, _CHUNK))
        for start in range(0, n_pixels, _CHUNK):
            stop = min(start + _CHUNK, n_pixels)
            pixels, window = (self.flux_zero, self.s2), (start, stop)
            _kernels.star_weights((flux, ivar), count, pixels, window, (weight, weighted), (constant, counts))
            if not np.isfinite(constant).all():
                check(block)  # its message says which value is invalid, and where
            summed += np.matmul(self.products[:, start:stop], weight[:, : stop - start].T, out=products)
            linear += weighted[:, : stop - start] @ self.columns[start:stop]
        summed = np.ascontiguousarray(summed.T)
        coefficients, information = summed[:, : self.n_monomials], summed[:, self.n_monomials :]
        coefficients[:, self.form.place[0]] -= 2.0 * linear[:, : self.n_terms]
        coefficients[:, self.form.place[0, 0]] += constant
        responses = np.zeros((n_stars, 0, self.n_terms))
        if self.n_columns:
            explained, responses = self._explained(information, linear[:, self.n_terms :])
            coefficients = coefficients - explained
        return coefficients, np.rint(counts).astype(int), responses[:, : self.n_factors]

    def _explained(self, information, right):
        """Coefficients of T^T W N (N^T W N + P^-1)^-1 N^T W T, which the nuisances explain, and their responses."""
        n_stars, size = len(right), self.n_terms * self.n_columns
        across = information[:, :size].reshape(n_stars, self.n_columns, self.n_terms).copy()  # N^T W T
        across[:, :, 0] = -right
        among = np.empty((n_stars, self.n_columns, self.n_columns))
        first, second = np.triu_indices(self.n_columns)
        among[:, first, second] = among[:, second, first] = information[:, size:]
        responses = -inverse_information(among, self.sd) @ across
        return self.form.compress(-across.transpose(0, 2, 1) @ responses), responses


def _columns(theta, n_terms):
    """Coefficients of all terms up to degree 2, 0 for the constant: (n_pixels, n_terms)."""
    columns = np.zeros((len(theta), n_terms))
    columns[:, 1 : theta.shape[1]] = theta[:, 1:]
    return columns
