"""Errors that are true to their name: a scale and a floor for formal covariances, learned from residuals.

A fit's formal covariance C knows of photon noise and of the model's scatter, pixel by pixel. What it does not know of
(correlated pixels, abundances without a label, the continuum, the errors of the labels that it is compared with) shows
in the residuals r of stars that were not trained on. For star n

    r_n ~ (1 - q) N(0, V_n) + q N(0, w^2 V_n),    V_n = a C_n a + F,

with a diagonal matrix a of scales, one a label, that keeps the formal correlations, and a floor F, a full covariance
matrix, whose correlations are those that the residuals themselves show. The second, broad component takes the outliers
(Hogg, Bovy & Lang 2010, arXiv:1008.4686, section 3): a Student t would be as robust, but its scale is not the width of
an interval that holds 68 % of the ordinary stars, and that is what an error is to mean.
"""

from dataclasses import dataclass
from importlib import metadata

import numpy as np
import xarray as xr
from astropy.table import QTable
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import kstest

from lab2 import storage
from lab2.validation.residuals import paired_residuals, robust_scatter

__all__ = ["Calibration", "calibrate", "coverage"]

_FORMAT, _FORMAT_VERSION = "lab2 calibration", 1
# Outliers are at least so many times as wide as the calibrated errors, or the broad component would share the ordinary
# stars with the narrow one. In five labels, with 3 and a few per cent of outliers, a star is more probably an outlier
# than not where chi^2 exceeds about 20: that happens to 1 of 1000 ordinary stars.
_LEAST_WIDTH, _MOST_WIDTH = 3.0, 100.0
_STARS_PER_PARAMETER = 3


@dataclass(frozen=True, eq=False)
class Calibration:
    """What turns formal covariances into calibrated ones.

    Attributes
    ----------
    dataset : xarray.Dataset
        ``scale`` (label), by which formal errors are multiplied; ``floor`` (label, label_2), the covariance added then,
        in the labels' units; ``outliers``, the fraction q, and ``outlier_width``, w; attributes n_stars and versions.
    """

    dataset: xr.Dataset

    @property
    def floor_errors(self) -> xr.DataArray:
        """Standard deviations of the floor (label): no star's error of a label is smaller."""
        return np.sqrt(xr.DataArray(np.diag(self.dataset.floor), dims="label", coords={"label": self.dataset.label}))

    def covariance(self, formal) -> np.ndarray:
        """Calibrated of formal covariances, (..., n_labels, n_labels), labels in this calibration's order."""
        scale = self.dataset.scale.values
        return np.asarray(formal) * np.outer(scale, scale) + self.dataset.floor.values

    def apply(self, fits) -> xr.Dataset:
        """Fits with calibrated covariances.

        Parameters
        ----------
        fits : xarray.Dataset
            As from `lab2.inference.fit_labels`.

        Returns
        -------
        xarray.Dataset
            The same with ``covariance`` calibrated, the formal one as ``formal_covariance``, and the attribute
            ``calibrated``, how many stars it was learned from.

        Raises
        ------
        ValueError
            If the fits are calibrated already, or their labels are others.
        """
        if "calibrated" in fits.attrs:
            raise ValueError("these fits are calibrated already: a second time would widen their errors again")
        self._check_labels(fits)
        return fits.assign(
            covariance=fits.covariance.copy(data=self.covariance(fits.covariance.values)),
            formal_covariance=fits.covariance,
        ).assign_attrs(calibrated=f"from residuals of {self.dataset.attrs['n_stars']} stars")

    def widen(self, draws, seed=128) -> np.ndarray:
        """Draws from a posterior made as wide as its calibrated covariance.

        Parameters
        ----------
        draws : array_like, shape (n_draws, n_labels)
            Labels in this calibration's order.
        seed : int

        Returns
        -------
        numpy.ndarray, shape (n_draws, n_labels)
            The distance of each draw from their mean times the scale, plus a draw from the floor: the shape of the
            posterior stays, and its covariance C becomes a C a + F.
        """
        draws = np.asarray(draws, dtype=float)
        mean = draws.mean(axis=0)
        rng = np.random.default_rng(seed)
        floor = rng.multivariate_normal(np.zeros(len(mean)), self.dataset.floor.values, len(draws), method="eigh")
        return mean + (draws - mean) * self.dataset.scale.values + floor

    def outlier_probability(self, fits, truth) -> np.ndarray:
        """Probability that a star belongs to the broad component, (n_stars,); 1 where it has no fit or no truth.

        Parameters
        ----------
        fits : xarray.Dataset
            Formal or calibrated by this calibration.
        truth : xarray.DataArray
            (star, label), of the same stars in the same order.
        """
        self._check_labels(fits)
        formal = fits.formal_covariance if "calibrated" in fits.attrs else fits.covariance
        residual = paired_residuals(fits, truth)
        good = np.isfinite(residual).all(axis=1)
        probability = np.ones(len(residual))
        q, width = float(self.dataset.outliers), float(self.dataset.outlier_width)
        broad, both, *_ = _densities(residual[good], self.covariance(formal.values[good]), q, width)
        probability[good] = np.exp(broad - both)
        return probability

    def save(self, path):
        """Write the calibration as netCDF; the file appears whole or not at all."""
        storage.save(self.dataset, path, _FORMAT, _FORMAT_VERSION)

    @classmethod
    def load(cls, path) -> "Calibration":
        """Read a calibration that `save` wrote; raises as `lab2.storage.load` does."""
        return cls(storage.load(path, _FORMAT, _FORMAT_VERSION))

    def _check_labels(self, fits):
        ours, theirs = list(self.dataset.label.values), list(fits.label.values)
        if ours != theirs:
            raise ValueError(f"the calibration is of the labels {ours}, the fits are of {theirs}")


def calibrate(fits, truth) -> Calibration:
    """Learn the scale and the floor of the errors from residuals, by maximum likelihood.

    Parameters
    ----------
    fits : xarray.Dataset
        Of stars that their model was not trained on, as from `lab2.validation.cross_validate`; not calibrated.
    truth : xarray.DataArray
        (star, label), of the same stars in the same order. Where these are the catalogue's labels, its errors count as
        the fit's: the calibrated error is then that of predicting the catalogue, an upper limit to the fit's own.

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError
        If the stars differ, the fits are calibrated already, or too few stars have both.

    Notes
    -----
    Labels are not shifted: a bias that all stars share counts as error, in the floor.
    """
    if "calibrated" in fits.attrs:
        raise ValueError("these fits are calibrated already; give them with their formal covariances")
    residual = paired_residuals(fits, truth)
    good = np.isfinite(residual).all(axis=1)
    n_labels = residual.shape[1]
    lower = np.tril_indices(n_labels)
    n_parameters = n_labels + len(lower[0]) + 2
    if good.sum() < _STARS_PER_PARAMETER * n_parameters:
        raise ValueError(
            f"{good.sum()} stars with fit and truth are too few for {n_parameters} parameters: "
            f"give at least {_STARS_PER_PARAMETER * n_parameters}"
        )
    residual, formal = residual[good], fits.covariance.values[good]
    unit = robust_scatter(residual)  # all quantities of order unity
    residual, formal = residual / unit, formal / np.outer(unit, unit)

    def objective(parameters):
        scale, factor, q, width = _unpack(parameters, lower)
        variance = formal * np.outer(scale, scale) + factor @ factor.T
        broad, both, inverse, along = _densities(residual, variance, q, width)
        weight = np.exp(broad - both)
        # d ln L / d V_n = -(V^-1 - u V^-1 r r^T V^-1) / 2, u the mean of 1 and 1/w^2 by the components' shares
        share = 1.0 - weight + weight / width**2
        slope = -0.5 * (inverse - share[:, None, None] * along[:, :, None] * along[:, None, :])
        by_scale = 2.0 * np.einsum("nkl,nkl,l->k", slope, formal, scale) * scale
        by_factor = (2.0 * slope.sum(axis=0) @ factor)[lower]
        chi2 = np.einsum("nk,nk->n", along, residual)
        by_outliers = [np.sum(weight - q), np.sum(weight * (chi2 / width**2 - n_labels))]
        gradient = np.concatenate([by_scale, by_factor, by_outliers])
        return -both.sum() / len(residual), -gradient / len(residual)

    formal_scatter = np.sqrt(np.median(np.diagonal(formal, axis1=1, axis2=2), axis=0))
    start = [*np.log(0.7 / formal_scatter), *(0.7 * np.eye(n_labels))[lower], np.log(0.02 / 0.98), np.log(5.0)]
    # far below the formal errors a scale no longer matters: the bound keeps its logarithm from running away
    bounds = [(-7.0, None)] * n_labels + [(None, None)] * len(lower[0])
    bounds += [(-12.0, 0.0), tuple(np.log([_LEAST_WIDTH, _MOST_WIDTH]))]
    best = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000})
    if not best.success:
        raise ValueError(f"the likelihood of the calibration has no maximum that could be found: {best.message}")
    scale, factor, q, width = _unpack(best.x, lower)
    floor = factor @ factor.T * np.outer(unit, unit)
    labels = [str(name) for name in fits.label.values]
    dataset = xr.Dataset(
        {"scale": ("label", scale), "floor": (("label", "label_2"), floor), "outliers": q, "outlier_width": width},
        coords={"label": labels, "label_2": labels},
        attrs={"n_stars": int(good.sum()), "versions": f"lab2 {metadata.version('lab2')}"},
    )
    return Calibration(dataset)


def coverage(fits, truth) -> QTable:
    """How often the truth lies within one and two standard errors of the fit.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` and ``covariance``, calibrated or not.
    truth : xarray.DataArray
        (star, label), of the same stars in the same order.

    Returns
    -------
    astropy.table.QTable
        A row a label: label, n (stars), pull_scatter (robust scatter of residual over error; 1 is right), within_68 and
        within_95, the fractions of stars within 1 and 2 standard errors (nominally 0.683 and 0.954), and ks, the
        p-value of Kolmogorov and Smirnov's test that the pulls are of the standard normal distribution.

    Raises
    ------
    ValueError
        If the stars differ.
    """
    pulls = paired_residuals(fits, truth) / np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
    pulls = pulls[np.isfinite(pulls).all(axis=1)]
    return QTable(
        {
            "label": fits.label.values.astype(str),
            "n": np.full(pulls.shape[1], len(pulls)),
            "pull_scatter": robust_scatter(pulls),
            "within_68": (np.abs(pulls) < 1).mean(axis=0),
            "within_95": (np.abs(pulls) < 2).mean(axis=0),
            "ks": [kstest(pull, "norm").pvalue for pull in pulls.T],
        }
    )


def _unpack(parameters, lower):
    """Scale, the floor's lower triangular factor, and the fraction and the width of the outliers."""
    n_labels = lower[0].max() + 1
    factor = np.zeros((n_labels, n_labels))
    factor[lower] = parameters[n_labels:-2]
    return np.exp(parameters[:n_labels]), factor, expit(parameters[-2]), np.exp(parameters[-1])


def _densities(residual, variance, q, width):
    """Log densities of the residuals: of the broad component and of both, with V^-1 and V^-1 r."""
    inverse = np.linalg.inv(variance)
    along = np.einsum("nkl,nl->nk", inverse, residual)
    chi2 = np.einsum("nk,nk->n", along, residual)
    n_labels = residual.shape[1]
    constant = -0.5 * (np.linalg.slogdet(variance)[1] + n_labels * np.log(2.0 * np.pi))
    core = np.log1p(-q) + constant - 0.5 * chi2
    broad = np.log(q) + constant - n_labels * np.log(width) - 0.5 * chi2 / width**2
    return broad, np.logaddexp(core, broad), inverse, along
