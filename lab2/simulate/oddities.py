"""Simulated odd stars, a few per cent of the survey, for testing the diagnosis.

Each kind affects the spectrum, the catalog or both. Some stars are flagged as in DR17, others are not.
"""

import numpy as np
from astropy.table import Table
from scipy.ndimage import shift

from lab2.catalog import AspcapFlag, StarFlag
from lab2.grid import BRACKETT, KM_S_PER_PIXEL, WAVELENGTH, rotation_kernel
from lab2.simulate.pipeline import TYPICAL
from lab2.simulate.synthesis import RANGE, spectrum

__all__ = ["ODDITIES", "assign", "disturb"]

_WARN, _BAD = AspcapFlag.CHI2_WARN | AspcapFlag.STAR_WARN, AspcapFlag.CHI2_BAD | AspcapFlag.STAR_BAD
# Fraction of the selected stars, bits set in STARFLAG and ASPCAPFLAG, and the fraction of these stars that are flagged.
ODDITIES = {
    "binary": (0.007, StarFlag.MULTIPLE_SUSPECT, _WARN, 0.5),
    "persistence": (0.010, StarFlag.PERSIST_HIGH, 0, 1.0),
    "wrong_rv": (0.003, StarFlag.RV_SUSPECT, _BAD, 0.5),
    "emission": (0.003, 0, _WARN, 0.5),
    "rotation": (0.005, StarFlag.SUSPECT_BROAD_LINES, AspcapFlag.ROTATION_WARN | AspcapFlag.STAR_WARN, 0.7),
    "bad_labels": (0.004, 0, 0, 0.0),
    "bad_labels_flagged": (0.004, 0, _BAD | AspcapFlag.TEFF_BAD, 1.0),
}
# Surveys with at least this many stars contain every kind.
ALL_KINDS_FROM = 100


def assign(rng: np.random.Generator, stars: Table, candidates: np.ndarray) -> None:
    """Select odd stars: write the kind to the column `oddity`, set flags and change catalog labels, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
    stars : astropy.table.Table
        As from `lab2.simulate.pipeline.aspcap`.
    candidates : numpy.ndarray of int
        Rows that may be chosen.
    """
    stars["oddity"] = np.full(len(stars), "", dtype="U20")
    n = len(candidates)
    order = iter(rng.permutation(candidates))
    for kind, (share, starflag, aspcapflag, flagged) in ODDITIES.items():
        for _ in range(max(round(share * n), n >= ALL_KINDS_FROM)):
            row = next(order)
            stars["oddity"][row] = kind
            if rng.random() < flagged:
                stars["STARFLAG"][row] |= starflag
                stars["ASPCAPFLAG"][row] |= aspcapflag
            if kind.startswith("bad_labels"):
                _spoil(rng, stars, row)


def disturb(rng: np.random.Generator, kind: str, flux: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Normalized flux of a star with an oddity of the given kind.

    Parameters
    ----------
    rng : numpy.random.Generator
    kind : str
        One of `ODDITIES`; for kinds that do not affect the normalized spectrum `flux` is returned unchanged.
    flux : numpy.ndarray, shape (8575,)
    labels : numpy.ndarray, shape (5,)
        The star's true labels.

    Returns
    -------
    numpy.ndarray, shape (8575,)
    """
    if kind == "binary":
        # A hotter companion of similar luminosity; the two sets of lines are separated by 35 to 90 km/s.
        teff = np.clip(labels[0] + rng.uniform(150, 500), *RANGE["teff"])
        logg = np.clip(labels[1] + rng.uniform(0.3, 0.9), *RANGE["logg"])
        companion = spectrum([teff, logg, *labels[2:]])
        ratio = rng.uniform(0.25, 0.7)
        return (flux + ratio * _moved(companion, rng.choice([-1, 1]) * rng.uniform(35, 90))) / (1 + ratio)
    if kind == "wrong_rv":
        return _moved(flux, rng.choice([-1, 1]) * rng.uniform(12, 45))
    if kind == "emission":
        width = rng.uniform(2.5, 5.0)
        height = rng.uniform(0.06, 0.15) * (11 / np.arange(11, 21)) ** 3
        lines = np.exp(-0.5 * ((WAVELENGTH - BRACKETT[:, None]) / width) ** 2)
        return flux + height @ lines
    if kind == "rotation":
        return 1 - np.convolve(1 - flux, rotation_kernel(rng.uniform(15, 45)), mode="same")
    return flux


def _spoil(rng, stars, row):
    """Wrong catalog labels: each changed by many times its error, toward the middle of the sample."""
    size = {"TEFF": 250.0, "LOGG": 0.5, "FE_H": 0.2, "MG_FE": 0.1, "SI_FE": 0.08}
    for column, typical in TYPICAL.items():
        stars[column][row] += np.sign(typical - stars[column][row]) * size[column] * rng.uniform(0.7, 1.4)


def _moved(flux, velocity):
    """The spectrum shifted by a velocity [km/s]."""
    return shift(flux, velocity / KM_S_PER_PIXEL, order=3, mode="nearest")
