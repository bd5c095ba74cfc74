"""Where fitted labels are biased: along a label, and how the bias changes with what a model was trained on."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from astropy.table import QTable

from lab2._label_arrays import LabelArray, labels_like
from lab2.validation.residuals import paired_residuals, robust_scatter

__all__ = ["biases", "removed_by", "running_medians", "worst_bin"]

_MEDIAN_ERROR = np.sqrt(np.pi / 2)  # error of the median over that of the mean, for normal residuals


def running_medians(fits: xr.Dataset, truth: LabelArray, bins: int = 12) -> xr.Dataset:
    """Median of fitted minus true label in bins of the true label, each with the same number of stars.

    A straight line through the residuals misses a curve; the running median shows it, and outliers do not move it.

    Parameters
    ----------
    fits : xarray.Dataset
        With ``labels`` (star, label).
    truth : array_like, shape (n_stars, n_labels)
        As for `lab2.validation.calibrate`.
    bins : int
        Number of bins; fewer if a bin would have fewer than 10 stars.

    Returns
    -------
    xarray.Dataset
        (label, bin): ``center``, the median true label of the bin; ``median`` of the residuals, and its ``error``, that
        of the median of normal residuals with the bin's robust scatter: sqrt(pi / 2) times that of the mean. In the
        label's unit.

    Raises
    ------
    ValueError
        If the stars differ, or fewer than 10 have a fit and true labels.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> fits = lab2.validation.cross_validate(spectra)
    >>> dict(running_medians(fits, spectra.labels).sizes)
    {'label': 5, 'bin': 6}
    """
    residual = paired_residuals(fits, truth)
    good = np.isfinite(residual).all(axis=1)
    bins = min(bins, int(good.sum()) // 10)
    if bins < 1:
        raise ValueError(f"only {good.sum()} stars have both labels: a bin needs 10")
    found = np.empty((3, residual.shape[1], bins))
    for k, (x, r) in enumerate(zip(labels_like(truth, fits).values[good].T, residual[good].T, strict=True)):
        for n, members in enumerate(np.array_split(np.argsort(x, kind="stable"), bins)):
            error = _MEDIAN_ERROR * robust_scatter(r[members]) / np.sqrt(len(members))
            found[:, k, n] = np.median(x[members]), np.median(r[members]), error
    names = ("center", "median", "error")
    return xr.Dataset(
        {name: (("label", "bin"), values) for name, values in zip(names, found, strict=True)},
        coords={"label": fits.label.values},
    )


def worst_bin(running: xr.Dataset) -> dict:
    """The bin whose median is farthest from 0, in its errors.

    Parameters
    ----------
    running : xarray.Dataset
        As from `running_medians`.

    Returns
    -------
    dict
        label, center, median and error of that bin, and n, the number of bins more than 3 errors from 0, of_n bins.
    """
    distance = np.abs(running["median"] / running.error)
    k, n = np.unravel_index(int(distance.values.argmax()), distance.shape)
    worst = running.isel(label=k, bin=n)
    found = {name: float(worst[name]) for name in ("center", "median", "error")}
    return found | {"label": str(worst.label.values), "n": int((distance > 3).sum()), "of_n": distance.size}


def biases(cases: Mapping[str, tuple[xr.Dataset, LabelArray]], seed: int = 128, resamples: int = 500) -> QTable:
    """Mean and median of fitted minus true label in several cases, with errors from the bootstrap.

    Parameters
    ----------
    cases : dict of str to tuple
        Name to the fits and the labels that they are compared with; the same stars in every case.
    seed, resamples : int
        Of the bootstrap, which draws the same stars in every case.

    Returns
    -------
    astropy.table.QTable
        One row per case and label: case, label, mean, mean_error, median, median_error, in the label's unit; and change
        and change_error, by how much the mean differs from that of the first case.

    Raises
    ------
    ValueError
        If the stars of a case differ from those of its labels, or no star has labels in every case.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> fits = lab2.validation.cross_validate(spectra)
    >>> biases({"as fitted": (fits, spectra.labels)}).colnames[:4]
    ['case', 'label', 'mean', 'mean_error']
    """
    residuals = {name: paired_residuals(fits, truth) for name, (fits, truth) in cases.items()}
    good = np.all([np.isfinite(some).all(axis=1) for some in residuals.values()], axis=0)
    if not good.any():
        raise ValueError("no star has labels in every case")
    picks = np.random.default_rng(seed).integers(good.sum(), size=(resamples, good.sum()))
    labels = next(iter(cases.values()))[0].label.values.astype(str)
    rows, first = [], None
    for case, residual in residuals.items():
        residual = residual[good]
        mean, means = residual.mean(axis=0), np.array([residual[pick].mean(axis=0) for pick in picks])
        medians = np.array([np.median(residual[pick], axis=0) for pick in picks])
        first = (mean, means) if first is None else first
        columns = (mean, means.std(axis=0), np.median(residual, axis=0), medians.std(axis=0))
        columns += (mean - first[0], (means - first[1]).std(axis=0))
        rows += [(case, label, *values) for label, *values in zip(labels, *columns, strict=True)]
    names = ("case", "label", "mean", "mean_error", "median", "median_error", "change", "change_error")
    return QTable(rows=rows, names=names)


def removed_by(table: QTable, errors: float = 2.0) -> dict:
    """The most significant bias of the first case, and the first of the other cases in which it is gone.

    Parameters
    ----------
    table : astropy.table.QTable
        As from `biases`.
    errors : float
        A mean of fewer errors than this is no bias.

    Returns
    -------
    dict
        label; mean, mean_error, median and median_error of the first case; significance, the mean in its errors; case,
        the name of the first other case whose mean is not significant, "" if there is none.
    """
    first = table[table["case"] == table["case"][0]]
    worst = first[np.abs(first["mean"] / first["mean_error"]).argmax()]
    rows = table[table["label"] == worst["label"]][1:]
    gone = [str(row["case"]) for row in rows if abs(row["mean"]) < errors * row["mean_error"]]
    found = {name: float(worst[name]) for name in ("mean", "mean_error", "median", "median_error")}
    significance = abs(found["mean"]) / found["mean_error"]
    return {"label": str(worst["label"]), **found, "significance": significance, "case": gone[0] if gone else ""}
