"""Stars named in the handout, and their substitutes where a survey lacks them."""

import numpy as np

__all__ = ["EXAMPLE", "PREDICTED", "named_or_typical"]

EXAMPLE = "2M21235315+1244123"  # of checkpoint 1, in M15
PREDICTED = "2M03533659+2512012"  # of problem 7, in K2_C4_168-21


def named_or_typical(name, spectra) -> str:
    """A star by its name or, if the survey lacks it, a typical star to show instead.

    The typical star is the one, among the half of the stars with higher S/N, whose labels are nearest to the median of
    all stars in units of their standard deviations. The choice involves no random numbers and does not depend on the
    order of the stars.

    Parameters
    ----------
    name : str
        The APOGEE_ID of the star that is wanted.
    spectra : xarray.Dataset
        With ``labels`` (star, label) and ``snr`` (star). With ``ivar`` too, a star without weight in any pixel, because
        its file could not be read, counts as absent.

    Returns
    -------
    str
        `name`, or that of the other star.

    Raises
    ------
    ValueError
        If no star has labels, S/N and a spectrum.

    Examples
    --------
    >>> import xarray as xr
    >>> labels = xr.DataArray([[4000.0], [4500.0], [4510.0]], dims=("star", "label"), coords={"star": ["a", "b", "c"]})
    >>> spectra = labels.to_dataset(name="labels").assign(snr=("star", [150.0, 90.0, 120.0]))
    >>> named_or_typical("a", spectra), named_or_typical("2M03533659+2512012", spectra)
    ('a', 'c')
    """
    names = spectra.star.values.astype(str)
    labels, snr = spectra.labels.transpose("star", "label").values, spectra.snr.values
    there = np.isfinite(labels).all(axis=1) & np.isfinite(snr)
    if "ivar" in spectra:
        there &= spectra.ivar.sum("wavelength").values > 0
    if not there.any():
        raise ValueError(f"none of {len(names)} stars has labels, S/N and a spectrum, so none can be shown")
    if name in names[there]:
        return name
    # by name, so that ties do not depend on the order
    names, labels, snr = (values[there][np.argsort(names[there])] for values in (names, labels, snr))
    spread = labels.std(axis=0)
    away = (labels - np.median(labels, axis=0)) / np.where(spread > 0, spread, 1.0)
    distance = np.where(snr >= np.median(snr), np.sum(away**2, axis=1), np.inf)
    return str(names[distance.argmin()])
