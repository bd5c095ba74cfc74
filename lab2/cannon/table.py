"""Fits as a table: one row per star, with units and descriptions."""

import warnings

import numpy as np
import xarray as xr
from astropy import units as u
from astropy.table import Column, Table

from lab2._arguments import expect
from lab2.cannon.fitting import Flag, UncalibratedErrorWarning, errors
from lab2.labels import LABELS, units_of

__all__ = ["to_table"]

_SAID = {
    "chi2": "chi^2 of the best fit",
    "reduced_chi2": "chi^2 per degree of freedom",
    "n_pixels": "pixels with weight",
    "n_minima": "distinct minima of chi^2 that were found",
    "delta_chi2": "chi^2 of the second-best minimum minus that of the best",
    "distance": "distance from the training set's mean, 1 at its edge",
}
_NOTHING = "-"  # placeholder for no text; an empty text in a file is read as missing
_WHY = {Flag.NO_DATA: "no pixels with information", Flag.NOT_CONVERGED: "the fit did not converge"}


def to_table(fits: xr.Dataset, spectra: xr.Dataset | None = None, full: bool = False) -> Table:
    """Fits as a table, to be viewed or written to a file.

    Parameters
    ----------
    fits : xarray.Dataset
        As from `lab2.fit_labels`, calibrated or not.
    spectra : xarray.Dataset, optional
        The spectra that were fitted. Their variables for each star become columns too: field, S/N, path, flags and so
        on.
    full : bool
        Also give the correlations of the labels' errors, the formal errors of calibrated fits, the difference between
        the minima and the hidden factors.

    Returns
    -------
    astropy.table.Table
        One row per star, in the order of the fits; every column has a description and, where there is one, a unit.

        - star;
        - the value of each label, such as ``teff``, and its standard error, ``sigma_teff``; with `full` also
          ``formal_sigma_teff`` and, for each pair, ``correlation_teff_logg``;
        - chi2, reduced_chi2, n_pixels, n_minima, distance; with `full` also delta_chi2, factor_1, factor_2, ...;
        - flag (the sum of `Flag` bits), flag_words and reason: why there are no labels;
        - the variables of the spectra.

        Empty text is "-". ``meta`` names the model and the origin of the labels, and says whether the errors are formal
        or calibrated.

    Raises
    ------
    ValueError
        If the stars of `spectra` differ.

    Examples
    --------
    >>> import lab2
    >>> labels = np.linspace(4000.0, 5000.0, 50)[:, None]
    >>> flux = 1.0 + 1e-4 * (labels - 4500.0) * [1.0, 0.0, -2.0]
    >>> spectra = lab2.from_arrays(flux, np.full((50, 3), 1e4), [15200.0, 16000.0, 16900.0], labels, label=["teff"])
    >>> table = to_table(lab2.fit_labels(lab2.train(spectra), spectra))
    >>> table.colnames[:4], str(table["teff"].unit), table["sigma_teff"].description
    (['star', 'teff', 'sigma_teff', 'chi2'], 'K', 'standard error of teff, formal')
    >>> table["sigma_teff"].round(2).tolist()[0], table["flag_words"].tolist()[0]
    (44.72, '-')
    """
    expect(fits=fits)
    table = Table({"star": Column(fits.star.values.astype(str), description="name of the star")})
    _add_labels(table, fits, full)
    for name, said in _SAID.items():
        if name in fits and (full or name != "delta_chi2"):
            table[name] = Column(fits[name].values, description=said)
    if full and "factors" in fits:
        for k, values in enumerate(fits.factors.transpose("factor", "star").values, start=1):
            table[f"factor_{k}"] = Column(values, description=f"score of hidden factor {k}")
    _add_flags(table, fits, spectra)
    if spectra is not None:
        _add_spectra(table, spectra)
    table.meta["errors"] = str(fits.attrs.get("calibrated", "formal"))
    for key, name in (("model", "model"), ("label_tree", "labels")):
        if key in fits.attrs:
            table.meta[name] = str(fits.attrs[key])
    return table


def _add_labels(table, fits, full):
    """Each label with its standard error, and the correlations of the errors."""
    names, symbols = [str(name) for name in fits.label.values], {label.name: label.symbol for label in LABELS}
    sigma, formal = _sigma(fits), "formal_covariance" in fits
    kind = "calibrated" if "calibrated" in fits.attrs else "formal"
    for k, (name, unit) in enumerate(zip(names, units_of(fits), strict=True)):
        about = {"unit": u.Unit(unit, parse_strict="silent") if unit else None}
        said = f"{name}, {symbols[name]}" if name in symbols else name
        table[name] = Column(fits.labels.values[:, k], description=said, **about)
        table[f"sigma_{name}"] = Column(sigma[:, k], description=f"standard error of {name}, {kind}", **about)
        if full and formal:
            values = np.sqrt(fits.formal_covariance.values[:, k, k])
            table[f"formal_sigma_{name}"] = Column(values, description=f"standard error of {name}, formal", **about)
    if full:
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
            values = fits.covariance.values[:, i, j] / (sigma[:, i] * sigma[:, j])
            said = f"correlation of the errors of {names[i]} and {names[j]}"
            table[f"correlation_{names[i]}_{names[j]}"] = Column(values, description=said)


def _sigma(fits):
    """Standard errors, without the warning: the table says whether they are calibrated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncalibratedErrorWarning)
        return errors(fits).values


def _add_flags(table, fits, spectra):
    """The flag in bits and words, and why a star has no labels."""
    flags = fits.flag.values
    table["flag"] = Column(flags, description="sum of bits, " + ", ".join(f"{int(bit)} {bit.name}" for bit in Flag))
    table["flag_words"] = Column([Flag.words(flag) for flag in flags], dtype=str, description="names of the bits")
    why = [next((text for bit, text in _WHY.items() if flag & bit), _NOTHING) for flag in flags]
    if spectra is not None and "read_error" in spectra:
        why = [str(error) or text for error, text in zip(spectra.read_error.values, why, strict=True)]
    table["reason"] = Column(why, dtype=str, description="why there are no labels")


def _add_spectra(table, spectra):
    """The variables that the spectra have for each star, under their own names."""
    expect(spectra=spectra)
    if spectra.star.values.astype(str).tolist() != table["star"].tolist():
        raise ValueError("fits and spectra do not have the same stars in the same order")
    for name, variable in spectra.data_vars.items():
        if variable.dims != ("star",) or name in table.colnames or name == "read_error":
            continue
        values = variable.values
        if values.dtype.kind in "OU":
            values = np.array([str(value) or _NOTHING for value in values], dtype=str)
        said = {
            "unit": variable.attrs.get("units"),
            "description": variable.attrs.get("long_name", f"{name} of the spectrum"),
        }
        table[str(name)] = Column(values, **said)
