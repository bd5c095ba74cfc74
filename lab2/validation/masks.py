"""Which bits of the pixel mask to heed: the same stars, normalized and fitted with several choices of bits."""

from collections.abc import Iterable, Mapping

import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.typing import ArrayLike

from lab2 import apstar, cannon, continuum
from lab2._arguments import expect

__all__ = ["compare_masks"]


def compare_masks(
    model: cannon.Cannon,
    raw: xr.Dataset,
    labels: xr.DataArray,
    masks: Mapping[str, Iterable[apstar.PixelBit | str | int]],
    trusted: ArrayLike,
) -> QTable:
    """Normalize and fit the same stars with several choices of masked bits.

    Parameters
    ----------
    model : lab2.Cannon
    raw : xarray.Dataset
        As from `lab2.apstar.read_many`.
    labels : xarray.DataArray
        (star, label), the labels to compare with, for all stars of `raw`.
    masks : dict of str to sequence
        Name of the choice to its bits, as for `lab2.apstar.mask_bad_pixels`.
    trusted : array_like
        Continuum pixels, as for `lab2.continuum.normalize`.

    Returns
    -------
    astropy.table.QTable
        One row a choice: mask; pixels, the mean number of good pixels of a star; chi2, the median of the stars' chi^2
        per degree of freedom; and for each label, under its name, the rms difference from `labels` in the label's unit.
        A star that could not be fitted is left out.
    """
    expect(model=model, raw=raw)
    reference = labels.sel(star=raw.star, label=model.labels).transpose("star", "label").values
    rows = []
    for name, bits in masks.items():
        spectra = continuum.normalize(apstar.mask_bad_pixels(raw, bits), trusted)
        fits = cannon.fit_labels(model, spectra)
        pixels = (cannon.weights(model, spectra.ivar.values) > 0).sum(axis=1)
        difference = fits.labels.transpose("star", "label").values - reference
        fitted = np.isfinite(difference).all(axis=1)
        reduced = fits.chi2.values[fitted] / (pixels[fitted] - len(model.labels))
        rms = np.sqrt(np.mean(difference[fitted] ** 2, axis=0))
        rows.append((name, (spectra.ivar.values > 0).sum(axis=1).mean(), np.median(reduced), *rms))
    return QTable(rows=rows, names=["mask", "pixels", "chi2", *model.labels])
