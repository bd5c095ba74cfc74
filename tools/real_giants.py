"""How far labels of real giants are off when the Cannon was trained on the simulated survey.

    .venv/bin/python -m lab2 simulate && LAB2_SYNTHESIS_INPUTS=... .venv/bin/python -m tools.real_giants

trains a plain Cannon on the simulated survey, fits the labels of spectra that the Cannon trained on 1801 real giants of
DR10 predicts (tools.synthesis.anchors), at labels of its own training stars, and writes the medians by region to
lab2/tables/real_giants.ecsv, which the label command quotes.
"""

import numpy as np
import xarray as xr
from astropy.table import Table

from lab2 import apstar, catalog, continuum
from lab2.cannon import fit_labels, train
from lab2.files import replacing
from lab2.simulate import REAL_GIANTS
from tools.synthesis.anchors import raw_spectra, real_cannon, real_labels

__all__ = ["REGIONS", "offsets"]

# Ranges of log g and of Teff [K]; all with [Fe/H] -0.4 to 0.2.
REGIONS = {
    "upper branch": ((1.4, 2.0), (3800, 5000)),
    "clump": ((2.4, 2.5), (4650, 5100)),
    "lower branch": ((2.9, 3.3), (4500, 5200)),
}
_FE_H = (-0.4, 0.2)
_COMPARED = ("teff", "logg", "fe_h", "mg_fe")
_SNR = 100.0


def offsets(model, trusted, seed=128):
    """Fitted less true labels, median and the 68th percentile of their size, by region.

    Parameters
    ----------
    model : lab2.Cannon
    trusted : xarray.DataArray of bool
        The continuum pixels that its spectra were normalized with.
    seed : int
        Of the noise, S/N 100.

    Returns
    -------
    astropy.table.Table
    """
    labels, rng, rows = real_labels(), np.random.default_rng(seed), []
    for name, (gravity, temperature) in REGIONS.items():
        ranges = ((0, temperature), (1, gravity), (2, _FE_H))
        here = np.all([(labels[:, i] > low) & (labels[:, i] < high) for i, (low, high) in ranges], axis=0)
        raw = raw_spectra(real_cannon(labels[here]), 1 / _SNR)
        noise = xr.DataArray(rng.normal(size=raw.flux.shape) / _SNR, dims=raw.flux.dims)
        spectra = continuum.normalize(raw.assign(flux=raw.flux + noise), trusted)
        fits = fit_labels(model, spectra)
        difference = fits.labels.values[:, : len(_COMPARED)] - labels[here]
        size = np.percentile(np.abs(difference), 68, axis=0)
        rows.append((name, here.sum(), *np.median(difference, axis=0), *size, float(fits.reduced_chi2.median())))
    names = ["region", "n_stars", *_COMPARED, *(f"size_{label}" for label in _COMPARED), "reduced_chi2"]
    return Table(rows=rows, names=names)


def main():
    """Train, fit, write and print."""
    giants, _ = catalog.select_giants(catalog.load("simulated"))
    raw = apstar.mask_bad_pixels(apstar.read_many(catalog.spectrum_paths(giants, "simulated")))
    spectra = catalog.attach(continuum.normalize(raw), giants)
    table = offsets(train(spectra), continuum.load_pixels())
    table.round({name: 0 if name.endswith("teff") else 3 for name in table.colnames[2:]})
    table.meta = {
        "description": "labels of real giants by a Cannon trained on the simulated survey, less their catalog labels",
        "spectra": "of a Cannon trained on 1801 giants of APOGEE DR10 (Bovy's apogee package), S/N 100",
        "mg_fe": "compared with their [alpha/Fe]",
        "columns": "medians, then the 68th percentiles of the absolute differences [K, dex]",
        "how": "tools/real_giants.py",
    }
    with replacing(REAL_GIANTS) as part:
        table.write(part, format="ascii.ecsv", overwrite=True)
    table.pprint_all()


if __name__ == "__main__":
    main()
