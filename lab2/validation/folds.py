"""Cross-validation: every star is fitted with a model trained without it."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lab2 import cannon
from lab2._arguments import expect, groups
from lab2.cannon.model import fingerprint
from lab2.validation._leave_one_out import fit_each_without_itself

__all__ = ["cross_validate", "fields_or", "split"]

# Fields are used as groups if the smallest training set is at least this fraction of that of the alternative groups.
_SPARED = 0.8


def split(spectra: xr.Dataset, folds: int = 2, seed: int = 128, training: ArrayLike = ()) -> xr.DataArray:
    """Split stars into random groups of equal size and similar composition.

    Within each field the stars are sorted by the label fe_h (if there is one). Each successive `folds` stars are
    assigned to the groups in random order. In a plain random split, most metal-poor stars could end up in one group.
    Rows of the same star go to the same group.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels`` (star, label) and, where known, ``field`` (star).
    folds : int
        Number of groups.
    seed : int
    training : array_like of str
        Stars that must be in group 0; each trades places with the star of group 0 that is nearest to it in this order.

    Returns
    -------
    xarray.DataArray of int
        (star), the group, 0 to folds - 1.

    Raises
    ------
    ValueError
        If there are fewer stars than groups, or the stars of `training` are unknown or too many.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> group = split(spectra, folds=3)
    >>> np.bincount(group).tolist()
    [20, 20, 20]
    """
    expect(spectra=spectra)
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


def fields_or(groups: xr.DataArray, spectra: xr.Dataset) -> xr.DataArray:
    """The fields as groups to leave out one at a time, or other groups if too few stars would be left to train on.

    This is so for a survey of a single field, or one with most of its stars in one field.

    Parameters
    ----------
    groups : xarray.DataArray of int
        (star), the alternative groups, such as the halves of `split`.
    spectra : xarray.Dataset
        The same stars, with ``field`` (star) where it is known.

    Returns
    -------
    xarray.DataArray of int
        (star), called "field" if the groups are the fields, in alphabetical order. Otherwise `groups`.

    Raises
    ------
    ValueError
        If `groups` and `spectra` are not of the same number of stars.
    """
    if groups.shape != (spectra.sizes["star"],):
        raise ValueError(f"{groups.size} groups for {spectra.sizes['star']} stars: give the group of each star")
    if "field" not in spectra:
        return groups
    field = np.unique(spectra.field.values, return_inverse=True)[1]
    fewest = [len(field) - np.bincount(group).max() for group in (field, groups.values)]  # without the largest group
    if fewest[0] < _SPARED * fewest[1]:
        return groups
    return xr.DataArray(field, dims="star", coords={"star": spectra.star.values}, name="field")


def cross_validate(
    spectra: xr.Dataset,
    folds: int | str | ArrayLike = 2,
    factors: int = 0,
    seed: int = 128,
    train_on: ArrayLike | None = None,
    fit: xr.Dataset | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Fit every star with a model that was trained without it.

    Parameters
    ----------
    spectra : xarray.Dataset
        With ``labels``.
    folds : int, "field", "star" or xarray.DataArray
        Number of groups for `split`; "field" to leave out one field at a time; "star" to leave out one star at a time
        (`lab2.validation._leave_one_out`); or the group of each star.
    factors : int
        Number of hidden factors of each model. Each model learns its own factors, so ``factors`` of the fits can be
        compared only within a fold.
    seed : int
        For `split`.
    train_on : array_like of bool, shape (n_stars,), optional
        Stars that may be trained on, such as those that `lab2.diagnosis.diagnose` does not find odd; by default all.
        The other stars are still fitted. Not for "star".
    fit : xarray.Dataset, optional
        Other spectra of the same stars, to be fitted instead of `spectra`: with noise added
        (`lab2.validation.degrade`), for example. Not for "star".
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.Dataset
        As from `lab2.cannon.fitting.fit_labels`, with ``fold`` (star). The attribute ``model`` is the fingerprint
        (`lab2.cannon.model.fingerprint`) of a model trained on all of these training stars: a calibration of the errors
        of these fits applies to fits with that model.

    Raises
    ------
    ValueError
        If `folds` is none of these, does not give the group of each star, or puts all stars in one group; if `folds` is
        "star" and a star has two rows, or `train_on` or `fit` is given; if `fit` contains other stars.

    Notes
    -----
    A star with rows in two groups is not trained on when either group is left out.

    Each fold is trained from scratch, which takes less than a second for a thousand stars. Subtracting a fold from the
    normal matrices of all stars would be exact only for theta at fixed s2, and an s2 learned from the stars left out
    can hide their peculiarities. (For one star among hundreds this hardly matters, and "star" does so.) Starting
    Newton's method from the s2 of all stars would save two fifths of a fold's training, but requires training on all
    stars first, so two folds would take longer than now. It would also not notice if another minimum has become the
    deepest.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> fits = cross_validate(spectra, folds=3)
    >>> sorted(set(fits.fold.values.tolist()))
    [0, 1, 2]
    >>> bool(abs(fits.labels - spectra.labels).median("star").sel(label="teff") < 100.0)
    True
    """
    expect(spectra=spectra)
    names = spectra.star.values.astype(str)
    allowed = np.ones(len(names), dtype=bool) if train_on is None else np.asarray(train_on, dtype=bool)
    if allowed.shape != names.shape:
        raise ValueError(f"train_on must say of each of {len(names)} stars whether to train on it; got {allowed.shape}")
    to_fit = spectra if fit is None else fit
    if to_fit.star.values.tolist() != spectra.star.values.tolist():
        raise ValueError("the spectra to fit are not of the same stars in the same order as those to train on")
    if isinstance(folds, str) and folds == "star":
        if train_on is not None or fit is not None:
            raise ValueError("leaving out one star at a time trains on all others: leave those not wanted out first")
        if len(np.unique(names)) < len(names):
            raise ValueError("a star has more than one row: leaving out one would leave the other to train on")
        fits = fit_each_without_itself(spectra, factors, progress)
        return fits.assign(fold=("star", np.arange(spectra.sizes["star"])))
    if isinstance(folds, str):
        if folds != "field" or "field" not in spectra:
            raise ValueError(f"folds must be a number, 'field' (with spectra.field), 'star' or an array; got {folds!r}")
        folds = xr.DataArray(np.unique(spectra.field.values, return_inverse=True)[1], dims="star")
    elif np.ndim(folds) == 0:
        folds = split(spectra, folds, seed)
    group = groups(folds, spectra.sizes["star"])
    if len(np.unique(group)) < 2:
        raise ValueError("all stars are in only one group: there is none to train on when it is left out")
    parts, order, trained_on = [], [], []
    for fold in np.unique(group):
        held_out = np.flatnonzero(group == fold)
        others = np.flatnonzero(allowed & (group != fold) & ~np.isin(names, names[held_out]))
        model = cannon.train(spectra.isel(star=others), factors=factors, progress=progress)
        parts.append(cannon.fit_labels(model, to_fit.isel(star=held_out), progress=progress))
        order.append(held_out)
        trained_on.append(others)
    fits = xr.concat(parts, dim="star").isel(star=np.argsort(np.concatenate(order)))
    whole = spectra.drop_vars(set(spectra.data_vars) - {"labels"}).isel(star=np.unique(np.concatenate(trained_on)))
    return fits.assign(fold=("star", group)).assign_attrs(model=fingerprint(whole, model.degree, factors))
