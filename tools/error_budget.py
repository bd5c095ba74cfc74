"""The error budget of the labels: how much of their scatter is left when one cause of errors is switched off.

    .venv/bin/python -m tools.error_budget        (about twenty minutes)

simulates the survey's giants in memory, as `lab2.simulate.make_survey` does: as they are observed, without each cause
of errors in turn, with each of them alone, and without all of them. Each time it cross-validates a Cannon without and
with hidden factors, and measures the scatter of the fitted labels about the true ones. It writes
lab2/tables/error_budget.ecsv, which `lab2.validation.error_budget` reads.

Everything else stays: the same stars, halves, masks, weights and random numbers. Odd stars are switched off by not
training on them; the scatter is always that of the ordinary stars.
"""

from importlib import metadata

import numpy as np
import xarray as xr
from astropy.table import QTable

from lab2 import apstar, catalog, continuum, validation
from lab2.files import write_table
from lab2.grid import CHIPS, WAVELENGTH, chip_of
from lab2.labels import LABELS, label_names
from lab2.simulate import chemistry, emulator, oddities, spectrum
from lab2.simulate.instrument import observe_star
from lab2.simulate.population import labels_of
from lab2.simulate.stars import draw_survey
from lab2.validation.budget import CAUSES, TABLE

__all__ = ["entry", "halves", "observed", "shares"]

SEED, N_STARS = 128, 1886
FACTORS = (0, 15)  # 15 is what notebook 05 finds on the survey of this seed
RESAMPLES = 500
_CARBON_AND_NITROGEN = ("c_fe", "n_fe")


def observed(stars, off=(), seed=SEED):
    """Normalized spectra of simulated giants, without some causes of errors.

    Parameters
    ----------
    stars : astropy.table.Table
        The selected stars of `lab2.simulate.stars.draw_survey`.
    off : collection of str
        The causes that are switched off, of `lab2.validation.budget.CAUSES`.
    seed : int
        That of the survey, for the noise.

    Returns
    -------
    xarray.Dataset
        As notebook 03 makes them: ``flux``, ``ivar`` (star, wavelength), ``labels`` (star, label), ``field`` (star).
    """
    ideal, true = spectrum(labels_of(stars), _abundances(stars, off)), labels_of(stars)
    keys = ("flux", "error", "bitmask", "smooth")
    arrays = {key: np.empty(ideal.shape, "i2" if key == "bitmask" else "f4") for key in keys}
    ranges = np.empty((len(stars), len(CHIPS), 2), dtype=int)
    for i, star in enumerate(stars):
        rng, visits = np.random.default_rng([seed, 2, i]), slice(0, star["n_visits"])
        flux = oddities.disturb(rng, star["oddity"], ideal[i], true[i])
        velocities = (star["visit_v"] - star["visit_bc"])[visits]
        *rows, noiseless, edges = observe_star(rng, flux, star, velocities, star["visit_snr"][visits])
        for key, row in zip(keys, rows, strict=False):
            arrays[key][i] = row[0]
        arrays["smooth"][i] = noiseless / flux
        # light added by persistence is not in the noiseless flux, and is no noise
        if "photon noise" in off and star["oddity"] != "persistence":
            arrays["flux"][i] = np.where(np.isfinite(rows[0][0]), noiseless, np.nan)
        ranges[i] = [[edges[f"{chip[0].upper()}{end}"] for end in ("MIN", "MAX")] for chip in CHIPS]
    spectra = _normalized(arrays, ranges, stars, exact="continuum" in off)
    labels = catalog.attach(spectra, _catalog_rows(stars, off)).labels
    return spectra.assign(labels=labels, field=("star", np.asarray(stars["field"]).astype(str)))


def _abundances(stars, off):
    """What is no label, as drawn or as is typical of the labels."""
    drawn = {name: np.asarray(stars[name], float) for name in chemistry.HIDDEN}
    typical = chemistry.typical(labels_of(stars))
    for name in chemistry.HIDDEN:
        if ("C and N" if name in _CARBON_AND_NITROGEN else "other abundances") in off:
            drawn[name] = typical[name]
    drawn["c_fe"] = np.minimum(drawn["c_fe"], drawn["o_fe"] + chemistry.CARBON_EXCESS)
    return {name: np.clip(values, *emulator.limits().get(name, (None, None))) for name, values in drawn.items()}


def _normalized(arrays, ranges, stars, exact):
    """Divided by the pseudo-continuum, or by the continuum that was put in."""
    pixels = ("star", "wavelength")
    raw = xr.Dataset(
        {key: (pixels, arrays[key]) for key in ("flux", "error", "bitmask")}
        | {"chip_range": (("star", "chip_name", "edge"), ranges)},
        coords={
            "star": np.asarray(stars["apogee_id"]).astype(str),
            "wavelength": WAVELENGTH,
            "chip": ("wavelength", chip_of(WAVELENGTH)),
            "chip_name": list(CHIPS),
        },
    )
    raw = apstar.mask_bad_pixels(raw)
    spectra = continuum.normalize(raw)
    if not exact:
        return spectra
    good = spectra.ivar > 0
    smooth = xr.DataArray(arrays["smooth"], dims=pixels)
    flux = (raw.flux / smooth).where(good, 1.0).astype("f4")
    return spectra.assign(flux=flux, ivar=((smooth / raw.error) ** 2).where(good, 0.0).astype("f4"))


def _catalog_rows(stars, off):
    rows = QTable({"APOGEE_ID": np.asarray(stars["apogee_id"]).astype(str), "FIELD": stars["field"]})
    rows["SNR"] = stars["snr"]
    for label in LABELS:
        rows[label.column] = np.asarray(stars[label.name if "catalog labels" in off else label.column], float)
    return rows


def halves(spectra, stars):
    """The half of each star, the same in every variant: by the catalog's [Fe/H].

    Parameters
    ----------
    spectra : xarray.Dataset
        As from `observed`.
    stars : astropy.table.Table

    Returns
    -------
    xarray.DataArray of int
        (star), as from `lab2.validation.split`.
    """
    labels = catalog.attach(spectra, _catalog_rows(stars, ())).labels
    return validation.split(spectra.assign(labels=labels), seed=SEED)


def entry(spectra, stars, fold, factors, off=()):
    """Fitted minus true labels of the ordinary stars, and the median formal error of each label.

    Parameters
    ----------
    spectra : xarray.Dataset
        As from `observed`.
    stars : astropy.table.Table
    fold : xarray.DataArray of int
        (star), as from `halves`.
    factors : int
        Number of hidden factors.
    off : collection of str
        What is switched off.

    Returns
    -------
    residuals : numpy.ndarray, shape (n_ordinary, 5)
    formal : numpy.ndarray, shape (5,)
    """
    ordinary = np.asarray(stars["oddity"]) == ""
    trained_on = ordinary if "odd stars" in off else np.ones(len(stars), dtype=bool)
    fits = validation.cross_validate(spectra, fold, factors, train_on=trained_on)
    fits = fits.isel(star=np.flatnonzero(ordinary))
    return fits.labels.values - labels_of(stars)[ordinary], validation.median_errors(fits)


def shares(residuals, seed=SEED):
    """Rows of the table, from the residuals of every variant.

    The share of a cause is the mean of two: the part of the variance that vanishes when it alone is switched off, and
    the part that appears when it alone is left on. Where causes act on each other in pairs only, this is the Shapley
    value (Shapley 1953, in Contributions to the Theory of Games II, 307), and the shares add up to 1.

    Parameters
    ----------
    residuals : dict of str to numpy.ndarray, shape (n_stars, n_labels)
        Fitted minus true labels with "nothing" off, "everything" off, each of `CAUSES` off, and with "only" a cause on.
    seed : int
        Of the bootstrap, which draws the same stars for every variant.

    Returns
    -------
    dict of str to tuple of numpy.ndarray, each of shape (n_labels,)
        Name to scatter (robust), its error, share of the variance and its error, for every variant and "remainder":
        what the shares of the causes and that left with everything off leave of 1. NaN for the scatter of the
        remainder, and for the share of what is "only" on, which is part of the share of its cause.
    """
    rng = np.random.default_rng(seed)
    n_stars = len(residuals["nothing"])
    picks = [np.arange(n_stars), *rng.integers(n_stars, size=(RESAMPLES, n_stars))]
    sizes = {
        name: np.array([validation.robust_scatter(values[pick]) for pick in picks])
        for name, values in residuals.items()
    }
    ratio = {name: (values / sizes["nothing"]) ** 2 for name, values in sizes.items()}
    left = ratio["everything"]
    share = {"nothing": ratio["nothing"]}
    share |= {cause: (1 - ratio[cause] + ratio[f"only {cause}"] - left) / 2 for cause in CAUSES}
    share |= {"everything": left, "remainder": 1 - left - sum(share[cause] for cause in CAUSES)}
    unknown = np.full_like(left, np.nan)
    sizes["remainder"] = unknown
    share |= {f"only {cause}": unknown for cause in CAUSES}
    return {
        name: (sizes[name][0], sizes[name][1:].std(axis=0), share[name][0], share[name][1:].std(axis=0))
        for name in share
    }


def main():
    """Simulate, cross-validate, and write the table."""
    stars, _ = draw_survey(SEED, N_STARS)
    variants = {"nothing": (), "everything": CAUSES} | {cause: (cause,) for cause in CAUSES}
    variants |= {f"only {cause}": tuple(other for other in CAUSES if other != cause) for cause in CAUSES}
    residuals, formal = {}, {}
    for name, off in variants.items():
        spectra = observed(stars, off)
        fold = halves(spectra, stars)
        for factors in FACTORS:
            residuals[factors, name], formal[factors, name] = entry(spectra, stars, fold, factors, off)
            print(factors, name, validation.robust_scatter(residuals[factors, name]).round(4), flush=True)
    columns = ["factors", "off", "label", "scatter", "scatter_error", "share", "share_error", "formal"]
    rows = []
    for factors in FACTORS:
        of_these = shares({name: residuals[factors, name] for name in variants})
        for name, values in of_these.items():
            errors = formal.get((factors, name), np.full(len(LABELS), np.nan))
            rows += [(factors, name, *row) for row in zip(label_names(), *values, errors, strict=True)]
    table = QTable(rows=rows, names=columns)
    for name in columns[3:]:
        table[name] = [float(f"{value:.5g}") for value in table[name]]
    table.meta = {
        "description": "scatter of fitted about true labels of ordinary stars, with one cause of errors switched off",
        "how": f"tools/error_budget.py: two-fold cross-validation of {N_STARS} simulated giants, seed {SEED}",
        "columns": "scatter: robust, in K and dex, with that off; share: of the variance, the mean of its fall without "
        "the cause and its rise with the cause alone; formal: median formal error",
        "simulated": True,
        "seed": SEED,
        "n_stars": N_STARS,
        "versions": {name: metadata.version(name) for name in ("lab2", "numpy", "scipy", "numba")},
    }
    write_table(TABLE, table)


if __name__ == "__main__":
    main()
