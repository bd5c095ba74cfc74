"""A block of apStar files as a table of labels, with one row per file even if it cannot be read."""

import os
from collections.abc import Sequence

import numpy as np
import xarray as xr
from astropy.table import Column, Table

from lab2 import apstar, continuum
from lab2._blocks import one_thread
from lab2._flags import StarFlag
from lab2.cannon import Cannon, fit_labels, misfit, to_table
from lab2.validation import Calibration

__all__ = ["label_block", "label_spectra"]

# Header values of a star, in the table's order: the names here and in the table, and descriptions.
_STAR = {
    "path": ("file", "the apStar file"),
    "read": ("read", "whether the file could be read"),
    "star": ("apogee_id", "2MASS name, as the file has it"),
    "ra": ("ra", "right ascension, J2000"),
    "dec": ("dec", "declination, J2000"),
    "field": ("field", "field of the survey"),
    "telescope": ("telescope", "telescope; apo: one of the two at Apache Point"),
    "snr": ("snr", "median signal-to-noise ratio a pixel, from the header"),
    "n_visits": ("n_visits", "number of visits combined"),
    "starflag": ("starflag", "STARFLAG of the survey: sum of bits"),
    "starflag_words": ("starflag_words", "names of the bits of starflag"),
    "unknown_cards": ("unknown_cards", "cards of the header that are missing or cannot be read"),
    "simulated": ("simulated", "whether the spectrum is simulated, as its file says"),
}


def label_block(paths: Sequence[str | os.PathLike], model: Cannon, calibration: Calibration | None = None) -> Table:
    """Labels of a block of apStar files, in one thread; all of them are in memory at the same time.

    Parameters
    ----------
    paths : sequence of path-like
        At least one. Files may be missing or of any kind.
    model : lab2.Cannon
        Trained on APOGEE's pixels.
    calibration : lab2.validation.Calibration, optional
        Calibration of this model's errors; without it they are formal.

    Returns
    -------
    astropy.table.Table
        One row for each path, in order: header values of the star (file, read: whether it could be read,
        apogee_id, ra, dec, field, telescope, snr, n_visits, starflag, starflag_words, unknown_cards, simulated), then
        the columns of `lab2.cannon.to_table` with ``full=True``, and ``misfit`` (`lab2.cannon.misfit`). A file that
        cannot be read has NaN labels, the flag NO_DATA, and the ``reason``. No calibrated error is quoted, but NaN, for
        a star that is fitted worse than those of the calibration.
    """
    with one_thread():
        spectra = continuum.normalize(apstar.mask_bad_pixels(apstar.read_rows(paths)), model.trusted)
        return label_spectra(spectra, model, calibration)


def label_spectra(spectra: xr.Dataset, model: Cannon, calibration: Calibration | None = None) -> Table:
    """Labels of normalized spectra of apStar files, in one thread.

    Parameters
    ----------
    spectra : xarray.Dataset
        Output of `lab2.continuum.normalize` for spectra read by `lab2.apstar.read_rows`.
    model, calibration
        As for `label_block`.

    Returns
    -------
    astropy.table.Table
        As from `label_block`.
    """
    with one_thread():
        spectra = spectra.assign(read=spectra.read_error == "")
        fits = fit_labels(model, spectra)
        spectra["misfit"] = misfit(model, spectra, fits).assign_attrs(
            units="", long_name="scatter about the best fit beyond noise and model, of the continuum"
        )
        if calibration is not None:
            fits = _calibrated(fits, calibration)
    return _in_order(to_table(fits, spectra, full=True))


def _calibrated(fits, calibration):
    """Calibrated fits; no errors for fits that are worse than those of the calibration."""
    beyond = xr.DataArray(calibration.misfits(fits), dims="star")
    fits = calibration.apply(fits)
    return fits.assign(covariance=fits.covariance.where(~beyond))


def _in_order(table):
    """The table with the header values first, under the names of this table."""
    words = [StarFlag.words(flag) for flag in table["starflag"]]
    table["starflag_words"] = Column(np.array(words, dtype=str))
    table = table[[*_STAR, *(name for name in table.colnames if name not in _STAR)]]
    for name, (shown, said) in _STAR.items():
        table[name].description = said
        table.rename_column(name, shown)
    return table
