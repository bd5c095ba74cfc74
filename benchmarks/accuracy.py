"""Is what lab2 finds quickly also right? Against slow and sure ways to the same optimum, on samples."""

import numpy as np
from scipy.optimize import curve_fit
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

import lab2
from lab2.cannon import polynomial

__all__ = ["against_curve_fit", "against_grid"]

_STARTS = 9


def against_curve_fit(model, spectra, n_stars, seed=1) -> dict:
    """Labels of `fit_labels` against the best of curve_fit's fits from 9 starts, on `n_stars` stars.

    Returns
    -------
    dict
        ``max_sigma``, ``percentile_99_5_sigma``: of the largest difference of a star's labels in formal sigma;
        ``share_within_1e-3``; ``worse_chi2``: stars whose chi2 is worse than curve_fit's by more than 1e-6;
        ``max_chi2_excess``; ``failed_starts``: of curve_fit.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(spectra.sizes["star"], n_stars, replace=False))
    spectra = spectra.isel(star=chosen)
    fits = lab2.fit_labels(model, spectra)
    training = model.scale(model.training_labels.values)
    starts = np.vstack([np.zeros(training.shape[1]), training[rng.choice(len(training), _STARTS - 1, replace=False)]])
    theta, s2, pairs = model.theta.values, model.s2.values, model.pairs
    difference, excess, failed = [], [], 0
    with threadpool_limits(1):
        for n in tqdm(range(n_stars), desc="curve_fit from 9 starts"):
            ivar, flux = spectra.ivar.values[n], spectra.flux.values[n]
            seen = (ivar > 0) & np.isfinite(s2)
            problem = theta[seen], flux[seen], np.sqrt(1 / ivar[seen] + s2[seen])
            results = [_curve_fit(*problem, pairs, start) for start in starts]
            found = [result for result in results if result is not None]
            failed += len(results) - len(found)
            best, best_chi2 = min(found, key=lambda result: result[1])
            ours = model.scale(fits.labels.values[n])
            sigma = np.sqrt(np.diag(fits.covariance.values[n])) / model.label_scale.values
            difference.append(np.abs((ours - best) / sigma).max())
            excess.append(_chi2(ours, *problem, pairs) - best_chi2)
    difference = np.array(difference)
    return {
        "stars": n_stars,
        "max_sigma": difference.max(),
        "percentile_99_5_sigma": np.percentile(difference, 99.5),
        "share_within_1e-3": np.mean(difference < 1e-3),
        "worse_chi2": int(np.sum(np.array(excess) > 1e-6)),
        "max_chi2_excess": max(excess),
        "failed_starts": failed,
    }


def _curve_fit(theta, flux, error, pairs, start):
    """Best labels from one start and their chi2; None where curve_fit gives up. Tolerances far below the default,
    which stops up to a hundredth of a sigma away."""
    try:
        x, _ = curve_fit(
            lambda _, *x: theta @ polynomial.design(np.array(x), pairs), None, flux, p0=start, sigma=error,
            jac=lambda _, *x: theta @ polynomial.jacobian(np.array(x), pairs),
            method="trf", ftol=1e-15, xtol=1e-10, gtol=1e-10, max_nfev=200,
        )  # fmt: skip
    except RuntimeError:
        return None
    return x, _chi2(x, theta, flux, error, pairs)


def _chi2(x, theta, flux, error, pairs):
    return float((((flux - theta @ polynomial.design(x, pairs)) / error) ** 2).sum())


def against_grid(model, spectra, n_pixels, seed=2) -> dict:
    """-2 ln L at lab2's s2 and theta less the least on a grid of 400 values of s2, on `n_pixels` trained pixels.

    Returns
    -------
    dict
        ``max_excess``: how much worse than the grid the worst pixel is; ``max_gain``: how much better the best.
    """
    rng = np.random.default_rng(seed)
    trained = np.flatnonzero(model.trained.values)
    chosen = np.sort(rng.choice(trained, min(n_pixels, len(trained)), replace=False))
    grid = np.concatenate([[0.0], np.geomspace(1e-9, 1e-1, 399)])
    terms = model.design(spectra.labels.values)
    excess = []
    for p in tqdm(chosen, desc="400-point grid"):
        seen = spectra.ivar.values[:, p] > 0
        problem = spectra.flux.values[seen, p], spectra.ivar.values[seen, p], terms[seen]
        ours = _likelihood(*problem, np.array([model.s2.values[p]]), model.theta.values[p][None])
        excess.append(ours[0] - _likelihood(*problem, grid, _solve(*problem, grid)).min())
    return {"pixels": len(chosen), "max_excess": max(excess), "max_gain": -min(excess)}


def _solve(flux, ivar, terms, s2):
    """Best theta at each s2: (n_s2, n_terms)."""
    weight = ivar / (1 + ivar * s2[:, None])
    n_terms = terms.shape[1]
    outer = (terms[:, :, None] * terms[:, None, :]).reshape(len(terms), -1)
    normal = (weight @ outer).reshape(-1, n_terms, n_terms)
    return np.linalg.solve(normal, ((weight * flux) @ terms)[..., None])[..., 0]


def _likelihood(flux, ivar, terms, s2, theta):
    """-2 ln L for each s2 with its theta."""
    variance = 1 / ivar + s2[:, None]
    return ((flux - theta @ terms.T) ** 2 / variance + np.log(variance)).sum(axis=1)
