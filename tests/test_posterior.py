import numpy as np
import pytest
import xarray as xr
from scipy.special import logit

from lab2 import cannon, posterior
from lab2.spectra import from_arrays

PIXELS = np.linspace(15000.0, 15100.0, 60)
NOISE = 0.01


def trained(degree, means, scales, seed):
    """A model trained on made-up spectra, and a star of the same kind with noise."""
    rng = np.random.default_rng(seed)
    pairs = cannon.polynomial.terms(len(means), degree)
    theta = 0.02 * rng.normal(size=(PIXELS.size, len(pairs)))
    theta[:, 0] = 1.0

    def spectra(x):
        flux = cannon.polynomial.design(x, pairs) @ theta.T + NOISE * rng.normal(size=(len(x), PIXELS.size))
        return from_arrays(
            flux,
            np.full(flux.shape, NOISE**-2),
            PIXELS,
            labels=np.array(means) + np.array(scales) * x,
            label=["teff", "fe_h", "vsini"][: len(means)],
        )

    model = cannon.train(spectra(rng.normal(size=(200, len(means)))), degree=degree)
    return model, spectra(0.5 * np.ones((1, len(means))))


def pixel_log_density(model, spectrum, priors, labels):
    """The slow twin: likelihood summed over the pixels, times normal priors, up to a constant."""
    weight = 1.0 / (1.0 / spectrum.ivar.values[0] + model.s2.values)
    residual = spectrum.flux.values[0] - model.predict(labels).values
    pull = (labels - priors[:, 0]) / priors[:, 1]
    return -0.5 * (weight * residual**2).sum(axis=1) - 0.5 * (pull**2).sum(axis=1)


def assert_moments(idata, mean, sd):
    """Mean and standard deviation within 5 standard errors of the effective number of draws."""
    found = posterior.summary(idata)
    np.testing.assert_array_less(np.abs(found["mean"] - mean), 5.0 * sd / np.sqrt(found["ess"]))
    np.testing.assert_array_less(np.abs(found["sd"] / sd - 1.0), 5.0 / np.sqrt(2.0 * found["ess"]))


@pytest.fixture(scope="module")
def linear():
    return trained(degree=1, means=[4800.0, -0.2, 5.0], scales=[250.0, 0.3, 2.0], seed=1)


# Normal priors with bounds so far out that they do not matter.
WIDE = {
    "teff": (4700.0, 500.0, -45e3, 55e3),
    "fe_h": (0.1, 0.5, -50.0, 50.0),
    "vsini": (4.0, 3.0, -300.0, 300.0),
}


def gaussian_posterior(model, spectrum):
    """Closed form of a linear model's posterior with the priors WIDE."""
    slopes = np.stack([model.gradient(name).values for name in model.labels], axis=1)
    ivar = spectrum.ivar.values[0]
    weight = ivar / (1.0 + ivar * model.s2.values)
    prior = np.array([WIDE[name][:2] for name in model.labels])
    offset = spectrum.flux.values[0] - model.predict(prior[:, 0]).values
    covariance = np.linalg.inv(slopes.T @ (weight[:, None] * slopes) + np.diag(prior[:, 1] ** -2))
    return prior[:, 0] + covariance @ slopes.T @ (weight * offset), covariance


def test_linear_model_has_the_known_gaussian_posterior(linear):
    model, spectrum = linear
    idata = posterior.sample(model, spectrum, **WIDE)
    mean, covariance = gaussian_posterior(model, spectrum)
    assert_moments(idata, mean, np.sqrt(np.diag(covariance)))
    draws = idata.posterior.labels.values.reshape(-1, 3)
    expected = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(np.corrcoef(draws.T), expected, atol=0.08)
    assert idata.posterior.labels.dims == ("chain", "draw", "label")
    assert list(idata.posterior.label.values) == ["teff", "fe_h", "vsini"]
    assert list(posterior.summary(idata)["unit"]) == ["K", "dex", ""]
    assert posterior.problems(idata) == []


def test_slop_of_a_star_without_a_fit_is_that_of_the_mean_labels(linear):
    model, spectrum = linear
    mean = model.label_mean.values
    slop = posterior.continuum_slop(model, spectrum, [np.full(len(mean), np.nan), mean + model.label_scale.values])
    expected = posterior.continuum_slop(model, spectrum, [mean, mean + model.label_scale.values])
    np.testing.assert_array_equal(slop.columns, expected.columns)


def test_the_same_draws_are_the_same_file(linear, tmp_path):
    for name in ("one.nc", "two.nc"):
        posterior.sample(*linear, draws=50, tune=100, seed=6, **WIDE).to_netcdf(str(tmp_path / name))
    assert (tmp_path / "one.nc").read_bytes() == (tmp_path / "two.nc").read_bytes()


def test_one_pixel_leaves_the_rest_to_the_priors_and_a_seed_repeats_itself(linear):
    model, spectrum = linear
    faint = spectrum.assign(ivar=spectrum.ivar.where(spectrum.wavelength == PIXELS[7], 0.0))
    mean, covariance = gaussian_posterior(model, faint)
    idata, again = (posterior.sample(model, faint, draws=500, tune=300, seed=5, **WIDE) for _ in range(2))
    assert idata.attrs["fit_flag"] == cannon.Flag.NO_DATA
    assert_moments(idata, mean, np.sqrt(np.diag(covariance)))
    np.testing.assert_array_equal(idata.posterior.labels, again.posterior.labels)


@pytest.fixture(scope="module")
def cut():
    """A quadratic model, weak data, and bounds that cut the posterior off."""
    model, spectrum = trained(degree=2, means=[4800.0, -0.2], scales=[250.0, 0.3], seed=3)
    spectrum = spectrum.assign(ivar=spectrum.ivar / 100.0)
    model.dataset.attrs["label_tree"] = "synspec"
    best = cannon.fit_labels(model, spectrum).isel(star=0)
    teff, fe_h = best.labels.values
    sd_teff, sd_fe_h = np.sqrt(np.diag(best.covariance))
    priors = {
        "teff": (teff, 3.0 * sd_teff, teff - 0.5 * sd_teff, teff + 6.0 * sd_teff),
        "fe_h": (fe_h + sd_fe_h, 2.0 * sd_fe_h, fe_h - 6.0 * sd_fe_h, fe_h + 8.0 * sd_fe_h),
    }
    return model, spectrum, np.array(list(priors.values())), posterior.sample(model, spectrum, **priors)


def test_quadratic_model_within_bounds_agrees_with_integration_on_a_grid(cut):
    model, spectrum, priors, idata = cut
    axes = [lower + (upper - lower) * (np.arange(400) + 0.5) / 400 for lower, upper in priors[:, 2:]]
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    log_density = pixel_log_density(model, spectrum, priors, grid)
    weight = np.exp(log_density - log_density.max())
    mean = np.average(grid, axis=0, weights=weight)
    sd = np.sqrt(np.average((grid - mean) ** 2, axis=0, weights=weight))
    assert_moments(idata, mean, sd)
    draws = idata.posterior.labels.values.reshape(-1, 2)
    assert (draws > priors[:, 2]).all()
    assert (draws < priors[:, 3]).all()


def test_sampled_density_is_that_of_the_pixels(cut):
    model, spectrum, priors, idata = cut
    draws = idata.posterior.labels.values.reshape(-1, 2)
    share = (draws - priors[:, 2]) / (priors[:, 3] - priors[:, 2])
    log_jacobian = np.log(share * (1.0 - share)).sum(axis=1)
    expected = pixel_log_density(model, spectrum, priors, draws) + log_jacobian
    difference = idata.sample_stats.logp.values.ravel() - expected
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-9)
    assert logit(share).std() > 0.1  # the draws differ, or the comparison would say nothing


def test_bounds_that_cut_are_reported(cut):
    *_, idata = cut
    assert [text for text in posterior.problems(idata) if text.startswith("teff: the prior's bounds")]


def test_draws_carry_what_they_were_made_from(cut, tmp_path):
    model, spectrum, priors, idata = cut
    idata.to_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    read = posterior.az.from_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    np.testing.assert_array_equal(read.posterior.labels, idata.posterior.labels)
    np.testing.assert_array_equal(read.constant_data.prior_upper, priors[:, 3])
    fit = cannon.fit_labels(model, spectrum)
    assert read.attrs["chi2"] == float(fit.chi2[0])
    assert read.attrs["seed"] == 128
    assert read.attrs["label_tree"] == fit.attrs["label_tree"] == "synspec"
    np.testing.assert_array_equal(read.constant_data.best, fit.labels[0])


def test_nuisance_terms_are_integrated_out_exactly(linear):
    """Against an explicit integral: extra noise on a grid of k, slop as a covariance of the pixels."""
    model, spectrum = linear
    rng = np.random.default_rng(9)
    slow = 0.015 * np.cos(np.linspace(0, 3, PIXELS.size)) + 0.02 * rng.normal(size=PIXELS.size)
    off = spectrum.assign(flux=spectrum.flux + slow)
    idata = posterior.sample(model, off, nuisance=True, **WIDE)
    assert posterior.problems(idata) == []
    assert idata.attrs["nuisance"] == 1
    draws = idata.posterior.labels.values.reshape(-1, 3)[::40]

    weight = 1.0 / (1.0 / off.ivar.values[0] + model.s2.values)
    position = np.linspace(-1.0, 1.0, PIXELS.size)
    start = idata.constant_data.best.values
    shapes = np.stack([np.ones_like(position), position, 2 * position**2 - 1]) * model.predict(start).values
    covariance = np.diag(1.0 / weight) + 0.01**2 * shapes.T @ shapes
    inverse = np.linalg.inv(covariance)
    prior = np.array([WIDE[name] for name in model.labels])
    residual = off.flux.values[0] - model.predict(draws).values
    chi2 = np.einsum("np,pq,nq->n", residual, inverse, residual)
    log_k = np.linspace(0.0, 2.5, 40001)
    integrand = -PIXELS.size * log_k - 0.5 * chi2[:, None] * np.exp(-2.0 * log_k)
    top = integrand.max(axis=1)
    log_likelihood = top + np.log(np.trapezoid(np.exp(integrand - top[:, None]), log_k, axis=1))
    share = (draws - prior[:, 2]) / (prior[:, 3] - prior[:, 2])
    log_prior = -0.5 * (((draws - prior[:, 0]) / prior[:, 1]) ** 2).sum(axis=1)
    expected = log_likelihood + log_prior + np.log(share * (1 - share)).sum(axis=1)
    difference = idata.sample_stats.logp.values.ravel()[::40] - expected
    np.testing.assert_allclose(difference, difference[0], atol=1e-6)
    assert expected.std() > 0.5  # or the comparison would say nothing


def test_a_spectrum_that_fits_too_well_is_not_less_noisy(linear):
    """Reduced chi^2 of a quarter: without the bound on k the errors would be halved."""
    model, spectrum = linear
    best = model.predict(spectrum.labels.values if "labels" in spectrum else model.label_mean.values[None]).values
    close = spectrum.assign(flux=best + 0.5 * (spectrum.flux - best))
    formal, honest = (
        posterior.summary(posterior.sample(model, close, nuisance=n, **WIDE))["sd"] for n in (False, True)
    )
    assert (honest > 0.97 * formal).all()


def test_nuisance_terms_widen_the_posterior_of_a_spectrum_that_does_not_fit(linear):
    model, spectrum = linear
    off = spectrum.assign(flux=spectrum.flux + 0.03 * np.random.default_rng(10).normal(size=PIXELS.size))
    formal, honest = (posterior.summary(posterior.sample(model, off, nuisance=n, **WIDE))["sd"] for n in (False, True))
    assert (honest > 2.0 * formal).all()
    # three times the noise: residuals of 0.03 on errors of 0.01, and little is lost to the slop
    assert (honest < 8.0 * formal).all()


def test_predicted_spectra_are_as_far_from_the_model_as_the_observed_one(linear):
    model, spectrum = linear
    hidden = spectrum.assign(ivar=spectrum.ivar.where(spectrum.wavelength > PIXELS[4], 0.0))
    draws = np.tile(model.label_mean.values + 0.5 * model.label_scale.values, (4000, 1))
    drawn = posterior.predictive(model, hidden, draws)
    sd = np.sqrt(NOISE**2 + model.s2.values)
    assert np.isnan(drawn.flux[:, :5]).all()
    np.testing.assert_allclose(drawn.flux.mean("draw")[5:], model.predict(draws[0])[5:], atol=5 * NOISE / 60)
    np.testing.assert_allclose(drawn.flux.std("draw")[5:], sd[5:], rtol=0.06)
    n = PIXELS.size - 5
    assert float(drawn.chi2_drawn.mean()) == pytest.approx(n, abs=5 * np.sqrt(2 * n / 4000))
    assert 0.001 < float((drawn.chi2_drawn > drawn.chi2).mean()) < 0.999
    spoiled = hidden.assign(flux=hidden.flux + 3 * NOISE)
    assert (posterior.predictive(model, spoiled, draws).chi2_drawn > drawn.chi2 * 3).sum() == 0


def test_predicted_spectra_hold_the_hidden_factors(linear):
    """Their covariance is the full one, and chi^2 is by it."""
    model, spectrum = linear
    loadings = np.random.default_rng(18).normal(0, 0.02, (PIXELS.size, 2))
    model = cannon.Cannon(model.dataset.assign(loadings=(("wavelength", "factor"), loadings)))
    draws = np.tile(model.label_mean.values, (4000, 1))
    drawn = posterior.predictive(model, spectrum, draws)
    covariance = np.diag(1 / spectrum.ivar.values[0] + model.s2.values) + loadings @ loadings.T
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(np.cov(drawn.flux.values.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.08)
    residual = spectrum.flux.values[0] - model.predict(draws[0]).values
    assert float(drawn.chi2[0]) == pytest.approx(residual @ np.linalg.solve(covariance, residual), rel=1e-8)
    assert float(drawn.chi2_drawn.mean()) == pytest.approx(PIXELS.size, abs=5 * np.sqrt(2 * PIXELS.size / 4000))


def made_up(labels, diverging=0, fit_flag=0):
    labels = np.asarray(labels)
    diverge = np.zeros(labels.shape[:2], dtype=bool)
    diverge.ravel()[:diverging] = True
    bounds = {f"prior_{name}": ("label", [value]) for name, value in (("lower", -100.0), ("upper", 100.0))}
    dims = ("chain", "draw", "label")
    variable = xr.DataArray(labels, dims=dims, coords={"label": ["teff"]}, name="labels")
    return posterior.az.InferenceData(
        attrs={"fit_flag": fit_flag},
        posterior=variable.assign_attrs(units=["K"]).to_dataset(),
        sample_stats=xr.Dataset({"diverging": (("chain", "draw"), diverge)}),
        constant_data=xr.Dataset(bounds, coords={"label": ["teff"]}),
    )


def test_each_problem_is_named():
    rng = np.random.default_rng(8)
    good = rng.normal(size=(4, 500, 1))
    assert posterior.problems(made_up(good)) == []
    apart = made_up(good + np.arange(4)[:, None, None])
    assert "the chains disagree" in posterior.problems(apart)[0]
    (few,) = posterior.problems(made_up(good[:, :60]))
    assert "effective draws, not 400" in few
    (divergent,) = posterior.problems(made_up(good, diverging=3))
    assert divergent.startswith("3 divergent")
    (second,) = posterior.problems(made_up(good, fit_flag=cannon.Flag.MULTIPLE_MINIMA))
    assert "second minimum" in second


def test_default_priors_hold_the_training_labels_with_a_margin(linear):
    model, _ = linear
    table = posterior.default_priors(model)
    labels = model.dataset.training_labels.values
    assert (table["lower"] < labels.min(axis=0)).all()
    assert (table["upper"] > labels.max(axis=0)).all()
    np.testing.assert_allclose(table["mean"], labels.mean(axis=0))
    np.testing.assert_allclose(table["sd"], 3 * labels.std(axis=0))


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"age": (5.0, 1.0)}, "a prior was given for age, but the labels are teff, fe_h, vsini"),
        ({"teff": 4800.0}, "the prior of teff must be"),
        ({"teff": (4800.0, 100.0, 4000.0)}, "the prior of teff must be"),
        ({"teff": (4800.0, 0.0)}, "sd > 0"),
        ({"teff": (np.nan, 100.0)}, "finite numbers"),
        ({"teff": (4800.0, 100.0, 5000.0, 4000.0)}, "lower < mean < upper"),
    ],
)
def test_senseless_priors_are_refused(linear, prior, message):
    with pytest.raises(ValueError, match=message):
        posterior.sample(*linear, **prior)


def test_a_spectrum_that_says_nothing_is_refused(linear):
    model, spectrum = linear
    with pytest.raises(ValueError, match="no pixel with information"):
        posterior.sample(model, spectrum.assign(ivar=0.0 * spectrum.ivar))


def test_several_stars_are_refused(linear):
    model, spectrum = linear
    with pytest.raises(ValueError, match="one star"):
        posterior.sample(model, xr.concat([spectrum, spectrum], dim="star"))
