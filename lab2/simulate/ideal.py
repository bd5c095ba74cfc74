"""Spectra of simulated giants without files, for examples and first experiments."""

import numpy as np
import xarray as xr

from lab2.grid import WAVELENGTH, chip_of
from lab2.labels import label_names
from lab2.simulate.chemistry import HIDDEN
from lab2.simulate.population import FIELDS, draw_giants, labels_of
from lab2.simulate.synthesis import spectrum
from lab2.spectra import from_arrays

__all__ = ["giants"]


def giants(n_stars: int = 100, snr: float = 100.0, seed: int = 128) -> xr.Dataset:
    """Normalized spectra of simulated giants, with their true labels.

    Their labels and abundances are drawn as those of one field of `make_survey`, but the spectra are ideal: no bad
    pixels, the true continuum, no odd stars, the same noise everywhere.

    Parameters
    ----------
    n_stars : int
    snr : float
        Signal-to-noise ratio per pixel, where the flux is 1.
    seed : int
        For the labels and the noise.

    Returns
    -------
    xarray.Dataset
        ``flux``, ``ivar`` (star, wavelength), ``labels`` (star, label), ``snr`` and ``simulated`` (star), for
        `lab2.train` and `lab2.fit_labels`; the coordinate ``chip`` (wavelength).

    Raises
    ------
    ValueError
        If there is no star, or the signal-to-noise ratio is not positive.

    Examples
    --------
    >>> spectra = giants(50)
    >>> dict(spectra.sizes)
    {'star': 50, 'wavelength': 8575, 'label': 5}
    >>> spectra.label.values.tolist()
    ['teff', 'logg', 'fe_h', 'mg_fe', 'si_fe']
    """
    if n_stars < 1 or not snr > 0:
        raise ValueError(f"n_stars and snr are positive numbers; got {n_stars!r} and {snr!r}")
    rng = np.random.default_rng(seed)
    stars = draw_giants(rng, FIELDS[0], n_stars)
    flux = spectrum(labels_of(stars), {name: np.asarray(stars[name]) for name in HIDDEN})
    flux += rng.normal(0.0, 1.0 / snr, flux.shape)
    names = [f"giant {k}" for k in range(n_stars)]
    spectra = from_arrays(flux, np.full(flux.shape, snr**2), WAVELENGTH, labels_of(stars), names, label_names())
    return spectra.assign(
        snr=("star", np.full(n_stars, float(snr))), simulated=("star", np.ones(n_stars, dtype=bool))
    ).assign_coords(chip=("wavelength", chip_of(WAVELENGTH)))
