"""Training the Cannon: the maximum of the likelihood of each pixel separately (Ness et al. 2015, sect. 2.4)."""

import hashlib
from importlib import metadata

import numpy as np
import xarray as xr

from lab2._arguments import expect
from lab2._blocks import map_blocks
from lab2._io.arrays import native
from lab2.cannon import _kernels, polynomial
from lab2.cannon.factors import Design, learn_factors
from lab2.cannon.likelihood import PixelLikelihood
from lab2.cannon.model import Cannon, fingerprint
from lab2.labels import units_of
from lab2.spectra import check, check_dims, per_full_weight

__all__ = ["train"]

# Pixels times stars worked on at a time by one thread, 4 MiB per array: matrix products are fastest at this size, and
# the overhead of calling them is small.
_BLOCK = 2**19
_STARS = 256  # stars whose information is summed at a time
# A pixel observed in few stars (at the edge of a chip, for example) would be overfitted and predict nonsense.
_SEEN = 0.2


def train(spectra: xr.Dataset, degree: int = 2, factors: int = 0, progress: bool = False) -> Cannon:
    """Train the model on spectra with labels.

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) and ``labels`` (star, label), with any number of labels and pixels.
    degree : int
        Degree of the polynomial in the labels, 1 or 2.
    factors : int
        Number of hidden factors to learn in addition to the labels (`lab2.cannon.factors`); with 0 the model is that
        of Ness et al. (2015).
    progress : bool
        Show a progress bar.

    Returns
    -------
    Cannon
        A pixel is trained if more stars observed it than it has coefficients, if these are more than a fifth of all
        stars, and if they determine the coefficients. Otherwise s2 is infinite and the predicted flux is 1. A star with
        very low weight in the pixel counts as a fraction (`lab2.spectra.seen`). With factors, stars that the model
        describes badly are not trained on (`Cannon.trained_on`).

    Raises
    ------
    ValueError
        If labels are missing, constant or linear combinations of each other (the message names them), if the stars do
        not outnumber the coefficients, if `factors` is negative or too large for the number of stars, or if
        `lab2.spectra.check` rejects the spectra.

    Examples
    --------
    A spectrum of three pixels, the middle one independent of the label:

    >>> import lab2
    >>> labels = np.linspace(4000.0, 5000.0, 50)[:, None]
    >>> flux = 1.0 + 1e-4 * (labels - 4500.0) * [1.0, 0.0, -2.0]
    >>> spectra = lab2.from_arrays(flux, np.full((50, 3), 1e4), [15200.0, 16000.0, 16900.0], labels, label=["teff"])
    >>> lab2.train(spectra).gradient("teff").values.round(6).tolist()
    [0.0001, 0.0, -0.0002]

    Notes
    -----
    Memory in addition to the spectra: a few arrays of 4 MiB per thread, for any number of stars and pixels.
    """
    expect(spectra=spectra)
    if "labels" not in spectra:
        raise ValueError("the spectra have no labels (star, label) to train on")
    check_dims(spectra)
    spectra = native(spectra)
    labels = spectra.labels.transpose("star", "label").values.astype(float)
    names = [str(name) for name in spectra.label.values]
    mean, scale = _label_scaling(labels, names)
    x = (labels - mean) / scale
    pairs = polynomial.terms(len(names), degree)
    _check_design(x, pairs, names)
    _check_factors(factors, len(x), len(pairs))
    design = Design(polynomial.design(x, pairs), *polynomial.normal_monomials(x, pairs), polynomial.jacobian(x, pairs))

    def take(pixels):
        """Flux minus 1, for numerical precision, and ivar of some pixels, (n_pixels, n_stars)."""
        block = spectra[["flux", "ivar"]].isel(wavelength=pixels).load()
        flux, ivar = np.empty((2, block.sizes["wavelength"], len(x)))
        if not _kernels.take_pixels(block.flux.values, block.ivar.values, flux, ivar):
            check(block)  # its message says which value is invalid, and where
        return flux, ivar

    theta, s2 = _train_pixels(spectra, take, design, progress)
    hidden = xr.Dataset()
    if factors:
        learned = learn_factors(take, design, theta, s2, factors, progress)
        theta, s2 = learned.theta, learned.s2
        hidden = _hidden(learned)
    theta[:, 0] += 1.0
    about = _about(spectra, degree, factors).assign(
        theta=(("wavelength", "term"), theta),
        s2=("wavelength", s2),
        **hidden.data_vars,
        label_mean=("label", mean),
        label_scale=("label", scale),
        training_labels=(("training_star", "label"), labels),
    )
    return Cannon(about)


def _train_pixels(spectra, take, design, progress):
    """theta of the flux minus 1, (n_pixels, n_terms), and s2 of each pixel without hidden factors."""
    n_stars, n_terms = design.terms.shape
    per_full = _per_full_weight(spectra)
    enough = max(n_terms, _SEEN * n_stars)

    def train_block(pixels):
        flux, ivar = take(pixels)
        trainable = np.flatnonzero(_kernels.count_seen(ivar, per_full) > enough)
        return PixelLikelihood(flux, ivar, *design[:3]).maximize(trainable)

    results = map_blocks(
        train_block,
        spectra.sizes["wavelength"],
        max(1, _BLOCK // n_stars),
        progress="training pixels" if progress else None,
    )
    s2, theta = (np.concatenate(parts) for parts in zip(*results, strict=True))
    return theta, s2


def _hidden(learned):
    """The additional variables of a model with hidden factors."""
    return xr.Dataset(
        {
            "loadings": (("wavelength", "factor"), learned.loadings),
            "trained_on": ("training_star", learned.trained_on),
            "log_likelihood": ("round", learned.log_likelihood),
        },
        coords={"factor": np.arange(1, learned.loadings.shape[1] + 1)},
    )


def _about(spectra, degree, factors):
    """Coordinates and attributes of a model, from its training spectra."""
    names = [str(name) for name in spectra.label.values]
    coords = {name: spectra.coords[name] for name in ("wavelength", "chip", "trusted") if name in spectra.coords}
    return xr.Dataset(
        coords={
            **coords,
            "term": polynomial.term_names(names, polynomial.terms(len(names), degree)),
            "label": names,
            "unit": ("label", units_of(spectra)),
            "training_star": spectra.star.values.astype(str),
        },
        attrs={
            **{key: spectra.attrs[key] for key in ("survey", "label_tree", "normalization") if key in spectra.attrs},
            **({"simulated": int(spectra.simulated.any())} if "simulated" in spectra else {}),
            "degree": degree,
            "training_ids_sha256": _hash(spectra.star.values),
            "fingerprint": fingerprint(spectra, degree, factors),
            "versions": f"lab2 {metadata.version('lab2')}, numpy {np.__version__}",
        },
    )


def _per_full_weight(spectra):
    """`lab2.spectra.per_full_weight` of all stars, reading the spectra block by block."""
    parts = map_blocks(
        lambda stars: per_full_weight(spectra.ivar.isel(star=stars).values, 0.0), spectra.sizes["star"], _STARS
    )
    return np.concatenate(parts)


def _label_scaling(labels, names):
    """Mean and standard deviation of the training labels; an error if a label is missing or constant."""
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
    """Check that there are enough stars, and that no label is a combination of the others."""
    if len(x) <= len(pairs):
        raise ValueError(f"{len(x)} stars cannot determine {len(pairs)} coefficients per pixel; train on more")
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


def _check_factors(factors, n_stars, n_terms):
    """Check that `factors` is an integer, and small enough for the number of stars."""
    if not isinstance(factors, int | np.integer) or factors < 0:
        raise ValueError(f"the number of factors must be an integer, 0 or more; got {factors!r}")
    if factors and n_stars <= n_terms + 2 * factors:
        raise ValueError(
            f"{n_stars} stars cannot constrain {factors} factors and {n_terms} coefficients per pixel: train on more "
            f"than {n_terms + 2 * factors}, or learn fewer factors"
        )


def _hash(stars):
    return hashlib.sha256("\n".join(sorted(map(str, stars))).encode()).hexdigest()
