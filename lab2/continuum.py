"""Pseudo-continuum normalization with trusted continuum pixels (Ness et al. 2015, ApJ 808, 16, sections 2.3 and 5.3).

The true continuum of a cool giant cannot be observed, because weak lines affect every pixel. A pseudo-continuum is a
smooth curve through pixels that depend little on the labels. Dividing by it removes brightness, reddening and the
instrument's response in the same way for every star, which is sufficient for a data-driven model.
"""

import zipfile
from importlib import resources

import numpy as np
import xarray as xr
from astropy.table import Table
from numpy.polynomial import chebyshev

from lab2.grid import CHIPS, N_PIXELS, WAVELENGTH, chip_of
from lab2.spectra import credible_errors, seen

__all__ = ["ASPCAP_SLICES", "find_pixels", "load_pixels", "normalize", "trusted_levels"]

# The 7214 pixels that ASPCAP fits are an exact sub-grid of the 8575; the course's list uses them.
ASPCAP_SLICES = (slice(322, 3242), slice(3648, 6048), slice(6412, 8306))
_OWN_LIST = "continuum_pixels.ecsv"
# A chip's polynomial is accepted only if there are at least this many trusted pixels per coefficient.
_PIXELS_PER_COEFFICIENT = 5
_CLIP_SIGMA, _CLIP_ROUNDS = 3.0, 10
_BLOCK = 256  # stars normalized at a time, to bound memory


def load_pixels(path=None) -> xr.DataArray:
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
        If the file contains no mask, or its wavelengths are not those of APOGEE pixels.
    """
    if path is None:
        table = resources.files("lab2").joinpath("tables", _OWN_LIST)
        with resources.as_file(table) as own:
            return _on_grid(np.asarray(Table.read(own)["pixel"]))
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path}: not a whole npz file; fetch it again")
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    mask = arrays.get("trusted", arrays.get("continuum"))
    if mask is None or mask.ndim != 1 or mask.dtype != bool:
        raise ValueError(f"{path}: expected a boolean array named 'trusted' or 'continuum'; got {list(arrays)}")
    wavelength = arrays.get("wavelengths", arrays.get("wavelength"))
    if wavelength is None:
        grids = {N_PIXELS: np.arange(N_PIXELS), 7214: np.r_[ASPCAP_SLICES]}
        if len(mask) not in grids:
            raise ValueError(f"{path}: a mask of {len(mask)} pixels without wavelengths; expected {list(grids)}")
        return _on_grid(grids[len(mask)][mask])
    if wavelength.shape != mask.shape:
        raise ValueError(f"{path}: {mask.shape} mask values but {wavelength.shape} wavelengths")
    pixel = np.nan_to_num(np.interp(wavelength, WAVELENGTH, np.arange(N_PIXELS))).round().astype(int)
    off = (np.abs(wavelength / WAVELENGTH[pixel] - 1) / (WAVELENGTH[1] / WAVELENGTH[0] - 1)).max()
    if not off < 0.01:  # NaN too
        raise ValueError(
            f"{path}: its wavelengths are not those of APOGEE pixels (off by up to {off:.2g} pixels); "
            "a list must be in vacuum Angstrom and must not be interpolated"
        )
    return _on_grid(pixel[mask])


def find_pixels(spectra, fraction=0.07, flux_range=0.015) -> xr.DataArray:
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
        If a label is missing or does not vary, labels are combinations of each other, or a chip has no data.
    """
    labels = spectra.labels.values
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


def normalize(raw, pixels=None, degree=2) -> xr.Dataset:
    """Divide each chip by a Chebyshev polynomial fitted to its trusted pixels.

    The fit is weighted least squares, each pixel's residual multiplied by 1/sigma (Ness et al. 2015, section 2.3:
    second order, each chip separately). Trusted pixels that deviate by more than 3 robust standard deviations are
    clipped, and the fit is repeated until the same pixels remain.

    Parameters
    ----------
    raw : xarray.Dataset
        As from `lab2.apstar.mask_bad_pixels`: ``flux``, ``error`` (star, wavelength), infinite in bad pixels.
    pixels : xarray.DataArray of bool, optional
        The trusted pixels; by default `load_pixels()`.
    degree : int
        Degree of the polynomials.

    Returns
    -------
    xarray.Dataset
        ``flux``, ``ivar``, ``continuum`` (star, wavelength; float32, the continuum in the unit of `raw`), and for each
        chip (star, chip_name) ``n_trusted``, ``n_clipped`` and ``bad_continuum``: True if there are too few trusted
        pixels, where a pixel of very low weight counts as a fraction (`lab2.spectra.seen`), or if the continuum is not
        positive. Bad pixels have ivar 0 and flux 1. The coordinate ``trusted`` (wavelength) stores `pixels`, so that a
        model trained on these spectra records how they were normalized.

    Raises
    ------
    ValueError
        If a chip has no trusted pixel at all in `pixels`, or the list is not on the 8575-pixel grid.
    """
    pixels = load_pixels() if pixels is None else pixels
    if pixels.dtype != bool or pixels.shape != (N_PIXELS,):
        raise ValueError(f"pixels must be {N_PIXELS} booleans; got {pixels.dtype} of shape {pixels.shape}")
    chips = chip_of(WAVELENGTH)
    for chip in CHIPS:
        if not pixels.values[chips == chip].any():
            raise ValueError(f"the list of continuum pixels has none in the {chip} chip: nothing to fit there")
    shape = raw.flux.shape
    flux, ivar = np.ones(shape, "f4"), np.zeros(shape, "f4")
    continuum = np.ones(shape, "f4")
    counts = np.zeros((3, shape[0], len(CHIPS)), dtype=int)
    for start in range(0, shape[0], _BLOCK):
        block = slice(start, start + _BLOCK)
        errors = credible_errors(raw.error.values[block].astype(float))
        for k, chip in enumerate(CHIPS):
            here = chips == chip
            raw_flux = raw.flux.values[block, here].astype(float)
            error = np.where(np.isfinite(raw_flux), errors[:, here], np.inf)
            level, n_trusted, n_clipped = _fit_chip(raw_flux, error, pixels.values[here], degree)
            enough = n_trusted >= _PIXELS_PER_COEFFICIENT * (degree + 1)
            bad = ~enough | ~(level > 0).all(axis=1)
            level[bad] = 1.0
            good = np.isfinite(error) & ~bad[:, None]
            flux[block, here] = np.where(good, np.where(good, raw_flux, 1.0) / level, 1.0)
            ivar[block, here] = np.where(good, (level / error) ** 2, 0.0)
            continuum[block, here] = level
            counts[:, block, k] = n_trusted, n_clipped, bad
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


def trusted_levels(spectra, pixels) -> xr.DataArray:
    """Median normalized flux of the trusted pixels in each chip; 1 if the normalization is correct.

    Parameters
    ----------
    spectra : xarray.Dataset
        As from `normalize`.
    pixels : xarray.DataArray of bool
        The trusted pixels.

    Returns
    -------
    xarray.DataArray
        (star, chip_name); NaN where a chip has no good trusted pixel.
    """
    chips = chip_of(WAVELENGTH)
    used = pixels.values & (seen(spectra.ivar.values) == 1)
    levels = np.full((spectra.sizes["star"], len(CHIPS)), np.nan)
    for k, chip in enumerate(CHIPS):
        flux = np.where(used, spectra.flux.values, np.nan)[:, chips == chip]
        good = np.isfinite(flux).any(axis=1)
        levels[good, k] = np.nanmedian(flux[good], axis=1)
    return xr.DataArray(
        levels, dims=("star", "chip_name"), coords={"star": spectra.star.values, "chip_name": list(CHIPS)}
    )


def _fit_chip(flux, error, trusted, degree):
    """Continuum of one chip for a block of stars: level (n, pixels), and numbers of pixels used and clipped (n,).

    Normal equations allow solving for all stars at once; with three or four Chebyshev terms on [-1, 1] they are well
    conditioned.
    """
    basis = chebyshev.chebvander(np.linspace(-1, 1, flux.shape[1]), degree)
    at = basis[trusted]
    weight = 1 / error[:, trusted] ** 2
    value = np.where(weight > 0, flux[:, trusted], 0.0)
    counts, used = seen(weight), weight > 0
    solvable = (counts * used).sum(axis=1) > degree
    coefficients = np.zeros((len(flux), degree + 1))
    for _ in range(_CLIP_ROUNDS):
        w = weight * used
        normal = np.einsum("np,pt,pu->ntu", w, at, at, optimize=True)
        right = np.einsum("np,pt->nt", w * value, at, optimize=True)
        coefficients[solvable] = np.linalg.solve(normal[solvable], right[solvable][..., None])[..., 0]
        residual = np.where(weight > 0, (value - coefficients @ at.T) * np.sqrt(weight), np.nan)
        with np.errstate(invalid="ignore"):
            scatter = 1.4826 * np.nanmedian(np.abs(residual[solvable]), axis=1)
            # decide again for all pixels: good ones may have been clipped because of an outlier that is now clipped
            keep = weight > 0
            keep[solvable] &= np.abs(residual[solvable]) <= _CLIP_SIGMA * np.maximum(scatter, 1.0)[:, None]
        if (keep == used).all():
            break
        used = keep
    n_used, n_clipped = (np.rint((counts * part).sum(axis=1)).astype(int) for part in (used, ~used))
    return coefficients @ basis.T, n_used, n_clipped


def _on_grid(indices) -> xr.DataArray:
    """A mask on the 8575 pixels that is True at `indices`."""
    mask = np.zeros(N_PIXELS, dtype=bool)
    mask[indices] = True
    return xr.DataArray(mask, dims="wavelength", coords={"wavelength": WAVELENGTH})
