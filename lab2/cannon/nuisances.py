"""Linear nuisances: contributions to a spectrum with unknown amplitudes, marginalized over.

If the columns of N have unknown amplitudes, with a normal prior of mean 0 and variances P, and the pixel noise has the
inverse variances W, the inverse covariance of the flux is

    C^-1 = W - W N (P^-1 + N^T W N)^-1 N^T W

(Woodbury 1950). Only a small matrix has to be inverted, not one over all pixels.
"""

from dataclasses import dataclass

import numpy as np

from lab2.cannon.model import Cannon

__all__ = ["Nuisance", "Precision", "factors_of", "inverse_information"]

_ROUNDING = 1e-9  # fraction of v^T W v below which the remainder is rounding error


@dataclass(frozen=True, eq=False)
class Nuisance:
    """Contributions to a spectrum whose amplitudes are nuisance parameters.

    Attributes
    ----------
    columns : numpy.ndarray, shape (n_pixels, n_columns) or (n_stars, n_pixels, n_columns)
        In normalized flux for an amplitude of 1; common to all stars, or different for each star.
    sd : float or numpy.ndarray, shape (n_columns,)
        Prior standard deviation of each amplitude, positive; infinite for a flat prior.

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

    def of_star(self, n: int) -> np.ndarray:
        """The columns of star n, (n_pixels, n_columns)."""
        return self.columns if self.columns.ndim == 2 else self.columns[n]


def factors_of(model: Cannon) -> Nuisance:
    """The model's hidden factors as a nuisance: columns are the loadings, amplitudes have standard deviation 1."""
    return Nuisance(model.loadings.values, 1.0)


class Precision:
    """C^-1 of one star's flux, marginalized over linear nuisances (Woodbury 1950).

    Parameters
    ----------
    weight : numpy.ndarray, shape (n_pixels,)
        Inverse variances about the model.
    columns : numpy.ndarray, shape (n_pixels, n_columns)
        Columns of the nuisances, in flux for an amplitude of 1; there may be none.
    sd : numpy.ndarray, shape (n_columns,)
        Prior standard deviations of the amplitudes; infinite for a flat prior.
    """

    def __init__(self, weight: np.ndarray, columns: np.ndarray, sd: np.ndarray) -> None:
        self.weight = weight
        self._weighted = columns * weight[:, None]
        self._inverse = inverse_information(self._weighted.T @ columns, sd)

    def times(self, vectors: np.ndarray) -> np.ndarray:
        """C^-1 times vectors over the pixels: (n_pixels, n) -> (n_pixels, n)."""
        return vectors * self.weight[:, None] - self._weighted @ self.amplitudes(vectors)

    def amplitudes(self, vectors: np.ndarray) -> np.ndarray:
        """Posterior means of the amplitudes if the vectors are the residuals: (n_pixels, n) -> (n_columns, n)."""
        return self._inverse @ (self._weighted.T @ vectors)

    def norms(self, vectors: np.ndarray) -> np.ndarray:
        """v^T C^-1 v of vectors over the pixels, (n_pixels, n); 0 where the nuisances explain all to rounding."""
        along = self._weighted.T @ vectors
        whole = self.weight @ vectors**2
        left = whole - (along * (self._inverse @ along)).sum(axis=0)
        return np.where(left > _ROUNDING * whole, left, 0.0)


def inverse_information(information: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Covariance of the amplitudes, (N^T W N + P^-1)^-1, for one star or many: (..., n_columns, n_columns).

    Columns are first scaled to unit length. One with a flat prior that no pixel constrains gets covariance 0.
    """
    normal = information + np.diag(sd**-2.0)
    length = np.sqrt(np.diagonal(normal, axis1=-2, axis2=-1))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    both = scale[..., :, None] * scale[..., None, :]
    return np.linalg.pinv(normal * both, hermitian=True) * both
