"""Hidden factors: the likelihood of the full covariance matrix, what was injected, and what it does to the labels."""

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal
from twins import drawn_survey

import lab2
from lab2 import from_arrays
from lab2.cannon import Nuisance, _kernels, best_spectra, factors, fit_labels, polynomial, quartics

N_STARS, N_PIXELS, N_FACTORS = 300, 150, 2


def hide(spectra, rng, size=0.02, n_factors=N_FACTORS):
    """The spectra with factors in them, each of which moves every pixel; their loadings and scores."""
    loadings = size * rng.normal(size=(spectra.sizes["wavelength"], n_factors))
    scores = rng.normal(size=(spectra.sizes["star"], n_factors))
    flux = np.where(spectra.ivar > 0, spectra.flux + scores @ loadings.T, spectra.flux)
    return spectra.assign(flux=(("star", "wavelength"), flux)), loadings, scores


@pytest.fixture(scope="module")
def hidden():
    rng = np.random.default_rng(81)
    spectra, theta, s2 = drawn_survey(rng, N_STARS, 2, N_PIXELS)
    return *hide(spectra, rng), theta, s2


@pytest.fixture(scope="module")
def model(hidden):
    return lab2.train(hidden[0], factors=N_FACTORS)


def log_likelihood(model, spectra):
    """ln L of each star by its full covariance matrix, errors of its labels and scores integrated out."""
    labels = spectra.labels.values
    expected = model.predict(labels).values
    gradients = model.theta.values @ polynomial.jacobian(model.scale(labels), model.pairs)
    out = []
    for flux, ivar, mean, slopes in zip(spectra.flux.values, spectra.ivar.values, expected, gradients, strict=True):
        seen = (ivar > 0) & model.trained.values
        columns = np.concatenate([model.loadings.values, factors._LABEL_ERROR * slopes], axis=1)[seen]
        covariance = np.diag(1 / ivar[seen] + model.s2.values[seen]) + columns @ columns.T
        constant = 0.5 * seen.sum() * np.log(2 * np.pi)
        out.append(multivariate_normal.logpdf(flux[seen], mean[seen], covariance) + constant)
    return np.array(out)


def test_the_likelihood_is_that_of_the_full_covariance_and_rises(model, hidden, monkeypatch):
    used = model.trained_on.values
    history = model.dataset.log_likelihood.values
    assert history[-1] == pytest.approx(log_likelihood(model, hidden[0])[used].sum(), rel=1e-10)
    monkeypatch.setattr(factors, "_TOLERANCE", 1e-4)
    faint, *_ = hide(drawn_survey(np.random.default_rng(82), N_STARS, 2, N_PIXELS)[0], np.random.default_rng(83), 0.003)
    history = lab2.train(faint, factors=4).dataset.log_likelihood.values
    assert len(history) > 3
    assert (np.diff(history) > 0).all()


def test_injected_factors_are_recovered(model, hidden):
    _, loadings, scores, theta, s2 = hidden
    assert np.degrees(subspace_angles(model.loadings.values, loadings)).max() < 5.0
    length = np.linalg.norm(model.loadings.values, 2), np.linalg.norm(loadings, 2)
    assert length[0] == pytest.approx(length[1], rel=0.1)
    found = fit_labels(model, hidden[0]).factors.values
    explained = scores - found @ np.linalg.lstsq(found, scores, rcond=None)[0]
    assert explained.std() < 0.12
    np.testing.assert_allclose(found.std(axis=0), 1.0, atol=0.1)
    assert np.median(np.abs(model.theta.values - theta)) < 0.001
    noisy = s2 > 1e-5
    assert np.median(np.abs(np.log(model.s2.values[noisy] / s2[noisy]))) < 0.15


def test_factors_come_in_the_order_of_what_they_explain(model, hidden):
    loadings = model.loadings.values
    weight = (1 / (1 / hidden[0].ivar + model.s2)).mean("star").values
    information = (loadings * weight[:, None]).T @ loadings
    assert information[0, 0] > information[1, 1] > 10
    assert abs(information[0, 1]) < 0.1 * information[1, 1]
    assert (loadings[np.abs(loadings).argmax(axis=0), [0, 1]] > 0).all()


def test_labels_of_new_stars_are_better_and_their_errors_right(model, hidden):
    rng = np.random.default_rng(83)
    _, loadings, _, theta, _ = hidden
    labels = model.label_mean.values + model.label_scale.values * rng.normal(0, 0.7, (500, 2))
    flux = lab2.train(hidden[0]).design(labels) @ theta.T + rng.normal(size=(500, N_FACTORS)) @ loadings.T
    sigma = 0.01
    variance = sigma**2 + hidden[4]
    flux = flux + rng.normal(size=flux.shape) * np.sqrt(variance)
    stars = from_arrays(flux, np.full(flux.shape, sigma**-2.0), model.wavelength, labels, label=model.labels)
    spread, pull = {}, {}
    for name, one in {"with": model, "without": lab2.train(hidden[0])}.items():
        fits = fit_labels(one, stars)
        off = fits.labels.values - labels
        spread[name] = off.std(axis=0)
        pull[name] = off / np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
    assert (spread["with"] < 0.75 * spread["without"]).all()
    np.testing.assert_allclose((np.abs(pull["with"]) < 1).mean(axis=0), 0.68, atol=0.06)


def test_without_factors_it_is_the_plain_model(hidden):
    plain, zero = lab2.train(hidden[0]), lab2.train(hidden[0], factors=0)
    assert plain.dataset.identical(zero.dataset)
    assert "loadings" not in plain.dataset
    assert plain.loadings.shape == (N_PIXELS, 0)
    assert bool(plain.trained_on.all())
    assert "factors" not in fit_labels(plain, hidden[0])


def test_factors_of_data_without_any_change_no_label():
    """Wrong catalog labels move a star along the gradients: a factor of that would double the errors of all labels."""
    rng = np.random.default_rng(84)
    spectra, _, _ = drawn_survey(rng, N_STARS, 2, N_PIXELS)
    truth = spectra.labels.values
    wrong = truth + 0.15 * truth.std(axis=0) * rng.normal(size=truth.shape)
    for given in (truth, wrong):
        training = spectra.assign(labels=(("star", "label"), given))
        plain, other = (fit_labels(lab2.train(training, factors=k), spectra) for k in (0, 2))
        spread = [(fits.labels.values - truth).std(axis=0) for fits in (plain, other)]
        assert (spread[1] < 1.12 * spread[0]).all()


def test_odd_stars_are_not_trained_on(hidden):
    rng = np.random.default_rng(85)
    spectra = hidden[0].copy(deep=True)
    odd = np.zeros(N_STARS, dtype=bool)
    odd[::25] = True
    spectra.flux[odd] += 0.1 * rng.normal(size=N_PIXELS) * rng.normal(size=(odd.sum(), 1))
    model = lab2.train(spectra, factors=N_FACTORS)
    left_out = ~model.trained_on.values
    assert left_out[odd].mean() > 0.8
    assert left_out[~odd].mean() < 0.03
    clean = lab2.train(spectra.isel(star=~odd), factors=N_FACTORS)
    assert np.degrees(subspace_angles(model.loadings.values, clean.loadings.values)).max() < 3.0


def test_masked_pixels_and_untrained_ones_say_nothing(hidden):
    spectra = hidden[0].copy(deep=True)
    spectra["ivar"][:, 11] = 0.0
    spectra["ivar"][: int(0.9 * N_STARS), 12] = 0.0
    model = lab2.train(spectra, factors=N_FACTORS)
    assert np.flatnonzero(~model.trained.values).tolist() == [11, 12]
    assert (model.loadings.values[[11, 12]] == 0).all()
    other = spectra.assign(flux=spectra.flux.where(spectra.ivar > 0, -3.0))
    assert lab2.train(other, factors=N_FACTORS).dataset.identical(model.dataset)


def test_chi2_of_a_model_with_factors_is_that_with_the_nuisance(model, hidden):
    stars = hidden[0].isel(star=slice(0, 40))
    plain = lab2.Cannon(model.dataset.drop_vars(["loadings", "trained_on", "log_likelihood"]))
    found, expected = quartics(model, stars), quartics(plain, stars, [Nuisance(model.loadings.values, 1.0)])
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-12)
    # a nuisance of each star's own takes another path
    own = np.zeros((40, N_PIXELS, 1))
    again = quartics(model, stars, [Nuisance(own, 1.0)])
    np.testing.assert_allclose(again.coefficients, found.coefficients, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(again.responses, found.responses, rtol=1e-8, atol=1e-9)
    assert (again.n_pixels == found.n_pixels).all()


def test_scores_are_the_posterior_means(model, hidden):
    star = hidden[0].isel(star=[4])
    labels = star.labels.values
    found = quartics(model, star).factors(model.scale(labels))[0]
    seen = star.ivar.values[0] > 0
    covariance = np.diag(1 / star.ivar.values[0, seen] + model.s2.values[seen])
    loadings = model.loadings.values[seen]
    residual = (star.flux.values - model.predict(labels).values)[0, seen]
    np.testing.assert_allclose(
        found, loadings.T @ np.linalg.solve(covariance + loadings @ loadings.T, residual), rtol=1e-8
    )


@pytest.mark.parametrize("number", [-1, 2.0, "2", None])
def test_a_number_of_factors_that_is_none(hidden, number):
    with pytest.raises(ValueError, match="the number of factors must be an integer, 0 or more; got"):
        lab2.train(hidden[0], factors=number)


def test_more_factors_than_stars_can_carry(hidden):
    with pytest.raises(ValueError, match="30 stars cannot constrain 12 factors and 6 coefficients per pixel"):
        lab2.train(hidden[0].isel(star=slice(0, 30)), factors=12)


def test_a_star_without_pixels_is_fitted_by_nobody_and_stops_nobody(hidden):
    spectra = hidden[0].copy(deep=True)
    spectra["ivar"][3] = 0.0
    model = lab2.train(spectra, factors=N_FACTORS)
    fits = fit_labels(model, spectra)
    assert fits.flag.values[3] & lab2.cannon.Flag.NO_DATA
    assert np.isnan(fits.factors.values[3]).all()
    assert np.isfinite(np.delete(fits.factors.values, 3, axis=0)).all()


def test_saved_and_loaded(model, hidden, tmp_path):
    model.save(tmp_path / "model.nc")
    again = lab2.Cannon.load(tmp_path / "model.nc")
    assert fit_labels(again, hidden[0]).identical(fit_labels(model, hidden[0]))


def test_a_file_without_loadings_is_a_model_without_factors(hidden, tmp_path):
    lab2.train(hidden[0]).save(tmp_path / "model.nc")
    assert lab2.Cannon.load(tmp_path / "model.nc").loadings.shape == (N_PIXELS, 0)


def test_predictions_and_best_spectra_hold_the_factors(model, hidden):
    stars = hidden[0].isel(star=slice(0, 6)).copy(deep=True)
    stars["ivar"][2] = 0.0
    fits = fit_labels(model, stars)
    labels, scores = fits.labels.values, fits.factors.values
    expected = model.design(labels) @ model.theta.values.T + scores @ model.loadings.values.T
    expected[2] = model.predict(model.label_mean.values)  # no fit
    np.testing.assert_allclose(best_spectra(model, fits), expected, rtol=1e-12)
    np.testing.assert_allclose(model.predict(labels[0], scores[0]), expected[0], rtol=1e-12)
    residual = (stars.flux - best_spectra(model, fits)).where(stars.ivar > 0)
    plain = (stars.flux - model.predict(fits.labels)).where(stars.ivar > 0)
    assert float(residual.isel(star=[0, 1, 3, 4, 5]).std()) < 0.8 * float(plain.isel(star=[0, 1, 3, 4, 5]).std())
    with pytest.raises(ValueError, match=r"expected 2 factors, shape \(6, 2\); got \(6, 3\)"):
        model.predict(labels, np.zeros((6, 3)))


def test_one_round_against_the_plain_formulas(hidden):
    """Step M with loops over pixels: the normal equations, and the expected squares behind the new s2."""
    spectra = hidden[0].isel(wavelength=slice(0, 12))
    plain = lab2.train(spectra)
    x = plain.scale(spectra.labels.values)
    terms, jacobian = plain.design(spectra.labels.values), polynomial.jacobian(x, plain.pairs)
    design = factors.Design(terms, *polynomial.normal_monomials(x, plain.pairs), jacobian)
    flux, ivar = np.where(spectra.ivar > 0, spectra.flux - 1, 0.0).T, spectra.ivar.values.T
    theta = plain.theta.values - np.eye(1, len(plain.pairs))
    learner = factors._Learner(lambda pixels: (flux[pixels], ivar[pixels]), design, theta, plain.s2.values)
    rng = np.random.default_rng(86)
    learner.use, learner.loadings = rng.random(N_STARS) < 0.9, np.zeros((12, 2))
    mean, spread = rng.normal(size=(N_STARS, 2)), rng.normal(size=(N_STARS, 2, 2))
    covariance = 0.3 * spread @ spread.transpose(0, 2, 1)  # as large as the scores: it counts
    scores = factors._Scores(mean, covariance, *np.zeros((4, N_STARS)))
    learner.improve(scores)
    row = np.concatenate([terms, mean], axis=1)
    moments = row[:, :, None] * row[:, None, :]
    moments[:, -2:, -2:] += covariance
    stretch = np.linalg.cholesky((moments[:, -2:, -2:])[learner.use].mean(axis=0))
    for p in range(12):
        used = ivar[p] * learner.use
        weight = used / (1 + used * plain.s2.values[p])
        both = np.linalg.solve((weight[:, None, None] * moments).sum(axis=0), row.T @ (weight * flux[p]))
        np.testing.assert_allclose(learner.theta[p], both[:-2], rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(learner.loadings[p], both[-2:] @ stretch, rtol=1e-8, atol=1e-12)
        square = (flux[p] - row @ both) ** 2 + np.einsum("k,nkl,l->n", both[-2:], covariance, both[-2:])
        expected = _kernels.step_scatter(used[None], square[None], plain.s2.values[p : p + 1])
        assert learner.s2[p] == pytest.approx(expected[0], rel=1e-6, abs=1e-12)


def test_a_round_that_makes_it_worse_is_taken_back(hidden, monkeypatch):
    """Wrong labels, for which step M is not exact, and no end but the last round."""
    monkeypatch.setattr(factors, "_TOLERANCE", -np.inf)
    monkeypatch.setattr(factors, "_MOST_ROUNDS", 25)
    rng = np.random.default_rng(87)
    wrong = hidden[0].labels + 0.3 * hidden[0].labels.values.std(axis=0) * rng.normal(size=(N_STARS, 2))
    spectra = hidden[0].assign(labels=wrong)
    model = lab2.train(spectra, factors=N_FACTORS)
    history = model.dataset.log_likelihood.values
    assert len(history) < 21  # some were taken back, or the test says nothing
    assert (np.diff(history) > 0).all()
    used = model.trained_on.values
    assert history[-1] == pytest.approx(log_likelihood(model, spectra)[used].sum(), rel=1e-10)


def test_no_star_with_pixels_is_left(hidden):
    spectra = hidden[0].copy(deep=True)
    spectra["ivar"][:] = 0.0
    assert not lab2.train(spectra).trained.any()
    with pytest.raises(ValueError, match="only 0 of 300 training stars have pixels and resemble each other"):
        lab2.train(spectra, factors=N_FACTORS)


def test_stars_without_pixels_do_not_decide_who_is_odd(hidden):
    """Most stars are empty: the rest is trained on as if they were alone."""
    spectra = xr.concat([hidden[0], hidden[0].assign_coords(star=[f"e{n}" for n in range(N_STARS)])], "star")
    spectra["ivar"][N_STARS:] = 0.0
    spectra["ivar"][:10] = 0.0
    model = lab2.train(spectra, factors=N_FACTORS)
    assert not model.trained_on[N_STARS:].any()
    assert model.trained_on[10:N_STARS].mean() > 0.9
