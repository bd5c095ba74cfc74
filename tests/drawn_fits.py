"""Fits whose residuals are drawn with a known scale, floor and fraction of outliers."""

import numpy as np
import xarray as xr

LABELS = ["teff", "logg", "fe_h"]
SIZE = np.array([30.0, 0.1, 0.03])
SCALE = np.array([3.0, 1.0, 2.0])
FLOOR = np.outer(SIZE, SIZE) * np.array([[1.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 1.0]])


def drawn(n_stars, seed, outliers=0.0, scale=SCALE, floor=FLOOR):
    """Fits whose errors are what the calibration says, formal errors over a factor of 30, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal([4600.0, 2.3, -0.2], [300.0, 0.7, 0.3], (n_stars, 3))
    shape = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, -0.2], [0.3, -0.2, 1.0]])
    formal = np.exp(rng.uniform(-3.0, 0.5, n_stars))[:, None, None] ** 2 * np.outer(SIZE, SIZE) * shape
    factor = np.linalg.cholesky(formal * np.outer(scale, scale) + floor)
    residual = np.einsum("nkl,nl->nk", factor, rng.normal(size=(n_stars, 3)))
    odd = rng.random(n_stars) < outliers
    residual[odd] *= 15.0
    star = [str(n) for n in range(n_stars)]
    fits = xr.Dataset(
        {
            "labels": (("star", "label"), truth + residual),
            "covariance": (("star", "label", "label_2"), formal),
            "reduced_chi2": ("star", rng.chisquare(500, n_stars) / 500),
            "flag": ("star", np.zeros(n_stars, dtype=int)),
        },
        coords={"star": star, "label": LABELS, "label_2": LABELS},
    )
    return fits, xr.DataArray(truth, dims=("star", "label"), coords={"star": star, "label": LABELS}), odd


__all__ = ["FLOOR", "LABELS", "SCALE", "SIZE", "drawn"]
