"""Read and write apStar files: one star's coadded APOGEE spectrum on the 8575-pixel grid.

The layout follows the apStar data model of SDSS DR17: HDU 0 header; 1 flux; 2 error; 3 pixel bitmask; 4-7 sky and
telluric; 8 line-spread function; 9 radial velocities. With several visits, rows 0 and 1 are the coadds (weighted pixel
by pixel, and with one weight per visit), followed by one row per visit. Files with one visit have the shape ``(2,
8575)`` (DR17) or ``(8575,)`` (DR13 and before). Row 0 is the row that is generally used.
"""

import os
import warnings
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.io import fits
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from lab2._arguments import expect
from lab2._bits import Bits
from lab2._io.coadd import SpectrumError, empty_coadd, read_coadd
from lab2._origin import SIMULATED
from lab2._pixel_kernels import good_errors
from lab2.files import replacing
from lab2.grid import CHIPS, LOG_START, LOG_STEP, N_PIXELS, WAVELENGTH, chip_of
from lab2.spectra import credible_errors

__all__ = [
    "BAD_BITS",
    "FLUX_UNIT",
    "SIMULATED",
    "PixelBit",
    "SpectrumError",
    "UnreadableSpectrumWarning",
    "mask_bad_pixels",
    "read",
    "read_many",
    "read_rows",
    "write",
]

FLUX_UNIT = "1e-17 erg / (s cm2 Angstrom)"

# Unit and description of each variable.
_ABOUT = {
    "flux": (FLUX_UNIT,),
    "error": (FLUX_UNIT,),
    "ra": ("deg", "right ascension, J2000"),
    "dec": ("deg", "declination, J2000"),
}

# Comments of the primary header, as in DR17.
_GRID_COMMENTS = {
    "CRVAL1": "Start log10(wavelength) in subsequent HDUs",
    "CDELT1": "Dispersion in log10(wave) in subsequent HDUs",
    "CRPIX1": "Pixel of starting wavelength in subsequent HDUs",
    "CTYPE1": "Logarithmic wavelength scale in subsequent HDUs",
    "DC-FLAG": "Logarithmic wavelength scale in subsequent HDUs",
    "NWAVE": "Number of wavelengths in subsequent HDUs",
}


class PixelBit(Bits):
    """APOGEE_PIXMASK of SDSS DR17 (sdss4.org, "bitmasks"): the meaning of each bit of HDU 3.

    Examples
    --------
    >>> PixelBit.words(4097)
    'BADPIX SIG_SKYLINE'
    """

    BADPIX = 1 << 0
    CRPIX = 1 << 1
    SATPIX = 1 << 2
    UNFIXABLE = 1 << 3
    BADDARK = 1 << 4
    BADFLAT = 1 << 5
    BADERR = 1 << 6
    NOSKY = 1 << 7
    LITTROW_GHOST = 1 << 8
    PERSIST_HIGH = 1 << 9
    PERSIST_MED = 1 << 10
    PERSIST_LOW = 1 << 11
    SIG_SKYLINE = 1 << 12
    SIG_TELLURIC = 1 << 13
    NOT_ENOUGH_PSF = 1 << 14


# The handout's choice: bits 0-7 and 12.
BAD_BITS = (*(bit for bit in PixelBit if bit <= PixelBit.NOSKY), PixelBit.SIG_SKYLINE)


class UnreadableSpectrumWarning(UserWarning):
    """Some files could not be read; their rows are empty, and `read_error` gives the reason."""


def read(path: str | os.PathLike) -> xr.Dataset:
    """Read the coadded spectrum of one apStar (or asStar) file.

    Parameters
    ----------
    path : path-like
        File of any data release from DR13 to DR17.

    Returns
    -------
    xarray.Dataset
        ``flux`` and ``error`` ``(star=1, wavelength=8575)`` [1e-17 erg/s/cm2/Angstrom], as in the file (NaN or 0
        outside the detectors); ``bitmask`` (APOGEE_PIXMASK); ``chip_range`` ``(star, chip_name, edge)``, first and last
        pixel with data, from the header or, if it gives none, from the data; ``snr``, ``n_visits``, ``starflag``,
        ``field``, ``ra`` and ``dec`` [deg, J2000], ``telescope`` ("apo" for a DR17 file of either telescope at Apache
        Point), ``path``, and ``simulated``, True if lab2 made the file. A header value that is missing or unreadable is
        NaN, 0 or "", and ``unknown_cards`` lists its card. Coordinates ``star`` (2MASS name, or the file's name if the
        header has none), ``wavelength`` [Angstrom, vacuum], ``chip``.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or it is a folder, a pipe or a device.
    SpectrumError
        If the file is not FITS, truncated or damaged where the spectrum is, too large, of another kind, or on another
        wavelength grid. The message names the file and, if one is at fault, the card.
    """
    return _dataset([read_coadd(Path(path))])


def read_many(paths: Iterable[str | os.PathLike], progress: bool = True) -> xr.Dataset:
    """Read many apStar files into one dataset.

    A file that cannot be read does not stop the others: its row has NaN flux and infinite error, and ``read_error``
    gives the reason ("" elsewhere).

    Parameters
    ----------
    paths : sequence of path-like
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        As from `read`, with one star per path, and with ``read_error`` (star).

    Raises
    ------
    ValueError
        If `paths` is empty.
    SpectrumError
        If none of the files can be read.

    Examples
    --------
    Two files, the second of which is damaged:

    >>> from tempfile import TemporaryDirectory
    >>> flux = np.ones((2, N_PIXELS))
    >>> with TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
    ...     whole = write(f"{folder}/apStar-1.fits", flux, 0.01 * flux, np.zeros(flux.shape), {"OBJID": "2M1"})
    ...     damaged = Path(folder, "apStar-2.fits")
    ...     _ = damaged.write_bytes(whole.read_bytes()[:1000])
    ...     raw = read_many([whole, damaged], progress=False)
    >>> dict(raw.flux.sizes), (raw.read_error == "").values.tolist()
    ({'star': 2, 'wavelength': 8575}, [True, False])
    """
    if isinstance(paths, str | os.PathLike):
        raise TypeError(
            f"paths must be a sequence of paths; got the one {str(paths)!r}: lab2.apstar.read reads one file"
        )
    paths = [Path(p) for p in paths]
    if not paths:
        raise ValueError("no spectrum files were given; expected at least one path")
    raw = read_rows(tqdm(paths, desc="reading spectra", unit="star", disable=not progress))
    failed = [error for error in raw.read_error.values.tolist() if error]
    if len(failed) == len(paths):
        raise SpectrumError(f"none of {len(paths)} files could be read; the first: {failed[0]}")
    if failed:
        warnings.warn(
            f"{len(failed)} of {len(paths)} spectra could not be read and are left empty; the first: {failed[0]}",
            UnreadableSpectrumWarning,
            stacklevel=2,
        )
    return raw


def read_rows(paths: Iterable[str | os.PathLike]) -> xr.Dataset:
    """Read apStar files as `read_many` does, without warning about those that cannot be read.

    Parameters
    ----------
    paths : iterable of path-like
        At least one.

    Returns
    -------
    xarray.Dataset
        As from `read_many`, even if none of the files can be read.
    """
    rows, errors = [], []
    for path in map(Path, paths):
        try:
            row, problem = read_coadd(path), ""
        except (FileNotFoundError, SpectrumError) as exception:
            row, problem = empty_coadd(path), str(exception)
        rows.append(row)
        errors.append(problem)
    return _dataset(rows).assign(read_error=("star", np.array(errors, dtype=str)))


def mask_bad_pixels(raw: xr.Dataset, bits: Iterable[PixelBit | str | int] = BAD_BITS) -> xr.Dataset:
    """Set the error of every bad pixel to infinity.

    A pixel is bad if one of `bits` is set, if its flux is not finite or exactly 0 (no data), if its error is not finite
    or not positive, if it is outside its chip's range, or if its error is far from the star's median
    (`lab2.spectra.credible_errors`); real files have such errors, not flagged, at the ends of the chips. Unlike a large
    number, infinity does not change when the spectrum is normalized.

    Parameters
    ----------
    raw : xarray.Dataset
        As from `read` or `read_many`.
    bits : sequence of PixelBit, str or int
        APOGEE_PIXMASK bits, each as a member of `PixelBit`, name or number (0 to 14); by default those of the handout,
        0-7 and 12.

    Returns
    -------
    xarray.Dataset
        A copy with new `error`. A star without good pixels has only infinite errors.

    Raises
    ------
    ValueError
        If a bit is unknown.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> flux, bitmask = np.ones((2, N_PIXELS)), np.zeros((2, N_PIXELS))
    >>> bitmask[0, 1000], bitmask[0, 2000] = PixelBit.SIG_SKYLINE, PixelBit.PERSIST_LOW
    >>> with TemporaryDirectory() as folder:
    ...     raw = read(write(f"{folder}/apStar-1.fits", flux, 0.01 * flux, bitmask, {"OBJID": "2M1"}))
    >>> np.isinf(mask_bad_pixels(raw).error.values[0, [1000, 2000]]).tolist()
    [True, False]
    >>> np.isinf(mask_bad_pixels(raw, ["PERSIST_LOW"]).error.values[0, [1000, 2000]]).tolist()
    [False, True]
    """
    expect(raw=raw)
    order = ("star", "wavelength")
    values = [raw[name].transpose(*order).values for name in ("flux", "error", "bitmask")]
    chips = raw.chip_name.values.tolist()
    number = np.array([chips.index(chip) for chip in raw.chip.values.tolist()])
    edges = raw.chip_range.transpose("star", "chip_name", "edge").values
    error = np.empty_like(values[1])
    good_errors(tuple(values), edges, number, np.int32(reduce(or_, map(_pixel_bit, bits), 0)), error)
    error = xr.DataArray(credible_errors(error), dims=order).transpose(*raw.error.dims)
    return raw.assign(error=raw.error.copy(data=error.values))


def write(
    path: str | os.PathLike, flux: ArrayLike, error: ArrayLike, bitmask: ArrayLike, header: Mapping | fits.Header
) -> Path:
    """Write an apStar file in the DR17 layout, atomically.

    Parameters
    ----------
    path : path-like
    flux, error : array_like, shape (n_rows, 8575)
        [1e-17 erg/s/cm2/Angstrom]; rows 0 and 1 are the coadds, followed by one row per visit; stored as float32.
    bitmask : array_like of int, shape (n_rows, 8575)
        APOGEE_PIXMASK, stored as int16.
    header : dict or astropy.io.fits.Header
        Cards of the primary header (OBJID, FIELD, SNR, NVISITS, BMIN, ...), except those of the wavelength grid.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If the arrays are not all (n_rows, 8575).
    """
    path = Path(path)
    arrays = [np.asarray(flux, "f4"), np.asarray(error, "f4"), np.asarray(bitmask, "i2")]
    for name, array in zip(("flux", "error", "bitmask"), arrays, strict=True):
        if array.ndim != 2 or array.shape != (arrays[0].shape[0], N_PIXELS):
            raise ValueError(f"{name} has shape {array.shape}; an apStar file needs (n_rows, {N_PIXELS})")
    grid = {"CRVAL1": LOG_START, "CDELT1": LOG_STEP, "CRPIX1": 1, "CTYPE1": "LOG-LINEAR", "DC-FLAG": 1}
    primary = fits.PrimaryHDU()
    primary.header.update({key: (value, _GRID_COMMENTS[key]) for key, value in (grid | {"NWAVE": N_PIXELS}).items()})
    primary.header.extend(fits.Header(header), end=True)  # keeps the comment of each visit in place
    units = (f"Flux ({FLUX_UNIT})", f"Error ({FLUX_UNIT})", "Pixel bitmask")
    hdus = [primary]
    for array, unit in zip(arrays, units, strict=True):
        hdu = fits.ImageHDU(array)
        hdu.header.update({**grid, "BUNIT": unit})
        hdus.append(hdu)
    # HDUs 4-9 (sky, telluric, LSF, radial velocities) are empty placeholders.
    hdus += [fits.ImageHDU() for _ in range(5)] + [fits.BinTableHDU()]
    with replacing(path) as part:
        fits.HDUList(hdus).writeto(part)
    return path


def _pixel_bit(bit) -> PixelBit:
    """The bit, given as a member of `PixelBit`, a name or a number."""
    if isinstance(bit, PixelBit):
        return bit
    if isinstance(bit, str) and bit in PixelBit.__members__:
        return PixelBit[bit]
    if isinstance(bit, int | np.integer) and not isinstance(bit, bool) and 0 <= bit < len(PixelBit):
        return PixelBit(1 << int(bit))
    known = ", ".join(f"{number} {known.name}" for number, known in enumerate(PixelBit))
    raise ValueError(f"unknown APOGEE_PIXMASK bit {bit!r}; known: {known}")


def _dataset(rows) -> xr.Dataset:
    columns = {key: np.array([row.pop(key) for row in rows]) for key in list(rows[0])}
    dims = dict.fromkeys(("flux", "error", "bitmask"), ("star", "wavelength"))
    dims["chip_range"] = ("star", "chip_name", "edge")
    about = {key: dict(zip(("units", "long_name"), said, strict=False)) for key, said in _ABOUT.items()}
    stars = columns.pop("star")
    return xr.Dataset(
        {key: (dims.get(key, "star"), values, about.get(key, {})) for key, values in columns.items()},
        coords={
            "star": stars,
            "wavelength": ("wavelength", WAVELENGTH, {"units": "Angstrom (vacuum)"}),
            "chip": ("wavelength", chip_of(WAVELENGTH)),
            "chip_name": list(CHIPS),
        },
    )
