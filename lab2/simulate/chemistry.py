"""Properties of a giant besides its five labels: fourteen abundances and two turbulent velocities.

Each has a mean that depends on the labels, and a scatter about it. No label describes this scatter; it causes the
intrinsic scatter of the spectra at fixed labels.
"""

import numpy as np

from lab2.simulate import emulator

__all__ = ["CARBON_EXCESS", "HIDDEN", "draw", "typical"]

HIDDEN = (
    "c_fe", "n_fe", "o_fe", "na_fe", "al_fe", "s_fe", "k_fe", "ca_fe", "ti_fe", "v_fe", "cr_fe", "mn_fe", "co_fe",
    "ni_fe", "vmicro", "vmacro",
)  # fmt: skip

# The largest [C/Fe] - [O/Fe], C/O = 0.68: with more carbon a giant is close to a carbon star.
CARBON_EXCESS = 0.10

# Ratio of [X/Fe] to [Mg/Fe] for the elements that follow magnesium; slope of manganese and sodium with [Fe/H]. The
# ratios are the medians of 75 alpha-rich giants of DR17 ([Fe/H] -0.7, [Mg/Fe] 0.34), rounded; the slopes those of disk
# stars in Weinberg et al. 2022 (ApJS 260, 32, figs. 2-4). tools/abundance_trends.py prints the giants beside the
# simulated ones.
_WITH_MG = {
    "o_fe": 1.15, "s_fe": 0.85, "ca_fe": 0.60, "ti_fe": 0.40, "al_fe": 0.75, "k_fe": 0.90, "co_fe": 0.15, "ni_fe": 0.15,
}  # fmt: skip
_WITH_FE = {"mn_fe": 0.22, "na_fe": 0.10}
# Intrinsic scatter of each at fixed [Fe/H] and [Mg/Fe] [dex], rounded from the same paper (section 5): a few hundredths
# for most, more for elements with additional sources.
_SCATTER = {
    "o_fe": 0.030, "na_fe": 0.080, "al_fe": 0.040, "s_fe": 0.040, "k_fe": 0.045, "ca_fe": 0.018, "ti_fe": 0.035,
    "v_fe": 0.070, "cr_fe": 0.040, "mn_fe": 0.020, "co_fe": 0.040, "ni_fe": 0.015,
}  # fmt: skip
# The first dredge-up is deeper in more massive, that is younger stars: carbon decreases, nitrogen increases (Martig et
# al. 2016, MNRAS 456, 3655). Birth abundances scatter too. The total is 0.165 in [C/N], between the 0.13 far from the
# Galactic plane and the 0.18 near it found by Hasselquist et al. 2019 (ApJ 871, 181).
_C_BY_MASS, _N_BY_MASS = -0.05, 0.10
_C_AT_BIRTH, _N_AT_BIRTH = 0.03, 0.06
# Scatter of ln(velocity) about the relations of Holtzman et al. 2018.
_VMICRO_SCATTER, _VMACRO_SCATTER = 0.08, 0.12


def typical(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Mean abundances and velocities at given labels.

    At birth carbon follows the alpha elements, and nitrogen the metallicity. The first dredge-up (near log g 3.4)
    lowers C and raises N; above the bump (log g 2.4) extra mixing continues this, more strongly in metal-poor stars
    (Shetrone et al. 2019, ApJ 872, 137). The sizes are those of 75 alpha-rich giants of DR17 with [Fe/H] -0.7:
    [C/Fe] +0.08 and [N/Fe] -0.01 below the bump, +0.05 and +0.07 above. The velocities are those of Holtzman et al.
    2018 (AJ 156, 125), for giants.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n, 5)
        In the order of `lab2.labels.LABELS`.

    Returns
    -------
    dict of str to numpy.ndarray, shape (n,)
        Each of `HIDDEN`: [X/Fe] in dex, velocities in km/s.
    """
    _, logg, fe_h, mg_fe, _ = labels.T
    hidden = {name: np.zeros(len(labels)) for name in HIDDEN}
    hidden |= {name: share * mg_fe for name, share in _WITH_MG.items()}
    hidden |= {name: slope * fe_h for name, slope in _WITH_FE.items()}
    mixed = 1 / (1 + np.exp((logg - 3.40) / 0.10))
    extra = np.clip(2.4 - logg, 0, 1.2) * np.clip(-fe_h, 0, 1)
    hidden["c_fe"] = 0.55 * mg_fe - 0.12 * mixed - 0.12 * extra
    hidden["n_fe"] = 0.30 * fe_h + 0.20 * mixed + 0.22 * extra
    hidden["vmicro"] = 10 ** (0.226 - 0.0228 * logg + 0.0297 * logg**2 - 0.0113 * logg**3)
    hidden["vmacro"] = 10 ** (0.471 - 0.254 * fe_h)
    return hidden


def draw(rng: np.random.Generator, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Draw the abundances and velocities of each star: `typical` plus scatter.

    Parameters
    ----------
    rng : numpy.random.Generator
    labels : numpy.ndarray, shape (n, 5)

    Returns
    -------
    dict of str to numpy.ndarray, shape (n,)
    """
    hidden = typical(labels)
    n = len(labels)
    for name, scatter in _SCATTER.items():
        hidden[name] = hidden[name] + rng.normal(0, scatter, n)
    mass, carbon, nitrogen = rng.normal(size=(3, n))
    dredged = labels[:, 1] < 3.4
    hidden["c_fe"] = hidden["c_fe"] + _C_BY_MASS * mass * dredged + _C_AT_BIRTH * carbon
    hidden["n_fe"] = hidden["n_fe"] + _N_BY_MASS * mass * dredged + _N_AT_BIRTH * nitrogen
    for name, scatter in (("vmicro", _VMICRO_SCATTER), ("vmacro", _VMACRO_SCATTER)):
        hidden[name] = hidden[name] * np.exp(rng.normal(0, scatter, n))
    # stars in the tails are moved to the edge of the emulator's grid
    hidden["c_fe"] = np.minimum(hidden["c_fe"], hidden["o_fe"] + CARBON_EXCESS)
    return {name: np.clip(value, *emulator.limits().get(name, (None, None))) for name, value in hidden.items()}
