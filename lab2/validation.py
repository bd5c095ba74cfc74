"""Cross-validation: is the model to be trusted on stars that it has not seen?"""

import numpy as np
import xarray as xr
from astropy.table import QTable

from lab2 import cannon, catalog, inference, leave_one_out

__all__ = ["cross_validate", "diagnose", "robust_scatter", "split", "statistics", "twin_differences"]

_SUSPICIOUS = 4.0  # robust standard deviations from the catalogue at which a star is looked into


def split(spectra, folds=2, seed=128, training=()) -> xr.DataArray:
    """Deal stars into random groups of equal size that look alike.

    Within each field the stars are sorted by the label fe_h (where there is one) and dealt out in rounds, each
    round in random order: a plain random half can leave most metal-poor stars on one side. Rows of the same
    star go to the same group.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels`` (star, label) and, where known, ``field`` (star).
    folds : int
        Number of groups.
    seed : int
    training : sequence of str
        Stars that must be in group 0; each changes places with the star there that comes next to it in the order.

    Returns
    -------
    xarray.DataArray of int
        (star), the group, 0 to folds - 1.

    Raises
    ------
    ValueError
        If there are fewer stars than groups, or the stars of `training` are not among them or too many.
    """
    names, first = np.unique(spectra.star.values.astype(str), return_index=True)
    if not 2 <= folds <= len(names):
        raise ValueError(f"cannot deal {len(names)} stars into {folds} groups; folds must be 2 to {len(names)}")
    unknown = sorted(set(training) - set(names))
    if unknown:
        raise ValueError(f"not among the spectra, so not to be put in the training set: {', '.join(unknown)}")
    rng = np.random.default_rng(seed)
    field = spectra.field.values[first] if "field" in spectra else np.zeros(len(names), dtype=int)
    has_iron = "labels" in spectra and "fe_h" in spectra.label.values
    rank = spectra.labels.sel(label="fe_h").values[first] if has_iron else rng.random(len(names))
    order = np.lexsort((rank, field))
    group = np.empty(len(names), dtype=int)
    for start in range(0, len(order), folds):
        dealt = order[start : start + folds]
        group[dealt] = rng.permutation(folds)[: len(dealt)]
    wanted, place = np.isin(names, training), np.argsort(order)
    if wanted.sum() > (group == 0).sum():
        raise ValueError(f"{wanted.sum()} training stars do not fit in a group of {(group == 0).sum()}")
    for star in np.flatnonzero(wanted & (group != 0)):
        free = np.flatnonzero((group == 0) & ~wanted)
        partner = free[np.abs(place[free] - place[star]).argmin()]
        group[[star, partner]] = group[[partner, star]]
    return xr.DataArray(
        group[np.searchsorted(names, spectra.star.values.astype(str))],
        dims="star",
        coords={"star": spectra.star.values},
        name="fold",
        attrs={"seed": seed, "folds": folds},
    )


def cross_validate(spectra, folds=2, seed=128, progress=False) -> xr.Dataset:
    """Fit every star with a model trained without it.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels``.
    folds : int, "field", "star" or xarray.DataArray
        Number of groups for `split`; "field" to leave out one field at a time; "star" one star at a time, by
        `lab2.leave_one_out`; or the group of each star.
    seed : int
        For `split`.
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.Dataset
        As from `lab2.inference.fit_labels`, with ``fold`` (star).

    Raises
    ------
    ValueError
        If `folds` is none of these, does not give a group to each star, or gives the same to all.

    Notes
    -----
    Each fold is trained afresh, by less than a second of work for a thousand stars. Subtracting a fold from the normal
    matrices of all stars would be exact for theta at fixed s2 alone, and an s2 that was learnt from the stars left out
    hides what is odd about them. (For one star of hundreds that hardly matters, and "star" does it.) Newton's method
    from the s2 of all stars saves two fifths of a fold's training, but that of all stars has to be paid first, so that
    two folds would cost more than now, and it cannot know whether the deepest minimum has changed.
    """
    if isinstance(folds, str) and folds == "star":
        fits = leave_one_out.fit_each_without_itself(spectra, progress)
        return fits.assign(fold=("star", np.arange(spectra.sizes["star"])))
    if isinstance(folds, str):
        if folds != "field" or "field" not in spectra:
            raise ValueError(f"folds must be a number, 'field' (with spectra.field), 'star' or an array; got {folds!r}")
        folds = xr.DataArray(np.unique(spectra.field.values, return_inverse=True)[1], dims="star")
    elif not isinstance(folds, xr.DataArray):
        folds = split(spectra, folds, seed)
    group = folds.values
    if group.shape != (spectra.sizes["star"],):
        raise ValueError(f"{group.size} groups for {spectra.sizes['star']} stars: give the group of each star")
    if len(np.unique(group)) < 2:
        raise ValueError("all stars are in only one group: there is none to train on when it is left out")
    parts, order = [], []
    for fold in np.unique(group):
        model = cannon.train(spectra.isel(star=np.flatnonzero(group != fold)), progress=progress)
        held_out = np.flatnonzero(group == fold)
        parts.append(inference.fit_labels(model, spectra.isel(star=held_out), progress=progress))
        order.append(held_out)
    fits = xr.concat(parts, dim="star").isel(star=np.argsort(np.concatenate(order)))
    return fits.assign(fold=("star", group))


def robust_scatter(residuals) -> np.ndarray:
    """1.4826 times the median absolute deviation along axis 0: the standard deviation, outliers or not."""
    residuals = np.asarray(residuals, dtype=float)
    return 1.4826 * np.nanmedian(np.abs(residuals - np.nanmedian(residuals, axis=0)), axis=0)


def statistics(fits, truth, seed=128, resamples=500) -> QTable:
    """Bias and scatter of fitted labels, with errors from the bootstrap.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` (star, label).
    truth : xarray.DataArray
        (star, label), of the same stars in the same order.
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        A row a label: label, n (stars with both), bias (mean of fit less truth), std, scatter
        (`robust_scatter`), and the three's standard errors; in the label's unit.

    Raises
    ------
    ValueError
        If the stars differ.
    """
    if list(fits.star.values) != list(truth.star.values):
        raise ValueError("fits and truth are not of the same stars in the same order")
    residual = (fits.labels - truth.transpose("star", "label").sel(label=fits.label.values).values).values
    residual = residual[np.isfinite(residual).all(axis=1)]
    if len(residual) < 3:
        raise ValueError(f"only {len(residual)} stars have both labels: too few for statistics")
    rng = np.random.default_rng(seed)
    draws = residual[rng.integers(len(residual), size=(resamples, len(residual)))]
    table = QTable({"label": fits.label.values.astype(str), "n": np.full(residual.shape[1], len(residual))})
    scatter = [robust_scatter(draw) for draw in draws]
    for name, value, resampled in (
        ("bias", residual.mean(axis=0), draws.mean(axis=1)),
        ("std", residual.std(axis=0), draws.std(axis=1)),
        ("scatter", robust_scatter(residual), np.array(scatter)),
    ):
        table[name] = value
        table[f"{name}_error"] = resampled.std(axis=0)
    return table


def diagnose(fits, spectra, rows) -> QTable:
    """What is known about each star that could explain a label far from the catalogue's.

    Parameters
    ----------
    fits : xarray.Dataset
        As from `cross_validate` or `lab2.inference.fit_labels`.
    spectra : xarray.Dataset
        The same stars, with ``labels`` from the catalogue, ``ivar`` and ``bad_continuum``.
    rows : astropy.table.Table
        The catalogue's rows of the same stars: STARFLAG, ASPCAPFLAG, VSCATTER.

    Returns
    -------
    astropy.table.QTable
        A row a star: deviation (the largest of the five labels, in robust standard deviations), label (which),
        reduced_chi2, n_minima, masked (fraction of the model's pixels without information), distance, vscatter
        [km/s], fit_flags, starflag and aspcapflag in words, and verdict: the first explanation that the evidence
        supports, "unexplained" if there is none, "" for an ordinary star.
    """
    if not (list(fits.star.values) == list(spectra.star.values) == list(np.asarray(rows["APOGEE_ID"], str))):
        raise ValueError("fits, spectra and catalogue rows are not of the same stars in the same order")
    residual = (fits.labels - spectra.labels.values).values
    pulls = np.abs(residual - np.nanmedian(residual, axis=0)) / robust_scatter(residual)
    pulls = np.where(np.isfinite(pulls), pulls, np.inf)
    table = QTable(
        {
            "star": fits.star.values.astype(str),
            "deviation": pulls.max(axis=1),
            "label": fits.label.values.astype(str)[pulls.argmax(axis=1)],
            "reduced_chi2": fits.reduced_chi2.values,
            "n_minima": fits.n_minima.values,
            "masked": 1.0 - fits.n_pixels.values / fits.n_pixels.values.max(),
            "distance": fits.distance.values,
            "vscatter": np.asarray(rows["VSCATTER"], dtype=float),
            "fit_flags": [inference.flag_words(flag) for flag in fits.flag.values],
            "starflag": [catalog.flag_words(flag, catalog.STARFLAG) for flag in rows["STARFLAG"]],
            "aspcapflag": [catalog.flag_words(flag, catalog.ASPCAPFLAG) for flag in rows["ASPCAPFLAG"]],
        }
    )
    table["verdict"] = [_verdict(row) for row in table]
    return table


def twin_differences(spectra, seed=128, most=400) -> dict:
    """How alike the spectra of stars with similar labels are, against random pairs and against noise.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels``.
    seed : int
        Of the random pairs, and of the stars looked at where there are more than `most`.
    most : int

    Returns
    -------
    dict of str to float
        Median over stars of the rms difference in normalised flux, over pixels good in both: "twins" (nearest
        neighbours in labels scaled to unit variance), "random" pairs, and "noise", what the twins' errors explain.
    """
    rng = np.random.default_rng(seed)
    labels = spectra.labels.values
    x = (labels - np.nanmean(labels, axis=0)) / np.nanstd(labels, axis=0)
    usable = np.flatnonzero(np.isfinite(x).all(axis=1) & (spectra.ivar.values > 0).any(axis=1))
    chosen = rng.permutation(usable)[:most]
    differences = {"twins": [], "random": [], "noise": []}
    for star in chosen:
        distance = ((x[usable] - x[star]) ** 2).sum(axis=1)
        distance[usable == star] = np.inf
        twin, other = usable[distance.argmin()], rng.choice(usable[usable != star])
        for kind, partner in (("twins", twin), ("random", other)):
            pair = spectra[["flux", "ivar"]].isel(star=[star, partner])
            good = (pair.ivar.values > 0).all(axis=0)
            flux, ivar = pair.flux.values[:, good].astype(float), pair.ivar.values[:, good].astype(float)
            differences[kind].append(np.sqrt(np.mean((flux[0] - flux[1]) ** 2)))
            if kind == "twins":
                differences["noise"].append(np.sqrt(np.mean(1 / ivar[0] + 1 / ivar[1])))
    return {kind: float(np.nanmedian(values)) for kind, values in differences.items()}


def _verdict(row) -> str:
    if row["deviation"] < _SUSPICIOUS:
        return ""
    fit, star, aspcap = row["fit_flags"], row["starflag"], row["aspcapflag"]
    # from the surest evidence to the weakest
    explanations = [
        ("NO_DATA" in fit or "NOT_CONVERGED" in fit, "no fit"),
        ("BAD_CONTINUUM" in fit, "continuum not determined"),
        ("MULTIPLE_MINIMA" in fit, "two minima compete"),
        ("_BAD" in aspcap, "catalogue flags its own labels as bad"),
        ("PERSIST" in star, "persistence in the detector"),
        (any(word in star for word in ("MULTIPLE", "BROAD_LINES", "RV_")), "binary, rotation or velocity, flagged"),
        (row["vscatter"] > 1.0, "velocity varies: a binary"),
        ("POOR_FIT" in fit, "no giant of the model looks like this spectrum"),
        ("OUTSIDE_TRAINING" in fit, "outside the training set"),
        (row["masked"] > 0.3, "few good pixels"),
        ("_WARN" in aspcap, "catalogue warns of its labels"),
    ]
    return next((text for holds, text in explanations if holds), "unexplained")
