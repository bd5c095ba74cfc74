"""Changes that should not matter: correlated residuals, a chip less, other training stars."""

import numpy as np
import pytest
from plain_survey import ERROR, model, spectra

from lab2 import fit_labels, from_arrays, train
from lab2.validation import correlation_inflation, degrade, deviates, neighbor_correlation, refits


@pytest.fixture(scope="module")
def trained():
    return model()


def autoregressive(rho, size, seed=5):
    """r_i = rho r_(i - 1) + noise, of variance 1."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=size) * np.sqrt(1 - rho**2)
    values = np.zeros(size)
    values[..., 0] = rng.normal(size=size[:-1])
    for i in range(1, size[-1]):
        values[..., i] = rho * values[..., i - 1] + noise[..., i]
    return values


def test_deviates_of_a_star_of_the_model_are_standard_normal(trained):
    star = spectra(n_stars=1, seed=9)
    found = deviates(trained, star, star.labels.values[0])
    assert found.shape == (300,)
    assert found.std() == pytest.approx(1.0, abs=0.15)  # 1 / sqrt(600) and the errors of the model


def test_deviates_leave_out_pixels_without_weight_and_count_scatter(trained):
    star = spectra(n_stars=1, seed=9)
    star.ivar[0, :100] = 0.0
    truth = star.labels.values[0]
    residual = (star.flux.values[0] - trained.predict(truth).values)[100:]
    expected = residual / np.sqrt(ERROR**2 + trained.s2.values[100:])
    np.testing.assert_allclose(deviates(trained, star, truth), expected, rtol=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_correlation_of_an_autoregressive_row_falls_as_its_powers(rho):
    found = neighbor_correlation(autoregressive(rho, (1, 200_000))[0], lags=5)
    np.testing.assert_allclose(found, rho ** np.arange(1, 6), atol=0.02)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_the_inflation_is_that_of_the_error_of_a_mean(rho):
    rows = autoregressive(rho, (4000, 400))
    true = rows.mean(axis=1).std() * np.sqrt(400)
    found = correlation_inflation(rho ** np.arange(1, 30))
    assert found == pytest.approx(np.sqrt((1 + rho) / (1 - rho)), rel=1e-4)  # the sum of the geometric series
    assert found == pytest.approx(true, rel=0.04)


def test_negative_correlation_does_not_make_errors_smaller():
    assert correlation_inflation([-0.4]) == 1.0


def test_a_row_shorter_than_the_lags_is_refused():
    with pytest.raises(ValueError, match="10 lags"):
        neighbor_correlation(np.ones(10))


def test_without_the_chip_that_is_wrong_the_labels_are_right(trained):
    star = spectra(n_stars=1, seed=9)
    truth = star.labels.values[0]
    gradient = trained.gradient("teff").values
    # 100 K too hot in one chip only
    star.flux[0] += np.where(star.chip == "blue", 100.0 * gradient, 0.0)
    others = spectra(n_stars=120, seed=11)
    found = refits(trained, star, others, np.arange(120) % 2)
    names = ["without blue", "without green", "without red", "group 1", "group 2"]
    assert found.change.values.tolist() == names
    off = found.sel(label="teff").values - truth[0]
    assert abs(off[0]) < 12  # formal error: 300 K * 0.005 / (0.03 sqrt(200)) = 3.5 K
    assert (off[1:3] > 25).all()
    whole = fit_labels(trained, star).labels.values[0]
    np.testing.assert_allclose(off[3:], whole[0] - truth[0], atol=8.0)


def test_refits_need_a_group_for_each_star(trained):
    star = spectra(n_stars=1)
    with pytest.raises(ValueError, match=r"group must give the group of each of 80 stars; got an array \(2,\)"):
        refits(trained, star, spectra(), [0, 1])


def test_degraded_spectra_have_the_noise_that_their_errors_say():
    rng = np.random.default_rng(12)
    snr = np.repeat([200.0, 50.0, 8.0], 40)
    ivar = np.repeat(snr[:, None] ** 2, 500, axis=1)
    ivar[:, :20] = 0.0
    flux = 1.0 + rng.normal(size=ivar.shape) / snr[:, None]
    good = from_arrays(flux, ivar, np.linspace(15200, 16900, 500)).assign(snr=("star", snr))
    found = degrade(good, 10.0, seed=4)
    assert found.snr.values.tolist() == [10.0] * 80 + [8.0] * 40
    assert (found.ivar.values[:, :20] == 0).all()
    np.testing.assert_allclose(found.ivar.values[:80, 20:], 100.0)
    pull = ((found.flux - 1.0) * np.sqrt(found.ivar)).values
    for stars in (slice(0, 40), slice(40, 80), slice(80, 120)):
        assert pull[stars, 20:].std() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(found.flux[80:], good.flux[80:])  # noisier as it is
    np.testing.assert_array_equal(degrade(good, 10.0, seed=4).flux, found.flux)
    with pytest.raises(ValueError, match="a signal-to-noise ratio is positive"):
        degrade(good, 0.0)


def test_refits_learn_as_many_factors_as_the_model_has():
    training = spectra(n_stars=200, seed=10)
    star, group = spectra(n_stars=1, seed=11), np.arange(200) % 2
    moves = refits(train(training, factors=2), star, training, group)
    half = train(training.isel(star=np.flatnonzero(group == 0)), factors=2)
    np.testing.assert_array_equal(moves.sel(change="group 1"), fit_labels(half, star).labels[0])
