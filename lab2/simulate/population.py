"""Stellar populations of the four fields: metallicities, alpha sequences, chemistry, phases along isochrones, Teff.

These are the true properties of each star; `lab2.simulate.pipeline` derives the catalog from them.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from astropy.table import Table

from lab2.isochrones import mist
from lab2.labels import label_names
from lab2.simulate import chemistry
from lab2.simulate.synthesis import RANGE

__all__ = ["FIELDS", "Component", "Field", "branch_teff", "clump_teff", "draw_dwarfs", "draw_giants", "labels_of"]

MIST_AGE = 6  # Gyr
# Scatter of the giants' true Teff about their sequences [K], and of log g on the branch. The catalog labels of 6077
# classified giants of DR16 scatter by 35 and 29 K, their errors included.
TEFF_SCATTER, TEFF_SCATTER_CLUMP, LOGG_SCATTER = 24.0, 12.0, 0.05
# Surface gravity of clump stars: a narrow peak, lower in metal-poor and in alpha-rich stars, and above it the
# secondary clump of young, massive stars: their share among stars of the low-alpha sequence above an [Fe/H], below
# which stars are too old for it, and their range (tools/giant_sequences.py, as for Teff below).
CLUMP_LOGG, CLUMP_SLOPE, CLUMP_OLD, CLUMP_WIDTH = 2.455, 0.13, -0.035, 0.03
SECONDARY_SHARE, SECONDARY_FE_H, SECONDARY_RANGE = 0.24, -0.2, (0.05, 0.28)
# Factor of the isochrone's own weight of clump stars in a magnitude-limited sample, which makes them 40 % of the
# giants of log g 1 to 3.4, as among the classified giants of DR16.
CLUMP_SHARE = 1.25
LOGG_GIANTS = (0.3, 3.65)
# In cooler stars water, which these spectra do not include, dominates the H band.
COOLEST_GIANT = 3700.0
# Exponent of luminosity in the number of stars of a magnitude-limited sample: 1.5 for uniform density, less in a disk,
# because bright stars can be seen as far as its edge.
LUMINOSITY_WEIGHT = 0.8
# Coefficient for the [M/H] of the isochrone of an alpha-enhanced star (Salaris et al. 1993, ApJ 414, 580).
_SALARIS = 0.638


@dataclass(frozen=True)
class Component:
    """One population: its fraction of the field, [Fe/H], fraction of stars on the high-alpha sequence, mean velocity
    and dispersion [km/s], and, for a cluster, angular radius [deg] and distance modulus [mag]."""

    share: float
    fe_h: float
    fe_h_sigma: float
    high_alpha: float
    velocity: tuple[float, float] = (0.0, 40.0)
    cluster: tuple[float, float] = (np.nan, np.nan)


@dataclass(frozen=True)
class Field:
    """One field: SDSS name, center in Galactic coordinates [deg], K-band extinction and its scatter [mag],
    fraction of the sample, its populations, and the field that overlaps it on the sky."""

    name: str
    glon: float
    glat: float
    extinction: tuple[float, float]
    share: float
    components: tuple[Component, ...]
    neighbor: str


FIELDS = (
    Field("M15", 65.0, -27.3, (0.03, 0.01), 0.20, (
        Component(0.62, -0.28, 0.22, 0.15, (-20.0, 45.0)),
        Component(0.38, -0.58, 0.22, 0.85, (-40.0, 65.0)),
    ), "068-27"),
    Field("N6791", 69.96, 10.9, (0.05, 0.015), 0.28, (
        Component(0.18, 0.31, 0.025, 0.0, (-47.0, 1.5), (0.08, 13.1)),
        Component(0.62, -0.02, 0.22, 0.08, (-10.0, 35.0)),
        Component(0.20, -0.48, 0.22, 0.75, (-30.0, 55.0)),
    ), "071+08"),
    Field("K2_C4_168-21", 168.0, -21.0, (0.10, 0.05), 0.20, (
        Component(0.75, -0.18, 0.21, 0.10, (10.0, 35.0)),
        Component(0.25, -0.50, 0.23, 0.75, (5.0, 60.0)),
    ), "171-21"),
    Field("060+00", 60.0, 0.0, (0.60, 0.22), 0.32, (
        Component(0.88, -0.03, 0.22, 0.06, (5.0, 30.0)),
        Component(0.12, -0.35, 0.25, 0.70, (-10.0, 55.0)),
    ), "060+02"),
)  # fmt: skip
METAL_POOR = Component(1.0, -1.45, 0.22, 0.9, (-150.0, 110.0))
M15_MEMBERS = Component(1.0, -2.33, 0.06, 1.0, (-107.0, 10.0), (0.1, 15.1))


def draw_giants(
    rng: np.random.Generator, field: Field, n: int, components: tuple[Component, ...] | None = None
) -> Table:
    """Giants of a field: phase and gravity along isochrones, Teff of `branch_teff` and `clump_teff`.

    Parameters
    ----------
    rng : numpy.random.Generator
    field : Field
    n : int
    components : tuple of Component, optional
        Populations to draw from, instead of the field's own.

    Returns
    -------
    astropy.table.Table
        `n` rows: teff, logg, fe_h, mg_fe, si_fe, every name of `lab2.simulate.chemistry.HIDDEN`,
        log_luminosity, velocity [km/s], radius [deg] and distance_modulus of its cluster (else NaN).
    """

    def wanted(stars):
        (low, high), hottest = LOGG_GIANTS, RANGE["teff"][1]
        place = (stars["logg"] > low) & (stars["logg"] < high)
        place &= (stars["teff"] > COOLEST_GIANT) & (stars["teff"] < hottest)
        return place & (stars["phase"] >= _PHASES.index("RGB"))

    return _draw(rng, components or field.components, n, wanted)


def branch_teff(logg: np.ndarray, fe_h: np.ndarray, mg_fe: np.ndarray) -> np.ndarray:
    """Teff [K] of a star on the giant branch.

    Fitted to 3592 giants of DR16 with log g 1 to 3.4 and this asteroseismic classification (astroNN's catalog,
    Mackereth et al. 2019, MNRAS 489, 176; tools/giant_sequences.py); extrapolated beyond, and constant below [Fe/H] =
    -1.2.
    """
    x, z = logg - 2.4, np.maximum(fe_h, -1.2)
    return 4635 + 506 * x - 69 * x**2 - 31 * x**3 - (401 + 59 * x) * z - 21 * z**2 - (705 + 338 * x) * mg_fe


def clump_teff(logg: np.ndarray, fe_h: np.ndarray, mg_fe: np.ndarray) -> np.ndarray:
    """Teff [K] of a clump star, fitted to 2347 of DR16 as `branch_teff`."""
    return 4809 + 985 * (logg - 2.45) - 561 * fe_h - 512 * mg_fe


def draw_dwarfs(rng: np.random.Generator, field: Field, n: int) -> Table:
    """Stars that the cuts on log g and Teff remove: the main sequence and the hot turn-off.

    Parameters and return value are those of `draw_giants`.
    """

    def wanted(stars):
        return (stars["logg"] > 4.1) | (stars["teff"] > 5800)

    return _draw(rng, field.components, n, wanted)


def labels_of(stars: Table) -> np.ndarray:
    """The five true labels, (n, 5), in the order of `lab2.labels.LABELS`."""
    return np.stack([np.asarray(stars[name], float) for name in label_names()], axis=1)


_PHASES = ("MS", "SGB", "RGB", "CHeB")


def _draw(rng, components, n, wanted):
    """Draw candidates in rounds until `n` are accepted."""
    rounds, found = [], 0
    while found < n:
        stars = _candidates(rng, components, 4 * n + 50)
        stars = stars[wanted(stars)]
        rounds.append(stars)
        found += len(stars)
    merged = {name: np.concatenate([r[name] for r in rounds])[:n] for name in rounds[0].colnames}
    return Table(merged)


def _candidates(rng, components, n):
    share = np.array([c.share for c in components])
    which = rng.choice(len(components), n, p=share / share.sum())
    value = {
        key: np.array([getattr(c, key) for c in components])[which] for key in ("fe_h", "fe_h_sigma", "high_alpha")
    }
    fe_h = rng.normal(value["fe_h"], value["fe_h_sigma"])
    high = rng.random(n) < value["high_alpha"]
    mg_fe, si_fe = _alpha(rng, fe_h, high)
    mean_alpha = (mg_fe + si_fe) / 2
    m_h = fe_h + np.log10(_SALARIS * 10**mean_alpha + 1 - _SALARIS)
    stars = Table(_along_isochrone(rng, m_h))
    _place_giants(rng, stars, fe_h, mg_fe, high)
    stars["fe_h"], stars["mg_fe"], stars["si_fe"] = fe_h, mg_fe, si_fe
    for name, column in chemistry.draw(rng, labels_of(stars)).items():
        stars[name] = column
    mean, sigma = np.array([c.velocity for c in components])[which].T
    stars["velocity"] = rng.normal(mean, sigma)
    stars["radius"], stars["distance_modulus"] = np.array([c.cluster for c in components])[which].T
    # Keep only stars below the metallicity of the most metal-rich isochrone.
    return stars[fe_h < 0.5]


def _alpha(rng, fe_h, high):
    """[Mg/Fe] and [Si/Fe] on the two sequences of the disk.

    The low sequence is near solar and rises slowly to low metallicity. The high sequence is a plateau at +0.32 that
    falls from [Fe/H] = -0.7 and joins the low sequence above solar metallicity (shapes after Hayden et al. 2015, ApJ
    808, 132, fig. 4). Silicon, partly produced in Type Ia supernovae, has a smaller range than magnesium. Both share a
    common scatter, and each has its own in addition.
    """
    low_mg = 0.03 - 0.13 * np.minimum(fe_h, 0.15) + 0.05 * np.maximum(fe_h - 0.15, 0)
    high_mg = np.clip(0.32 - 0.26 * (fe_h + 0.7), low_mg, 0.34)
    mean = np.where(high, high_mg, low_mg)
    n = len(fe_h)
    common, own_mg, own_si = rng.normal(size=(3, n))
    mg_fe = mean + 0.028 * common + 0.018 * own_mg
    si_fe = 0.01 + 0.72 * mean + 0.020 * common + 0.020 * own_si
    return mg_fe, si_fe


@cache
def _isochrone(m_h):
    """Points of one isochrone, and the cumulative weight of its segments."""
    table = mist(MIST_AGE, m_h)
    phase = np.array([_PHASES.index(p) for p in table["phase"]])
    mass = table["initial_mass"].value
    luminosity = table["log_luminosity"].value
    middle = (mass[1:] + mass[:-1]) / 2
    # Salpeter 1955: dN = m^-2.35 dm, times the selection effect of the magnitude limit.
    weight = np.abs(np.diff(mass)) * middle**-2.35 * 10 ** (LUMINOSITY_WEIGHT * luminosity[1:])
    weight[phase[1:] == _PHASES.index("CHeB")] *= CLUMP_SHARE
    # The segment from the tip of the giant branch to the clump is not part of the isochrone.
    weight[(phase[:-1] == _PHASES.index("RGB")) & (phase[1:] == _PHASES.index("CHeB"))] = 0
    return table["teff"].value, table["logg"].value, luminosity, phase, np.cumsum(weight) / weight.sum()


def _along_isochrone(rng, m_h):
    """Teff, log g, log L and phase of one star per metallicity, by inverse transform in initial mass."""
    n = len(m_h)
    teff, logg, luminosity = np.empty((3, n))
    phase = np.empty(n, int)
    place, between = rng.random((2, n))
    nearest = np.clip(np.round(m_h / 0.05) * 0.05, -1.0, 0.5).round(2)
    for value in np.unique(nearest):
        here = nearest == value
        t, g, light, phases, cumulative = _isochrone(float(value))
        segment = np.searchsorted(cumulative, place[here], side="right")
        f = between[here]
        teff[here] = (1 - f) * t[segment] + f * t[segment + 1]
        logg[here] = (1 - f) * g[segment] + f * g[segment + 1]
        luminosity[here] = (1 - f) * light[segment] + f * light[segment + 1]
        phase[here] = phases[segment]
    # Correct Teff for the difference from the metallicity of the nearest isochrone, about -250 K/dex. Below the most
    # metal-poor isochrone, -1, stars become hotter more slowly.
    slope = np.where(m_h < -1, -150.0, -250.0)
    teff += slope * (m_h - nearest) + rng.normal(0, TEFF_SCATTER, n)
    logg += rng.normal(0, LOGG_SCATTER, n)
    return {"teff": teff, "logg": logg, "log_luminosity": luminosity, "phase": phase}


def _place_giants(rng, stars, fe_h, mg_fe, high):
    """Move giants to the observed asteroseismic sequences, in place: an isochrone has one age, the disk has many."""
    n = len(stars)
    spread, own, young, above = rng.normal(size=n), rng.normal(size=n), rng.random(n), rng.uniform(*SECONDARY_RANGE, n)
    secondary = (young < SECONDARY_SHARE) & ~high & (fe_h > SECONDARY_FE_H)
    peak = CLUMP_LOGG + CLUMP_SLOPE * np.minimum(fe_h, 0) + CLUMP_OLD * high + CLUMP_WIDTH * own
    peak += np.where(secondary, above, 0)
    branch, clump = (stars["phase"] == _PHASES.index(name) for name in ("RGB", "CHeB"))
    stars["logg"][clump] = peak[clump]
    logg = np.asarray(stars["logg"])
    stars["teff"][branch] = (branch_teff(logg, fe_h, mg_fe) + TEFF_SCATTER * spread)[branch]
    stars["teff"][clump] = (clump_teff(logg, fe_h, mg_fe) + TEFF_SCATTER_CLUMP * spread)[clump]
