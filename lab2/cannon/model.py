"""The Cannon: the flux of every pixel is quadratic in the labels, with an intrinsic scatter (Ness et al. 2015).

This module holds the trained model, its predictions and its file.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2._io import schema
from lab2._io.schema import Rule
from lab2._label_arrays import in_order
from lab2.cannon import polynomial
from lab2.files import Kept
from lab2.labels import units_of

__all__ = ["Cannon", "fingerprint"]


def fingerprint(spectra: xr.Dataset, degree: int, factors: int) -> str:
    """Identify the model that results from training on these spectra, in words and by a checksum.

    Errors are calibrated on the fits of a cross-validation, whose models are trained on parts of the training set, and
    applied to fits of the model that is trained on all of it. These models share the stars with their labels, the
    pixels, the degree and the number of factors. These, not the coefficients, identify the model that a calibration
    belongs to.

    Parameters
    ----------
    spectra : xarray.Dataset
        The training spectra; for a cross-validation, those of all stars that one of its models was trained on.
    degree, factors : int

    Returns
    -------
    str
        It does not depend on the order of the stars.
    """
    labels = spectra.labels.transpose("star", "label").values.astype("<f8")
    stars = sorted(zip(spectra.star.values.astype(str).tolist(), map(bytes, labels), strict=True))
    names = spectra.label.values.astype(str).tolist()
    digest = hashlib.sha256(json.dumps([names, int(degree), int(factors), [star for star, _ in stars]]).encode())
    for _, row in stars:
        digest.update(row)
    digest.update(spectra.wavelength.values.astype("<f8").tobytes())
    if "trusted" in spectra.coords:
        digest.update(spectra.trusted.values.astype(bool).tobytes())
    return (
        f"degree {degree}, {len(names)} labels, {factors} factors, {len(stars)} training stars, "
        f"sha256 {digest.hexdigest()}"
    )


@dataclass(frozen=True, eq=False)
class Cannon(Kept):
    """A trained model.

    Attributes
    ----------
    dataset : xarray.Dataset
        ``theta`` (wavelength, term), coefficients of the scaled labels' monomials; ``s2`` (wavelength), the
        intrinsic variance, infinite where a pixel could not be trained (it then has no weight in a fit);
        ``label_mean``, ``label_scale`` (label), in each label's unit (the coordinate ``unit``); ``training_labels``
        (training_star, label).
        With hidden factors also ``loadings`` (wavelength, factor), ``trained_on`` (training_star) and
        ``log_likelihood`` (round), as in `lab2.cannon.factors.Learned`.
        If the training spectra come from `lab2.continuum.normalize`, the coordinate ``trusted`` (wavelength) marks the
        continuum pixels; other spectra must be normalized with the same pixels.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra, factors=2)
    >>> model.labels, model.units
    (['teff', 'logg', 'fe_h', 'mg_fe', 'si_fe'], ['K', 'dex', 'dex', 'dex', 'dex'])
    >>> dict(model.theta.sizes), dict(model.loadings.sizes)
    ({'wavelength': 8575, 'term': 21}, {'wavelength': 8575, 'factor': 2})

    Its file:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.nc")
    ...     again = lab2.Cannon.load(f"{folder}/model.nc")
    >>> again.theta.equals(model.theta)
    True
    """

    kind, version = "lab2 Cannon", 2
    rules: ClassVar = {
        "wavelength": Rule(("wavelength",), schema.ASCENDING),
        "label": Rule(("label",), schema.UNIQUE),
        "unit": Rule(("label",), schema.TEXT, optional=True),
        "theta": Rule(("wavelength", "term")),
        "s2": Rule(("wavelength",), schema.NOT_NEGATIVE),
        "label_mean": Rule(("label",)),
        "label_scale": Rule(("label",), schema.POSITIVE),
        "training_labels": Rule(("training_star", "label")),
        "trusted": Rule(("wavelength",), schema.TRUTH, optional=True),
        "loadings": Rule(("wavelength", "factor"), optional=True),
        "trained_on": Rule(("training_star",), schema.TRUTH, optional=True),
    }

    def check_whole(self) -> None:
        """Raise a ValueError if the terms are not those of a polynomial of this degree in these labels."""
        if self.dataset.attrs.get("degree") not in (1, 2):
            raise ValueError(f"its attribute 'degree' must be 1 or 2, not {self.dataset.attrs.get('degree')!r}")
        expected = polynomial.term_names(self.labels, self.pairs)
        if self.theta.sizes["term"] != len(expected):
            raise ValueError(
                f"{len(self.labels)} labels and degree {self.degree} make {len(expected)} terms, "
                f"not the {self.theta.sizes['term']} of theta"
            )
        if "term" in self.dataset.coords and self.dataset.term.values.tolist() != expected:
            raise ValueError(f"its terms are not those of the labels {', '.join(self.labels)}, in this order")
        if not self.dataset.sizes["training_star"]:
            raise ValueError("it has no training_labels")
        if "trained_on" in self.dataset and "loadings" not in self.dataset:
            raise ValueError("it has trained_on, as only models with hidden factors have, but no loadings")

    @property
    def theta(self) -> xr.DataArray:
        """Coefficients (wavelength, term)."""
        return self.dataset.theta

    @property
    def s2(self) -> xr.DataArray:
        """Intrinsic variance of the normalized flux (wavelength)."""
        return self.dataset.s2

    @property
    def label_mean(self) -> xr.DataArray:
        """Mean of the training labels (label)."""
        return self.dataset.label_mean

    @property
    def label_scale(self) -> xr.DataArray:
        """Standard deviation of the training labels (label): labels are scaled to (label - mean) / scale."""
        return self.dataset.label_scale

    @property
    def labels(self) -> list[str]:
        """Names of the labels."""
        return [str(name) for name in self.dataset.label.values]

    @property
    def units(self) -> list[str]:
        """Units of the labels; "" for a pure number, or where it is not known."""
        return units_of(self.dataset)

    @property
    def degree(self) -> int:
        """Degree of the polynomial in the labels, 1 or 2."""
        return int(self.dataset.attrs["degree"])

    @property
    def loadings(self) -> xr.DataArray:
        """Change of the flux per unit score of each hidden factor (wavelength, factor); no factors by default."""
        if "loadings" in self.dataset:
            return self.dataset.loadings
        nothing = np.zeros((self.dataset.sizes["wavelength"], 0))
        return xr.DataArray(nothing, dims=("wavelength", "factor"), coords={"wavelength": self.wavelength})

    @property
    def trained_on(self) -> xr.DataArray:
        """Whether each training star was used (training_star): True, except for odd stars if there are factors."""
        if "trained_on" in self.dataset:
            return self.dataset.trained_on
        return xr.ones_like(self.training_labels[:, 0], dtype=bool).drop_vars("label")

    @property
    def wavelength(self) -> xr.DataArray:
        """Wavelengths of the pixels (wavelength) [Angstrom]."""
        return self.dataset.wavelength

    @property
    def training_labels(self) -> xr.DataArray:
        """Labels of the training stars (training_star, label), in each label's unit."""
        return self.dataset.training_labels

    @property
    def trusted(self) -> xr.DataArray | None:
        """The continuum pixels used to normalize the training spectra (wavelength); None if not known."""
        return self.dataset.coords.get("trusted")

    @property
    def label_tree(self) -> str:
        """The pipeline run that the training labels come from; "unknown" if the spectra do not record it."""
        return self.dataset.attrs.get("label_tree", "unknown")

    @property
    def fingerprint(self) -> str:
        """Identity of this model, from `lab2.cannon.model.fingerprint`; "unknown" if lab2 did not train it."""
        return str(self.dataset.attrs.get("fingerprint", "unknown"))

    @property
    def simulated(self) -> bool:
        """Whether the training spectra include simulated ones, according to their files."""
        return bool(self.dataset.attrs.get("simulated", False))

    @property
    def pairs(self) -> np.ndarray:
        """The polynomial's terms, (term, 2), as `lab2.cannon.polynomial.terms` gives them."""
        return polynomial.terms(len(self.labels), self.degree)

    @property
    def typical_s2(self) -> float:
        """Median of s2 over the trained pixels."""
        s2 = self.s2.values[self.trained.values]
        return float(np.median(s2)) if s2.size else 0.0

    @property
    def trained(self) -> xr.DataArray:
        """Whether each pixel was trained (wavelength)."""
        return np.isfinite(self.s2)

    def scale(self, labels: ArrayLike) -> np.ndarray:
        """Scaled labels (..., label) from labels in their units; those of a DataArray are taken by name."""
        labels = np.asarray(in_order(labels, self.labels, self.units), dtype=float)
        if labels.shape[-1:] != (len(self.labels),):
            raise ValueError(f"expected the labels {self.labels}, last axis {len(self.labels)}; got {labels.shape}")
        return (labels - self.label_mean.values) / self.label_scale.values

    def design(self, labels: ArrayLike) -> np.ndarray:
        """The terms of the polynomial: the matrix X of the lab's problem 6.

        Parameters
        ----------
        labels : array_like, shape (n_stars, n_labels)
            In the units of the training labels. A DataArray's are taken by name, in any order.

        Returns
        -------
        numpy.ndarray, shape (n_stars, n_terms)

        Raises
        ------
        ValueError
            If the last axis does not have this model's number of labels, or a DataArray lacks one of them.

        Examples
        --------
        >>> import lab2
        >>> spectra = lab2.simulate.giants(60)
        >>> model = lab2.train(spectra)
        >>> model.design(spectra.labels).shape
        (60, 21)
        >>> model.design(model.label_mean.values[None]).tolist()[0][:3]  # at the mean labels only the constant remains
        [1.0, 0.0, 0.0]
        """
        return polynomial.design(self.scale(labels), self.pairs)

    def predict(self, labels: ArrayLike, factors: ArrayLike | None = None) -> xr.DataArray:
        """Normalized model spectra.

        Parameters
        ----------
        labels : array_like, shape (n_stars, n_labels) or (n_labels,)
            In the units of the training labels. A DataArray's are taken by name, in any order.
        factors : array_like, shape (n_stars, n_factors) or (n_factors,), optional
            Scores of the hidden factors; by default 0, their mean for stars with these labels.

        Returns
        -------
        xarray.DataArray
            (star, wavelength), or (wavelength,) for a single vector of labels; 1 in untrained pixels.

        Raises
        ------
        ValueError
            If the last axis does not have this model's number of labels, or of factors, or a DataArray lacks a label.

        Examples
        --------
        >>> import lab2
        >>> spectra = lab2.simulate.giants(60)
        >>> model = lab2.train(spectra)
        >>> model.predict([4500.0, 2.0, 0.0, 0.0, 0.0]).sizes["wavelength"]
        8575
        >>> residual = spectra.flux - model.predict(spectra.labels)
        >>> bool(residual.std() < 0.02)
        True
        """
        flux = self.design(labels) @ self.theta.values.T
        if factors is not None:
            factors, n_factors = np.asarray(factors, dtype=float), self.loadings.sizes["factor"]
            if factors.shape != (*flux.shape[:-1], n_factors):
                raise ValueError(
                    f"expected {n_factors} factors, shape {(*flux.shape[:-1], n_factors)}; got {factors.shape}"
                )
            flux = flux + factors @ self.loadings.values.T
        dims = ("star", "wavelength")[-flux.ndim :]
        coords = {"wavelength": self.wavelength}
        if isinstance(labels, xr.DataArray) and "star" in labels.coords:
            coords["star"] = labels.star
        return xr.DataArray(flux, dims=dims, coords=coords)

    def gradient(self, label: str, at: ArrayLike | None = None) -> xr.DataArray:
        """Derivative of the model spectrum with respect to one label.

        Parameters
        ----------
        label : str
        at : array_like, shape (n_labels,), optional
            Labels at which to take it; by default the training set's mean labels.

        Returns
        -------
        xarray.DataArray
            (wavelength), per unit of the label.

        Raises
        ------
        ValueError
            If the model has no such label.

        Examples
        --------
        >>> import lab2
        >>> spectra = lab2.simulate.giants(60)
        >>> model = lab2.train(spectra)
        >>> gradient = model.gradient("mg_fe")
        >>> bool(15740 < gradient.idxmin("wavelength") < 15775)  # strong lines of magnesium
        True
        """
        if label not in self.labels:
            raise ValueError(f"the model has no label {label!r}; it has {self.labels}")
        index = self.labels.index(label)
        x = self.scale(self.label_mean.values if at is None else at)
        slope = polynomial.jacobian(x, self.pairs)[:, index] / self.label_scale.values[index]
        return xr.DataArray(self.theta.values @ slope, dims="wavelength", coords={"wavelength": self.wavelength})
