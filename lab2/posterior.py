"""The posterior of one star's labels, by Hamiltonian Monte Carlo (the lab's problem 12).

The likelihood is exact and does not need the pixels while sampling: chi^2 is a quartic in the labels, whose
coefficients `lab2.cannon.quartics` computes once, and log L = -chi^2 / 2 + constant. The priors of the labels are
independent truncated normal distributions.

The option `nuisance` adds two sets of nuisance parameters. Both are marginalized analytically or by quadrature, so they
are not sampled. *Continuum slop*: on each chip the flux error is a polynomial of second degree times the flux, whose
coefficients are normal with a standard deviation of one per cent; this is a linear nuisance. *Extra noise*: the
resulting covariance is multiplied by a factor k^2, with the scale-free prior 1/k (Gelman et al. 2013, Bayesian Data
Analysis, section 3.2) and k >= 1: a spectrum that happens to fit better than expected is not less noisy than its errors
imply. With u = 1 / k^2 and n pixels, exp(-chi^2 / 2) becomes the integral of u^(n/2 - 1) exp(-u chi^2 / 2) over 0 < u
<= 1. Gauss-Legendre quadrature computes it to rounding error: the integrand is smooth in u and in chi^2.
"""

import warnings
from collections.abc import Sequence
from importlib import metadata

import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike

from lab2._extras import require

require("mcmc", __name__)

from lab2 import cannon
from lab2._arguments import expect
from lab2._draws import load, save
from lab2._sampler import BOUNDS, sampled
from lab2.cannon import Flag
from lab2.cannon.nuisances import Precision, factors_of
from lab2.grid import chip_of

with warnings.catch_warnings():
    # once a day ArviZ announces version 1, which this project does not use: keep the message out of reports
    warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing a major refactor", FutureWarning)
    import arviz as az

__all__ = ["continuum_slop", "default_priors", "load", "predictive", "problems", "sample", "save", "summary"]

_WIDTH = 3.0  # standard deviation of a default prior, in standard deviations of the training labels
_MARGIN = 0.1  # how far its bounds lie outside the training labels, in units of their range
_MAX_RHAT, _MIN_ESS = 1.01, 400.0  # Vehtari et al. 2021, Bayesian Analysis 16, 667
_EDGE = 3.0  # a bound closer to the mean than this, in standard deviations, affects the posterior
# Error of a pseudo-continuum, in each of a chip's polynomial coefficients: a fit through a few hundred continuum pixels
# is good to a fraction of a per cent on average, and worse where there are few such pixels.
_SLOP, _SLOP_DEGREE = 0.01, 2


def default_priors(model: cannon.Cannon) -> QTable:
    """The priors that `sample` uses by default: weak, and confined to the range of the training labels.

    Parameters
    ----------
    model : lab2.Cannon

    Returns
    -------
    astropy.table.QTable
        One row per label: label, unit, mean, sd, lower, upper, in that unit. The mean is that of the training set,
        sd is three times its standard deviation, and the bounds lie a tenth of its range outside its extremes.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> default_priors(lab2.train(spectra)).colnames
    ['label', 'unit', 'mean', 'sd', 'lower', 'upper']
    """
    expect(model=model)
    labels = model.training_labels.values
    low, high = labels.min(axis=0), labels.max(axis=0)
    margin = _MARGIN * (high - low)
    return QTable(
        {
            "label": model.labels,
            "unit": model.units,
            "mean": labels.mean(axis=0),
            "sd": _WIDTH * labels.std(axis=0),
            "lower": low - margin,
            "upper": high + margin,
        }
    )


def sample(
    model: cannon.Cannon,
    spectrum: xr.Dataset,
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int = 128,
    nuisance: bool = False,
    progress: bool = False,
    **priors: Sequence[float],
) -> az.InferenceData:
    """Draw from the posterior of one star's labels.

    Parameters
    ----------
    model : lab2.Cannon
    spectrum : xarray.Dataset
        The spectrum of one star: ``flux`` and ``ivar`` (star, wavelength), on the model's wavelengths.
    draws, tune, chains : int
        Number of draws to keep and of tuning draws in each chain, and number of chains, which run in parallel.
    seed : int
    nuisance : bool
        Whether to marginalize over extra noise and over continuum slop on each chip.
    progress : bool
        Show a progress bar.
    **priors
        Priors by label name: (mean, sd) or (mean, sd, lower, upper), in the label's unit. Everything else is as in
        `default_priors`.

    Returns
    -------
    arviz.InferenceData
        ``posterior.labels`` (chain, draw, label), in each label's unit; ``sample_stats``; ``constant_data``
        with the priors (prior_mean, prior_sd, prior_lower, prior_upper) and the best fit (best, best_sd),
        each (label); attributes star, seed, chi2 (of the best fit), n_pixels, fit_flag
        (`lab2.cannon.Flag`), nuisance (0 or 1), model (its fingerprint) and versions.

    Raises
    ------
    ValueError
        If a prior names an unknown label or is invalid, if no pixel of the spectrum carries information, if there is
        not exactly one star, or for the reasons given in `lab2.fit_labels`.

    Examples
    --------
    >>> import lab2
    >>> spectra = lab2.simulate.giants(60)
    >>> model = lab2.train(spectra)
    >>> idata = sample(model, lab2.simulate.giants(1, seed=1), teff=(4700.0, 100.0))  # doctest: +SKIP
    >>> summary(idata)  # doctest: +SKIP
    """
    expect(model=model, spectrum=spectrum)
    table = _priors(model, priors)
    if spectrum.sizes.get("star") != 1:
        raise ValueError(f"expected the spectrum of one star, got {dict(spectrum.sizes)}")
    found = cannon.quartics(model, spectrum)
    if not found.n_pixels[0]:
        raise ValueError(
            f"the spectrum of {spectrum.star.values[0]!r} has no pixel with information (ivar > 0) where the "
            "model is trained: there is nothing to sample"
        )
    fit = cannon.fit_quartics(model, found, spectrum).isel(star=0)
    start = fit.labels.values
    if not np.isfinite(start).all():  # too few pixels for a fit: start from the priors
        start = np.array(table["mean"])
    if nuisance:
        found = cannon.quartics(model, spectrum, [continuum_slop(model, spectrum, start)])
    settings = {"draws": draws, "tune": tune, "chains": chains, "seed": seed, "progress_bar": progress}
    drawn = sampled(model, found, table, start, nuisance, settings)
    drawn.posterior.labels.attrs["units"] = [str(unit) for unit in table["unit"]]
    for group in (drawn.posterior, drawn.sample_stats):
        group.attrs.pop("created_at", None)  # so that identical draws give identical files
    constants = xr.Dataset(
        {
            **{f"prior_{name}": ("label", np.array(table[name])) for name in ("mean", "sd", *BOUNDS)},
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
        "label_tree": model.label_tree,
        "model": model.fingerprint,
        "nuisance": int(nuisance),
        "versions": ", ".join(f"{name} {metadata.version(name)}" for name in ("lab2", "pymc", "nutpie")),
    }
    return az.InferenceData(
        attrs=attrs, posterior=drawn.posterior, sample_stats=drawn.sample_stats, constant_data=constants
    )


def summary(idata: az.InferenceData) -> QTable:
    """Summary statistics of the draws of each label.

    Parameters
    ----------
    idata : arviz.InferenceData
        As from `sample`.

    Returns
    -------
    astropy.table.QTable
        One row per label: label, unit, mean, sd, p16, p50, p84 (percentiles), in that unit; rhat, the
        rank-normalized split R-hat, and ess, the smaller of the bulk and tail effective sample sizes (Vehtari et al.
        2021, Bayesian Analysis 16, 667).
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


def predictive(model: cannon.Cannon, spectrum: xr.Dataset, labels: ArrayLike, seed: int = 128) -> xr.Dataset:
    """Posterior predictive spectra of one star, one for each draw of its labels.

    Parameters
    ----------
    model : lab2.Cannon
    spectrum : xarray.Dataset
        The spectrum of one star, with its errors.
    labels : array_like, shape (n_draws, n_labels)
    seed : int

    Returns
    -------
    xarray.Dataset
        ``flux`` (draw, wavelength), drawn with the variance sigma^2 + s^2 and random scores of the hidden factors, NaN
        in pixels without information; ``chi2`` (draw) of the observed spectrum and ``chi2_drawn`` (draw) of the drawn
        one, both at the labels of the draw. If the model describes the star, each is the larger one about equally often
        (Gelman, Meng & Stern 1996, Statistica Sinica 6, 733).
    """
    expect(model=model, spectrum=spectrum)
    weight = cannon.weights(model, spectrum.ivar.values[0])
    seen = weight > 0
    expected = model.predict(np.asarray(labels)).values[:, seen]
    hidden = factors_of(model)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=expected.shape) * weight[seen] ** -0.5
    noise += rng.normal(size=(len(expected), len(hidden.sd))) @ hidden.columns[seen].T
    flux = np.full((len(expected), len(seen)), np.nan)
    flux[:, seen] = expected + noise
    precision = Precision(weight[seen], hidden.columns[seen], hidden.sd)
    chi2_drawn, chi2 = (precision.norms(r.T) for r in (noise, spectrum.flux.values[0][seen] - expected))
    return xr.Dataset(
        {
            "flux": (("draw", "wavelength"), flux),
            "chi2": ("draw", chi2),
            "chi2_drawn": ("draw", chi2_drawn),
        },
        coords={"wavelength": spectrum.wavelength},
    )


def problems(idata: az.InferenceData) -> list[str]:
    """Reasons not to trust the draws, as messages; an empty list if there are none.

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
    if idata.attrs["fit_flag"] & Flag.MULTIPLE_MINIMA:
        found.append("chi^2 has a second minimum nearly as deep, and all chains start around the deepest")
    lower, upper = (idata.constant_data[f"prior_{name}"].values for name in BOUNDS)
    near = np.minimum(table["mean"] - lower, upper - table["mean"]) < _EDGE * table["sd"]
    for name, a, b in zip(table["label"][near], lower[near], upper[near], strict=True):
        found.append(f"{name}: the prior's bounds, {a:.6g} and {b:.6g}, cut into the posterior")
    return found


def _priors(model, given):
    """The default priors updated with the given ones; an error if these are invalid."""
    table = default_priors(model)
    unknown = sorted(set(given) - set(model.labels))
    if unknown:
        raise ValueError(f"a prior was given for {', '.join(unknown)}, but the labels are {', '.join(model.labels)}")
    for name, prior in given.items():
        values = np.asarray(prior, dtype=float)
        if values.shape not in ((2,), (4,)):
            raise ValueError(f"the prior of {name} must be (mean, sd) or (mean, sd, lower, upper); got {prior!r}")
        row = table[model.labels.index(name)]
        for column, value in zip(("mean", "sd", *BOUNDS), values, strict=False):
            row[column] = value
        mean, sd, lower, upper = (float(row[column]) for column in ("mean", "sd", *BOUNDS))
        if not (np.isfinite([mean, sd, lower, upper]).all() and sd > 0 and lower < mean < upper):
            raise ValueError(
                f"the prior of {name} needs finite numbers with sd > 0 and lower < mean < upper; got "
                f"mean {mean:g}, sd {sd:g}, lower {lower:g}, upper {upper:g}"
            )
    return table


def continuum_slop(model: cannon.Cannon, spectra: xr.Dataset, labels: ArrayLike) -> cannon.Nuisance:
    """Errors of each chip's continuum as a linear nuisance: Chebyshev polynomials times the flux of the model.

    Parameters
    ----------
    model : lab2.Cannon
    spectra : xarray.Dataset
        Only their wavelengths are used.
    labels : array_like, shape (n_labels,) or (n_stars, n_labels)
        Labels at which the model's flux is computed, common to all stars or for each star; the training set's mean
        where a label is NaN.

    Returns
    -------
    lab2.cannon.Nuisance
        Three columns per chip, whose amplitudes have prior standard deviations of 0.01.
    """
    expect(model=model, spectra=spectra)
    labels = np.where(np.isfinite(labels).all(axis=-1, keepdims=True), labels, model.label_mean.values)
    chip = chip_of(spectra.wavelength.values)
    columns = []
    for name in np.unique(chip):
        here = chip == name
        powers = np.zeros((len(chip), _SLOP_DEGREE + 1))
        powers[here] = chebyshev.chebvander(np.linspace(-1.0, 1.0, here.sum()), _SLOP_DEGREE)
        columns.append(powers)
    return cannon.Nuisance(np.concatenate(columns, axis=1) * model.predict(labels).values[..., None], _SLOP)
