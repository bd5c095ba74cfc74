"""What the diagnosis finds that it was not made for: ``.venv/bin/python -m benchmarks.oddities``, after `make lab`.

Ordinary stars of the simulated survey are made odd in ways of which no template of `lab2.diagnosis` and none of
`lab2.simulate` knows; the whole survey is then cross-validated and diagnosed again, a few kinds at a time. Counted are
how many are found and named, and how many have labels that moved by more than two calibrated errors, in silence: not
found, and without a flag of their fit. Writes oddities.md.
"""

from pathlib import Path

import numpy as np
import xarray as xr
from astropy.table import QTable
from scipy.ndimage import gaussian_filter1d, shift
from tqdm.auto import tqdm

from lab2 import catalog, diagnosis, simulate, validation
from lab2.grid import CHIPS, WAVELENGTH, chip_of
from lab2.simulate.chemistry import typical
from lab2.survey import build_folder

STARS, RUNS, FACTORS, SEED = 20, 4, 10, 128
HURT = 2.0  # calibrated errors


def smoothed(flux, rng):
    """Lines 20 % wider than those of the survey, whose standard deviation is about 1.2 pixels."""
    return gaussian_filter1d(flux, 1.2 * np.sqrt(1.2**2 - 1.0))


def spiked(height, count):
    """Unmasked pixels that are far off, three in a row."""

    def spike(flux, rng):
        out = flux.copy()
        for first in rng.integers(500, 8000, count):
            out[first : first + 3] += height * rng.choice([-1.0, 1.0] if count > 1 else [1.0])
        return out

    return spike


def wavy(period):
    """A wiggle of 2 % with a period in Angstrom, as of interference in the detector."""
    return lambda flux, rng: flux * (1 + 0.02 * np.sin(2 * np.pi * (WAVELENGTH / period + rng.random())))


def tilted(flux, rng):
    """A continuum that is off by 2 % at either end of each chip."""
    chip = chip_of(WAVELENGTH)
    slope = np.zeros(len(flux))
    for name in CHIPS:
        slope[chip == name] = np.linspace(-0.02, 0.02, (chip == name).sum())
    return flux * (1 + slope)


# Each takes the normalized flux of a star and a generator.
KINDS = {
    "shifted by 0.3 pixel": lambda flux, rng: shift(flux, 0.3, order=3, mode="nearest"),
    "lines 20 % wider": smoothed,
    "a cosmic ray": spiked(1.0, 1),
    "six sky residues": spiked(0.3, 6),
    "5 % added on all chips": lambda flux, rng: (flux + 0.05) / 1.05,
    "hot light, 10 %": lambda flux, rng: 0.9 * flux + 0.1,
    "hot light, 20 %": lambda flux, rng: 0.8 * flux + 0.2,
    "wiggles of 50 A": wavy(50.0),
    "wiggles of 250 A": wavy(250.0),
    "a tilted continuum": tilted,
    "nitrogen + 0.5 dex": None,
    "spectra exchanged": None,
    "errors too small by 2": None,
}
NAMES = {
    "shifted by 0.3 pixel": ("shifted",),
    "lines 20 % wider": ("broadened",),
    "5 % added on all chips": ("added light",),
    "hot light, 10 %": ("added light",),
    "hot light, 20 %": ("added light",),
    "spectra exchanged": ("labels",),
}


def spoil(spectra, stars, kind, truth, rng):
    """Make some stars odd, in place."""
    flux, ivar = spectra.flux.values, spectra.ivar.values
    if kind == "spectra exchanged":
        other = np.roll(stars, 1)
        flux[stars], ivar[stars] = flux[other], ivar[other]
    elif kind == "errors too small by 2":
        ivar[stars] *= 4.0
    elif kind == "nitrogen + 0.5 dex":
        labels = truth.values[stars]
        more = np.minimum(typical(labels)["n_fe"] + 0.5, 0.94)  # as far as the synthesis goes
        flux[stars] *= simulate.spectrum(labels, {"n_fe": more}) / simulate.spectrum(labels)
    else:
        flux[stars] = [KINDS[kind](row, rng) for row in flux[stars].astype(float)]


def diagnosed(spectra, folds, rows):
    """Labels, flags, kinds and errors of all stars."""
    fits = validation.cross_validate(spectra, folds, FACTORS, SEED)
    evidence = diagnosis.diagnose(fits, spectra, rows, FACTORS)
    errors = np.sqrt(np.diagonal(validation.calibrate(fits, spectra.labels).apply(fits).covariance, axis1=1, axis2=2))
    return fits.labels.values, fits.flag.values, np.asarray(evidence["kind"]), errors


def main():
    """Spoil, diagnose, count, write."""
    made = build_folder("simulated")
    spectra = xr.load_dataset(made / "03_spectra.nc", engine="h5netcdf")
    folds = xr.load_dataset(made / "04_split.nc", engine="h5netcdf").fold
    rows = QTable.read(made / "01_giants.ecsv", format="ascii.ecsv")
    truth, planted = catalog.truth("simulated", spectra.star.values)
    before, flags, kinds, errors = diagnosed(spectra, folds, rows)
    ordinary = np.flatnonzero((planted == "") & (kinds == "") & (flags == 0) & (spectra.snr.values > 60))
    rng = np.random.default_rng(SEED)
    lines = []
    groups = [list(KINDS)[first::RUNS] for first in range(RUNS)]  # alike ones apart: many would be learned as a factor
    for group in tqdm(groups, desc="kinds of oddities"):
        spoiled = spectra.copy(deep=True)
        chosen = rng.choice(ordinary, (len(group), STARS), replace=False)
        for kind, stars in zip(group, chosen, strict=True):
            spoil(spoiled, stars, kind, truth, rng)
        labels, flags, kinds, _ = diagnosed(spoiled, folds, rows)
        false = np.mean(kinds[np.setdiff1d(ordinary, chosen)] != "")
        for kind, stars in zip(group, chosen, strict=True):
            found, named = kinds[stars] != "", np.isin(kinds[stars], NAMES.get(kind, ()))
            hurt = (np.abs(labels[stars] - before[stars]) > HURT * errors[stars]).any(axis=1)
            silent = hurt & ~found & (flags[stars] == 0)
            said = ", ".join(
                f"{k} {n}" for k, n in zip(*np.unique(kinds[stars][found], return_counts=True), strict=True)
            )
            right = f"{named.sum()}" if kind in NAMES else "no name for it"
            lines.append(f"| {kind} | {found.sum()} | {right} | {said} | {hurt.sum()} | {silent.sum()} | {false:.1%} |")
    write([line for kind in KINDS for line in lines if line.startswith(f"| {kind} |")])


def write(lines):
    """The table as Markdown."""
    head = f"""# Oddities that the diagnosis was not made for

{STARS} ordinary stars of the simulated survey each (S/N above 60), spoiled in the normalized spectrum; cross-validation
and diagnosis with {FACTORS} hidden factors. Hurt: a label moved by more than {HURT:g} calibrated errors; in silence:
not found, and no flag of the fit. False: ordinary stars of the same run that are said to be odd.

| kind | found | named | said to be | hurt | in silence | false |
| --- | --- | --- | --- | --- | --- | --- |
"""
    text = head + "\n".join(lines) + "\n"
    print(text)
    Path(__file__).with_name("oddities.md").write_text(text)


if __name__ == "__main__":
    main()
