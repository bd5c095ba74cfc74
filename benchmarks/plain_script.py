"""Labels of apStar files as one writes them in an afternoon: astropy, numpy and scipy, one star after the other."""

import numpy as np
from astropy.io import fits
from scipy.optimize import curve_fit

__all__ = ["label"]

_BAD = 0b1000011111111  # APOGEE_PIXMASK bits 0 to 7 and 12
_CHIPS = (("B", 0, 3427), ("G", 3427, 6214), ("R", 6214, 8575))


def label(path, theta, s2, trusted):
    """Scaled labels of one star and their formal errors, from the mean labels.

    Parameters
    ----------
    path : path-like
        An apStar file.
    theta, s2, trusted : numpy.ndarray, shapes (8575, 21), (8575,) and (8575,)
        A quadratic model of five labels, and the pixels whose flux is taken for continuum.

    Returns
    -------
    x, error : numpy.ndarray, shape (5,)
    """
    flux, error = normalized(path, trusted)
    used = np.isfinite(error) & np.isfinite(s2)
    upper = np.triu_indices(5)

    def model(_, *x):
        x = np.array(x)
        return theta[used] @ np.concatenate([[1.0], x, np.outer(x, x)[upper]])

    sigma = np.sqrt(error[used] ** 2 + s2[used])
    x, covariance = curve_fit(model, None, flux[used], p0=np.zeros(5), sigma=sigma, absolute_sigma=True)
    return x, np.sqrt(np.diag(covariance))


def normalized(path, trusted):
    """Flux and error of row 0, divided by a parabola through the trusted pixels of each chip."""
    with fits.open(path) as hdus:
        header = hdus[0].header
        flux, error, mask = (np.atleast_2d(hdus[k].data)[0].astype(float) for k in (1, 2, 3))
    bad = (mask.astype(int) & _BAD != 0) | ~np.isfinite(flux) | (flux == 0) | ~(error > 0)
    error[bad] = np.inf
    error[error > 100 * np.median(error[~bad])] = np.inf
    pixel = np.arange(8575)
    for letter, first, last in _CHIPS:
        chip = (pixel >= first) & (pixel < last)
        error[chip & ((pixel < header[f"{letter}MIN"]) | (pixel > header[f"{letter}MAX"]))] = np.inf
        u, good = (pixel - (first + last) / 2) / (last - first), chip & trusted & np.isfinite(error)
        for _ in range(10):
            curve = np.polyfit(u[good], flux[good], 2, w=1 / error[good])
            pull = np.abs(flux - np.polyval(curve, u)) / error
            good = chip & trusted & np.isfinite(error) & (pull < 3 * max(1.0, 1.48 * np.median(pull[good])))
        level = np.polyval(curve, u[chip])
        flux[chip] /= level
        error[chip] /= level
    return flux, error
