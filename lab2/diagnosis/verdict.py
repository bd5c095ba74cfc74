"""A verdict on every odd star, based on its spectrum, its fit and its catalog flags."""

import numpy as np
import xarray as xr
from astropy.table import QTable

from lab2 import cannon, catalog, continuum
from lab2._arguments import TableLike, as_table, expect
from lab2._blocks import map_blocks
from lab2._rounding import MINUS
from lab2.cannon import Flag
from lab2.diagnosis import doubles, filters
from lab2.grid import LOG_STEP
from lab2.labels import texts
from lab2.spectra import check_dims, seen
from lab2.validation.calibration import calibrate
from lab2.validation.residuals import paired_residuals, robust_scatter

__all__ = ["UNKNOWN", "diagnose"]

UNKNOWN = "unknown"  # placeholder for flags that the catalog lacks

# Evidence is measured in robust standard deviations of the whole survey. In a normal distribution no star of a survey
# of this size would exceed 5; real distributions have longer tails, and a few stars in a thousand do. If a catalog flag
# indicates the same kind, 3 is enough, because only a few dozen stars have such a flag.
_ALONE, _WITH_FLAG = 5.0, 3.0
_PROBABLE = 0.5  # probability above which labels are outliers
# Flags that indicate a kind of odd spectrum.
_POINTERS = {
    "velocity": ("MULTIPLE_SUSPECT", "RV_SUSPECT", "RV_COMBINATION", "RV_REJECT"),
    "rotation": ("SUSPECT_BROAD_LINES", "ROTATION"),
    "emission": (),
    "veil": ("PERSIST",),
    "dilution": (),
}
# A second spectrum with less than this fraction of the light cannot be distinguished from lines that the labels do not
# describe.
_SMALLEST_SHARE = 0.04
_BRIGHTER = 0.5  # a shifted spectrum with more than this fraction of the light is the star itself
# The radial velocities of giants vary by about 0.1 km/s; a scatter of 1 km/s between visits indicates a binary.
_BINARY_SCATTER = 1.0  # km/s
_MASKED = 0.3  # fraction of masked pixels, three times the usual one
_OFF_GRID = 0.01  # steps of the grid
_BLOCK = 16  # stars judged at a time by one thread


def diagnose(fits: xr.Dataset, spectra: xr.Dataset, rows: TableLike, factors: int = 0) -> QTable:
    """Find the odd stars and classify them.

    Parameters
    ----------
    fits : xarray.Dataset
        As from `lab2.validation.cross_validate`: fits by models that were not trained on the star.
    spectra : xarray.Dataset
        The same stars, with ``labels`` from the catalog, on all or part of the survey's grid. Stars that lack a label
        are not trained on.
    rows : astropy.table.Table or pandas.DataFrame
        Catalog rows of the same stars: APOGEE_ID and, if there are such columns, STARFLAG, ASPCAPFLAG,
        VSCATTER and NVISITS.
    factors : int
        Number of hidden factors of the model that is used to screen the spectra. With factors, odd stars are not
        trained on, and the effect of abundances that are not labels is not mistaken for an oddity.

    Returns
    -------
    astropy.table.QTable
        One row per star. verdict, "" for an ordinary star; kind, one of "no fit", "continuum", "double",
        "shifted", "broadened", "emission", "added light", "labels" or "poor fit". The evidence: deviation (the largest
        of the labels' distances from the catalog, in robust standard deviations) and label (the one concerned), outlier
        (the probability that the labels are outliers), reduced_chi2, chi2_z (its logarithm in the survey's robust
        standard deviations) and excess (the spectral region with the largest excess in chi^2); velocity_z, rotation_z,
        emission_z, veil_z and dilution_z (in the same units); velocity [km/s] and share of the light (of a shifted or
        second spectrum), v_sin_i [km/s], veil, dilution; n_minima and delta_chi2; distance from the training set;
        masked (fraction of masked pixels); continuum (level of the trusted pixels in the worst chip); vscatter [km/s],
        NaN for a star of one visit; fit_flags, starflag and aspcapflag in words, these two "unknown" where the catalog
        has none.

    Raises
    ------
    ValueError
        If the stars of the three arguments differ, or are too few for `lab2.validation.calibrate`.

    Notes
    -----
    All spectra are screened with matched filters, using a model trained on all of them (one odd star among hundreds
    changes the model little). Only stars with a significant velocity are fitted again, with a velocity shift and with
    two stars.

    Examples
    --------
    The lines of one star are moved by 5 pixels:

    >>> import lab2
    >>> spectra = lab2.simulate.giants(60).sel(label=["teff", "logg", "fe_h"])
    >>> spectra.flux[7] = np.roll(spectra.flux[7], 5)
    >>> rows = QTable({"APOGEE_ID": spectra.star.values})
    >>> table = diagnose(lab2.validation.cross_validate(spectra), spectra, rows)
    >>> table["kind"].tolist()[7]
    'shifted'
    """
    expect(fits=fits, spectra=spectra, rows=rows)
    rows = as_table(rows)
    if not (list(fits.star.values) == list(spectra.star.values) == list(texts(rows["APOGEE_ID"]))):
        raise ValueError("fits, spectra and catalog rows are not of the same stars in the same order")
    check_dims(spectra)
    spectra = _without_gaps(spectra)
    labeled = np.isfinite(spectra.labels.transpose("star", "label").values).all(axis=1)
    model = cannon.train(spectra.isel(star=np.flatnonzero(labeled)), factors=factors)
    own = cannon.fit_labels(model, spectra)
    table = _gather(fits, own, spectra, rows, model)

    def judge(stars):
        return [_judge(table[n], model, spectra.isel(star=[n]), own.labels.values[n]) for n in range(len(table))[stars]]

    judged = [one for block in map_blocks(judge, len(table), _BLOCK) for one in block]
    for name, values in zip(("kind", "verdict", "velocity", "share"), zip(*judged, strict=True), strict=True):
        table[name] = values
    return table


def _gather(fits, own, spectra, rows, model):
    """All evidence except the fits with a velocity."""
    truth = spectra.labels
    residual = paired_residuals(fits, truth)
    pulls = np.abs(residual - np.nanmedian(residual, axis=0)) / robust_scatter(residual)
    pulls = np.where(np.isfinite(pulls), pulls, np.inf)
    found = filters.screen(model, spectra, own)
    chi2 = np.log(own.reduced_chi2.values)
    table = QTable(
        {
            "star": fits.star.values.astype(str),
            "deviation": pulls.max(axis=1),
            "label": fits.label.values.astype(str)[pulls.argmax(axis=1)],
            "outlier": calibrate(fits, truth).outlier_probability(fits, truth),
            "reduced_chi2": own.reduced_chi2.values,
            "chi2_z": _standardised(chi2),
            "excess": _where_in_wavelength(filters.excess(model, spectra, own)),
        }
    )
    for kind in _POINTERS:
        z = found[f"{kind}_z"].values
        table[f"{kind}_z"] = _standardised(z)
        table[f"{kind}_gain"] = np.where(z > 0, z**2, 0.0)  # decrease of chi^2, to compare kinds
    # lines that are too deep everywhere are equally odd: too much light was subtracted
    table["dilution_z"], table["dilution_gain"] = np.abs(table["dilution_z"]), found.dilution_z.values**2
    for name in ("velocity", "velocity_share", "v_sin_i", "veil", "veiled_chip", "dilution"):
        table[name] = found[name].values
    table.rename_column("velocity_share", "share")
    table["n_minima"], table["delta_chi2"] = fits.n_minima.values, fits.delta_chi2.values
    table["distance"] = fits.distance.values
    table["masked"] = 1.0 - fits.n_pixels.values / fits.n_pixels.values.max()
    table["continuum"] = _continuum_level(spectra)
    # of one visit it is 0 in the catalog, which says nothing
    several = ~(catalog.optional(rows, "NVISITS") < 2)
    table["vscatter"] = np.where(several, catalog.optional(rows, "VSCATTER", "km/s"), np.nan)
    table["fit_flags"] = [Flag.words(flag) for flag in fits.flag.values]
    table["starflag"] = _in_words(rows, "STARFLAG", catalog.StarFlag)
    table["aspcapflag"] = _in_words(rows, "ASPCAPFLAG", catalog.AspcapFlag)
    return table


def _in_words(rows, name, bits):
    """Flags of each star in words; "unknown" if the catalog has no readable ones."""
    known = np.isfinite(catalog.optional(rows, name))
    return [bits.words(flag) if one else UNKNOWN for flag, one in zip(catalog.flags(rows, name), known, strict=True)]


def _without_gaps(spectra):
    """Spectra on every step of the logarithmic grid between their ends; added pixels have no weight."""
    wavelength = spectra.wavelength.values
    steps = np.log10(wavelength / wavelength[0]) / LOG_STEP
    place = np.rint(steps).astype(int)
    if place[-1] + 1 == len(place) or np.abs(steps - place).max() > _OFF_GRID:
        return spectra
    every = wavelength[0] * 10 ** (LOG_STEP * np.arange(place[-1] + 1))
    every[place] = wavelength
    nothing = {"flux": 1.0, "ivar": 0.0, "trusted": False, "chip": ""}
    return spectra.reindex(wavelength=every, fill_value={k: v for k, v in nothing.items() if k in spectra.variables})


def _judge(row, model, spectrum, labels):
    """Kind, verdict, velocity and share of one star; the last two from a full fit if the spectrum is shifted."""
    as_screened = row["velocity"], row["share"]
    fit = row["fit_flags"]
    if "NO_DATA" in fit or "NOT_CONVERGED" in fit:
        why = "no pixels with information" if "NO_DATA" in fit else "not converged"
        return "no fit", f"no fit: {why}", *as_screened
    if "BAD_CONTINUUM" in fit:
        return "continuum", "the continuum of a chip could not be determined", *as_screened
    kinds = [kind for kind in _POINTERS if _stands_out(row, kind)]
    kind = max(kinds, key=lambda kind: row[f"{kind}_gain"], default="")
    # a large velocity shift also changes the fitted labels, and to first order looks like broadening; if so, a fit with
    # a shift decreases chi^2 more
    broad = kind == "rotation" and "velocity" in kinds
    if broad and doubles.fit_shift(model, spectrum)["fall"] > row["rotation_gain"]:
        kind = "velocity"
    if kind == "velocity":
        return _moved_or_doubled(row, model, spectrum, labels)
    if kind == "rotation":
        return "broadened", f"lines broadened as by v sin i of about {row['v_sin_i']:.0f} km/s", *as_screened
    if kind == "emission":
        return "emission", "light in the Brackett lines of hydrogen", *as_screened
    if kind == "veil":
        source = "persistence of the detector" if "PERSIST" in row["starflag"] else "shallow lines"
        added = f"{100 * row['veil']:.0f} % of light added to the {row['veiled_chip']} chip"
        return "added light", f"{added}: {source}", *as_screened
    if kind == "dilution":
        done = "added to" if row["dilution"] > 0 else "subtracted from"
        return "added light", f"{100 * abs(row['dilution']):.0f} % of light {done} every chip", *as_screened
    if row["outlier"] > _PROBABLE:
        return "labels", _about_labels(row), *as_screened
    if row["chi2_z"] > _ALONE:
        return "poor fit", f"the model does not fit: {row['excess']}", *as_screened
    return "", "", *as_screened


def _stands_out(row, kind):
    """Whether the significance of a matched filter exceeds its threshold in this star."""
    words = f"{row['starflag']} {row['aspcapflag']}"
    threshold = _WITH_FLAG if any(pointer in words for pointer in _POINTERS[kind]) else _ALONE
    return row[f"{kind}_z"] > threshold and (kind != "velocity" or row["share"] > _SMALLEST_SHARE)


def _moved_or_doubled(row, model, spectrum, labels):
    """Decide between a shifted spectrum and two stars, by the Bayesian information criterion."""
    shift = doubles.fit_shift(model, spectrum)
    double = doubles.fit_double(model, spectrum, shift["labels"], row["velocity"], row["share"])
    if np.isfinite(labels).all():
        again = doubles.fit_double(model, spectrum, labels, row["velocity"], row["share"])
        double = min(double, again, key=lambda fit: fit["chi2"])
    price = np.log(seen(spectrum.ivar.values, model.typical_s2).sum())
    cheaper = shift["chi2"] + shift["parameters"] * price < double["chi2"] + double["parameters"] * price
    if cheaper or double["share"] > _BRIGHTER:
        text = f"the spectrum is moved by {shift['velocity']:+.1f} km/s"
        return "shifted", text.replace("-", MINUS), shift["velocity"], 1.0
    text = f"a second star at {double['velocity']:+.0f} km/s with {100 * double['share']:.0f} % of the light"
    return "double", text.replace("-", MINUS), double["velocity"], double["share"]


def _about_labels(row):
    """Why the labels of a star with an ordinary spectrum may differ from the catalog's."""
    explanations = [
        ("UNCONSTRAINED" in row["fit_flags"], "the spectrum does not constrain every label"),
        (np.isinf(row["deviation"]), f"the catalog has no {row['label']} of this star"),
        ("MULTIPLE_MINIMA" in row["fit_flags"], "two minima compete"),
        ("_BAD" in row["aspcapflag"], "the catalog's labels are wrong, as its flags say"),
        ("OUTSIDE_TRAINING" in row["fit_flags"], "the fit lies outside the training set"),
        (row["masked"] > _MASKED, "few good pixels"),
        (row["vscatter"] > _BINARY_SCATTER, "the velocity varies: a binary"),
        (row["chi2_z"] > _ALONE, f"the model does not fit: {row['excess']}"),
        ("_WARN" in row["aspcapflag"], "a good fit; the catalog warns of its labels"),
    ]
    return next((text for holds, text in explanations if holds), "a good fit: the catalog's labels are in doubt")


def _standardised(values):
    """Deviations from the median in robust standard deviations; 0 where there is no value, or no scatter."""
    scatter = robust_scatter(values) or np.inf
    return np.nan_to_num((values - np.nanmedian(values)) / scatter, posinf=0.0, neginf=0.0)


def _where_in_wavelength(excess):
    """The region of each star's spectrum with the largest excess in chi^2; "everywhere" if all chips stand out."""
    if not excess.sizes["region"]:  # too few pixels to tell regions apart
        return np.full(excess.sizes["star"], "everywhere")
    z = np.apply_along_axis(_standardised, 0, np.log(excess.values))
    chips = np.char.endswith(excess.region.values.astype(str), "chip")
    everywhere = chips.any() & (z[:, chips] > _ALONE).all(axis=1)
    return np.where(everywhere, "everywhere", excess.region.values.astype(str)[z.argmax(axis=1)])


def _continuum_level(spectra):
    """Median flux of the trusted pixels in the chip where it is farthest from 1; NaN if these are not known."""
    if "trusted" not in spectra.coords:
        return np.full(spectra.sizes["star"], np.nan)
    levels = continuum.trusted_levels(spectra, spectra.trusted).values
    worst = np.abs(np.nan_to_num(levels, nan=1.0) - 1.0).argmax(axis=1)
    return levels[np.arange(len(levels)), worst]
