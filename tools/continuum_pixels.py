"""Find the project's own list of continuum pixels, and write it to lab2/tables/continuum_pixels.ecsv.

    .venv/bin/python -m lab2 simulate && .venv/bin/python tools/continuum_pixels.py        (about a minute)

The survey's spectra are normalized on every pixel first, which puts the continuum too low but smooth; pixels are
found on the result, the spectra normalized on those, and so on until the list settles.
"""

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.table import Table

from lab2 import apstar, catalog, continuum
from lab2.files import replacing
from lab2.grid import N_PIXELS, WAVELENGTH
from lab2.survey import manifest

TABLE = Path(continuum.__file__).with_name("tables") / "continuum_pixels.ecsv"
ROUNDS = 6


def main():
    """Run the search and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--survey", default="simulated")
    survey = parser.parse_args().survey
    giants, _ = catalog.select_giants(catalog.load(survey))
    raw = apstar.mask_bad_pixels(apstar.read_many(catalog.spectrum_paths(giants, survey)))
    everything = np.ones(N_PIXELS, dtype=bool)
    pixels = xr.DataArray(everything, dims="wavelength", coords={"wavelength": WAVELENGTH})
    for number in range(ROUNDS):
        spectra = catalog.attach(continuum.normalize(raw, pixels), giants)
        found = continuum.find_pixels(spectra)
        print(f"round {number}: {int(found.sum())} pixels, {int((found & pixels).sum())} of them as before")
        pixels = found
    index = np.flatnonzero(pixels.values)
    about = manifest(survey)
    table = Table(
        {"pixel": index, "wavelength": np.round(WAVELENGTH[index], 3)},
        meta={
            "description": "Trusted continuum pixels on the 8575-pixel grid (vacuum, Angstrom)",
            "how": f"tools/continuum_pixels.py on {len(giants)} stars of survey {survey}, {ROUNDS} rounds",
            "simulated": about["simulated"],
            "seed": about.get("seed"),
        },
    )
    with replacing(TABLE) as part:
        table.write(part, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
