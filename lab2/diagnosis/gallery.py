"""Examples of odd stars: the clearest of each kind, where its fit is worst, and the mean residuals of a kind."""

import numpy as np
import xarray as xr
from astropy.table import QTable, Row
from numpy.typing import ArrayLike

from lab2 import cannon
from lab2._arguments import expect
from lab2.diagnosis.doubles import fit_double, fit_shift

__all__ = ["KINDS", "kinds_found", "mean_residuals", "most_telling", "portrait", "worst_window", "zooms"]

# Kinds of `diagnose`; those that a figure explains best come first.
KINDS = ("labels", "double", "shifted", "broadened", "emission", "added light", "poor fit", "no fit", "continuum")
# The column of the evidence that selects the clearest star of a kind; the reduced chi^2 for all other kinds.
_SUREST = {
    "labels": "deviation",
    "double": "velocity_z",
    "shifted": "velocity_z",
    "broadened": "rotation_z",
    "emission": "emission_z",
    "added light": "veil_z",
}
_SEEN = 0.7  # fraction of a window's pixels that must have a residual


def kinds_found(evidence: QTable) -> list[str]:
    """The kinds of odd stars that were found, in the order of `KINDS`.

    Parameters
    ----------
    evidence : astropy.table.QTable
        As from `lab2.diagnosis.diagnose`.
    """
    return [kind for kind in KINDS if (np.asarray(evidence["kind"]) == kind).any()]


def most_telling(evidence: QTable, kind: str) -> int:
    """The row of the star that shows a kind of oddity most clearly.

    Parameters
    ----------
    evidence : astropy.table.QTable
        As from `lab2.diagnosis.diagnose`.
    kind : str
        One of `KINDS`.

    Returns
    -------
    int
        The star of that kind with the largest significance in the matched filter of the kind. For "labels" the largest
        deviation from the catalog counts, for other kinds without a matched filter the reduced chi^2.

    Raises
    ------
    ValueError
        If no star is of that kind.
    """
    of_kind = np.flatnonzero(np.asarray(evidence["kind"]) == kind)
    if not len(of_kind):
        raise ValueError(f"no star is of the kind {kind!r}; there are {kinds_found(evidence)}")
    measure = np.asarray(evidence[_SUREST.get(kind, "reduced_chi2")], dtype=float)[of_kind]
    return int(of_kind[np.nan_to_num(measure, nan=-np.inf).argmax()])


def portrait(model: cannon.Cannon, spectrum: xr.Dataset, row: Row) -> xr.Dataset | None:
    """Data for a figure of an odd star: its spectrum, the best fit of a single star, and the fit of the verdict.

    Parameters
    ----------
    model : lab2.Cannon
        Trained on ordinary stars.
    spectrum : xarray.Dataset
        ``flux`` and ``ivar`` (1, wavelength) of the star.
    row : astropy.table.Row
        Its row of the evidence: kind, velocity [km/s] and share of the light, as from `lab2.diagnosis.diagnose`.

    Returns
    -------
    xarray.Dataset or None
        ``flux`` and ``best`` (wavelength) in normalized flux; for the kinds "double" and "shifted" also ``explained``,
        the model of two stars or of a shifted star. NaN in masked or untrained pixels. None if the star cannot be
        fitted.
    """
    expect(model=model, spectrum=spectrum)
    fits = cannon.fit_labels(model, spectrum)
    own = fits.labels.values[0]
    if not np.isfinite(own).all():
        return None
    trained = model.trained.values
    flux = np.where(cannon.weights(model, spectrum.ivar.values[0]) > 0, spectrum.flux.values[0], np.nan)
    shown = {"flux": flux, "best": np.where(trained, cannon.best_spectra(model, fits).values[0], np.nan)}
    explained = {}
    if row["kind"] == "double":
        explained = fit_double(model, spectrum, own, row["velocity"], row["share"])
    elif row["kind"] == "shifted":
        explained = fit_shift(model, spectrum)
    if explained:
        shown["explained"] = np.where(np.isfinite(flux), explained["flux"], np.nan)
    return xr.Dataset(
        {name: ("wavelength", values) for name, values in shown.items()},
        coords={"wavelength": spectrum.wavelength},
    )


def zooms(model: cannon.Cannon, spectra: xr.Dataset, evidence: QTable, most: int = 6) -> list[xr.Dataset]:
    """The most telling star of each kind of oddity, in the window where its best fit is worst.

    Parameters
    ----------
    model : lab2.Cannon
        Trained on ordinary stars.
    spectra : xarray.Dataset
        Of the stars of the evidence, in its order.
    evidence : astropy.table.QTable
        As from `lab2.diagnosis.diagnose`.
    most : int
        Maximum number of stars.

    Returns
    -------
    list of xarray.Dataset
        As from `portrait`, in the pixels of `worst_window`, with the attributes star, kind, verdict and row (of the
        evidence), in the order of `KINDS`. A kind whose star cannot be fitted is left out.
    """
    found = []
    for kind in kinds_found(evidence):
        row = most_telling(evidence, kind)
        shown = portrait(model, spectra.isel(star=[row]), evidence[row])
        if shown is not None:
            about = {"kind": kind, "row": row} | {name: str(evidence[name][row]) for name in ("star", "verdict")}
            window = worst_window(shown.wavelength, shown.flux - shown.best)
            found.append(shown.isel(wavelength=window).assign_attrs(about))
    return found[:most]


def worst_window(wavelength: ArrayLike, residual: ArrayLike, width: float = 90.0) -> slice:
    """The window of a spectrum with the largest mean square residual.

    Parameters
    ----------
    wavelength : array_like, shape (n_pixels,)
        Ascending [Angstrom].
    residual : array_like, shape (n_pixels,)
        NaN where there is none; windows with a residual in 70 % of the pixels or fewer are ignored.
    width : float
        Width of the window [Angstrom].

    Returns
    -------
    slice
        The pixels of the window.

    Raises
    ------
    ValueError
        If the spectrum is not longer than the window.

    Examples
    --------
    >>> wavelength = np.arange(15100.0, 16000.0)
    >>> worst_window(wavelength, np.where(wavelength == 15500.0, 1.0, 0.1))
    slice(311, 401, None)
    """
    wavelength, residual = np.asarray(wavelength, dtype=float), np.asarray(residual, dtype=float)
    end = np.searchsorted(wavelength, wavelength + width)
    start = np.flatnonzero(end < len(wavelength))
    if not len(start):
        raise ValueError(f"the spectrum is not longer than the {width:g} Angstrom of the window")
    end = end[start]
    square = np.nan_to_num(residual) ** 2
    total, seen = np.r_[0, np.cumsum(square)], np.r_[0, np.cumsum(np.isfinite(residual))]
    share = (seen[end] - seen[start]) / (end - start)
    mean = (total[end] - total[start]) / (end - start) * (share > _SEEN)  # not in a gap
    first = mean.argmax()
    return slice(int(start[first]), int(end[first]))


def mean_residuals(model: cannon.Cannon, spectra: xr.Dataset, kind: ArrayLike, fewest: int = 4) -> xr.DataArray:
    """Mean residual spectrum of the stars of each kind of oddity.

    Parameters
    ----------
    model : lab2.Cannon
        Trained on ordinary stars; all stars are fitted with it.
    spectra : xarray.Dataset
    kind : array_like of str, shape (n_stars,)
        As from `lab2.diagnosis.diagnose`; "" for ordinary stars, which are left out.
    fewest : int
        Minimum number of stars of a kind.

    Returns
    -------
    xarray.DataArray
        (kind, wavelength), in normalized flux, with the coordinate n_stars (kind), in the order of `KINDS`. NaN in
        pixels without weight in all of the stars. A star without a fit is compared with the model at the mean labels.
    """
    expect(model=model, spectra=spectra)
    kind = np.asarray(kind)
    counts = {name: int((kind == name).sum()) for name in KINDS}
    names = [name for name, count in counts.items() if count >= fewest]
    means = np.full((len(names), spectra.sizes["wavelength"]), np.nan)
    for mean, name in zip(means, names, strict=True):
        group = spectra.isel(star=np.flatnonzero(kind == name))
        best = cannon.best_spectra(model, cannon.fit_labels(model, group)).values
        seen = cannon.weights(model, group.ivar.values) > 0
        residual = np.where(seen, group.flux.values - best, 0.0)
        np.divide(residual.sum(axis=0), seen.sum(axis=0), out=mean, where=seen.any(axis=0))
    return xr.DataArray(
        means,
        dims=("kind", "wavelength"),
        coords={
            "kind": names,
            "wavelength": spectra.wavelength,
            "n_stars": ("kind", [counts[name] for name in names]),
        },
    )
