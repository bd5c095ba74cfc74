"""From spectra to chi^2: for each star an exact quartic in its labels, whatever linear nuisances are integrated out.

A spectrum is f = theta v(x) + N z + noise: v(x) the terms of the polynomial at the scaled labels x, noise of variance
1 / ivar + s^2 in each pixel, and the columns of N, *linear nuisances*, with unknown amplitudes z, normal about 0 with
the variances P: a continuum that bends, say. Integrated out, they make the noise correlated,

    C = D + N P N^T,    C^-1 = W - W N (P^-1 + N^T W N)^-1 N^T W,    W = D^-1 = diag(ivar / (1 + ivar s^2))

(Woodbury 1950), and chi^2 = (f - theta v)^T C^-1 (f - theta v) stays a polynomial of fourth order in x. With the matrix
T whose column 0 is theta_0 - f and whose others are theta_1, theta_2, ..., and u = v(x) with u_0 = 1,

    chi^2(x) = u . (T^T C^-1 T) . u,

in which many elements multiply the same monomial of the labels: 126 coefficients (for five labels) hold all of it. One
product of matrices over the pixels gives the coefficients of a block of stars, and whoever looks for the minimum, draws
from the posterior or asks what another model would have given never sees a pixel again. Subtracting theta_0 first keeps
the digits of the constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2._blocks import map_blocks
from lab2.cannon import _kernels, polynomial
from lab2.cannon.model import Cannon
from lab2.spectra import check, check_dims, check_wavelengths, per_full_weight, seen

__all__ = ["Nuisance", "Precision", "Quartics", "count_pixels", "quartics", "star_quartic", "weights"]

_BLOCK = 256  # stars worked on at a time by one thread ...
_CHUNK = 512  # ... in so many pixels: their weights stay in its cache
_ROUNDING = 1e-9  # of v^T W v, below which nothing is left of it


@dataclass(frozen=True, eq=False)
class Nuisance:
    """Shapes that a spectrum may have in it, with amplitudes that nobody asks for.

    Attributes
    ----------
    columns : numpy.ndarray, shape (n_pixels, n_columns) or (n_stars, n_pixels, n_columns)
        In normalized flux for an amplitude of 1; the same for all stars, or each star's own.
    sd : float or numpy.ndarray, shape (n_columns,)
        Prior standard deviation of each amplitude, positive; infinite where nothing is known of it.

    Raises
    ------
    ValueError
        If a column is not finite, or a standard deviation is not positive.

    Examples
    --------
    >>> slope = Nuisance(np.linspace(-1.0, 1.0, 8575)[:, None], 0.01)
    >>> slope.columns.shape
    (8575, 1)
    """

    columns: np.ndarray
    sd: float | np.ndarray

    def __post_init__(self):
        columns, sd = np.asarray(self.columns, dtype=float), np.asarray(self.sd, dtype=float)
        if columns.ndim not in (2, 3) or sd.shape not in ((), columns.shape[-1:]):
            raise ValueError(
                "a nuisance has columns (n_pixels, n_columns) or (n_stars, n_pixels, n_columns) and one prior standard "
                f"deviation, or one for each column; got {columns.shape} and {sd.shape}"
            )
        if not np.isfinite(columns).all():
            raise ValueError(f"{(~np.isfinite(columns)).sum()} values of the nuisance's columns are not finite")
        if not (sd > 0).all():
            raise ValueError(f"prior standard deviations of a nuisance must be positive; got {sd}")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "sd", np.broadcast_to(sd, columns.shape[-1:]))

    def of_star(self, n) -> np.ndarray:
        """The columns of star n, (n_pixels, n_columns)."""
        return self.columns if self.columns.ndim == 2 else self.columns[n]


@dataclass(frozen=True, eq=False)
class Quartics:
    """chi^2 of each star as a function of its scaled labels.

    Attributes
    ----------
    coefficients : numpy.ndarray, shape (n_stars, n_monomials)
        Of the monomials of degree 4 or less, in the order of `lab2.cannon.polynomial.normal_monomials` for a polynomial
        of degree 2.
    n_pixels : numpy.ndarray of int, shape (n_stars,)
        Pixels with weight, each counting as far as the star saw it (`lab2.spectra.seen`).
    n_labels : int
    """

    coefficients: np.ndarray
    n_pixels: np.ndarray
    n_labels: int

    def chi2(self, x: ArrayLike) -> np.ndarray:
        """chi^2 of each star at its scaled labels x: (n_stars, n_labels) -> (n_stars,)."""
        monomials, _ = polynomial.normal_monomials(x, polynomial.terms(self.n_labels, 2))
        return (self.coefficients * monomials).sum(axis=1)


def quartics(
    model: Cannon, spectra: xr.Dataset, nuisances: Sequence[Nuisance] = (), progress: bool = False
) -> Quartics:
    """chi^2 of every star as an exact quartic in its labels.

    Parameters
    ----------
    model : lab2.Cannon
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) on the model's wavelengths. A dataset that is opened lazily is read block
        by block.
    nuisances : sequence of Nuisance
        To be integrated out.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Quartics

    Raises
    ------
    ValueError
        If the wavelengths are not the model's, the spectra such as `lab2.spectra.check` refuses, or a nuisance is not
        of the spectra's shape.
    TypeError
        If `nuisances` are something else.
    """
    check_dims(spectra)
    check_wavelengths(spectra, model.wavelength)
    sizes = spectra.sizes["star"], spectra.sizes["wavelength"]
    if isinstance(nuisances, Nuisance) or not all(isinstance(nuisance, Nuisance) for nuisance in nuisances):
        raise TypeError(f"nuisances are a sequence of lab2.cannon.Nuisance; got {type(nuisances).__name__}")
    for nuisance in nuisances:
        if nuisance.columns.shape[:-1] not in (sizes, sizes[1:]):
            raise ValueError(
                f"a nuisance has columns of shape {nuisance.columns.shape}; {sizes[0]} spectra of {sizes[1]} pixels "
                f"need ({sizes[1]}, n_columns) or ({sizes[0]}, {sizes[1]}, n_columns)"
            )
    sums, theta = _PixelSums(model), model.theta.values

    def of_block(stars):
        block = spectra[["flux", "ivar"]].isel(star=stars).load()
        if not nuisances:
            return sums(block)
        check(block)
        rows = []
        sd = np.concatenate([nuisance.sd for nuisance in nuisances])
        each_weight = weights(model, block.ivar.values)
        for star, flux, weight in zip(range(*stars.indices(sizes[0])), block.flux.values, each_weight, strict=True):
            columns = np.concatenate([nuisance.of_star(star) for nuisance in nuisances], axis=1)
            rows.append(star_quartic(theta, flux, Precision(weight, columns, sd), sums.form))
        return np.reshape(rows, (len(rows), len(sums.products))), count_pixels(model, block.ivar.values)

    parts = map_blocks(of_block, sizes[0], _BLOCK, "summing pixels" if progress else None)
    return Quartics(*(np.concatenate(part) for part in zip(*parts, strict=True)), len(model.labels))


def weights(model: Cannon, ivar: ArrayLike) -> np.ndarray:
    """The inverse variance of each pixel about the model, 1 / (sigma^2 + s^2); 0 where it says nothing.

    Parameters
    ----------
    model : lab2.Cannon
    ivar : array_like, shape (..., n_pixels)

    Returns
    -------
    numpy.ndarray, shape (..., n_pixels)
    """
    return _kernels.weight(ivar, model.s2.values)


def count_pixels(model: Cannon, ivar: ArrayLike) -> np.ndarray:
    """Pixels of each star that have weight in the model, each counting as far as the star saw it.

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


class Precision:
    """C^-1 of one star's flux: the weights, less what linear nuisances may explain (Woodbury 1950).

    Parameters
    ----------
    weight : numpy.ndarray, shape (n_pixels,)
        Inverse variances about the model.
    columns : numpy.ndarray, shape (n_pixels, n_columns)
        Of the nuisances, in flux for an amplitude of 1; there may be none.
    sd : numpy.ndarray, shape (n_columns,)
        Prior standard deviations of the amplitudes; infinite where nothing is known of one.
    """

    def __init__(self, weight, columns, sd):
        self.weight = weight
        weighted = columns * weight[:, None]
        normal = weighted.T @ columns + np.diag(sd**-2.0)
        # columns of unit length; one that no pixel sees, and of which nothing is known, explains nothing
        length = np.sqrt(np.diag(normal))
        scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
        self._weighted = weighted * scale
        self._inverse = np.linalg.pinv(normal * np.outer(scale, scale), hermitian=True)

    def times(self, vectors) -> np.ndarray:
        """C^-1 times vectors over the pixels, (n_pixels, n)."""
        return vectors * self.weight[:, None] - self._weighted @ (self._inverse @ (self._weighted.T @ vectors))

    def norms(self, vectors) -> np.ndarray:
        """v^T C^-1 v of vectors over the pixels, (n_pixels, n); 0 where the nuisances explain all but rounding."""
        along = self._weighted.T @ vectors
        whole = self.weight @ vectors**2
        left = whole - (along * (self._inverse @ along)).sum(axis=0)
        return np.where(left > _ROUNDING * whole, left, 0.0)


def star_quartic(theta, flux, precision, form) -> np.ndarray:
    """The coefficients of one star's chi^2 by the plain formula, T^T C^-1 T.

    Parameters
    ----------
    theta : numpy.ndarray, shape (n_pixels, n_terms)
        Coefficients of each pixel; they may be the star's own.
    flux : numpy.ndarray, shape (n_pixels,)
    precision : Precision
    form : lab2.cannon.polynomial.Form

    Returns
    -------
    numpy.ndarray, shape (n_monomials,)
    """
    columns = _columns(theta, len(form.pairs))
    columns[:, 0] = np.where(precision.weight > 0, theta[:, 0] - flux, 0.0)
    return form.compress(columns.T @ precision.times(columns))


class _PixelSums:
    """The sums over pixels that turn spectra into coefficients of chi^2."""

    def __init__(self, model):
        self.form = polynomial.symmetric_form(len(model.labels))
        self.s2, self.scatter = model.s2.values, model.typical_s2
        self.flux_zero = np.ascontiguousarray(model.theta.values[:, 0])
        self.theta = _columns(model.theta.values, len(self.form.pairs))
        self.products = np.zeros((self.form.place.max() + 1, len(self.theta)))
        _kernels.sum_products(np.ascontiguousarray(self.theta.T), self.form.place, self.products)

    def __call__(self, block):
        """Coefficients of a block of stars without nuisances, (n_stars, n_monomials), and the pixels with weight."""
        flux, ivar = block.flux.values, block.ivar.values
        n_stars, n_pixels = flux.shape
        summed, products = np.zeros((2, len(self.products), n_stars))
        linear = np.zeros((n_stars, self.theta.shape[1]))
        constant, counts = np.zeros((2, n_stars))
        count = per_full_weight(ivar, self.scatter), self.scatter
        weight, weighted = np.empty((2, n_stars, _CHUNK))
        for start in range(0, n_pixels, _CHUNK):
            stop = min(start + _CHUNK, n_pixels)
            pixels, window = (self.flux_zero, self.s2), (start, stop)
            _kernels.star_weights((flux, ivar), count, pixels, window, (weight, weighted), (constant, counts))
            if not np.isfinite(constant).all():
                check(block)  # which says what is wrong, and where
            summed += np.matmul(self.products[:, start:stop], weight[:, : stop - start].T, out=products)
            linear += weighted[:, : stop - start] @ self.theta[start:stop]
        summed = np.ascontiguousarray(summed.T)
        summed[:, self.form.place[0]] -= 2.0 * linear
        summed[:, self.form.place[0, 0]] += constant
        return summed, np.rint(counts).astype(int)


def _columns(theta, n_terms):
    """Coefficients on all terms of degree 2, the constant's place free for the residual: (n_pixels, n_terms)."""
    columns = np.zeros((len(theta), n_terms))
    columns[:, 1 : theta.shape[1]] = theta[:, 1:]
    return columns
