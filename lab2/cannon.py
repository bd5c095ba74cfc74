"""The Cannon: every pixel's flux a quadratic in the labels, with an intrinsic scatter (Ness et al. 2015).

Training maximises the likelihood of `lab2.likelihood` for each pixel by itself; this module holds the model that
comes out of it, what can be asked of it, and its file.
"""

import hashlib
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import xarray as xr

from lab2 import kernels, polynomial, storage
from lab2.blocks import map_blocks
from lab2.likelihood import PixelLikelihood
from lab2.spectra import check, check_dims

__all__ = ["Cannon", "add_label_errors", "train"]

_FORMAT, _FORMAT_VERSION = "lab2 Cannon", 1

# Pixels times stars worked on at a time by one thread, 4 MiB an array: its matrix products run at their best, and what
# numpy and Python take to call them is little.
_BLOCK = 2**19


@dataclass(frozen=True, eq=False)
class Cannon:
    """A trained model.

    Attributes
    ----------
    dataset : xarray.Dataset
        ``theta`` (wavelength, term), coefficients of the scaled labels' monomials; ``s2`` (wavelength), the
        intrinsic variance, infinite where a pixel could not be trained (it then weighs nothing in a fit);
        ``label_mean``, ``label_scale`` (label), in each label's unit; ``training_labels`` (training_star, label).
        Where the training spectra came from `lab2.continuum.normalize` the coordinate ``trusted`` (wavelength) says
        on which pixels: other spectra must be normalised on the same.
    """

    dataset: xr.Dataset

    @property
    def theta(self) -> xr.DataArray:
        """Coefficients (wavelength, term)."""
        return self.dataset.theta

    @property
    def s2(self) -> xr.DataArray:
        """Intrinsic variance of the normalised flux (wavelength)."""
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
    def pairs(self) -> np.ndarray:
        """The polynomial's terms, (term, 2), as `lab2.polynomial.terms` gives them."""
        return polynomial.terms(len(self.labels), self.dataset.attrs["degree"])

    @property
    def trained(self) -> xr.DataArray:
        """Whether a pixel has a model (wavelength)."""
        return np.isfinite(self.s2)

    def scale(self, labels) -> np.ndarray:
        """Scaled labels (..., label) of labels in their units."""
        labels = np.asarray(labels, dtype=float)
        if labels.shape[-1:] != (len(self.labels),):
            raise ValueError(f"expected the labels {self.labels}, last axis {len(self.labels)}; got {labels.shape}")
        return (labels - self.label_mean.values) / self.label_scale.values

    def design(self, labels) -> np.ndarray:
        """The terms of the polynomial: the matrix X of the lab's problem 6.

        Parameters
        ----------
        labels : array_like, shape (n_stars, n_labels)
            In the units of the training labels.

        Returns
        -------
        numpy.ndarray, shape (n_stars, n_terms)
        """
        return polynomial.design(self.scale(labels), self.pairs)

    def predict(self, labels) -> xr.DataArray:
        """Normalised model spectra.

        Parameters
        ----------
        labels : array_like, shape (n_stars, n_labels) or (n_labels,)
            In the units of the training labels.

        Returns
        -------
        xarray.DataArray
            (star, wavelength), or (wavelength,) for a single vector; 1 in pixels without a model.

        Raises
        ------
        ValueError
            If the last axis does not hold this model's labels.
        """
        if isinstance(labels, xr.DataArray) and "star" in labels.dims:
            labels = labels.transpose("star", "label")
        flux = self.design(labels) @ self.theta.values.T
        dims = ("star", "wavelength")[-flux.ndim :]
        coords = {"wavelength": self.dataset.wavelength}
        if isinstance(labels, xr.DataArray) and "star" in labels.coords:
            coords["star"] = labels.star
        return xr.DataArray(flux, dims=dims, coords=coords)

    def gradient(self, label, at=None) -> xr.DataArray:
        """Derivative of the model spectrum by one label.

        Parameters
        ----------
        label : str
        at : array_like, shape (n_labels,), optional
            Where; by default at the training set's mean labels.

        Returns
        -------
        xarray.DataArray
            (wavelength), per unit of the label.

        Raises
        ------
        ValueError
            If the model has no such label.
        """
        if label not in self.labels:
            raise ValueError(f"the model has no label {label!r}; it has {self.labels}")
        index = self.labels.index(label)
        x = self.scale(self.label_mean.values if at is None else at)
        slope = polynomial.jacobian(x, self.pairs)[:, index] / self.label_scale.values[index]
        return xr.DataArray(
            self.theta.values @ slope, dims="wavelength", coords={"wavelength": self.dataset.wavelength}
        )

    def save(self, path):
        """Write the model as netCDF; the file appears whole or not at all."""
        storage.save(self.dataset, path, _FORMAT, _FORMAT_VERSION)

    @classmethod
    def load(cls, path) -> "Cannon":
        """Read a model that `save` wrote; raises as `lab2.storage.load` does."""
        return cls(storage.load(path, _FORMAT, _FORMAT_VERSION))


def train(spectra, degree=2, progress=False) -> Cannon:
    """Train the model on spectra with labels.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) and ``labels`` (star, label), any number of labels and pixels.
    degree : int
        Of the polynomial in the labels, 1 or 2.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Cannon
        A pixel that no more stars saw than it has coefficients, that not more than a fifth of them saw, or whose
        stars do not determine them, is left untrained: s2 infinite, theta that of flux 1.

    Raises
    ------
    ValueError
        If labels are missing, constant or linear combinations of each other (the message names them), if there
        are fewer stars than coefficients, or the spectra are such as `lab2.spectra.check` refuses.

    Notes
    -----
    Memory beyond the spectra: a few arrays of 4 MiB a thread, however many stars and pixels there are.
    """
    if "labels" not in spectra:
        raise ValueError("the spectra have no labels (star, label) to train on")
    check_dims(spectra)
    labels = spectra.labels.transpose("star", "label").values.astype(float)
    names = [str(name) for name in spectra.label.values]
    mean, scale = _label_scaling(labels, names)
    x = (labels - mean) / scale
    pairs = polynomial.terms(len(names), degree)
    _check_design(x, pairs, names)
    terms = polynomial.design(x, pairs)
    monomials, place = polynomial.normal_monomials(x, pairs)

    def train_block(pixels):
        block = spectra[["flux", "ivar"]].isel(wavelength=pixels).load()
        flux, ivar = np.empty((2, block.sizes["wavelength"], len(x)))
        if not kernels.take_pixels(block.flux.values, block.ivar.values, flux, ivar):
            check(block)  # which says what is wrong, and where
        return PixelLikelihood(flux, ivar, terms, monomials, place).maximise()

    results = map_blocks(
        train_block,
        spectra.sizes["wavelength"],
        max(1, _BLOCK // len(x)),
        progress="training pixels" if progress else None,
    )
    s2, theta = (np.concatenate(parts) for parts in zip(*results, strict=True))
    theta[:, 0] += 1.0  # the flux was fitted less 1, which keeps digits
    coords = {name: spectra.coords[name] for name in ("wavelength", "chip", "trusted") if name in spectra.coords}
    dataset = xr.Dataset(
        {
            "theta": (("wavelength", "term"), theta),
            "s2": ("wavelength", s2),
            "label_mean": ("label", mean),
            "label_scale": ("label", scale),
            "training_labels": (("training_star", "label"), labels),
        },
        coords={
            **coords,
            "term": polynomial.term_names(names, pairs),
            "label": names,
            "training_star": spectra.star.values.astype(str),
        },
        attrs={
            **{key: spectra.attrs[key] for key in ("survey", "label_tree", "normalisation") if key in spectra.attrs},
            "degree": degree,
            "training_ids_sha256": _hash(spectra.star.values),
            "versions": f"lab2 {metadata.version('lab2')}, numpy {np.__version__}",
        },
    )
    return Cannon(dataset)


def add_label_errors(model, spectra, error) -> xr.Dataset:
    """Spectra whose variance holds what the errors of their labels do to the flux, to first order.

    For training labels that are not exact: without, their errors are taken for intrinsic scatter, and a star with poor
    labels counts as much as one with good ones. The derivatives are those of a model that was trained before:

        model = train(spectra)
        for _ in range(2):
            model = train(add_label_errors(model, spectra, error))

    Parameters
    ----------
    model : Cannon
    spectra : xarray.Dataset
        With ``labels``; those that the model was trained on, not already widened.
    error : array_like, shape (n_stars, n_labels) or (n_labels,)
        Standard deviations in the labels' units, independent of each other.

    Returns
    -------
    xarray.Dataset
        The same with ``1 / ivar`` increased by the sum over labels of (dF/dlabel)^2 error^2.

    Raises
    ------
    ValueError
        If an error is negative or not finite, or their shape is not that of the labels.
    """
    labels = spectra.labels.transpose("star", "label").values
    error = np.asarray(error, dtype=float)
    if error.shape not in (labels.shape, labels.shape[1:]) or not (np.isfinite(error) & (error >= 0)).all():
        raise ValueError(
            f"errors of labels must be finite, not negative and of shape {labels.shape} or {labels.shape[1:]}; "
            f"got {error.shape}"
        )
    slopes = polynomial.jacobian(model.scale(labels), model.pairs) * (error / model.label_scale.values)[..., None, :]
    variance = sum((slopes[..., k] @ model.theta.values.T) ** 2 for k in range(labels.shape[1]))
    return spectra.assign(ivar=spectra.ivar / (1.0 + spectra.ivar * variance))


def _label_scaling(labels, names):
    """Mean and standard deviation of the training labels, refused where they cannot be scaled."""
    if not np.isfinite(labels).all():
        missing = [name for name, bad in zip(names, ~np.isfinite(labels).all(axis=0), strict=True) if bad]
        raise ValueError(
            f"{(~np.isfinite(labels)).any(axis=1).sum()} of {len(labels)} stars lack a label "
            f"({', '.join(missing)}); leave them out of the training set"
        )
    mean, scale = labels.mean(axis=0), labels.std(axis=0)
    constant = [n for n, m, s in zip(names, mean, scale, strict=True) if not s > 1e-12 * max(abs(m), 1.0)]
    if constant:
        raise ValueError(f"the label {', '.join(constant)} is the same for every star: nothing to learn from it")
    return mean, scale


def _check_design(x, pairs, names):
    """Enough stars, and labels that are not combinations of each other."""
    if len(x) <= len(pairs):
        raise ValueError(f"{len(x)} stars cannot determine {len(pairs)} coefficients a pixel; train on more")
    covariance = x.T @ x / len(x)
    for k, name in enumerate(names):
        others = np.arange(len(names)) != k
        coefficients = np.linalg.lstsq(covariance[np.ix_(others, others)], covariance[others, k], rcond=None)[0]
        if covariance[k, k] - covariance[k, others] @ coefficients < 1e-12:
            partners = [n for n, c in zip(np.array(names)[others], coefficients, strict=True) if abs(c) > 1e-6]
            raise ValueError(f"the label {name} is a linear combination of {', '.join(partners)}: leave one out")
    terms = polynomial.design(x, pairs)
    terms /= np.linalg.norm(terms, axis=0)
    if np.linalg.matrix_rank(terms.T @ terms, hermitian=True) < len(pairs):
        raise ValueError(
            f"the labels of these {len(x)} stars do not determine a polynomial of {len(pairs)} terms (too few "
            "different values of a label?); use more varied stars, or degree=1"
        )


def _hash(stars):
    return hashlib.sha256("\n".join(sorted(map(str, stars))).encode()).hexdigest()
