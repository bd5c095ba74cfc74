"""chi^2 as a quartic against chi^2 of all pixels, and with nuisances against their full covariance matrix."""

import numpy as np
import pytest
import xarray as xr
from twins import drawn_survey, marginal_chi2, pixel_chi2

from lab2 import cannon, from_arrays
from lab2.cannon import Nuisance, Quartics, polynomial, quartics, weights
from lab2.cannon.nuisances import Precision
from lab2.cannon.quartics import _BLOCK, _CHUNK, count_pixels, star_quartic

N_STARS, N_PIXELS = 12, 80
POSITION = np.linspace(-1.0, 1.0, N_PIXELS)


@pytest.fixture(scope="module", params=[2, 1], ids=["quadratic", "linear"])
def model(request):
    training = drawn_survey(np.random.default_rng(61), 200, 3, N_PIXELS, request.param, errors=(0.002, 0.006))[0]
    hidden = training.ivar.copy()
    hidden[:, [7, 50]] = 0.0  # pixels that are left untrained
    return cannon.train(training.assign(ivar=hidden), degree=request.param)


@pytest.fixture(scope="module")
def stars(model):
    """Stars with masks of their own: one half hidden, one without any pixel."""
    rng = np.random.default_rng(62)
    labels = model.label_mean.values + model.label_scale.values * rng.normal(0, 0.8, (N_STARS, 3))
    sigma = 0.01 * rng.uniform(0.5, 2, (N_STARS, N_PIXELS))
    flux = model.predict(labels).values + rng.normal(size=sigma.shape) * sigma
    flux += 0.02 * POSITION  # a continuum that is off
    ivar = 1 / sigma**2
    ivar[rng.random(ivar.shape) < 0.1] = 0.0
    ivar[3, : N_PIXELS // 2], ivar[5] = 0.0, 0.0
    flux[ivar == 0] = 50.0
    return from_arrays(flux, ivar, model.wavelength, labels, [f"star {n}" for n in range(N_STARS)], model.labels)


def some_labels(model, n=6):
    x = np.random.default_rng(63).normal(0, 1.5, (n, len(model.labels)))
    return model.label_mean.values + model.label_scale.values * x


def kinds_of_nuisances():
    rng = np.random.default_rng(64)
    slope = np.column_stack([np.ones(N_PIXELS), POSITION])
    own = rng.normal(size=(N_STARS, N_PIXELS, 2))
    half = np.where(POSITION < 0, 1.0, 0.0)[:, None]  # star 3 does not see it
    return {
        "one column": [Nuisance(POSITION[:, None], 0.01)],
        "shared": [Nuisance(slope, [0.01, 0.3])],
        "of each star": [Nuisance(own, 0.02)],
        "several": [Nuisance(slope, 0.05), Nuisance(own, [0.01, 0.5]), Nuisance(half, 0.1)],
        "nothing known": [Nuisance(slope, np.inf)],
        "nothing known of some": [Nuisance(slope, [np.inf, 0.02]), Nuisance(own, [0.3, np.inf])],
        "nearly nothing": [Nuisance(slope, 1e-7)],
        "very different units": [Nuisance(1e6 * slope, 1e-8), Nuisance(1e-6 * own, 1e4)],
    }


def columns_and_sd(nuisances, n):
    columns = [nuisance.columns if nuisance.columns.ndim == 2 else nuisance.columns[n] for nuisance in nuisances]
    return np.concatenate(columns, axis=1), np.concatenate([nuisance.sd for nuisance in nuisances])


def test_quartics_equal_the_chi2_of_all_pixels(model, stars):
    found = quartics(model, stars)
    form = polynomial.symmetric_form(3)
    assert isinstance(found, Quartics)
    assert found.coefficients.shape == (N_STARS, form.place.max() + 1) == (N_STARS, 35)
    assert found.n_labels == 3
    for labels in some_labels(model):
        chi2 = found.chi2(np.tile(model.scale(labels), (N_STARS, 1)))
        for n in range(N_STARS):
            expected = pixel_chi2(model, stars.flux.values[n], stars.ivar.values[n], labels)
            assert chi2[n] == pytest.approx(expected, rel=1e-9, abs=1e-9)
            u = polynomial.design(model.scale(labels), form.pairs)
            assert u @ form.matrix(found.coefficients[n]) @ u == pytest.approx(chi2[n], rel=1e-9, abs=1e-9)
    seen = (stars.ivar.values > 0) & model.trained.values
    assert not seen[:, [7, 50]].any()
    np.testing.assert_array_equal(found.n_pixels, seen.sum(axis=1))


@pytest.mark.parametrize("kind", kinds_of_nuisances())
def test_nuisances_are_integrated_out_as_by_their_full_covariance(model, stars, kind):
    nuisances = kinds_of_nuisances()[kind]
    found, plain = quartics(model, stars, nuisances), quartics(model, stars)
    np.testing.assert_array_equal(found.n_pixels, plain.n_pixels)
    fell = 0
    for labels in some_labels(model):
        x = np.tile(model.scale(labels), (N_STARS, 1))
        chi2, without = found.chi2(x), plain.chi2(x)
        for n in range(N_STARS):
            if n == 5:
                assert chi2[n] == 0.0
                continue
            star = stars.flux.values[n], stars.ivar.values[n]
            expected = marginal_chi2(model, *star, labels, *columns_and_sd(nuisances, n))
            assert chi2[n] == pytest.approx(expected, rel=1e-9)
            assert chi2[n] <= without[n] * (1 + 1e-12)  # what may be anything explains something
            fell += chi2[n] < 0.999 * without[n]
    assert (fell == 0) == (kind == "nearly nothing")


def test_no_amplitude_is_no_nuisance(model, stars):
    empty = Nuisance(np.zeros((N_PIXELS, 1)), np.inf)
    unseen = Nuisance(np.where(np.arange(N_PIXELS) == 7, 1.0, 0.0)[:, None], np.inf)  # in an untrained pixel
    plain = quartics(model, stars).coefficients
    for nuisances in ([empty], [unseen], [empty, unseen]):
        np.testing.assert_allclose(quartics(model, stars, nuisances).coefficients, plain, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("sd", [(0.03, 0.04, 0.05), (np.inf, np.inf, np.inf)])
def test_the_same_column_twice_is_one_of_the_summed_variance(model, stars, sd):
    column = (1.0 + POSITION**2)[:, None]
    first, second, both = sd
    twice = quartics(model, stars, [Nuisance(column, first), Nuisance(column, second)])
    once = quartics(model, stars, [Nuisance(column, both)])
    for labels in some_labels(model):
        x = np.tile(model.scale(labels), (N_STARS, 1))
        np.testing.assert_allclose(twice.chi2(x), once.chi2(x), rtol=1e-9)


def test_a_free_amplitude_takes_its_shape_out_of_the_spectrum(model, stars):
    """Whatever multiple of the column is added to the flux, the labels are the same."""
    seen = np.delete(np.arange(N_STARS), 5)
    some, column = stars.isel(star=seen), np.column_stack([np.ones(N_PIXELS), POSITION])
    nuisance = [Nuisance(column, np.inf)]
    off = some.assign(flux=some.flux + column @ [0.3, -0.2])
    before, after = (cannon.fit_labels(model, one, nuisance) for one in (some, off))
    np.testing.assert_allclose(after.labels, before.labels, rtol=1e-6)
    np.testing.assert_allclose(after.chi2, before.chi2, rtol=1e-6)
    assert np.abs(cannon.fit_labels(model, off).labels - before.labels).max() > 0.1


def test_nuisances_widen_the_errors_to_those_of_marginalizing(model, stars):
    """For a linear model the covariance is a block of the inverse of the whole Fisher matrix."""
    nuisances = [Nuisance(np.column_stack([np.ones(N_PIXELS), POSITION]), 0.02)]
    fits, plain = cannon.fit_labels(model, stars, nuisances), cannon.fit_labels(model, stars)
    good = np.delete(np.arange(N_STARS), 5)
    sigma, formal = (np.sqrt(np.diagonal(f.covariance.values[good], axis1=1, axis2=2)) for f in (fits, plain))
    if model.degree == 1:
        assert (sigma >= formal * (1 - 1e-12)).all()
        slopes = np.stack([model.gradient(name).values for name in model.labels], axis=1)
        for n in good:
            w = weights(model, stars.ivar.values[n])
            columns = np.concatenate([slopes, nuisances[0].columns], axis=1)
            whole = (columns * w[:, None]).T @ columns + np.diag([0.0] * 3 + [0.02**-2] * 2)
            np.testing.assert_allclose(fits.covariance.values[n], np.linalg.inv(whole)[:3, :3], rtol=1e-7)
    # of some 70 pixels two columns take away two
    assert 1.01 < np.median(sigma / formal) < 1.1


def test_blocks_and_chunks_leave_no_seam(model):
    rng = np.random.default_rng(65)
    many, long = _BLOCK + 44, _CHUNK + 88
    training = drawn_survey(rng, 80, 2, long)[0]
    longer = cannon.train(training)
    spectra = from_arrays(
        rng.normal(1, 0.1, (many, long)), rng.uniform(0, 1e4, (many, long)), longer.wavelength, label=longer.labels
    )
    own = Nuisance(rng.normal(size=(many, long, 1)), 0.1)
    found = quartics(longer, spectra, [own])
    for n in (0, _BLOCK - 1, _BLOCK, many - 1):
        alone = quartics(longer, spectra.isel(star=[n]), [Nuisance(own.columns[[n]], 0.1)])
        np.testing.assert_allclose(alone.coefficients[0], found.coefficients[n], rtol=1e-9, atol=1e-9)
        assert alone.n_pixels[0] == found.n_pixels[n]


def test_plain_formula_of_one_star(model, stars):
    form = polynomial.symmetric_form(3)
    found = quartics(model, stars)
    nothing = np.zeros((N_PIXELS, 0)), np.zeros(0)
    for n in range(N_STARS):
        precision = Precision(weights(model, stars.ivar.values[n]), *nothing)
        coefficients, _ = star_quartic(model.theta.values, stars.flux.values[n], precision, form)
        np.testing.assert_allclose(coefficients, found.coefficients[n], rtol=1e-8, atol=1e-6)


def test_pixels_are_counted_alike_with_and_without_nuisances(model, stars):
    spoiled = stars.assign(ivar=stars.ivar.where(np.arange(N_PIXELS) > 20, stars.ivar * 1e-5))
    counts = quartics(model, spoiled).n_pixels
    usual = quartics(model, stars).n_pixels
    assert (counts <= usual).all()
    assert (counts < usual).sum() == N_STARS - 2  # one star saw none of these pixels before, and one sees nothing
    assert (quartics(model, spoiled, [Nuisance(POSITION[:, None], 0.1)]).n_pixels == counts).all()
    assert (count_pixels(model, spoiled.ivar.values) == counts).all()


def test_one_error_far_too_small_takes_no_pixel_off_the_count(model, stars):
    """The scatter of the model bounds the weight of a pixel; without it the others would be untypical."""
    bright = stars.assign(ivar=stars.ivar.where(np.arange(N_PIXELS) != 30, stars.ivar * 1e8))
    usual = quartics(model, stars).n_pixels
    assert (quartics(model, bright).n_pixels == usual).all()
    assert (count_pixels(model, bright.ivar.values) == usual).all()


def test_precision_is_the_inverse_of_the_covariance():
    rng = np.random.default_rng(64)
    weight, columns, sd = rng.uniform(10, 1000, 40), rng.normal(size=(40, 3)), np.array([0.1, 0.3, 2.0])
    weight[:5] = 0.0  # pixels that say nothing
    covariance = np.diag(1 / weight[5:]) + (columns[5:] * sd**2) @ columns[5:].T
    vectors = rng.normal(size=(40, 6))
    expected = np.linalg.solve(covariance, vectors[5:])
    precision = Precision(weight, columns, sd)
    np.testing.assert_allclose(precision.times(vectors)[5:], expected, rtol=1e-9, atol=1e-9)
    assert (precision.times(vectors)[:5] == 0).all()
    np.testing.assert_allclose(precision.norms(vectors), (vectors[5:] * expected).sum(axis=0), rtol=1e-9)


def test_nothing_is_left_of_what_a_free_nuisance_explains():
    rng = np.random.default_rng(65)
    weight, columns = rng.uniform(10, 1000, 40), rng.normal(size=(40, 3))
    precision = Precision(weight, columns, np.full(3, np.inf))
    inside, outside = columns @ rng.normal(size=(3, 2)), rng.normal(size=(40, 2))
    assert (precision.norms(inside) == 0).all()
    assert (precision.norms(outside) > 0).all()
    np.testing.assert_allclose(columns.T @ precision.times(outside), 0.0, atol=1e-8)


def test_weights_are_inverse_variances_about_the_model(model, stars):
    weight, ivar, s2 = weights(model, stars.ivar.values), stars.ivar.values, model.s2.values
    assert weight.shape == (N_STARS, N_PIXELS)
    nothing = (ivar == 0) | ~model.trained.values
    assert (weight[nothing] == 0).all()
    expected = 1 / (1 / np.where(nothing, 1.0, ivar) + np.where(nothing, 0.0, s2))
    np.testing.assert_allclose(weight[~nothing], expected[~nothing], rtol=1e-13)
    np.testing.assert_array_equal(weights(model, stars.ivar.values[2]), weight[2])


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "sd", "message"),
    [
        (np.ones(N_PIXELS), 0.1, r"columns \(n_pixels, n_columns\) or .*; got \(80,\) and \(\)"),
        (np.ones((2, 3, 4, 5)), 0.1, r"got \(2, 3, 4, 5\) and \(\)"),
        (np.ones((N_PIXELS, 2)), [0.1, 0.1, 0.1], r"one for each column; got \(80, 2\) and \(3,\)"),
        (np.ones((N_PIXELS, 2)), np.ones((N_PIXELS, 2)), r"got \(80, 2\) and \(80, 2\)"),
        (np.ones((N_PIXELS, 2)), [[0.1, 0.1]], r"got \(80, 2\) and \(1, 2\)"),
        (np.where(np.eye(N_PIXELS)[:, :2] > 0, np.nan, 1.0), 0.1, "2 values of the nuisance's columns are not finite"),
        (np.full((N_PIXELS, 1), np.inf), 0.1, "80 values of the nuisance's columns are not finite"),
        (np.ones((N_PIXELS, 2)), [0.1, 0.0], "standard deviations of a nuisance must be positive; got"),
        (np.ones((N_PIXELS, 1)), -0.1, "must be positive; got -0.1"),
        (np.ones((N_PIXELS, 1)), np.nan, "must be positive; got nan"),
    ],
)
def test_nuisances_that_make_no_sense_are_refused(columns, sd, message):
    with pytest.raises(ValueError, match=message):
        Nuisance(columns, sd)


@pytest.mark.parametrize(
    "shape",
    [(N_PIXELS - 1, 2), (N_PIXELS + 1, 2), (N_STARS - 1, N_PIXELS, 2), (N_STARS, N_PIXELS - 1, 2), (N_STARS, 2)],
)
def test_nuisances_of_other_spectra_are_refused(model, stars, shape):
    message = rf"{shape[0]}.* 12 spectra of 80 pixels need \(80, n_columns\) or \(12, 80, n_columns\)"
    wrong = [Nuisance(np.ones((N_PIXELS, 1)), 0.1), Nuisance(np.ones(shape), 0.1)]
    for function in (quartics, cannon.fit_labels):
        with pytest.raises(ValueError, match=message):
            function(model, stars, wrong)


def test_a_nuisance_keeps_what_it_was_given_in_double_precision():
    nuisance = Nuisance(np.ones((3, 2), dtype=np.float32), 1)
    assert nuisance.columns.dtype == nuisance.sd.dtype == float
    assert nuisance.sd.tolist() == [1.0, 1.0]
    assert nuisance.of_star(5) is nuisance.columns
    own = Nuisance(np.arange(12.0).reshape(2, 3, 2), [1.0, np.inf])
    np.testing.assert_array_equal(own.of_star(1), own.columns[1])


def test_bad_spectra_are_refused(model, stars):
    shifted = stars.assign_coords(wavelength=stars.wavelength + 0.2)
    with pytest.raises(ValueError, match="they must be the same"):
        quartics(model, shifted)
    with pytest.raises(ValueError, match=r"spectra need ivar with dims \(star, wavelength\)"):
        quartics(model, stars.drop_vars("ivar"))
    flux = stars.flux.copy(deep=True)
    star, pixel = np.argwhere(stars.ivar.values > 0)[10]
    flux[star, pixel] = np.nan
    for nuisances in ((), [Nuisance(np.ones((N_PIXELS, 1)), 0.1)]):
        with pytest.raises(ValueError, match="flux is not finite in 1 pixels"):
            quartics(model, stars.assign(flux=flux), nuisances)


def test_lazily_opened_spectra_give_the_same(tmp_path, model, stars):
    stars.to_netcdf(tmp_path / "spectra.nc", engine="h5netcdf")
    nuisances = [Nuisance(POSITION[:, None], 0.01)]
    with xr.open_dataset(tmp_path / "spectra.nc", engine="h5netcdf") as lazy:
        found = quartics(model, lazy, nuisances)
        # not to the last bit: sums depend on how the arrays lie in memory
        np.testing.assert_allclose(
            found.coefficients, quartics(model, stars, nuisances).coefficients, rtol=1e-13, atol=1e-9
        )


def test_no_stars_give_no_labels():
    spectra, *_ = drawn_survey(np.random.default_rng(61), 60, 2, 30)
    model = cannon.train(spectra)
    fits = cannon.fit_labels(model, spectra.isel(star=slice(0, 0)))
    assert fits.sizes["star"] == 0
    assert fits.labels.shape == (0, 2)
    assert fits.covariance.shape == (0, 2, 2)


@pytest.mark.parametrize("given", [Nuisance(np.ones((30, 1)), 0.1), [np.ones((30, 1))], ["slope"]])
def test_nuisances_are_a_sequence_of_nuisances(given):
    spectra, *_ = drawn_survey(np.random.default_rng(62), 60, 2, 30)
    with pytest.raises(TypeError, match=r"a sequence of lab2\.cannon\.Nuisance; got (Nuisance|list)"):
        quartics(cannon.train(spectra), spectra, given)
