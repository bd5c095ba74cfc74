"""Teff of giants against log g, [Fe/H] and [Mg/Fe], branch and clump: real giants beside the simulated survey's.

    .venv/bin/python -m tools.giant_sequences REAL.npz

fits the relations of lab2.simulate.population to real giants and prints both samples beside each other. The file holds
the arrays teff, logg, fe_h, mg_fe and state ("RGB" or "RC", by asteroseismology): those of astroNN's catalog of ages in
SDSS DR16 (Mackereth et al. 2019, MNRAS 489, 176).
"""

import sys

import numpy as np

from lab2.simulate.population import branch_teff, clump_teff
from lab2.simulate.stars import draw_survey

__all__ = ["SEQUENCES", "compare", "fit"]

# By state: the terms of the relation, and the range of log g that it is fitted in.
SEQUENCES = {
    "RGB": (
        lambda g, f, m: [g - 2.4, (g - 2.4) ** 2, (g - 2.4) ** 3, f, f * (g - 2.4), f**2, m, m * (g - 2.4)],
        (1.0, 3.4),
    ),
    "RC": (lambda g, f, m: [g - 2.45, f, m], (2.2, 2.75)),
}
_FARTHEST, _ROUNDS = 150.0, 4  # K


def _robust_scatter(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


def fit(state, teff, logg, fe_h, mg_fe):
    """Coefficients of a sequence's relation, outliers beyond 150 K left out, and the robust scatter about it [K]."""
    terms, (low, high) = SEQUENCES[state]
    here = (logg > low) & (logg < high) & (fe_h > -1)
    design = np.column_stack([np.ones(here.sum()), *terms(logg[here], fe_h[here], mg_fe[here])])
    used, residual = np.ones(here.sum(), dtype=bool), None
    for _ in range(_ROUNDS):
        coefficients = np.linalg.lstsq(design[used], teff[here][used], rcond=None)[0]
        residual = teff[here] - design @ coefficients
        used = np.abs(residual) < _FARTHEST
    return coefficients, _robust_scatter(residual)


def compare(teff, logg, fe_h, mg_fe, clump):
    """Share of clump stars, median and robust scatter of Teff less the project's relations, by sequence and log g."""
    here = (logg > 1) & (logg < 3.4) & (fe_h > -1)
    rows = {"share of clump stars": f"{clump[here].mean():.2f}"}
    above = teff - np.where(clump, clump_teff(logg, fe_h, mg_fe), branch_teff(logg, fe_h, mg_fe))
    for name, which, low, high in (
        ("branch, log g 1.0-1.8", ~clump, 1.0, 1.8), ("branch, 1.8-2.4", ~clump, 1.8, 2.4),
        ("branch, 2.4-3.4", ~clump, 2.4, 3.4), ("clump", clump, 2.2, 2.75),
    ):  # fmt: skip
        values = above[here & which & (logg > low) & (logg < high)]
        rows[f"{name}: Teff less the relation, scatter [K]"] = (
            f"{np.median(values):+.0f}, {_robust_scatter(values):.0f}"
        )
    for low, high in ((-0.5, -0.3), (-0.2, 0.0), (0.0, 0.2)):
        values = logg[here & clump & (fe_h > low) & (fe_h < high)]
        percentiles = ", ".join(f"{v:.2f}" for v in np.percentile(values, (16, 50, 84)))
        rows[f"clump of [Fe/H] {low} to {high}: log g, 16th, 50th, 84th percentile"] = percentiles
    return rows


def main():
    """Print the fits and the table."""
    with np.load(sys.argv[1], allow_pickle=False) as archive:
        real = [archive[name].astype(float) for name in ("teff", "logg", "fe_h", "mg_fe")]
        state = archive["state"]
    for name in SEQUENCES:
        coefficients, scatter = fit(name, *(column[state == name] for column in real))
        print(f"{name}: {coefficients.round(0)}, scatter {scatter:.0f} K")
    giants, _ = draw_survey(128, 1886)
    ours = [np.asarray(giants[name], float) for name in ("TEFF", "LOGG", "FE_H", "MG_FE")]
    known = np.isin(state, ("RGB", "RC"))
    tables = [
        compare(*(column[known] for column in real), state[known] == "RC"),
        compare(*ours, np.asarray(giants["phase"]) == 3),
    ]
    print("| | DR16 | simulated |\n| --- | --- | --- |")
    for name, value in tables[0].items():
        print(f"| {name} | {value} | {tables[1][name]} |")


if __name__ == "__main__":
    main()
