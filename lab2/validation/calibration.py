"""Calibrated errors: a scale and a floor for formal covariances, learned from residuals.

A fit's formal covariance C includes photon noise and the model's scatter in each pixel. Other errors (correlated
pixels, abundances that are not labels, the continuum, the errors of the labels in the comparison) show up in the
residuals r of stars that were not trained on. For star n

    r_n ~ (1 - q) N(b, V_n) + q N(b, w^2 V_n),    V_n = a C_n a + D_n F D_n,    D_n = exp(B x_n),

with an offset b, the median residual of each label; a diagonal matrix a of scales, one per label, which keeps the
formal correlations; and a floor F, a full covariance matrix, whose correlations follow from the residuals. The floor is
not the same for all stars: the errors are larger at the ends of the giant branch than in its middle, and change with
the noise of the spectrum. Its width may therefore vary: x_n are the scaled fitted labels, their squares less 1 and the
mean logarithm of the formal errors, D_n is diagonal, and the slopes B have a normal prior about 0. No scale is less
than 1, because photon noise is always present. Stars of different S/N separate scale and floor, best copies of the same
stars with noise added (`lab2.validation.degrade`). The second, broad component describes the outliers (Hogg, Bovy &
Lang 2010, arXiv:1008.4686, section 3). A Student t distribution would be as robust, but its scale is not the half-width
of the interval that contains 68 % of the ordinary stars, which is the meaning of an error here.
"""

from dataclasses import dataclass
from importlib import metadata
from typing import ClassVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2._arguments import expect
from lab2._io import schema
from lab2._io.schema import Rule
from lab2._label_arrays import LabelArray
from lab2.cannon.fitting import Flag
from lab2.cannon.model import Cannon
from lab2.files import Kept
from lab2.validation._error_model import densities, most_likely
from lab2.validation.residuals import paired_residuals, robust_scatter

__all__ = ["Calibration", "calibrate"]

_STARS_PER_PARAMETER = 2
# Scaled labels are clipped at this value, because an exponential must not be extrapolated.
_FARTHEST = 3.0
# Percentage of the stars whose reduced chi^2 counts as that of the calibration's sample; its worst stars are odd ones.
_COVERED, _LEAST_CHI2 = 99.0, 2.0


@dataclass(frozen=True, eq=False)
class Calibration(Kept):
    """A calibration of fitted labels and their covariances.

    Attributes
    ----------
    dataset : xarray.Dataset
        ``offset`` (label), to be subtracted from the labels; ``scale`` (label), the factor for formal errors; ``floor``
        (label, label_2), the covariance then added for a star of mean labels, in the labels' units; ``slope`` (label,
        term), the change of the logarithm of a label's floor error with each scaled label, its square and the star's
        noise; ``log_error`` (label), the mean logarithm of the formal errors, the zero point of the noise; ``largest``
        (label), the largest formal error among the stars of the calibration; ``largest_chi2``, the reduced chi^2 that
        99 % of them stay below, at least 2; ``label_mean`` and ``label_scale`` (label), which scale the labels;
        ``outliers``, the fraction q, and ``outlier_width``, w; attributes n_stars, model (the fits' own attribute: the
        model that the calibration belongs to) and versions.
    """

    kind, version = "lab2 calibration", 4
    rules: ClassVar = {
        "label": Rule(("label",), schema.UNIQUE),
        "label_2": Rule(("label_2",), schema.UNIQUE),
        "term": Rule(("term",), schema.UNIQUE),
        "offset": Rule(("label",)),
        "scale": Rule(("label",), schema.POSITIVE),
        "floor": Rule(("label", "label_2")),
        "slope": Rule(("label", "term")),
        "log_error": Rule(("label",)),
        "largest": Rule(("label",), schema.POSITIVE),
        "largest_chi2": Rule((), schema.POSITIVE),
        "label_mean": Rule(("label",)),
        "label_scale": Rule(("label",), schema.POSITIVE),
        "outliers": Rule((), schema.NOT_NEGATIVE),
        "outlier_width": Rule((), schema.POSITIVE),
    }

    def check_whole(self) -> None:
        """Raise a ValueError if the floor is not a covariance, or a value is below its minimum."""
        names = self.dataset.label.values.tolist()
        if self.dataset.label_2.values.tolist() != names:
            raise ValueError("label_2 must be the labels in the same order")
        if self.dataset.term.values.tolist() != _term_names(names):
            raise ValueError(f"term must be {', '.join(_term_names(names))}")
        schema.check_covariance(self.dataset.floor.values, "floor")
        if not (self.dataset.scale >= 1).all():
            raise ValueError("scale must be 1 or more: no error is smaller than the formal one")
        if not (self.dataset.outliers < 1 and self.dataset.outlier_width >= 1):
            raise ValueError("outliers must be a fraction below 1, and outlier_width 1 or more")
        if not self.dataset.attrs.get("n_stars", 0) > 0:
            raise ValueError("its attribute 'n_stars' must be a number of stars")

    @property
    def floor_errors(self) -> xr.DataArray:
        """Standard deviations of the floor (label), for a star of mean labels."""
        return np.sqrt(xr.DataArray(np.diag(self.dataset.floor), dims="label", coords={"label": self.dataset.label}))

    @property
    def floor_correlations(self) -> xr.DataArray:
        """Correlations of the floor (label, label_2), for a star of mean labels; 1 on the diagonal."""
        sd = self.floor_errors.values
        return self.dataset.floor / np.outer(sd, sd)

    def covariance(self, formal: ArrayLike, labels: ArrayLike) -> np.ndarray:
        """Calibrated covariances.

        Parameters
        ----------
        formal : array_like, shape (..., n_labels, n_labels)
        labels : array_like, shape (..., n_labels)
            Fitted labels, in this calibration's order.
        """
        scale = self.dataset.scale.values
        return np.asarray(formal) * np.outer(scale, scale) + self._floor(formal, labels)

    def _floor(self, formal, labels):
        x = _terms(labels, _log_errors(formal), self.dataset)
        width = np.exp(x @ self.dataset.slope.values.T)
        return self.dataset.floor.values * width[..., :, None] * width[..., None, :]

    def apply(self, fits: xr.Dataset) -> xr.Dataset:
        """Fits with calibrated labels and covariances.

        Parameters
        ----------
        fits : xarray.Dataset
            As from `lab2.fit_labels`.

        Returns
        -------
        xarray.Dataset
            The same with calibrated ``covariance``, the formal one as ``formal_covariance``, the offset subtracted from
            ``labels``, and the attribute ``calibrated``, which gives the number of stars in the calibration. A star
            with a larger formal error than any of these, or a worse fit than 99 % of them, is flagged
            `lab2.cannon.Flag.UNCALIBRATED`: its errors are unknown.

        Raises
        ------
        ValueError
            If the fits are calibrated already, or their labels or their model are not those of the calibration.

        Examples
        --------
        >>> import lab2
        >>> spectra = lab2.simulate.giants(60).sel(label=["teff", "fe_h"])
        >>> fits = lab2.validation.cross_validate(spectra)
        >>> new = lab2.fit_labels(lab2.train(spectra), lab2.simulate.giants(5, seed=1))
        >>> calibrated = lab2.validation.calibrate(fits, spectra.labels).apply(new)
        >>> calibrated.attrs["calibrated"]
        'from residuals of 60 stars'
        >>> bool((calibrated.covariance.sel(label="teff", label_2="teff") > new.covariance[:, 0, 0]).all())
        True
        """
        expect(fits=fits)
        if "calibrated" in fits.attrs:
            raise ValueError("these fits are calibrated already: a second time would widen their errors again")
        self._check_fits(fits)
        formal = np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
        beyond = (formal > self.dataset.largest.values).any(axis=1) | self.misfits(fits)
        return fits.assign(
            flag=fits.flag | int(Flag.UNCALIBRATED) * beyond,
            labels=fits.labels - self.dataset.offset.values,
            covariance=fits.covariance.copy(data=self.covariance(fits.covariance.values, fits.labels.values)),
            formal_covariance=fits.covariance,
        ).assign_attrs(calibrated=f"from residuals of {self.dataset.attrs['n_stars']} stars")

    def misfits(self, fits: xr.Dataset) -> np.ndarray:
        """Stars that the model fits worse than 99 % of the calibration's, (n_stars,) bool.

        Parameters
        ----------
        fits : xarray.Dataset
            As from `lab2.fit_labels`.
        """
        self._check_fits(fits)
        return fits.reduced_chi2.values > float(self.dataset.largest_chi2)

    def widen(self, draws: ArrayLike, seed: int = 128) -> np.ndarray:
        """Draws from a posterior, minus the offset, broadened to the calibrated covariance.

        Parameters
        ----------
        draws : array_like, shape (n_draws, n_labels)
            Labels in this calibration's order.
        seed : int

        Returns
        -------
        numpy.ndarray, shape (n_draws, n_labels)
            The deviation of each draw from their mean is multiplied by the scale, and a random draw from the floor is
            added. This keeps the shape of the posterior and gives it the calibrated covariance.
        """
        draws = np.asarray(draws, dtype=float)
        mean = draws.mean(axis=0)
        floor = self._floor(np.cov(draws, rowvar=False), mean)
        rng = np.random.default_rng(seed)
        added = rng.multivariate_normal(np.zeros(len(mean)), floor, len(draws), method="eigh")
        return mean - self.dataset.offset.values + (draws - mean) * self.dataset.scale.values + added

    def outlier_probability(self, fits: xr.Dataset, truth: LabelArray) -> np.ndarray:
        """Probability that a star belongs to the broad component, (n_stars,); 1 where it has no fit or no true labels.

        Parameters
        ----------
        fits : xarray.Dataset
            As from `lab2.fit_labels`, not calibrated.
        truth : array_like, shape (n_stars, n_labels)
            As for `calibrate`.
        """
        self._check_fits(fits)
        residual = paired_residuals(fits, truth) - self.dataset.offset.values
        good = np.isfinite(residual).all(axis=1)
        probability = np.ones(len(residual))
        q, width = float(self.dataset.outliers), float(self.dataset.outlier_width)
        broad, both, *_ = densities(
            residual[good], self.covariance(fits.covariance.values[good], fits.labels.values[good]), q, width
        )
        probability[good] = np.exp(broad - both)
        return probability

    def check_model(self, model: Cannon) -> None:
        """Raise a ValueError if this is not the calibration of a model."""
        self._check(model.labels, model.fingerprint, "this model")

    def _check_fits(self, fits):
        expect(fits=fits)
        self._check(fits.label.values.tolist(), fits.attrs.get("model", "unknown"), "these fits")

    def _check(self, labels, fingerprint, what):
        ours = self.dataset.label.values.tolist()
        if ours != labels:
            raise ValueError(f"the calibration is of the labels {ours}, {what} of {labels}")
        ours = self.dataset.attrs.get("model", "unknown")
        if ours != fingerprint:
            raise ValueError(
                f"the calibration belongs to another model ({ours}) than {what} ({fingerprint}): give the model that "
                "it was made with, or calibrate the fits of a cross-validation with this model's stars and factors"
            )


def calibrate(fits: xr.Dataset, truth: LabelArray) -> Calibration:
    """Learn the offset of the labels and, by maximum likelihood, the scale and floor of their errors from residuals.

    Parameters
    ----------
    fits : xarray.Dataset
        Of stars that their model was not trained on, as from `lab2.validation.cross_validate`; not calibrated.
    truth : array_like, shape (n_stars, n_labels)
        True labels of the same stars in the same order: a DataArray, DataFrame or table, whose labels are taken by
        name, or an array in the order and units of the fits. If they come from a catalog, its errors are included: the
        calibrated error is then that of predicting the catalog, an upper limit to the error of the fit.

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError
        If the stars or labels differ, the fits are calibrated already, or too few stars have both a fit and true
        labels.
    TypeError
        If `fits` or `truth` is something else.

    Notes
    -----
    Only an offset common to all stars is subtracted. A bias that depends on the labels becomes part of the floor: a
    line fitted to the residuals would shift the rarest stars toward the mean of the sample.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60).sel(label=["teff", "fe_h"])
    >>> fits = lab2.validation.cross_validate(spectra)
    >>> calibration = calibrate(fits, spectra.labels.values)  # or the DataArray itself, or a table
    >>> bool((calibration.dataset.scale >= 1).all())
    True
    """
    expect(fits=fits, truth=truth)
    if "calibrated" in fits.attrs:
        raise ValueError("these fits are calibrated already; give them with their formal covariances")
    residual = paired_residuals(fits, truth)
    good = np.isfinite(residual).all(axis=1)
    n_labels = residual.shape[1]
    n_parameters = n_labels + n_labels * (n_labels + 1) // 2 + 2
    if good.sum() < _STARS_PER_PARAMETER * n_parameters:
        raise ValueError(
            f"{good.sum()} stars with fit and truth are too few for {n_parameters} parameters: "
            f"give at least {_STARS_PER_PARAMETER * n_parameters}"
        )
    residual, formal = residual[good], fits.covariance.values[good]
    unit = robust_scatter(residual)  # so that all quantities are of order unity
    offset = np.median(residual, axis=0)
    residual, formal = (residual - offset) / unit, formal / np.outer(unit, unit)
    labels, log_errors = fits.labels.values[good], _log_errors(fits.covariance.values[good])
    scaling = xr.Dataset(
        {
            "label_mean": ("label", labels.mean(axis=0)),
            "label_scale": ("label", labels.std(axis=0)),
            "log_error": ("label", log_errors.mean(axis=0)),
        }
    )
    x = _terms(labels, log_errors, scaling)
    scale, factor, slope, q, outlier_width = most_likely(residual, formal, x)
    names, both = [str(name) for name in fits.label.values], ("label", "label_2")
    dataset = xr.Dataset(
        {
            "offset": ("label", offset),
            "scale": ("label", scale),
            "floor": (both, factor @ factor.T * np.outer(unit, unit)),
            "slope": (("label", "term"), slope),
            "largest": ("label", np.sqrt(np.diagonal(fits.covariance.values[good], axis1=1, axis2=2).max(axis=0))),
            "largest_chi2": max(_LEAST_CHI2, np.percentile(fits.reduced_chi2.values[good], _COVERED)),
            **scaling,
            "outliers": q,
            "outlier_width": outlier_width,
        },
        coords={"label": names, "label_2": names, "term": _term_names(names)},
        attrs={
            "n_stars": int(good.sum()),
            "model": fits.attrs.get("model", "unknown"),
            "versions": f"lab2 {metadata.version('lab2')}",
        },
    )
    return Calibration(dataset)


def _log_errors(covariance):
    """Logarithms of the standard errors, (..., n_labels)."""
    return 0.5 * np.log(np.diagonal(covariance, axis1=-2, axis2=-1))


def _term_names(labels):
    """Names of what `_terms` gives."""
    return [*labels, *(f"{name}^2" for name in labels), "noise"]


def _terms(labels, log_errors, scaling):
    """The variables of the floor, clipped at `_FARTHEST`: scaled labels, their squares less 1, and the noise."""
    x = (np.asarray(labels) - scaling.label_mean.values) / scaling.label_scale.values
    noise = (log_errors - scaling.log_error.values).mean(axis=-1, keepdims=True)
    x, noise = (np.clip(values, -_FARTHEST, _FARTHEST) for values in (x, noise))
    return np.concatenate([x, x**2 - 1.0, noise], axis=-1)
