"""How far the synthesis can be trusted: set beside a real giant that had no part in making it.

    .venv/bin/python -m tools.synthesis.compare path/to/apStar.fits

fits labels, abundances and broadening of the full synthesis to the star, and prints correlation and rms in all,
by chip, and about lines of magnesium and silicon, for the lines as published and as calibrated.
"""

import sys

import numpy as np

from lab2.grid import CHIPS, WAVELENGTH, chip_of
from tools.synthesis.__main__ import calibrated_lines, published_lines
from tools.synthesis.anchors import real_pixels
from tools.synthesis.chemistry import ALPHA
from tools.synthesis.spectrum import RESOLUTION
from tools.synthesis.stars import Parameters, agreement, fit, model, read_star

__all__ = ["REGIONS", "compare"]

FREE = ("teff", "logg", "m_h", "alpha", "C", "N", "vmicro", "fwhm", "velocity")
# Vacuum [Angstrom]: the Mg I triplet, and 6 Angstrom about strong Si I lines.
REGIONS = {
    "Mg I 15745-15770": [(15740.0, 15776.0)],
    "Si I": [(w - 3, w + 3) for w in (15892.8, 15964.4, 16064.4, 16099.2, 16685.3)],
}


def compare(star, lines):
    """Fit, and the agreement by region.

    Returns
    -------
    parameters : Parameters
    flux : numpy.ndarray, shape (8575,)
        The model's, normalized as the star's.
    table : dict of str to tuple of float
        Correlation and rms.
    """
    start = Parameters(4500.0, 2.0, -0.5, dict.fromkeys(ALPHA, 0.2) | {"C": 0.0, "N": 0.2}, fwhm=RESOLUTION + 0.5)
    parameters = fit(lines, star, start, FREE, rounds=6)
    flux = star.normalize_like(model(lines, parameters).pixels(parameters.fwhm))
    wavelength = WAVELENGTH
    chips = chip_of(wavelength)
    table = {"all": agreement(star, flux)} | {chip: agreement(star, flux, chips == chip) for chip in CHIPS}
    for name, ranges in REGIONS.items():
        inside = np.any([(wavelength > a) & (wavelength < b) for a, b in ranges], axis=0)
        table[name] = agreement(star, flux, inside)
    return parameters, flux, table


def main():
    """Print the comparison."""
    star = read_star(sys.argv[1], real_pixels())
    print(f"{star.name}: {star.good.sum()} good pixels")
    for name, lines in (("as published", published_lines()), ("calibrated", calibrated_lines())):
        parameters, _, table = compare(star, lines)
        print(f"log gf {name}: {parameters}")
        for region, (r, rms) in table.items():
            print(f"  {region:18s} correlation {r:.4f}  rms {rms:.4f}")


if __name__ == "__main__":
    main()
