"""The sampler behind `lab2.posterior`: a PyMC model of one star's labels, compiled for nutpie."""

import os
from functools import cache

import numpy as np

from lab2.cannon import polynomial

# PyTensor reads this on import; otherwise it warns if there is no C compiler, although numba needs none.
os.environ.setdefault("PYTENSOR_FLAGS", "mode=NUMBA,cxx=")

__all__ = ["BOUNDS", "sampled"]

BOUNDS = ("lower", "upper")  # columns of a table of priors
# Nodes of the quadrature over the noise factor, and its range about the best value, in standard deviations.
_NODES, _FARTHEST = 96, 10.0


def sampled(model, found, table, start, nuisance, settings):
    """Draws of the labels; the chains start around the deepest minimum of chi^2."""
    import nutpie
    import pymc as pm

    scaling = tuple(zip(model.labels, model.label_mean.values, model.label_scale.values, strict=True))
    priors = tuple(tuple(float(row[name]) for name in ("mean", "sd", *BOUNDS)) for row in table)
    density, compiled = _compiled(scaling, priors, nuisance)
    lower, upper = np.array(table["lower"]), np.array(table["upper"])
    inside = 0.01 * (upper - lower)  # if the best fit is outside the bounds, start inside
    pm.set_data({"start": np.clip(start, lower + inside, upper - inside)}, model=density)
    data = {"quartic": polynomial.symmetric_form(len(scaling)).matrix(found.coefficients[0])}
    if nuisance:
        least = found.chi2(model.scale(start)[None])[0]
        data["inverse_k2"], data["log_weight"] = _noise_factors(float(found.n_pixels[0]), least)
    cores = min(settings["chains"], os.cpu_count())
    return nutpie.sample(compiled.with_data(**data), cores=cores, save_warmup=False, **settings)


def _noise_factors(n_pixels, chi2):
    """Nodes u = 1 / k^2 and logarithms of their weights, with u^(n/2 - 1), scaled to order unity at this chi^2."""
    best = min(1.0, n_pixels / chi2)
    width = _FARTHEST * best * np.sqrt(2.0 / n_pixels)
    low, high = max(0.0, best - width), min(1.0, best + width)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    u = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    log_weight = np.log(weights) + (0.5 * n_pixels - 1.0) * np.log(u)
    return u, log_weight - (log_weight - 0.5 * u * chi2).max()


@cache
def _compiled(scaling, priors, nuisance):
    """The PyMC model for these labels and priors, valid for any star, and the same compiled for nutpie.

    Cached, since compilation takes seconds.
    """
    import nutpie
    import pymc as pm  # the import takes seconds
    import pytensor
    import pytensor.tensor as pt

    names, label_mean, label_scale = zip(*scaling, strict=True)
    mean, sd, lower, upper = np.transpose(priors)
    n = len(names) + 1
    with pytensor.config.change_flags(mode="NUMBA"), pm.Model(coords={"label": names}, check_bounds=False) as density:
        start = pm.Data("start", mean)
        labels = pm.TruncatedNormal("labels", mean, sd, lower=lower, upper=upper, initval=start, dims="label")
        y = pt.concatenate([np.ones(1), (labels - np.array(label_mean)) / np.array(label_scale)])
        u = pt.outer(y, y)[np.triu_indices(n)]  # the terms up to degree 2
        chi2 = pt.dot(u, pt.dot(pm.Data("quartic", np.zeros((n * (n + 1) // 2,) * 2)), u))
        log_likelihood = -0.5 * chi2
        if nuisance:
            inverse_k2, log_weight = (pm.Data(name, np.ones(_NODES)) for name in ("inverse_k2", "log_weight"))
            log_likelihood = pt.logsumexp(log_weight - 0.5 * inverse_k2 * chi2)
        pm.Potential("log_likelihood", log_likelihood)
        return density, nutpie.compile_pymc_model(density, var_names=["labels"])
