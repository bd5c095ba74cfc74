"""The coadded spectrum of one apStar file, checked, and the header's information about the star.

Anything but a complete spectrum on the APOGEE grid raises a `SpectrumError`. Apart from the wavelengths, a fit does not
need the header: its values may be missing or unreadable, and are then unknown.
"""

import numpy as np

from lab2._io.fits import FitsError, finite_number, read_images, text, whole_number
from lab2._origin import SIMULATED
from lab2.grid import CHIPS, LOG_START, LOG_STEP, N_PIXELS, WAVELENGTH, chip_of

__all__ = ["SpectrumError", "empty_coadd", "read_coadd"]

_CHIP_KEYS = {"blue": ("BMIN", "BMAX"), "green": ("GMIN", "GMAX"), "red": ("RMIN", "RMAX")}

_TELESCOPES = ("apo25m", "apo1m", "lco25m")
_BY_NAME = {"asStar-": "lco25m", "apStar-": "apo"}

_CHIPS = chip_of(WAVELENGTH)


class SpectrumError(ValueError):
    """A file is not a readable apStar spectrum; the message says why."""


def read_coadd(path) -> dict:
    """The coadded spectrum of one apStar file, and the values of its header.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict
        The variables of the Dataset of `lab2.apstar.read`, for one star.

    Raises
    ------
    FileNotFoundError, SpectrumError
        As `lab2.apstar.read`.
    """
    try:
        primary, images = read_images(path, 3)
        coadd = _first_rows(*images)
        _check_grid([primary, *(image.cards for image in images)])
        return _content(path, primary, *coadd)
    except FitsError as problem:
        raise SpectrumError(f"{path}: {problem}") from problem


def _first_rows(flux, error, bitmask):
    """Row 0 of flux, error and bitmask, after checking the images."""
    for number, image, kind, what in ((1, flux, "f", "flux"), (2, error, "f", "error"), (3, bitmask, "i", "bitmask")):
        shape = image.shape if len(image.shape) != 1 else (1, *image.shape)
        if len(shape) != 2 or shape[1] != N_PIXELS or shape[0] == 0 or image.shape != flux.shape:
            raise FitsError(
                f"{what} has shape {image.shape}, expected (rows, {N_PIXELS}) like the flux; "
                "apVisit files are on another grid: give the apStar file"
            )
        if image.row.dtype.kind != kind:
            raise FitsError(
                f"HDU {number} holds {image.row.dtype}, where an apStar file has its {what}; aspcapStar files (the "
                "pipeline's normalized spectra) have no bitmask: give the apStar file"
            )
    with np.errstate(over="ignore", invalid="ignore"):  # overflows in float32 become infinite, and the pixels bad
        return flux.row.astype("f4"), error.row.astype("f4"), bitmask.row.astype("i4")


def _check_grid(headers):
    """Check that the wavelengths in the headers of HDUs 0 to 3 are those of the APOGEE grid."""
    for key, expected in (("CRVAL1", LOG_START), ("CDELT1", LOG_STEP), ("CRPIX1", 1)):
        given = [(number, cards) for number, cards in enumerate(headers) if key in cards]
        if not given and key != "CRPIX1":
            raise FitsError(f"no {key} in the header of HDU 0 or 1, so no wavelengths")
        for number, cards in given:
            if not abs(finite_number(cards, key) - expected) <= 1e-9 * abs(expected):  # NaN too
                raise FitsError(f"{key} of HDU {number} is {cards[key]}, the APOGEE grid has {expected}")


def _chip_range(cards, flux) -> np.ndarray:
    """First and last pixel with data in each chip, shape (3, 2); an empty chip is (0, -1)."""
    edges = []
    for chip in CHIPS:
        first, last = (whole_number(cards, key, 0, N_PIXELS - 1) for key in _CHIP_KEYS[chip])
        if first is None or last is None or first > last:
            pixels = np.flatnonzero(np.isfinite(flux) & (flux != 0) & (chip == _CHIPS))
            first, last = (pixels[0], pixels[-1]) if pixels.size else (0, -1)
        edges.append([first, last])
    return np.array(edges, dtype="i4")


def _content(path, cards, flux, error, bitmask) -> dict:
    """The contents of one file, as plain values and arrays."""
    snr = finite_number(cards, "SNR")
    known = {
        "SNR": snr if snr >= 0 else np.nan,
        "NVISITS": whole_number(cards, "NVISITS", 0, 2**31),
        "STARFLAG": whole_number(cards, "STARFLAG", -(2**31), 2**62),
        "FIELD": text(cards, "FIELD"),
        "OBJID": text(cards, "OBJID"),
        "RA": _angle(cards, "RA", 0, 360),
        "DEC": _angle(cards, "DEC", -90, 90),
    }
    unknown = [key for key, value in known.items() if value in (None, "") or value != value]
    return {
        "star": known["OBJID"] or path.name.removesuffix(".gz").removesuffix(".fits").split("-", 2)[-1],
        "flux": flux,
        "error": error,
        "bitmask": bitmask,
        "chip_range": _chip_range(cards, flux),
        "snr": known["SNR"],
        "n_visits": known["NVISITS"] or 0,
        "starflag": known["STARFLAG"] or 0,
        "field": known["FIELD"],
        "ra": known["RA"],
        "dec": known["DEC"],
        "telescope": text(cards, "TELESCOP") or _telescope(path),
        "unknown_cards": " ".join(unknown),
        "simulated": cards.get(SIMULATED, False) is not False,  # only simulated files have the card
        "path": str(path),
    }


def _angle(cards, key, least, most):
    """An angle from the header [deg]; NaN if it is missing or out of range."""
    value = finite_number(cards, key)
    return value if least <= value <= most else np.nan


def _telescope(path) -> str:
    """The telescope, from the folder and name of the file; "" if these do not tell.

    The headers of DR17 do not give it. The files of the two telescopes at Apache Point have the same names, but lie in
    different folders.
    """
    folder = next((part for part in path.parts[:-1] if part in _TELESCOPES), "")
    return folder or next((name for start, name in _BY_NAME.items() if path.name.startswith(start)), "")


def empty_coadd(path) -> dict:
    """Placeholder for a file that could not be read: all pixels are bad."""
    nothing = np.full(N_PIXELS, np.nan, "f4")
    return _content(path, {}, nothing, np.full_like(nothing, np.inf), np.zeros(N_PIXELS, "i4"))
