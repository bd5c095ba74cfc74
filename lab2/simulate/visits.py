"""The visits behind a star's coadded spectrum: plate, fiber, dates, S/N and velocities.

Stars of a field with the same number of visits share plates and therefore dates. At these dates the field is high and
the sky dark at Apache Point; the Earth's velocity toward the star follows from them.
"""

import numpy as np
from astropy.coordinates import get_body_barycentric_posvel
from astropy.table import Table
from astropy.time import Time
from numpy.typing import ArrayLike

__all__ = ["DATE_TO_JD", "FIRST_PLATE", "MJD_ZERO", "add_visits", "barycentric_correction", "summarize"]

MJD_ZERO, J2000 = 2400000.5, 2451545.0
# From DATE-OBS to the JD of a visit [days]: 33.5 minutes in many headers of DR17. The barycentric correction there is
# that of the time halfway between.
DATE_TO_JD = 0.02327
MOST_VISITS = 3
# Larger than the number of any SDSS plate.
FIRST_PLATE = 20001
# Fibers, and those on stars other than telluric standards.
FIBERS, PER_PLATE = 300, 230
# Nights of the survey [MJD], and the longest time between two visits [days].
NIGHTS, LONGEST_GAP = (55811, 59000), 40
# Apache Point: longitude [h], latitude [deg]; the Earth's rotation at the equator [km/s].
LONGITUDE, LATITUDE, ROTATION = -105.82 / 15, 32.78, 0.4651
# A field is observed up to 3.5 h from local midnight; at midnight its hour angle is at most 4.5 h.
FROM_MIDNIGHT, HOUR_ANGLE = 3.0, 4.5
# Scatter of the logarithm of the S/N from visit to visit.
SNR_SCATTER = 0.15


def add_visits(rng: np.random.Generator, stars: Table, first_plate: int = FIRST_PLATE) -> None:
    """Add the visits of each star, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
    stars : astropy.table.Table
        With field, ra, dec [deg], n_visits (at most 3), snr, velocity, v_sigma [km/s], TEFF and M_H. Added: plate and
        fiber; visit_jd, visit_snr, visit_v (barycentric velocity of the star) and visit_verr [km/s], (n, 3), NaN where
        there was no visit; and the columns of `summarize`.
    first_plate : int
        Number of the first plate; the others follow.
    """
    n = len(stars)
    missing = np.arange(MOST_VISITS) >= np.asarray(stars["n_visits"])[:, None]
    stars["plate"], stars["fiber"] = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    stars["visit_jd"] = np.full((n, MOST_VISITS), np.nan)
    plate = first_plate
    groups = sorted(set(zip(np.asarray(stars["field"], str), stars["n_visits"], strict=True)))
    for field, n_visits in groups:
        rows = np.flatnonzero((np.asarray(stars["field"], str) == field) & (stars["n_visits"] == n_visits))
        for start in range(0, len(rows), PER_PLATE):
            together = rows[start : start + PER_PLATE]
            stars["plate"][together] = plate
            stars["fiber"][together] = 1 + rng.permutation(FIBERS)[: len(together)]
            stars["visit_jd"][together, :n_visits] = _dates(rng, stars["ra"][together[0]], n_visits)
            plate += 1
    weight = np.where(missing, 0.0, np.exp(rng.normal(0, SNR_SCATTER, missing.shape)))
    share = weight / np.sqrt(np.sum(weight**2, axis=1, keepdims=True))
    snr = np.where(missing, np.nan, np.asarray(stars["snr"])[:, None] * share)
    sigma, velocity = np.asarray(stars["v_sigma"])[:, None], np.asarray(stars["velocity"])[:, None]
    stars["visit_snr"] = snr
    stars["visit_v"] = np.where(missing, np.nan, velocity + sigma * rng.normal(size=missing.shape))
    stars["visit_verr"] = _velocity_error(snr, np.asarray(stars["TEFF"]), np.asarray(stars["M_H"]))
    summarize(stars)


def summarize(stars: Table) -> None:
    """Add the quantities that follow from the visits, computed as in DR17, in place.

    Parameters
    ----------
    stars : astropy.table.Table
        As from `add_visits`. Added or replaced [km/s]: visit_bc, the barycentric correction of each visit; v_helio,
        mean of the visits weighted with their S/N; v_scatter, their standard deviation, 0 for one visit; v_err, root
        mean square of their errors weighted with the square of the S/N; v_err_median. The relations are those between
        the values of real headers.
    """
    ra, dec, jd = (np.asarray(stars[name]) for name in ("ra", "dec", "visit_jd"))
    stars["visit_bc"] = barycentric_correction(ra[:, None], dec[:, None], jd - DATE_TO_JD / 2)
    snr, v, error = (np.asarray(stars[name]) for name in ("visit_snr", "visit_v", "visit_verr"))
    stars["v_helio"] = np.nansum(snr * v, axis=1) / np.nansum(snr, axis=1)
    n = np.asarray(stars["n_visits"])
    squares = np.nansum((v - np.nanmean(v, axis=1, keepdims=True)) ** 2, axis=1)
    stars["v_scatter"] = np.sqrt(squares / np.maximum(n - 1, 1))
    stars["v_err"] = np.sqrt(np.nansum((snr * error) ** 2, axis=1) / np.nansum(snr**2, axis=1))
    stars["v_err_median"] = np.nanmedian(error, axis=1)


def barycentric_correction(ra: ArrayLike, dec: ArrayLike, jd: ArrayLike) -> np.ndarray:
    """Velocity of Apache Point toward a star, to be added to the velocity measured there [km/s].

    Parameters
    ----------
    ra, dec : array_like of float
        Of the star [deg], to be broadcast against `jd`.
    jd : array_like of float
        Julian dates; NaN where there was no visit.

    Returns
    -------
    numpy.ndarray
        In the shape of `jd`, NaN where it is NaN; better than 0.01 km/s.
    """
    jd = np.asarray(jd, dtype=float)
    # the minute between UTC and TDB changes the velocity by less than 0.001 km/s
    time = Time(np.where(np.isfinite(jd), jd, J2000), format="jd", scale="tdb")
    x, y, z = get_body_barycentric_posvel("earth", time)[1].xyz.to_value("km/s")
    a, d = np.radians(ra), np.radians(dec)
    orbit = np.cos(d) * (np.cos(a) * x + np.sin(a) * y) + np.sin(d) * z
    angle = np.radians(15 * _hour_angle(jd, ra))
    return orbit - ROTATION * np.cos(np.radians(LATITUDE)) * np.cos(d) * np.sin(angle)


def _hour_angle(jd, ra):
    """Hour angle at Apache Point [h], -12 to 12."""
    # Greenwich mean sidereal time (Meeus, Astronomical Algorithms, chapter 12)
    sidereal = 18.697374558 + 24.06570982441908 * (jd - J2000) + LONGITUDE
    return (sidereal - ra / 15 + 12) % 24 - 12


def _dates(rng, ra, n):
    """Julian dates of `n` visits to a field."""
    while True:
        nights = rng.integers(*NIGHTS) + np.r_[0, np.cumsum(rng.integers(1, LONGEST_GAP + 1, n - 1))]
        midnight = MJD_ZERO + nights - LONGITUDE / 24
        angle = _hour_angle(midnight, ra)
        if np.abs(angle).max() < HOUR_ANGLE:
            # near the meridian, as far as the night allows
            hours = np.clip(-angle, -FROM_MIDNIGHT, FROM_MIDNIGHT) + rng.uniform(-0.5, 0.5, n)
            return np.round(midnight + hours / 24, 5)


def _velocity_error(snr, teff, m_h):
    """Error of the velocity of one visit [km/s].

    From VERR of 94 giants of DR17, which follows the relation within 12 %; 4500 K where the catalog has no label.
    """
    teff, m_h = np.where(np.isfinite(teff), teff, 4500.0), np.where(np.isfinite(m_h), m_h, 0.0)
    return 0.0193 * (snr / 100) ** -0.31 * np.exp(0.82 * (teff - 4500) / 1000 - 0.61 * m_h)[:, None]
