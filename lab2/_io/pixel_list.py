"""Lists of continuum pixels from npz files, placed on the 8575-pixel grid."""

import io
import zipfile

import numpy as np

from lab2.grid import N_PIXELS, WAVELENGTH

__all__ = ["ASPCAP_SLICES", "read_list"]

# The 7214 pixels that ASPCAP fits are an exact sub-grid of the 8575; the course's list uses them.
ASPCAP_SLICES = (slice(322, 3242), slice(3648, 6048), slice(6412, 8306))
_NAMES = ("trusted", "continuum", "wavelengths", "wavelength")
_MOST_BYTES = 1 << 20  # size of a file, compressed or not; the course's has 65 kB


def read_list(path) -> np.ndarray:
    """Indices of the pixels that a file trusts.

    Parameters
    ----------
    path : pathlib.Path
        As for `lab2.continuum.load_pixels`.

    Returns
    -------
    numpy.ndarray of int

    Raises
    ------
    FileNotFoundError, ValueError
        As `lab2.continuum.load_pixels`.
    """
    arrays = _arrays(path)
    mask = arrays.get("trusted", arrays.get("continuum"))
    if mask is None or mask.ndim != 1 or mask.dtype != bool:
        raise ValueError(f"{path}: expected a boolean array named 'trusted' or 'continuum'; got {list(arrays)}")
    return _grid_pixels(path, len(mask), arrays.get("wavelengths", arrays.get("wavelength")))[mask]


def _arrays(path):
    """The arrays of an npz file that make up a list of pixels; sizes are checked before they are read."""
    if not path.is_file():
        raise FileNotFoundError(f"no such list of continuum pixels: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.removesuffix(".npy") in _NAMES]
            if path.stat().st_size + sum(member.file_size for member in members) > _MOST_BYTES:
                raise ValueError(f"larger than {_MOST_BYTES} bytes, too large for a list of pixels")
            contents = {member.filename.removesuffix(".npy"): archive.read(member) for member in members}
        return {name: np.lib.format.read_array(io.BytesIO(data), allow_pickle=False) for name, data in contents.items()}
    except Exception as problem:  # zip and npy files fail in a dozen ways, none of them more informative than this
        raise ValueError(f"{path}: not a complete npz file ({problem}); fetch it again") from problem


def _grid_pixels(path, n_values, wavelength):
    """The pixel on the 8575-pixel grid of each value of a list."""
    if wavelength is None:
        grids = {N_PIXELS: np.arange(N_PIXELS), 7214: np.r_[ASPCAP_SLICES]}
        if n_values not in grids:
            raise ValueError(f"{path}: a mask of {n_values} pixels without wavelengths; expected {list(grids)}")
        return grids[n_values]
    if wavelength.shape != (n_values,) or wavelength.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {n_values} mask values but wavelengths of {wavelength.dtype}, {wavelength.shape}")
    wavelength = wavelength.astype(float)
    pixel = np.nan_to_num(np.interp(wavelength, WAVELENGTH, np.arange(N_PIXELS))).round().astype(int)
    with np.errstate(over="ignore"):  # infinite values are off the grid
        off = (np.abs(wavelength / WAVELENGTH[pixel] - 1) / (WAVELENGTH[1] / WAVELENGTH[0] - 1)).max(initial=0.0)
    if not off < 0.01:  # NaN too
        raise ValueError(
            f"{path}: its wavelengths are not those of APOGEE pixels (off by up to {off:.2g} pixels); "
            "a list must be in vacuum Angstrom and must not be interpolated"
        )
    return pixel
