"""The catalog of the survey: positions, magnitudes, S/N, ASPCAP-like labels and flags.

The labels are the true ones plus noise that depends on S/N and small trends typical of pipelines. Their errors are
those that DR17 gives a star with these labels and S/N. They describe the scatter of repeated observations, not the
accuracy: the labels scatter about the truth by 1.2 ([Si/Fe]) to 2 times (Teff) their errors.
"""

from collections.abc import Mapping

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from numpy.typing import ArrayLike

from lab2.catalog import AspcapFlag, StarFlag
from lab2.labels import CATALOG_NULL
from lab2.simulate.population import Field

__all__ = [
    "SNREV_RATIO",
    "TYPICAL",
    "allstar",
    "apogee_id",
    "aspcap",
    "formal_errors",
    "observe",
    "rv_labels",
    "second_rows",
]

FIELD_RADIUS = 1.5  # deg, plate radius of the 2.5 m telescope
# Counts of giants increase as 10^(0.25 H), between the bright limit and the magnitude where one visit has S/N about 50.
COUNT_SLOPE, H_BRIGHT, H_FAINT = 0.25, 7.5, 13.2
# S/N per pixel of one visit at H = 11.2; it increases as the square root of the number of photons.
SNR_AT_11 = 140.0
# Flat-field errors limit the S/N.
SNR_LIMIT = 900.0
# SNREV, the S/N of the middle chip, relative to SNR: that of these spectra (94 giants of DR17: median 1.04).
SNREV_RATIO = 1.06
SHARE_OF_THREE_VISITS = 0.15
# Extinction at J and H relative to K (Indebetouw et al. 2005, ApJ 619, 931).
EXTINCTION_J, EXTINCTION_H = 2.50, 1.55

# Catalog column of each label or abundance, scatter about the truth at high S/N, and scatter to add in quadrature at
# S/N 100 [K, dex]; similar to DR17's repeat visits and comparisons with other work; that of log g is limited by the
# narrow clump of real giants, where Teff changes by 985 K per dex (tools/giant_sequences.py).
_NOISE = {
    "teff": ("TEFF", 18.0, 12.0),
    "logg": ("LOGG", 0.030, 0.020),
    "fe_h": ("FE_H", 0.012, 0.010),
    "mg_fe": ("MG_FE", 0.014, 0.014),
    "si_fe": ("SI_FE", 0.014, 0.014),
    "c_fe": ("C_FE", 0.020, 0.025),
    "n_fe": ("N_FE", 0.030, 0.030),
    "o_fe": ("O_FE", 0.020, 0.025),
    "na_fe": ("NA_FE", 0.080, 0.080),
    "al_fe": ("AL_FE", 0.025, 0.025),
    "ca_fe": ("CA_FE", 0.018, 0.018),
    "ti_fe": ("TI_FE", 0.030, 0.030),
    "mn_fe": ("MN_FE", 0.020, 0.020),
    "ni_fe": ("NI_FE", 0.015, 0.012),
}
# The catalog's errors: ln(error) = ln(first) + second (min(SNREV, 200) - 100) / 100 + third (Teff - 4500 K) / 1000 K
# + fourth [M/H]. 94 giants of DR17's allStar follow these relations within 0.3 % (median): the pipeline assigns errors
# by such a formula, fitted to repeated observations (Jonsson et al. 2020, AJ 160, 120, for DR16).
_ERRORS = {
    "TEFF": (10.33, -0.463, 0.764, -0.243),
    "LOGG": (0.02902, -0.319, 0.071, -0.454),
    "M_H": (0.00935, -0.425, -0.153, -0.409),
    "ALPHA_M": (0.00733, -0.409, 0.200, -0.706),
    "FE_H": (0.01168, -0.442, -0.250, -0.291),
    "MG_FE": (0.01496, -0.402, 0.054, -0.564),
    "SI_FE": (0.01921, -0.472, 0.113, -0.436),
    "C_FE": (0.01450, -0.480, 0.717, -0.854),
    "N_FE": (0.01753, -0.409, 0.638, -0.704),
    "O_FE": (0.01720, -0.485, 1.315, -0.584),
    "NA_FE": (0.07094, -0.490, 0.615, -0.949),
    "AL_FE": (0.03308, -0.577, -0.089, -0.201),
    "CA_FE": (0.01915, -0.516, 0.129, -0.702),
    "TI_FE": (0.02641, -0.496, 0.474, -0.476),
    "MN_FE": (0.01994, -0.473, 0.088, -0.680),
    "NI_FE": (0.01777, -0.564, 0.068, -0.633),
}
# Labels of the radial-velocity pipeline: column, true label, offset and scatter. For 94 giants of DR17 they differ from
# ASPCAP's by +165 +- 51 K, +0.63 +- 0.12 and -0.12 +- 0.04 dex (median and scatter); ASPCAP's scatter is subtracted.
_RV = (("RV_TEFF", "teff", 165.0, 47.0), ("RV_LOGG", "logg", 0.63, 0.115), ("RV_FEH", "fe_h", -0.12, 0.042))
RV_LOGG_RANGE = (0.0, 5.0)
# The middle of the sample: wrong labels are shifted toward it, so that the star still passes the cuts.
TYPICAL = {"TEFF": 4650.0, "LOGG": 2.3, "FE_H": -0.2, "MG_FE": 0.1, "SI_FE": 0.1}


def apogee_id(ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """2MASS-style name from coordinates [deg]: 2MHHMMSSss+DDMMSSs, truncated, not rounded.

    Returns
    -------
    numpy.ndarray of str, shape (n,)
    """
    seconds = np.floor(np.asarray(ra) / 15 * 3600 * 100 + 1e-6).astype(int)
    arcsec = np.floor(np.abs(np.asarray(dec)) * 3600 * 10 + 1e-6).astype(int)
    names = []
    for s, a, negative in zip(np.atleast_1d(seconds), np.atleast_1d(arcsec), np.atleast_1d(dec) < 0, strict=True):
        hms = f"{s // 360000:02d}{s // 6000 % 60:02d}{s % 6000:04d}"
        dms = f"{a // 36000:02d}{a // 600 % 60:02d}{a % 600:03d}"
        names.append(f"2M{hms}{'-' if negative else '+'}{dms}")
    return np.array(names)


def observe(
    rng: np.random.Generator, field: Field, stars: Table, h_range: tuple[float, float] = (H_BRIGHT, H_FAINT)
) -> None:
    """Add position, magnitudes, S/N and number of visits of each star.

    Parameters
    ----------
    rng : numpy.random.Generator
    field : lab2.simulate.population.Field
    stars : astropy.table.Table
        As from `lab2.simulate.population.draw_giants`; columns apogee_id, field, ra, dec, glon, glat [deg],
        j, h, k, ak [mag], n_visits, snr are added in place.
    h_range : tuple of float
        Brightest and faintest H of field stars; H of cluster stars follows from their luminosity.
    """
    n = len(stars)
    cluster = np.isfinite(stars["radius"])
    uniform = FIELD_RADIUS * np.sqrt(rng.random(n))
    distance = np.where(cluster, np.abs(rng.normal(0, np.where(cluster, stars["radius"], 1.0))), uniform)
    center = SkyCoord(field.glon * u.deg, field.glat * u.deg, frame="galactic")
    place = center.directional_offset_by(rng.uniform(0, 360, n) * u.deg, distance * u.deg)
    stars["field"] = np.full(n, field.name, dtype="U16")
    stars["glon"], stars["glat"] = place.l.deg, place.b.deg
    stars["ra"], stars["dec"] = place.icrs.ra.deg, place.icrs.dec.deg
    stars["apogee_id"] = apogee_id(stars["ra"], stars["dec"]).astype("U18")

    bright, faint = (10 ** (COUNT_SLOPE * h) for h in h_range)
    h = np.log10(bright + rng.random(n) * (faint - bright)) / COUNT_SLOPE
    # Bolometric correction of giants in H, 2.3 mag; the Sun's bolometric magnitude, 4.74.
    of_cluster = 4.74 - 2.5 * stars["log_luminosity"] - 2.3 + stars["distance_modulus"]
    stars["ak"] = np.maximum(rng.normal(*field.extinction, n), 0.0)
    stars["h"] = np.where(cluster, of_cluster + EXTINCTION_H * stars["ak"], h)
    # 5040/Teff = 0.651 + 0.631 (J-K)_0 for giants (Gonzalez Hernandez & Bonifacio 2009, A&A 497, 497).
    j_k = (5040 / stars["teff"] - 0.651) / 0.631
    h_k = 0.17 * j_k
    stars["k"] = stars["h"] - h_k - (EXTINCTION_H - 1) * stars["ak"] + rng.normal(0, 0.02, n)
    stars["j"] = stars["h"] + j_k - h_k + (EXTINCTION_J - EXTINCTION_H) * stars["ak"] + rng.normal(0, 0.02, n)
    stars["n_visits"] = np.where(rng.random(n) < SHARE_OF_THREE_VISITS, 3, 1)
    photons = 10 ** (-0.4 * (stars["h"] - 11.2)) * stars["n_visits"]
    from_photons = SNR_AT_11 * np.sqrt(photons) * np.exp(rng.normal(0, 0.12, n))
    stars["snr"] = 1 / np.hypot(1 / from_photons, 1 / SNR_LIMIT)


def aspcap(rng: np.random.Generator, stars: Table) -> None:
    """Add the catalog's labels, abundances and their errors, in the catalog's column names, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
    stars : astropy.table.Table
        With the true labels and `snr`.
    """
    n = len(stars)
    fe_h, logg = np.asarray(stars["fe_h"]), np.asarray(stars["logg"])
    trend = {
        "teff": 12.0 * (fe_h + 0.2),
        "logg": 0.03 * (logg - 2.3) - 0.04 * fe_h,
        "fe_h": 0.008 * (logg - 2.3),
        "mg_fe": -0.010 * (logg - 2.3),
        "si_fe": 0.012 * (logg - 2.3),
    }
    for name, (column, floor, at_100) in _NOISE.items():
        scatter = np.hypot(floor, at_100 * 100 / np.asarray(stars["snr"]))
        stars[column] = stars[name] + trend.get(name, 0.0) + scatter * rng.normal(size=n)
    stars["ALPHA_M"] = 0.35 * stars["MG_FE"] + 0.30 * stars["SI_FE"] + 0.35 * stars["O_FE"]
    stars["M_H"] = stars["FE_H"] + rng.normal(0, 0.008, n)
    formal_errors(stars)
    _ordinary_flags(rng, stars)


def _ordinary_flags(rng, stars):
    """Harmless flags, and those of the S/N at DR17's limits (`lab2.catalog`), in place."""
    n, snr = len(stars), np.asarray(stars["snr"])
    stars["ASPCAPFLAG"] = np.zeros(n, dtype=np.int64)
    stars["STARFLAG"] = np.zeros(n, dtype=np.int64)
    stars["ASPCAPFLAG"][rng.random(n) < 0.04] |= AspcapFlag.COLORTE_WARN | AspcapFlag.STAR_WARN
    stars["ASPCAPFLAG"][snr < 70] |= AspcapFlag.SN_WARN | AspcapFlag.STAR_WARN
    stars["ASPCAPFLAG"][snr < 50] |= AspcapFlag.SN_BAD | AspcapFlag.STAR_BAD
    stars["STARFLAG"][rng.random(n) < 0.03] |= StarFlag.BRIGHT_NEIGHBOR
    stars["STARFLAG"][snr < 5] |= StarFlag.LOW_SNR


def formal_errors(stars: Table) -> None:
    """Add SNREV and the errors of the catalog's labels as DR17 assigns them, in place.

    Parameters
    ----------
    stars : astropy.table.Table
        With snr and the catalog's labels.
    """
    stars["snrev"] = SNREV_RATIO * np.asarray(stars["snr"])
    snr = np.minimum(stars["snrev"], 200.0) / 100 - 1
    teff, m_h = np.asarray(stars["TEFF"]) / 1000 - 4.5, np.asarray(stars["M_H"])
    for column, (size, of_snr, of_teff, of_m_h) in _ERRORS.items():
        stars[f"{column}_ERR"] = size * np.exp(of_snr * snr + of_teff * teff + of_m_h * m_h)


def rv_labels(rng: np.random.Generator, stars: Table) -> None:
    """Add the labels of the radial-velocity pipeline, RV_TEFF, RV_LOGG and RV_FEH, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
    stars : astropy.table.Table
        With the true labels. The offsets are those of giants.
    """
    for column, name, offset, scatter in _RV:
        stars[column] = np.asarray(stars[name]) + offset + scatter * rng.normal(size=len(stars))
    # the edges of the pipeline's models
    stars["RV_LOGG"] = np.clip(stars["RV_LOGG"], *RV_LOGG_RANGE)


def allstar(stars: Table, locations: Mapping[str, int]) -> Table:
    """The allStar table, with DR17's column names and types, sorted by name.

    Parameters
    ----------
    stars : astropy.table.Table
        As from `observe`, `aspcap`, `rv_labels` and `lab2.simulate.visits.add_visits`, with `n_components`,
        `EXTRATARG`, `telescope`.
    locations : dict of str to int
        LOCATION_ID of every field.

    Returns
    -------
    astropy.table.Table
        Missing labels are NULL, -9999. Units are those of DR17's documentation; as in DR17, they are not in the file.
    """
    names, fields, telescopes = (np.asarray(stars[c], str) for c in ("apogee_id", "field", "telescope"))
    rows = list(zip(telescopes, fields, names, strict=True))
    table = Table()
    table["FILE"] = [f"apStar-dr17-{name}.fits" for name in names]
    table["APOGEE_ID"] = names
    table["APSTAR_ID"] = [f"apogee.{t}.stars.{f}.{name}" for t, f, name in rows]
    table["ASPCAP_ID"] = [f"apogee.{t}.synspec.dr17.{f}.{name}" for t, f, name in rows]
    table["TELESCOPE"], table["FIELD"] = telescopes, fields
    table["LOCATION_ID"] = np.array([locations[f] for f in fields], dtype="i4")
    for column in ("ra", "dec", "glon", "glat"):
        table[column.upper()] = np.asarray(stars[column], "f8")
    for column in ("j", "h", "k", "snr", "snrev"):
        table[column.upper()] = np.asarray(stars[column], "f4")
    table["NVISITS"] = np.asarray(stars["n_visits"], "i4")
    for column in ("STARFLAG", "ANDFLAG", "ASPCAPFLAG"):
        table[column] = np.asarray(stars["STARFLAG" if column == "ANDFLAG" else column], "i8")
    table["EXTRATARG"] = np.asarray(stars["EXTRATARG"], "i4")
    for column, name in (("VHELIO_AVG", "v_helio"), ("VSCATTER", "v_scatter"), ("VERR", "v_err")):
        table[column] = np.asarray(stars[name], "f4")
    for column, *_ in _RV:
        table[column] = np.asarray(stars[column], "f4")
    table["N_COMPONENTS"] = np.asarray(stars["n_components"], "i4")
    for column in [c for name in (*(v[0] for v in _NOISE.values()), "M_H", "ALPHA_M") for c in (name, f"{name}_ERR")]:
        table[column] = np.where(np.isfinite(stars[column]), stars[column], CATALOG_NULL).astype("f4")
    table.sort(["APOGEE_ID", "EXTRATARG"])
    return table


def second_rows(rng: np.random.Generator, stars: Table, neighbors: Mapping[str, str]) -> Table:
    """Second rows of stars observed twice: in the neighboring field, or in the same field with the 1 m telescope.

    Parameters
    ----------
    rng : numpy.random.Generator
    stars : astropy.table.Table
        The rows to repeat, complete.
    neighbors : dict of str to str
        The neighboring field of each field.

    Returns
    -------
    astropy.table.Table
        One row per star, with lower S/N, new noise in the labels, and EXTRATARG bit 4 (DUPLICATE).
    """
    lesser = stars.copy()
    n = len(lesser)
    lesser["snr"] = np.asarray(stars["snr"]) * rng.uniform(0.55, 0.9, n)
    lesser["n_visits"] = 1
    aspcap(rng, lesser)
    beside = np.arange(n) % 2 == 0
    lesser["field"] = [neighbors[f] if b else f for f, b in zip(stars["field"], beside, strict=True)]
    lesser["telescope"] = np.where(beside, "apo25m", "apo1m")
    lesser["EXTRATARG"] = 1 << 4
    return vstack([stars[:0], lesser])
