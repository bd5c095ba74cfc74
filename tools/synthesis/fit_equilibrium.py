"""Fit equilibrium.json to the tables of Barklem & Collet 2016 (A&A 588, A96).

    .venv/bin/python -m tools.synthesis.fit_equilibrium FOLDER

FOLDER holds the three tables of CDS J/A+A/588/A96 as text: atomic_partition, molecular_partition and
equilibrium_constants (any file whose name ends so, with .dat): a comment line "# T [K] ..." with the temperatures, then
one line a species. No package on PyPI carries them, so the fits are kept with this tool.
"""

import json
import sys
from pathlib import Path

import numpy as np

from tools.synthesis.chemistry import ELEMENTS, MOLECULES

TEMPERATURES = np.linspace(2200, 9000, 60)


def read_table(folder, name):
    """Temperatures, and a dict of species to values."""
    (path,) = Path(folder).glob(f"*{name}.dat")
    temperatures, values = None, {}
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            if "T [K]" in line:
                temperatures = np.array(line.split("]")[1].split(), dtype=float)
            continue
        species, *numbers = line.split()
        values[species] = np.array(numbers, dtype=float)
    return temperatures, values


def fit(folder):
    """Coefficients of all species, by the names of equilibrium.json."""
    x, theta = np.log(TEMPERATURES / 5000), 5040 / TEMPERATURES

    def log_interpolated(grid, values):
        return np.interp(np.log(TEMPERATURES), np.log(grid), np.log(values))

    polyfit = np.polynomial.polynomial.polyfit
    grid, table = read_table(folder, "atomic_partition")
    states = [(s, ion) for s in ELEMENTS for ion in (0, 1) if (s, ion) != ("H", 1)]
    atoms = {f"{s}{ion}": polyfit(x, log_interpolated(grid, table[f"{s}_{'I' * (ion + 1)}"]), 4) for s, ion in states}
    grid, table = read_table(folder, "molecular_partition")
    molecules = {m: polyfit(x, log_interpolated(grid, table[m]), 3) for m in MOLECULES}
    grid, table = read_table(folder, "equilibrium_constants")
    powers = np.column_stack([np.log10(theta) ** n for n in range(4)] + [theta])
    # log10 of pascals times temperature is smooth; the constants are wanted in dyn/cm2
    constants = {
        m: np.linalg.lstsq(powers, np.interp(TEMPERATURES, grid, table[m] * grid) / TEMPERATURES + 1)[0]
        for m in MOLECULES
    }
    return {
        "atom_log_partition": atoms,
        "molecule_log_partition": molecules,
        "molecule_log10_constant": constants,
    }


def main():
    """Fit and write."""
    path = Path(__file__).with_name("equilibrium.json")
    fits = {"about": json.loads(path.read_text())["about"]}
    fits |= {key: {s: np.round(c, 5).tolist() for s, c in value.items()} for key, value in fit(sys.argv[1]).items()}
    path.write_text(json.dumps(fits, indent=1) + "\n")


if __name__ == "__main__":
    main()
