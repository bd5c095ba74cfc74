"""The posterior of one star's labels, by Hamiltonian Monte Carlo (the lab's problem 12).

The likelihood is exact and needs no pixels: chi^2 is a quartic in the labels whose coefficients
`lab2.inference.quartic` sums up once, and log L = -chi^2 / 2 + constant. Priors are normal distributions cut
off at two bounds, independent of each other.

With `nuisance` two doubts about the likelihood are added, and integrated out exactly, so that they cost no sampling.
*Continuum slop*: on each chip the flux is off by a polynomial of the second degree times the flux, its coefficients
normal with a standard deviation of one per cent: a linear model, whose marginal chi^2 is again a quartic. *Extra
noise*: the covariance that results is multiplied by one factor k^2 with the scale-free prior 1/k; that turns
exp(-chi^2 / 2) into (chi^2)^(-n/2) for n pixels (Gelman et al. 2013, Bayesian Data Analysis, section 3.2).

The sampler works in variables in which the posterior is nearly a unit sphere. A label l between its bounds a
and b becomes q = logit((l - a) / (b - a)), which may take any value; z is q less that of the best fit, turned
and stretched by the covariance there. The Jacobian belongs to the density, so that this changes the time that
the sampling takes, and not what is sampled.
"""

import os
import warnings
from functools import lru_cache
from importlib import metadata

import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.polynomial import chebyshev

from lab2 import inference, polynomial
from lab2.apstar import chip_of
from lab2.labels import LABELS

with warnings.catch_warnings():
    # once a day ArviZ announces its version 1, which this project holds back: no news for a report's reader
    warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing a major refactor", FutureWarning)
    import arviz as az

__all__ = ["default_priors", "predictive", "problems", "sample", "summary"]

_WIDTH = 3.0  # standard deviation of a default prior, in those of the training set
_MARGIN = 0.1  # how far its bounds lie outside the training labels, in units of their range
_MAX_RHAT, _MIN_ESS = 1.01, 400.0  # Vehtari et al. 2021, Bayesian Analysis 16, 667
_EDGE = 3.0  # standard deviations from a bound within which the bound has a say
_BOUNDS = ("lower", "upper")
# How far a pseudo-continuum may be off, in each of a chip's polynomial coefficients: a fit through a few hundred
# trusted pixels is good to a fraction of a per cent on average, and worse where these are few.
_SLOP, _SLOP_DEGREE = 0.01, 2


def default_priors(model) -> QTable:
    """The priors that `sample` uses where none is given: weak, and confined to where the model was trained.

    Parameters
    ----------
    model : lab2.cannon.Cannon

    Returns
    -------
    astropy.table.QTable
        A row a label: label, unit, mean, sd, lower, upper, in that unit. The mean is the training set's, sd
        three of its standard deviations, and the bounds a tenth of its range outside the extremes.
    """
    labels = model.dataset.training_labels.values
    low, high = labels.min(axis=0), labels.max(axis=0)
    margin = _MARGIN * (high - low)
    units = {label.name: label.unit for label in LABELS}
    return QTable(
        {
            "label": model.labels,
            "unit": [units.get(name, "") for name in model.labels],
            "mean": labels.mean(axis=0),
            "sd": _WIDTH * labels.std(axis=0),
            "lower": low - margin,
            "upper": high + margin,
        }
    )


def sample(
    model, spectrum, draws=1000, tune=1000, chains=4, seed=128, nuisance=False, progress=False, **priors
) -> az.InferenceData:
    """Draw from the posterior of one star's labels.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectrum : xarray.Dataset
        The spectrum of one star: ``flux`` and ``ivar`` (star, wavelength), on the model's wavelengths.
    draws, tune, chains : int
        Draws kept and draws spent on tuning in each chain, and the number of chains, which run in parallel.
    seed : int
    nuisance : bool
        Whether to allow for extra noise and for continuum slop on each chip, integrated out.
    progress : bool
        Show a progress bar.
    **priors
        For any label, by its name: (mean, sd), or (mean, sd, lower, upper), in the label's unit. What is not
        given is as in `default_priors`.

    Returns
    -------
    arviz.InferenceData
        ``posterior.labels`` (chain, draw, label), in each label's unit; ``sample_stats``; ``constant_data``
        with the priors (prior_mean, prior_sd, prior_lower, prior_upper) and the best fit (best, best_sd),
        each (label); attributes star, seed, chi2 (of the best fit), n_pixels, fit_flag
        (`lab2.inference.FLAGS`), nuisance (0 or 1) and versions.

    Raises
    ------
    ValueError
        If a prior is of no label of the model or makes no sense, if no pixel of the spectrum says anything,
        if there is not exactly one star, or as `lab2.inference.fit_labels` does.
    """
    table = _priors(model, priors)
    matrix, right, constant = inference.quartic(model, spectrum)
    if not np.any(matrix):
        raise ValueError(
            f"the spectrum of {spectrum.star.values[0]!r} has no pixel with information (ivar > 0) where the "
            "model is trained: there is nothing to sample"
        )
    fit = inference.fit_labels(model, spectrum).isel(star=0)
    start = fit.labels.values
    if not np.isfinite(start).all():  # fewer pixels than a fit needs: the priors make up for them
        start = np.array(table["mean"])
    if nuisance:
        matrix, right, constant = _without_slop(model, spectrum, start)
    density = _compiled(tuple(model.labels), model.dataset.attrs["degree"], nuisance)
    numbers = _numbers(model, matrix, right, constant, int(fit.n_pixels), table, start, nuisance)
    import nutpie

    drawn = nutpie.sample(
        density.with_data(**numbers),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=min(chains, os.cpu_count()),
        seed=seed,
        save_warmup=False,
        progress_bar=progress,
    )
    drawn.posterior.labels.attrs["units"] = [str(unit) for unit in table["unit"]]
    constants = xr.Dataset(
        {
            **{f"prior_{name}": ("label", np.array(table[name])) for name in ("mean", "sd", *_BOUNDS)},
            "best": ("label", fit.labels.values),
            "best_sd": ("label", np.sqrt(np.diag(fit.covariance.values))),
        },
        coords={"label": model.labels},
    )
    attrs = {
        "star": str(spectrum.star.values[0]),
        "seed": seed,
        "chi2": float(fit.chi2),
        "n_pixels": int(fit.n_pixels),
        "fit_flag": int(fit.flag),
        "label_tree": model.dataset.attrs.get("label_tree", "unknown"),
        "nuisance": int(nuisance),
        "versions": ", ".join(f"{name} {metadata.version(name)}" for name in ("lab2", "pymc", "nutpie")),
    }
    return az.InferenceData(
        attrs=attrs, posterior=drawn.posterior, sample_stats=drawn.sample_stats, constant_data=constants
    )


def summary(idata) -> QTable:
    """What the draws say of each label.

    Parameters
    ----------
    idata : arviz.InferenceData
        As from `sample`.

    Returns
    -------
    astropy.table.QTable
        A row a label: label, unit, mean, sd, p16, p50, p84 (percentiles), in that unit; rhat, the
        rank-normalised split R-hat, and ess, the smaller of the effective numbers of draws for the bulk and
        for the tails (Vehtari et al. 2021, Bayesian Analysis 16, 667).
    """
    draws = idata.posterior.labels.transpose("chain", "draw", "label")
    flat = draws.values.reshape(-1, draws.sizes["label"])
    low, median, high = np.percentile(flat, [16, 50, 84], axis=0)
    return QTable(
        {
            "label": draws.label.values.astype(str),
            "unit": list(draws.attrs["units"]),
            "mean": flat.mean(axis=0),
            "sd": flat.std(axis=0, ddof=1),
            "p16": low,
            "p50": median,
            "p84": high,
            "rhat": az.rhat(draws).labels.values,
            "ess": np.minimum(*(az.ess(draws, method=part).labels.values for part in ("bulk", "tail"))),
        }
    )


def predictive(model, spectrum, labels, seed=128) -> xr.Dataset:
    """Spectra that the model would expect to see of this star, one for each draw of its labels.

    Parameters
    ----------
    model : lab2.cannon.Cannon
    spectrum : xarray.Dataset
        Of one star, with its errors.
    labels : array_like, shape (n_draws, n_labels)
    seed : int

    Returns
    -------
    xarray.Dataset
        ``flux`` (draw, wavelength), drawn with the variance sigma^2 + s^2, NaN where the pixel says nothing; and (draw)
        ``chi2`` of the observed spectrum and ``chi2_drawn`` of the drawn one, each by the draw's labels. If the model
        describes the star, each is the larger about as often as the other (Gelman, Meng & Stern 1996, Statistica
        Sinica 6, 733).
    """
    ivar = np.where(model.trained.values, spectrum.ivar.values[0], 0.0).astype(float)
    seen = ivar > 0
    expected = model.predict(np.asarray(labels)).values[:, seen]
    sd = np.sqrt(1.0 / ivar[seen] + model.s2.values[seen])
    noise = np.random.default_rng(seed).normal(size=expected.shape)
    flux = np.full((len(expected), len(seen)), np.nan)
    flux[:, seen] = expected + sd * noise
    observed = (((spectrum.flux.values[0][seen] - expected) / sd) ** 2).sum(axis=1)
    return xr.Dataset(
        {
            "flux": (("draw", "wavelength"), flux),
            "chi2": ("draw", observed),
            "chi2_drawn": ("draw", (noise**2).sum(axis=1)),
        },
        coords={"wavelength": spectrum.wavelength},
    )


def problems(idata) -> list[str]:
    """Reasons not to trust the draws, in words; an empty list if all is well.

    Parameters
    ----------
    idata : arviz.InferenceData
        As from `sample`.

    Returns
    -------
    list of str
        Chains that disagree (R-hat > 1.01), fewer than 400 effective draws, divergent transitions, a second
        minimum of chi^2 that the chains may have missed, and priors whose bounds cut into the posterior.
    """
    table = summary(idata)
    found = []
    for row in table:
        if not row["rhat"] <= _MAX_RHAT:
            found.append(f"{row['label']}: the chains disagree, R-hat = {row['rhat']:.3f}: tune longer")
        if not row["ess"] >= _MIN_ESS:
            found.append(f"{row['label']}: {row['ess']:.0f} effective draws, not {_MIN_ESS:.0f}: draw more")
    divergences = int(idata.sample_stats.diverging.sum())
    if divergences:
        found.append(f"{divergences} divergent transitions: a part of the posterior may be missing")
    if idata.attrs["fit_flag"] & inference.FLAGS["MULTIPLE_MINIMA"]:
        found.append("chi^2 has a second minimum nearly as deep, and all chains start around the deepest")
    lower, upper = (idata.constant_data[f"prior_{name}"].values for name in _BOUNDS)
    near = np.minimum(table["mean"] - lower, upper - table["mean"]) < _EDGE * table["sd"]
    for name, a, b in zip(table["label"][near], lower[near], upper[near], strict=True):
        found.append(f"{name}: the prior's bounds, {a:.6g} and {b:.6g}, cut into the posterior")
    return found


def _priors(model, given):
    """The default priors with those given put in, refused where they make no sense."""
    table = default_priors(model)
    unknown = sorted(set(given) - set(model.labels))
    if unknown:
        raise ValueError(f"a prior for {', '.join(unknown)}: the labels are {', '.join(model.labels)}")
    for name, prior in given.items():
        values = np.asarray(prior, dtype=float)
        if values.shape not in ((2,), (4,)):
            raise ValueError(f"the prior of {name} must be (mean, sd) or (mean, sd, lower, upper); got {prior!r}")
        row = table[model.labels.index(name)]
        for column, value in zip(("mean", "sd", *_BOUNDS), values, strict=False):
            row[column] = value
        mean, sd, lower, upper = (float(row[column]) for column in ("mean", "sd", *_BOUNDS))
        if not (np.isfinite([mean, sd, lower, upper]).all() and sd > 0 and lower < mean < upper):
            raise ValueError(
                f"the prior of {name} needs finite numbers with sd > 0 and lower < mean < upper; got "
                f"mean {mean:g}, sd {sd:g}, lower {lower:g}, upper {upper:g}"
            )
    return table


def _without_slop(model, spectrum, labels):
    """The quartic's matrix, right side and constant with the continuum slop integrated out.

    For the model f = F(l) + S c + noise, c ~ N(0, _SLOP^2), W the weights and M = S^T W S + _SLOP^-2, the marginal
    chi^2 is that with W - W S M^-1 S^T W in the place of W; S holds the polynomials of each chip times the flux at
    `labels`.
    """
    theta, s2, ivar = model.theta.values, model.s2.values, spectrum.ivar.values[0].astype(float)
    seen = (ivar > 0) & np.isfinite(s2)
    chip = chip_of(spectrum.wavelength.values)
    position = np.zeros(len(chip))
    for name in np.unique(chip):
        position[chip == name] = np.linspace(-1.0, 1.0, (chip == name).sum())
    powers = chebyshev.chebvander(position, _SLOP_DEGREE)
    slop = np.concatenate([powers * (chip == name)[:, None] for name in np.unique(chip)], axis=1)
    slop = (slop * model.predict(labels).values[:, None])[seen]
    residual = spectrum.flux.values[0][seen].astype(float) - theta[seen, 0]
    root = np.sqrt(ivar[seen] / (1.0 + ivar[seen] * s2[seen]))[:, None]
    columns = root * np.column_stack([theta[seen], residual])
    slop = root * slop
    mixed = slop.T @ columns
    normal = slop.T @ slop + _SLOP**-2 * np.eye(slop.shape[1])
    left = columns.T @ columns - mixed.T @ np.linalg.solve(normal, mixed)
    return left[:-1, :-1], left[:-1, -1], left[-1, -1]


def _numbers(model, matrix, right, constant, n_pixels, table, start, nuisance):
    """All numbers of the PyMC model, in few arrays: each one makes its compilation longer."""
    u = model.design(start)
    u[0] = 0.0
    noise = (u @ matrix @ u - 2.0 * right @ u + constant) / max(n_pixels, 1) if nuisance else 1.0
    centre, turn = _whitening(model, matrix / noise, table, start)
    width = table["upper"] - table["lower"]
    rows = [model.label_mean, model.label_scale, table["mean"], table["sd"], table["lower"], width, centre]
    numbers = {
        "quadratic": np.column_stack([matrix, right])[1:, 1:],  # without the constant term: u[0] = 0
        "rows": np.stack([*(np.asarray(row) for row in rows), *turn]),
    }
    return numbers | ({"noise": np.array([constant, n_pixels])} if nuisance else {})


@lru_cache
def _compiled(names, degree, nuisance):
    """The PyMC model of any star for labels of these names, compiled for nutpie; it takes seconds, once."""
    # PyTensor reads this on import; unset, it complains where there is no C compiler, though numba needs none
    os.environ.setdefault("PYTENSOR_FLAGS", "cxx=")
    import nutpie
    import pymc as pm  # takes seconds to import, so not before it is needed
    import pytensor
    import pytensor.tensor as pt

    pairs = polynomial.terms(len(names), degree)[1:]
    n_labels, n_terms = len(names), len(pairs)
    with pytensor.config.change_flags(mode="NUMBA", cxx=""), pm.Model(coords={"label": names}) as model:
        quadratic = pm.Data("quadratic", np.ones((n_terms, n_terms + 1)), shape=(n_terms, n_terms + 1))
        rows = pm.Data("rows", np.ones((n_labels + 7, n_labels)), shape=(n_labels + 7, n_labels))
        label_mean, label_scale, prior_mean, prior_sd, lower, width, centre = (rows[k] for k in range(7))
        z = pm.Flat("z", shape=n_labels)
        q = centre + pt.dot(rows[7:], z)
        labels = pm.Deterministic("labels", lower + width * pt.sigmoid(q), dims="label")
        y = pt.concatenate([np.ones(1), (labels - label_mean) / label_scale])
        u = y[pairs[:, 0]] * y[pairs[:, 1]]
        chi2 = pt.dot(u, pt.dot(quadratic[:, :-1], u) - 2.0 * quadratic[:, -1])
        if nuisance:
            noise = pm.Data("noise", np.ones(2), shape=(2,))  # the constant of chi^2, and the number of pixels
            pm.Potential("log_likelihood", -0.5 * noise[1] * pt.log(chi2 + noise[0]))
        else:
            pm.Potential("log_likelihood", -0.5 * chi2)
        pm.Potential("log_prior", -0.5 * pt.sum(((labels - prior_mean) / prior_sd) ** 2))
        pm.Potential("log_jacobian", -pt.sum(pt.softplus(q) + pt.softplus(-q)))  # s (1 - s), s = sigmoid(q)
        return nutpie.compile_pymc_model(model, var_names=["labels"])


def _whitening(model, matrix, table, start):
    """Origin and scale of the sampler's variables: q = centre + turn z, z of nearly unit covariance."""
    lower, width = np.array(table["lower"]), np.array(table["upper"] - table["lower"])
    share = np.clip((start - lower) / width, 0.01, 0.99)  # a best fit outside of the bounds starts inside
    x = model.scale(lower + width * share)
    slopes = polynomial.jacobian(x, model.pairs) / model.label_scale.values
    information = slopes.T @ matrix @ slopes + np.diag(np.array(table["sd"]) ** -2)
    stretch = width * share * (1.0 - share)  # d label / d q
    # the last term is the curvature of the log Jacobian: it keeps a label that nothing measures finite
    information = information * np.outer(stretch, stretch) + np.diag(2.0 * share * (1.0 - share))
    return np.log(share / (1.0 - share)), np.linalg.cholesky(np.linalg.inv(information))
