"""Pseudo-continuum normalization with trusted continuum pixels (Ness et al. 2015, ApJ 808, 16, sections 2.3 and 5.3).

The true continuum of a cool giant cannot be observed, because weak lines affect every pixel. A pseudo-continuum is a
smooth curve through pixels that depend little on the labels. Dividing by it removes brightness, reddening and the
instrument's response in the same way for every star, which is sufficient for a data-driven model.
"""

import os
from importlib import resources
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.table import Table
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike

from lab2._arguments import expect
from lab2._blocks import map_blocks
from lab2._io.pixel_list import ASPCAP_SLICES, read_list
from lab2._pixel_kernels import normalize_chip
from lab2.grid import CHIPS, N_PIXELS, WAVELENGTH, chip_of
from lab2.spectra import check_dims, check_wavelengths, credible_errors, seen

__all__ = ["ASPCAP_SLICES", "find_pixels", "load_pixels", "normalize", "trusted_levels"]

_OWN_LIST = "continuum_pixels.ecsv"
# A chip's polynomial is accepted only if there are at least this many trusted pixels per coefficient.
_PIXELS_PER_COEFFICIENT = 5
_CLIP_SIGMA, _CLIP_ROUNDS = 3.0, 10
# A star's normalized flux lies between 0 and slightly above 1. A pixel outside these limits by more than this many
# standard deviations of its noise is bad.
_LEAST_FLUX, _MOST_FLUX, _SIGMA = 0.0, 1.5, 5.0
# Errors, as fractions of the continuum, that are smaller than those of any model, or too large to carry information.
_LEAST_ERROR, _MOST_ERROR = 1e-10, 1e5
_FLOAT = np.finfo("f4")
_LIMITS = tuple(float(x) for x in (_FLOAT.tiny, _FLOAT.max, _LEAST_FLUX, _MOST_FLUX, _SIGMA, _LEAST_ERROR, _MOST_ERROR))
# For spectra on other pixels (`lab2.spectra.check_wavelengths`): what is expected, and what to do.
_GRID = (
    "APOGEE's grid",
    "Only spectra on this grid are normalized here; normalize others yourself and pass them to lab2.from_arrays",
)
_BLOCK = 256  # stars normalized at a time by one thread, to bound memory
_CHIPS = chip_of(WAVELENGTH)  # of each pixel; those of a chip are neighbors


def load_pixels(path: str | os.PathLike | None = None) -> xr.DataArray:
    """Read a list of trusted continuum pixels and place it on the 8575-pixel grid, without interpolation.

    Parameters
    ----------
    path : path-like, optional
        The course's npz file in any of its forms: a mask ``trusted`` or ``continuum`` on the grid given by
        ``wavelengths`` (or ``wavelength``), or a mask alone, on the 7214 ASPCAP pixels or on all 8575. By default the
        project's own list, derived with `find_pixels`.

    Returns
    -------
    xarray.DataArray
        Bool, dim ``wavelength`` (8575).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a complete npz file or is too large for such a list, contains no mask, has wavelengths that
        are not those of APOGEE pixels, or trusts too few pixels of a chip to fit a continuum.

    Examples
    --------
    >>> pixels = load_pixels()
    >>> pixels.shape, bool(pixels.any())
    ((8575,), True)
    """
    if path is None:
        table = resources.files("lab2").joinpath("tables", _OWN_LIST)
        with resources.as_file(table) as own:
            return _on_grid(np.asarray(Table.read(own)["pixel"]))
    pixels = _on_grid(read_list(Path(path)))
    _check_enough(pixels, 2, path)
    return pixels


def find_pixels(spectra: xr.Dataset, fraction: float = 0.07, flux_range: float = 0.015) -> xr.DataArray:
    """Derive a list of continuum pixels from a survey: flux near 1, and little dependence on the labels.

    A linear model in the labels, scaled to unit variance, is fitted to every pixel. A pixel is trusted if its constant
    term lies within `flux_range` of its chip's continuum level and the flux changes caused by the labels are among the
    smallest `fraction` of its chip. (Ness et al. 2015, section 5.3, make similar cuts on the constant and on each
    coefficient.)

    Parameters
    ----------
    spectra : xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength) on the 8575-pixel grid, normalized in any smooth way, and
        ``labels`` (star, label). Normalize with the pixels found and repeat until the list no longer changes.
    fraction : float
        Fraction of each chip's pixels to trust; 7 % in the course's list.
    flux_range : float
        Largest distance of the constant term from the continuum.

    Returns
    -------
    xarray.DataArray
        Bool, dim ``wavelength`` (8575).

    Raises
    ------
    ValueError
        If the spectra are not on APOGEE's 8575 pixels, a label is missing or does not vary, labels are combinations of
        each other, or a chip has no data.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> pixels = find_pixels(spectra)
    >>> bool(0.06 < pixels.mean() < 0.07)
    True
    >>> quiet = abs(lab2.train(spectra).gradient("fe_h"))
    >>> bool(quiet[pixels].median() < quiet.median())
    True
    """
    expect(spectra=spectra)
    check_dims(spectra)
    check_wavelengths(spectra, WAVELENGTH, *_GRID)
    if "labels" not in spectra:
        raise ValueError("the spectra have no labels (star, label), on which continuum pixels must not depend")
    labels = spectra.labels.transpose("star", "label").values
    scatter = labels.std(axis=0)
    if not np.isfinite(labels).all() or not (scatter > 0).all():
        raise ValueError("every star needs every label, and every label must vary, to find continuum pixels")
    design = np.column_stack([np.ones(len(labels)), (labels - labels.mean(axis=0)) / scatter])
    flux, ivar = spectra.flux.values.astype(float), spectra.ivar.values.astype(float)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise ValueError("the labels are linear combinations of each other: leave one out to find continuum pixels")
    normal = np.einsum("np,nt,nu->ptu", ivar, design, design, optimize=True)
    right = np.einsum("np,nt->pt", ivar * flux, design, optimize=True)
    enough = seen(ivar).sum(axis=0) > 0.8 * len(labels)
    coefficients = np.zeros_like(right)
    coefficients[enough] = np.linalg.solve(normal[enough], right[enough][..., None])[..., 0]
    effect = np.sqrt((coefficients[:, 1:] ** 2).sum(axis=1))
    trusted = np.zeros(N_PIXELS, dtype=bool)
    chips = chip_of(WAVELENGTH)
    for chip in CHIPS:
        here = enough & (chips == chip)
        if not here.any():
            raise ValueError(f"fewer than 80 % of the stars have data in any pixel of the {chip} chip")
        # the continuum level is uncertain while the normalization converges: use the upper envelope
        level = np.median(np.sort(coefficients[here, 0])[-max(int(0.15 * here.sum()), 1) :])
        near = here & (np.abs(coefficients[:, 0] - level) < flux_range)
        wanted = min(int(fraction * here.sum()), near.sum())
        candidates = np.flatnonzero(near)
        trusted[candidates[np.argsort(effect[candidates])[:wanted]]] = True
    return _on_grid(np.flatnonzero(trusted))


def normalize(raw: xr.Dataset, pixels: ArrayLike | None = None, degree: int = 2) -> xr.Dataset:
    """Divide each chip by a Chebyshev polynomial fitted to its trusted pixels.

    The fit is weighted least squares, each pixel's residual multiplied by 1/sigma (Ness et al. 2015, section 2.3:
    second order, each chip separately). Trusted pixels that deviate by more than 3 robust standard deviations are
    clipped, and the fit is repeated until the same pixels remain.

    Parameters
    ----------
    raw : xarray.Dataset
        As from `lab2.apstar.mask_bad_pixels`: ``flux``, ``error`` (star, wavelength), infinite in bad pixels.
    pixels : array_like of bool, shape (8575,), optional
        The trusted pixels; by default `load_pixels()`.
    degree : int
        Degree of the polynomials.

    Returns
    -------
    xarray.Dataset
        ``flux``, ``ivar``, ``continuum`` (star, wavelength; float32, the continuum in the unit of `raw`), and for each
        chip (star, chip_name) ``n_trusted``, ``n_clipped`` and ``bad_continuum``: True if there are too few trusted
        pixels, where a pixel of very low weight counts as a fraction (`lab2.spectra.seen`), or if the continuum is not
        positive. Bad pixels have ivar 0 and flux 1. A pixel is also bad if its normalized flux is more than 5 standard
        deviations below 0 or above 1.5, or if its error is less than 1e-10 or more than 1e5 of the continuum. The
        coordinate ``trusted`` (wavelength) stores `pixels`, so that a model trained on these spectra records how they
        were normalized.

    Raises
    ------
    ValueError
        If the spectra or `pixels` are not on APOGEE's 8575 pixels, or `pixels` has too few of a chip to fit a
        polynomial of this degree.

    Examples
    --------
    A spectrum with a known continuum, a parabola:

    >>> import lab2
    >>> star = lab2.simulate.spectrum([4800.0, 2.5, 0.0, 0.0, 0.0])
    >>> continuum = 1000.0 * (1.0 + ((WAVELENGTH - 16000.0) / 2000.0) ** 2)
    >>> raw = xr.Dataset(
    ...     {
    ...         "flux": (("star", "wavelength"), [star * continuum]),
    ...         "error": (("star", "wavelength"), [0.01 * continuum]),
    ...     },
    ...     coords={"star": ["giant"], "wavelength": WAVELENGTH},
    ... )
    >>> spectra = normalize(raw)
    >>> bool(abs(spectra.flux[0] - star).median() < 0.02)
    True
    >>> spectra.bad_continuum.values.tolist()
    [[False, False, False]]
    """
    expect(raw=raw)
    check_wavelengths(raw, WAVELENGTH, *_GRID)
    pixels = load_pixels() if pixels is None else _mask(pixels)
    _check_enough(pixels, degree, "the list")
    raw_flux, errors = raw.flux.values, raw.error.values
    n_stars = len(raw_flux)
    flux, ivar, continuum = np.empty((3, *raw_flux.shape), "f4")
    counts = np.zeros((3, n_stars, len(CHIPS)), dtype=int)

    def normalize_block(block):
        credible = credible_errors(errors[block])
        for k, chip in enumerate(CHIPS):
            here = slice(*np.flatnonzero(chip == _CHIPS)[[0, -1]] + [0, 1])
            basis = chebyshev.chebvander(np.linspace(-1, 1, here.stop - here.start), degree)
            fit = basis, np.flatnonzero(pixels.values[here]), _least_pixels(degree), _CLIP_SIGMA, _CLIP_ROUNDS
            out = flux[block, here], ivar[block, here], continuum[block, here]
            normalize_chip((raw_flux[block, here], credible[:, here]), fit, _LIMITS, out, counts[:, block, k])

    map_blocks(normalize_block, n_stars, _BLOCK)
    grid, chip_dims = ("star", "wavelength"), ("star", "chip_name")
    raw_only = [name for name in raw.data_vars if raw[name].dims != ("star",)]
    kept = raw.drop_vars(raw_only).assign_coords(trusted=("wavelength", pixels.values))
    return kept.assign(
        flux=(grid, flux, {"long_name": "pseudo-continuum-normalized flux"}),
        ivar=(grid, ivar, {"long_name": "inverse variance of the normalized flux"}),
        continuum=(grid, continuum, raw.flux.attrs),
        n_trusted=(chip_dims, counts[0]),
        n_clipped=(chip_dims, counts[1]),
        bad_continuum=(chip_dims, counts[2].astype(bool)),
    )


def trusted_levels(spectra: xr.Dataset, pixels: ArrayLike) -> xr.DataArray:
    """Median normalized flux of the trusted pixels in each chip; 1 if the normalization is correct.

    Parameters
    ----------
    spectra : xarray.Dataset
        As from `normalize`.
    pixels : array_like of bool, shape (8575,)
        The trusted pixels.

    Returns
    -------
    xarray.DataArray
        (star, chip_name); NaN where a chip has no good trusted pixel.
    """
    expect(spectra=spectra)
    chips = chip_of(WAVELENGTH)
    used = _mask(pixels).values & (seen(spectra.ivar.values) == 1)
    levels = np.full((spectra.sizes["star"], len(CHIPS)), np.nan)
    for k, chip in enumerate(CHIPS):
        flux = np.where(used, spectra.flux.values, np.nan)[:, chips == chip]
        good = np.isfinite(flux).any(axis=1)
        levels[good, k] = np.nanmedian(flux[good], axis=1)
    return xr.DataArray(
        levels, dims=("star", "chip_name"), coords={"star": spectra.star.values, "chip_name": list(CHIPS)}
    )


def _least_pixels(degree):
    """The smallest number of trusted pixels with which a chip's polynomial is accepted."""
    return _PIXELS_PER_COEFFICIENT * (degree + 1)


def _check_enough(pixels, degree, name):
    """Raise a ValueError if a list trusts too few pixels of a chip."""
    chips, least = chip_of(WAVELENGTH), _least_pixels(degree)
    for chip in CHIPS:
        found = int(pixels.values[chips == chip].sum())
        if found < least:
            raise ValueError(
                f"{name} has {found} continuum pixels in the {chip} chip; a polynomial of degree {degree} needs {least}"
            )


def _mask(pixels) -> xr.DataArray:
    """A user's mask on the 8575 pixels, checked."""
    values = np.asarray(pixels)
    if values.dtype != bool or values.shape != (N_PIXELS,):
        raise ValueError(f"pixels must be {N_PIXELS} booleans; got {values.dtype} of shape {values.shape}")
    return _on_grid(np.flatnonzero(values))


def _on_grid(indices) -> xr.DataArray:
    """A mask on the 8575 pixels that is True at `indices`."""
    mask = np.zeros(N_PIXELS, dtype=bool)
    mask[indices] = True
    return xr.DataArray(mask, dims="wavelength", coords={"wavelength": WAVELENGTH})
