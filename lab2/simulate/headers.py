"""The primary header of a simulated apStar file: keywords, types and comments as in those of DR17."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from astropy.io import fits
from astropy.table import Row

from lab2.apstar import SIMULATED
from lab2.simulate.visits import DATE_TO_JD, MJD_ZERO

__all__ = ["apstar_header"]

# Keyword, column, and the comment of DR17 with its misprints.
_STAR = (
    ("FIELD", "field", "APOGEE field name"),
    ("OBJID", "apogee_id", "APOGEE object name"),
    ("SNR", "snr", "Median S/N per apStar pixel"),
    ("SNREV", "snrev", "Median S/N per apStar pixel in middle chip"),
    ("RA", "ra", "right ascension, deg, J2000"),
    ("DEC", "dec", "declination, deg, J2000"),
    ("GLON", "glon", "Galactic longitude"),
    ("GLAT", "glat", "Galactic latitude"),
    ("J", "j", "2MASS J magnitude"),
    ("H", "h", "2MASS H magnitude"),
    ("K", "k", "2MASS K magnitude"),
    ("NVISITS", "n_visits", "Number of visit spectra combined flag"),
    ("STARFLAG", "STARFLAG", "bitwise OR of individual visit starflags"),
    ("ANDFLAG", "STARFLAG", "bitwise AND of individual visit starflags"),
    ("N_COMP", "n_components", "Maximum number of components in RV CCFs"),
    ("VHELIO", "v_helio", "S/N weighted mean barycentric RV"),
    ("VSCATTER", "v_scatter", "standard deviation of visit RVs"),
    ("VERR", "v_err", "weighted error in VHELIO"),
    ("VERR_MED", "v_err_median", "median error in VHELIO"),
    ("RV_TEFF", "RV_TEFF", "Effective temperature from RV fit"),
    ("RV_LOGG", "RV_LOGG", "Surface gravity from RV fit"),
    ("RV_FEH", "RV_FEH", "Metallicity from RV fit"),
)
_RANGE = {
    "RMIN": "Min pixel of red chip contrib, any frame",
    "RMAX": "Maxmm pixel of red chip contrib, any frame",
    "GMIN": "Min pixel of green chip contrib, any frame",
    "GMAX": "Maxm pixel of green chip contrib, any frame",
    "BMIN": "Min pixel of blue chip contrib, any frame",
    "BMAX": "Maxm pixel of blue chip contrib, any frame",
    "ROVERMIN": "Min pixel of red chip contrib, all frames",
    "ROVERMAX": "Max pixel of red chip contrib, all frames",
    "GOVERMIN": "Min pixel of green chip contrib, all frames",
    "GOVERMAX": "Max pixel of green chip contrib, all frames",
    "BOVERMIN": "Minimum pixel of blue chip contrib, all frames",
    "BOVERMAX": "Maximum pixel of blue chip contrib, all frames",
}


def apstar_header(star: Row, chip_range: Mapping) -> fits.Header:
    """The cards of a star's apStar file, except those of the wavelength grid.

    Parameters
    ----------
    star : astropy.table.Row
        Of the table that `lab2.simulate.stars.draw_survey` returns first.
    chip_range : dict
        As from `lab2.simulate.instrument.observe_star`.

    Returns
    -------
    astropy.io.fits.Header
    """
    header = fits.Header([(key, _plain(star[column]), comment) for key, column, comment in _STAR])
    header[SIMULATED] = (True, "made by lab2, not observed")
    header["NRES"] = (" 5.00 4.25 3.50", "number of pixels/resolution used for sinc")
    for key, comment in _RANGE.items():
        header[key] = (chip_range[key], comment)
    for visit in range(star["n_visits"]):
        header.extend(_visit_cards(star, visit), end=True)
    return header


def _visit_cards(star, visit):
    """The cards of one visit."""
    jd, number = float(star["visit_jd"][visit]), visit + 1
    start = datetime(1858, 11, 17) + timedelta(days=jd - DATE_TO_JD - MJD_ZERO)
    velocity, correction = float(star["visit_v"][visit]), float(star["visit_bc"][visit])
    file = f"apVisit-dr17-{star['plate']}-{int(jd - MJD_ZERO)}-{star['fiber']:03d}.fits"
    return [
        ("COMMENT", f"VISIT {number} INFORMATION"),
        (f"SFILE{number}", file, f" Visit #{number} spectrum file"),
        (f"DATE{number}", start.isoformat(timespec="milliseconds"), f"DATE-OBS of visit {number}"),
        (f"JD{number}", jd, f"Julian date of visit {number}"),
        (f"FIBER{number}", int(star["fiber"]), f"Fiber, visit {number}"),
        (f"BC{number}", round(correction, 6), f"Barycentric correction (km/s), visit {number}"),
        (f"VRAD{number}", round(velocity - correction, 6), f"Radial velocity (km/s) of visit {number}"),
        (f"VERR{number}", _plain(star["visit_verr"][visit]), "Uncertainty in radial velocity (km/s)"),
        (f"VHELIO{number}", round(velocity, 6), f"Barycentric velocity (km/s), visit {number}"),
        (f"SNRVIS{number}", _plain(star["visit_snr"][visit]), f"Median S/N per apStar pixel,, visit {number}"),
        (f"FLAG{number}", int(star["STARFLAG"]), f"STARFLAG for visit {number}"),
    ]


def _plain(value):
    """A cell of a table as a type that FITS accepts; numbers to six decimals."""
    value = value.item() if hasattr(value, "item") else value
    return round(value, 6) if isinstance(value, float) else value
