import tracemalloc

import numpy as np
import pytest
import xarray as xr
from scipy.stats import chi2 as chi2_distribution
from twins import drawn_survey, fit_star, pixel_chi2, spoil

import lab2
from lab2 import cannon, from_arrays
from lab2.cannon import Cannon, Flag, fit_labels, fitting, polynomial, quartics, training_distance

N_LABELS, N_PIXELS = 5, 90


@pytest.fixture(scope="module")
def training():
    return drawn_survey(np.random.default_rng(31), 300, N_LABELS, N_PIXELS, errors=(0.002, 0.006))[0]


@pytest.fixture(scope="module")
def model(training):
    return cannon.train(training)


@pytest.fixture(scope="module")
def stars(model):
    """Forty new stars of the model's own kind, noisy, a tenth of the pixels hidden."""
    return drawn_from(model, np.random.default_rng(32), 40, noise=0.01, hidden=0.1)


@pytest.fixture(scope="module")
def fits(model, stars):
    return fit_labels(model, stars)


def drawn_from(model, rng, n_stars, noise, spread=0.8, hidden=0.0):
    labels = model.label_mean.values + model.label_scale.values * rng.normal(0, spread, (n_stars, len(model.labels)))
    clean = model.predict(labels).values
    sigma = noise * rng.uniform(0.5, 2, clean.shape)
    s2 = np.where(model.trained, model.s2, 0.0)
    flux = clean + rng.normal(size=clean.shape) * np.sqrt(sigma**2 + s2)
    ivar = 1 / sigma**2
    unseen = rng.random(flux.shape) < hidden
    flux[unseen], ivar[unseen] = 1.0, 0.0
    names = [f"star {n}" for n in range(n_stars)]
    return from_arrays(flux, ivar, model.dataset.wavelength, labels, names, model.labels)


def model_of(theta, training_x, s2=1e-6, mean=0.0, scale=1.0, degree=2):
    """A model with given coefficients and training labels."""
    theta, x = np.asarray(theta, dtype=float), np.asarray(training_x, dtype=float)
    n_labels = x.shape[1]
    return Cannon(
        xr.Dataset(
            {
                "theta": (("wavelength", "term"), theta),
                "s2": ("wavelength", np.full(len(theta), s2)),
                "label_mean": ("label", np.full(n_labels, mean)),
                "label_scale": ("label", np.full(n_labels, scale)),
                "training_labels": (("training_star", "label"), mean + scale * x),
            },
            coords={
                "wavelength": np.linspace(15200, 16900, len(theta)),
                "label": [f"l{k}" for k in range(n_labels)],
            },
            attrs={"degree": degree},
        )
    )


def chi2_of(model, flux, ivar, labels):
    return (ivar / (1 + ivar * model.s2.values) * (flux - model.predict(labels).values) ** 2).sum()


def is_set(fits, name):
    return (fits.flag.values & Flag[name]) > 0


# --- the fit itself -----------------------------------------------------------------------------------------


def test_equal_to_curve_fit_and_never_worse(model, stars, fits):
    starts = np.vstack([model.label_mean.values, model.dataset.training_labels.values[:4]])
    compared = 0
    for n in range(stars.sizes["star"]):
        flux, ivar = stars.flux.values[n], stars.ivar.values[n]
        labels, covariance, chi2 = fit_star(model, flux, ivar, starts)
        ours = float(fits.chi2[n])
        assert ours <= chi2 + 1e-6
        if ours > chi2 - 1e-6:  # the same minimum, not one that curve_fit missed
            sigma = np.sqrt(np.diag(covariance))
            assert (np.abs(fits.labels.values[n] - labels) < 1e-3 * sigma).all()
            # curve_fit leaves the model's second derivatives out of its covariance
            off = (fits.covariance.values[n] - covariance) / np.outer(sigma, sigma)
            assert np.abs(off).max() < 0.05
            compared += 1
    assert compared >= 36


def test_chi2_is_the_one_of_all_pixels(model, stars, fits):
    for n in range(0, 40, 7):
        expected = pixel_chi2(model, stars.flux.values[n], stars.ivar.values[n], fits.labels.values[n])
        assert float(fits.chi2[n]) == pytest.approx(expected, rel=1e-9)
        assert fits.n_pixels[n] == (stars.ivar.values[n] > 0).sum()


def test_covariance_is_twice_the_inverse_hessian_of_chi2(model, stars, fits):
    scale = 1e-3 * model.label_scale.values
    for n in range(0, 40, 7):
        labels, flux, ivar = fits.labels.values[n], stars.flux.values[n], stars.ivar.values[n]
        hessian = np.zeros((N_LABELS, N_LABELS))
        for k, m in np.ndindex(N_LABELS, N_LABELS):
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                shift = np.zeros(N_LABELS)
                shift[k] += a * scale[k]
                shift[m] += b * scale[m]
                hessian[k, m] += a * b * chi2_of(model, flux, ivar, labels + shift) / (4 * scale[k] * scale[m])
        np.testing.assert_allclose(fits.covariance.values[n] @ hessian / 2, np.eye(N_LABELS), atol=1e-3)
    np.testing.assert_array_equal(fits.covariance.label_2, fits.covariance.label)


def test_noise_free_spectra_give_their_labels_back(model, stars):
    clean = stars.assign(flux=stars.flux.copy(data=model.predict(stars.labels).values))
    fits = fit_labels(model, clean)
    np.testing.assert_allclose(fits.labels, stars.labels, atol=1e-4)
    assert (fits.chi2 < 1e-6).all()


def test_coverage_on_data_drawn_from_the_model(model):
    drawn = drawn_from(model, np.random.default_rng(34), 2000, noise=0.006, spread=0.6)
    fits = fit_labels(model, drawn)
    miss = (fits.labels - drawn.labels).values
    sigma = np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
    for interval, inside in ((1.0, 0.6827), (1.96, 0.95)):
        binomial_error = np.sqrt(inside * (1 - inside) / 2000)
        covered = (np.abs(miss) < interval * sigma).mean(axis=0)
        assert (np.abs(covered - inside) < 3.5 * binomial_error).all(), (interval, covered)
    # and all labels at once, correlations included
    distance2 = np.einsum("nk,nkl,nl->n", miss, np.linalg.inv(fits.covariance.values), miss)
    for inside in (0.6827, 0.95):
        covered = (distance2 < chi2_distribution.ppf(inside, N_LABELS)).mean()
        assert abs(covered - inside) < 3.5 * np.sqrt(inside * (1 - inside) / 2000)
    # chi^2 at the minimum has n_pixels - n_labels degrees of freedom
    freedom = N_PIXELS - N_LABELS
    assert abs(fits.chi2.values.mean() - freedom) < 4 * np.sqrt(2 * freedom / 2000)
    assert (fits.flag.values == 0).mean() > 0.98


@pytest.mark.parametrize("n_labels", [1, 2, 7])
def test_any_number_of_labels(n_labels):
    spectra = drawn_survey(np.random.default_rng(35), 200, n_labels, 60, errors=(0.002, 0.004))[0]
    model = cannon.train(spectra)
    fits = fit_labels(model, spectra)
    assert fits.labels.shape == (200, n_labels)
    pulls = (fits.labels - spectra.labels).values / np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
    assert 0.7 < np.median(np.abs(pulls)) / 0.6745 < 1.4


def test_fits_say_which_labels_the_model_learned(training, stars, fits):
    assert fits.attrs["label_tree"] == "unknown"
    model = cannon.train(training.assign_attrs(label_tree="synspec"))
    assert fit_labels(model, stars).attrs["label_tree"] == "synspec"


def test_linear_model_is_solved_in_closed_form():
    spectra = drawn_survey(np.random.default_rng(36), 100, 3, 40, degree=1)[0]
    model = cannon.train(spectra, degree=1)
    fits = fit_labels(model, spectra)
    weight = spectra.ivar.values / (1 + spectra.ivar.values * model.s2.values)
    theta = model.theta.values
    for n in range(0, 100, 9):
        fisher = theta[:, 1:].T @ (weight[n][:, None] * theta[:, 1:])
        x = np.linalg.solve(fisher, theta[:, 1:].T @ (weight[n] * (spectra.flux.values[n] - theta[:, 0])))
        np.testing.assert_allclose(model.scale(fits.labels.values[n]), x, atol=1e-6)
    assert (fits.n_minima == 1).all()
    assert np.isinf(fits.delta_chi2).all()


def test_untrained_pixels_weigh_nothing(training, stars):
    lost = training.wavelength.values[[5, 40]]
    model = cannon.train(training.assign(ivar=training.ivar.where(~training.wavelength.isin(lost), 0.0)))
    spoiled = stars.assign(flux=stars.flux.where(~stars.wavelength.isin(lost), 50.0))
    without = stars.assign(ivar=stars.ivar.where(~stars.wavelength.isin(lost), 0.0))
    np.testing.assert_allclose(fit_labels(model, spoiled).labels, fit_labels(model, without).labels, rtol=1e-9)
    np.testing.assert_array_equal(fit_labels(model, spoiled).n_pixels, fit_labels(model, without).n_pixels)


def test_every_star_is_fitted_by_itself(model, stars, fits):
    # 400 stars are two blocks at least; each star gets what it gets alone
    assert fitting._BLOCK < 400
    many = xr.concat([stars] * 10, "star")
    np.testing.assert_allclose(fit_labels(model, many).labels, np.tile(fits.labels, (10, 1)), rtol=1e-9)
    alone = fit_labels(model, stars.isel(star=[17]))
    np.testing.assert_allclose(alone.labels, fits.labels[[17]], rtol=1e-9)
    assert alone.star.values.tolist() == ["star 17"]


def test_lazily_opened_spectra_give_the_same(tmp_path, model, stars, fits):
    stars.to_netcdf(tmp_path / "spectra.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "spectra.nc", engine="h5netcdf") as lazy:
        found = fit_labels(model, lazy)
        assert not lazy.flux.variable._in_memory
    xr.testing.assert_allclose(found, fits, rtol=1e-9)


def test_memory_of_fitting_lazy_spectra_is_a_few_blocks(tmp_path):
    rng = np.random.default_rng(45)
    n_stars, n_pixels = 4000, 1000
    model = model_of(rng.normal([1.0, 0.05, 0.01], 0.01, (n_pixels, 3)), rng.normal(size=(50, 1)))
    shape = n_stars, n_pixels
    spectra = from_arrays(np.ones(shape), np.full(shape, 1e4), model.wavelength)
    spectra.to_netcdf(tmp_path / "spectra.nc", engine="h5netcdf")
    fit_labels(model, spectra.isel(star=slice(0, 10)))  # compiled beforehand
    with xr.open_dataset(tmp_path / "spectra.nc", engine="h5netcdf") as lazy:
        tracemalloc.start()
        fits = fit_labels(model, lazy)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert fits.sizes["star"] == n_stars
    assert peak < 0.25 * spectra.nbytes


def test_result_can_be_saved(tmp_path, fits):
    fits.to_netcdf(tmp_path / "fits.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "fits.nc", engine="h5netcdf") as back:
        np.testing.assert_array_equal(back.labels, fits.labels)


# --- flags --------------------------------------------------------------------------------------------------


def test_ordinary_stars_have_no_flag(fits):
    assert (fits.flag.values == 0).all()
    assert np.isfinite(fits.labels).all()


@pytest.mark.parametrize("n_seen", [0, 1, N_LABELS])
def test_star_without_data_among_good_ones(model, stars, fits, n_seen):
    ivar = stars.ivar.values.copy()
    ivar[3] = 0.0
    ivar[3, 10 : 10 + n_seen] = 1e4
    found = fit_labels(model, stars.assign(ivar=stars.ivar.copy(data=ivar)))
    assert np.flatnonzero(is_set(found, "NO_DATA")).tolist() == [3]
    assert np.isnan(found.labels[3]).all()
    assert np.isnan(found.covariance[3]).all()
    assert np.isnan(found.chi2[3])
    assert found.n_pixels[3] == n_seen
    others = [n for n in range(40) if n != 3]
    np.testing.assert_allclose(found.labels[others], fits.labels[others], rtol=1e-9)


def test_only_stars_without_data(model, stars):
    found = fit_labels(model, stars.assign(ivar=stars.ivar * 0))
    assert is_set(found, "NO_DATA").all()
    assert np.isnan(found.labels).all()


def test_bad_continuum_is_passed_on(model, stars, fits):
    bad = np.zeros((40, 3), dtype=bool)
    bad[5, 1] = bad[9] = True
    found = fit_labels(model, stars.assign(bad_continuum=(("star", "chip_name"), bad)))
    assert np.flatnonzero(is_set(found, "BAD_CONTINUUM")).tolist() == [5, 9]
    np.testing.assert_array_equal(found.labels, fits.labels)


def test_star_far_outside_the_training_set(model):
    x = np.zeros((3, N_LABELS))
    x[1, 0], x[2] = 1.0, 4.0
    labels = model.label_mean.values + model.label_scale.values * x
    flux = model.predict(labels).values
    fits = fit_labels(model, from_arrays(flux, np.full(flux.shape, 1e5), model.dataset.wavelength))
    assert is_set(fits, "OUTSIDE_TRAINING").tolist() == [False, False, True]
    assert fits.distance[1] < 1 < fits.distance[2]
    np.testing.assert_allclose(fits.labels, labels, rtol=1e-3)


@pytest.mark.parametrize(("distance", "outside"), [(0.95, False), (1.05, True)])
def test_edge_of_the_training_set(model, distance, outside):
    ray = np.array([1.0, -0.5, 0.3, 0.8, -1.0]) * model.label_scale.values
    unit = training_distance(model, (model.label_mean.values + ray)[None])[0]
    labels = model.label_mean.values + ray * distance / unit
    flux = model.predict(labels).values[None]
    fits = fit_labels(model, from_arrays(flux, np.full(flux.shape, 1e6), model.dataset.wavelength))
    assert fits.distance[0] == pytest.approx(distance, rel=1e-3)
    assert is_set(fits, "OUTSIDE_TRAINING")[0] == outside


def test_nonsense_is_held_by_the_wall_and_flagged(model):
    flux = np.random.default_rng(37).uniform(0, 30, (8, N_PIXELS))
    with pytest.warns(UserWarning, match="does not look normalized"):
        spectra = from_arrays(flux, np.full(flux.shape, 1e6), model.dataset.wavelength)
    fits = fit_labels(model, spectra)
    lost = is_set(fits, "NOT_CONVERGED")
    assert is_set(fits, "POOR_FIT")[~lost].all()
    assert (fits.distance.values[~lost] < 20).all()
    assert np.isnan(fits.labels.values[lost]).all()


def test_training_distance(model, training):
    distance = training_distance(model, training.labels.values)
    assert distance.max() == pytest.approx(1.0)
    assert training_distance(model, model.label_mean.values[None])[0] == pytest.approx(0.0, abs=1e-12)
    # linear along a ray, and equal for a star and its mirror image
    ray = model.label_mean.values + np.array([[1.0], [3.0], [-1.0]]) * model.label_scale.values
    one, three, mirror = training_distance(model, ray)
    assert (three / one, mirror) == pytest.approx((3.0, one))


def test_poor_fit(model, stars):
    flux = stars.flux.values.copy()
    flux[6] += np.random.default_rng(38).normal(0, 0.2, N_PIXELS)
    found = fit_labels(model, stars.assign(flux=stars.flux.copy(data=flux)))
    assert np.flatnonzero(is_set(found, "POOR_FIT")).tolist() == [6]
    assert np.isfinite(found.labels[6]).all()


@pytest.mark.parametrize(("reduced", "poor"), [(1.9, False), (2.1, True)])
def test_poor_fit_begins_at_twice_the_expected_chi2(model, stars, fits, reduced, poor):
    # residuals at a minimum, made larger, leave the minimum where it is
    fitted = model.predict(fits.labels).values
    factor = np.sqrt(reduced * (fits.n_pixels - N_LABELS) / fits.chi2).values[:, None]
    worse = stars.assign(flux=stars.flux.copy(data=fitted + factor * (stars.flux.values - fitted)))
    found = fit_labels(model, worse)
    there = np.abs(found.chi2 / (found.n_pixels - N_LABELS) - reduced) < 0.05
    assert there.mean() > 0.8
    assert (is_set(found, "POOR_FIT")[there] == poor).all()


def symmetric_model():
    """One label that only enters squared, so that +x and -x have the same spectrum."""
    depth = np.linspace(0.02, 0.2, 30)
    theta = np.column_stack([np.full(30, 0.9), np.zeros(30), -depth])
    return model_of(theta, np.random.default_rng(39).uniform(-2, 2, (100, 1)), mean=50.0, scale=10.0)


@pytest.mark.parametrize(("delta", "competes"), [(7.0, True), (11.0, False)])
def test_a_second_minimum_competes_within_three_sigma(delta, competes):
    """A slope of one pixel lifts the minimum at -x above that at x by a known amount."""
    model = symmetric_model()
    tilt = model.dataset.theta.values.copy()
    tilt[0, 1] = np.sqrt(delta) * 0.005 / 2.4  # the flux of pixel 0 differs by sqrt(delta) sigma between -1.2 and 1.2
    model = model_of(tilt, model.scale(model.training_labels.values), mean=50.0, scale=10.0)
    flux = model.predict(np.array([[62.0]])).values
    fits = fit_labels(model, from_arrays(flux, np.full((1, 30), 4e4), model.dataset.wavelength))
    assert float(fits.delta_chi2[0]) == pytest.approx(delta, rel=0.1)
    assert is_set(fits, "MULTIPLE_MINIMA")[0] == competes


def test_two_equal_minima():
    model = symmetric_model()
    x = np.array([[1.2], [-1.2], [1.7]])
    flux = model.predict(50 + 10 * x).values + np.random.default_rng(40).normal(0, 0.005, (3, 30))
    fits = fit_labels(model, from_arrays(flux, np.full((3, 30), 4e4), model.dataset.wavelength))
    assert is_set(fits, "MULTIPLE_MINIMA").all()
    assert (fits.n_minima == 2).all()  # the maximum between them, where one start stands, is none
    np.testing.assert_allclose(fits.delta_chi2, 0.0, atol=1e-6)
    np.testing.assert_allclose(np.abs(fits.labels - 50), 10 * np.abs(x), atol=1.0)


def test_second_minimum_that_fits_far_worse_is_counted_but_not_flagged():
    model = symmetric_model()
    theta = model.theta.values.copy()
    theta[:, 1] = np.linspace(0.03, -0.03, 30)
    model = Cannon(model.dataset.assign(theta=(("wavelength", "term"), theta)))
    flux = model.predict([[62.0]]).values
    fits = fit_labels(model, from_arrays(flux, np.full((1, 30), 4e4), model.dataset.wavelength))
    assert fits.n_minima[0] == 2
    assert fits.delta_chi2[0] > 9
    assert not is_set(fits, "MULTIPLE_MINIMA")[0]
    assert fits.labels[0, 0] == pytest.approx(62.0, abs=1e-3)


def test_star_whose_pixels_do_not_know_the_label_stops_nobody():
    model = symmetric_model()
    theta = model.theta.values.copy()
    theta[15:, 1:] = 0.0
    model = Cannon(model.dataset.assign(theta=(("wavelength", "term"), theta)))
    flux = np.vstack([model.predict([[62.0]]).values] * 2)
    ivar = np.full((2, 30), 4e4)
    ivar[1, :15] = 0.0  # what is left of this star is the same for any label
    fits = fit_labels(model, from_arrays(flux, ivar, model.dataset.wavelength))
    assert np.abs(fits.labels[0, 0] - 50) == pytest.approx(12.0, abs=1e-3)
    assert is_set(fits, "NOT_CONVERGED").tolist() == [False, True]
    assert np.isnan(fits.labels[1, 0])


def test_misfit_is_the_scatter_beyond_the_noise(model):
    stars = drawn_from(model, np.random.default_rng(41), 30, noise=0.004)
    plain = cannon.misfit(model, stars, fit_labels(model, stars))
    assert plain.max() < 0.004
    rng = np.random.default_rng(42)
    for added in (0.02, 0.05):
        odd = stars.assign(flux=stars.flux + added * rng.normal(size=stars.flux.shape))
        found = cannon.misfit(model, odd, fit_labels(model, odd))
        # five labels of ninety pixels take up a part
        assert float(found.median()) == pytest.approx(added * np.sqrt(1 - 5 / 90), rel=0.08)
    dark = stars.assign(ivar=stars.ivar * 0)
    assert np.isnan(cannon.misfit(model, dark, fit_labels(model, dark))).all()


def test_misfit_does_not_grow_with_the_signal(model):
    odd = [
        (stars := drawn_from(model, np.random.default_rng(43), 40, noise)).assign(
            flux=stars.flux + 0.03 * np.random.default_rng(44).normal(size=stars.flux.shape)
        )
        for noise in (0.002, 0.01)
    ]
    fits = [fit_labels(model, spectra) for spectra in odd]
    bright, faint = (float(cannon.misfit(model, s, f).median()) for s, f in zip(odd, fits, strict=True))
    assert bright == pytest.approx(faint, rel=0.05)
    assert fits[0].reduced_chi2.median() > 5 * fits[1].reduced_chi2.median()


def test_flags_have_names_and_keep_the_values_that_files_hold(fits):
    assert Flag.words(0) == "-"
    assert Flag.words(Flag.POOR_FIT + Flag.BAD_CONTINUUM) == "POOR_FIT BAD_CONTINUUM"
    names = ["NO_DATA", "NOT_CONVERGED", "OUTSIDE_TRAINING", "POOR_FIT", "MULTIPLE_MINIMA", "BAD_CONTINUUM"]
    names += ["UNCALIBRATED", "UNCONSTRAINED", "DWARF", "SIMULATED_MODEL"]
    assert {bit.name: int(bit) for bit in Flag} == {name: 1 << n for n, name in enumerate(names)}
    assert fits.attrs["flags"] == [f"{1 << n}: {name}" for n, name in enumerate(names)]


def test_a_star_above_all_giants_in_log_g_is_called_a_dwarf(model, stars):
    names = model.labels
    highest = float(model.training_labels[:, 1].max())
    for name, top, called in (("logg", 3.5, True), ("logg", 4.5, False), ("other", 3.5, False)):
        # the same star, above the training set in the second label, by other names and zero points of it
        shift = np.array([0.0, top - highest, *np.zeros(len(names) - 2)])
        moved = model.dataset.assign_coords(label=[names[0], name, *names[2:]]).drop_vars("term")
        moved = moved.assign(label_mean=moved.label_mean + shift, training_labels=moved.training_labels + shift)
        other = cannon.Cannon(moved)
        labels = other.label_mean.values.copy()
        labels[1] = top + 0.3
        flux = other.predict(labels).values[None]
        odd = stars.isel(star=[0]).assign(flux=(("star", "wavelength"), flux))
        found = fit_labels(other, odd)
        assert float(found.labels[0, 1]) > top
        assert is_set(found, "DWARF").tolist() == [called]


def test_an_observed_star_under_a_model_of_simulated_ones_is_flagged(model, stars):
    both = stars.isel(star=[0, 1]).assign(simulated=("star", [True, False]))
    simulated = cannon.Cannon(model.dataset.assign_attrs(simulated=1))
    assert is_set(fit_labels(simulated, both), "SIMULATED_MODEL").tolist() == [False, True]
    observed = cannon.Cannon(model.dataset.assign_attrs(simulated=0))
    assert not is_set(fit_labels(observed, both), "SIMULATED_MODEL").any()
    # where the spectra do not say what they are, nothing is said of them
    assert not is_set(fit_labels(simulated, stars), "SIMULATED_MODEL").any()


@pytest.mark.parametrize("ivar", [1e-12, 1e-30, 1e-44, 1e-4])
def test_a_star_that_its_spectrum_does_not_constrain_is_flagged(model, stars, fits, ivar):
    weight = stars.ivar.values.copy()
    weight[0] = np.where(weight[0] > 0, ivar, 0.0)
    found = fit_labels(model, stars.assign(ivar=(stars.ivar.dims, weight)))
    assert is_set(found, "UNCONSTRAINED").tolist() == [True] + [False] * (stars.sizes["star"] - 1)
    assert np.isfinite(found.labels[0]).all()


def test_unconstrained_begins_where_a_label_is_as_uncertain_as_in_the_training_set(model, stars, fits):
    wide = np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2)) / model.label_scale.values
    assert wide.max() < 0.5
    for factor, flagged in ((0.9, False), (1.1, True)):
        # variances grow as 1 / ivar where the noise is far above the model's scatter
        faint = stars.isel(star=[0]).assign(ivar=stars.ivar[[0]] * 1e-6)
        start = fit_labels(model, faint)
        errors = np.sqrt(np.diagonal(start.covariance.values[0])) / model.label_scale.values
        brighter = faint.assign(ivar=faint.ivar * (errors.max() / factor) ** 2)
        found = fit_labels(model, brighter)
        now = (np.sqrt(np.diagonal(found.covariance.values[0])) / model.label_scale.values).max()
        assert (now > 1) == flagged
        assert is_set(found, "UNCONSTRAINED")[0] == flagged


# --- bad input ----------------------------------------------------------------------------------------------


def test_other_wavelengths_are_refused(model, stars):
    shifted = stars.assign_coords(wavelength=stars.wavelength + 0.2)
    for wrong in (shifted, stars.isel(wavelength=slice(1, None))):
        with pytest.raises(ValueError, match=r"the model has 90 pixels from 15200.000 to 16900.000 Angstrom, the spec"):
            fit_labels(model, wrong)
        with pytest.raises(ValueError, match="they must be the same"):
            quartics(model, wrong)


def test_transposed_or_incomplete_spectra_are_refused(model, stars):
    for wrong in (stars.transpose("wavelength", "star", "label"), stars.drop_vars("ivar")):
        with pytest.raises(ValueError, match=r"spectra need (flux|ivar) with dims \(star, wavelength\); got"):
            fit_labels(model, wrong)


@pytest.mark.parametrize(("name", "value"), [("ivar", np.inf), ("ivar", -2.0), ("flux", np.nan), ("flux", -np.inf)])
def test_bad_values_are_refused(model, stars, name, value):
    values, ivar = stars[name].values.copy(), stars.ivar.values.copy()
    ivar[2, 8] = 1.0
    wrong = stars.assign(ivar=stars.ivar.copy(data=ivar))
    values = wrong[name].values.copy()
    values[2, 8] = value
    with pytest.raises(ValueError, match=rf"^{name} is .* in 1 pixels, first in star 'star 2'"):
        fit_labels(model, wrong.assign({name: stars[name].copy(data=values)}))


def test_starts_lie_inside_the_training_set(model, training):
    starts = fitting._starts(model)
    assert starts.shape == (9, N_LABELS)
    labels = model.label_mean.values + model.label_scale.values * starts
    assert (training_distance(model, labels) <= 1).all()
    assert len(np.unique(starts, axis=0)) == 9


def test_pairs_of_the_model_are_the_polynomials(model):
    np.testing.assert_array_equal(model.pairs, polynomial.terms(N_LABELS, 2))


def test_formal_errors_are_quoted_with_a_warning_and_calibrated_ones_without():
    covariance = np.array([[[4.0, 1.0], [1.0, 9.0]]])
    names = ["teff", "logg"]
    fits = xr.Dataset(
        {"labels": (("star", "label"), [[1.0, 2.0]]), "covariance": (("star", "label", "label_2"), covariance)},
        coords={"star": ["a"], "label": names, "label_2": names},
    )
    with pytest.warns(cannon.UncalibratedErrorWarning, match="several times too small"):
        found = cannon.errors(fits)
    np.testing.assert_allclose(found, [[2.0, 3.0]])
    assert found.sel(label="logg").item() == 3.0
    np.testing.assert_allclose(cannon.errors(fits.assign_attrs(calibrated="yes")), [[2.0, 3.0]])


def test_absurd_errors_move_no_label_and_are_not_counted():
    spectra, _, _ = drawn_survey(np.random.default_rng(7), 300, 2, 400, unseen=0.0)
    rng = np.random.default_rng(8)
    ivar, flux = spectra.ivar.values.copy(), spectra.flux.values.copy()
    ends = np.r_[:20, 380:400]
    # most stars see the ends with absurd errors, a few do not; the flux there is anyone's
    absurd = rng.random((300, 40)) < 0.9
    ivar[:, ends] = np.where(absurd, ivar[:, ends] * 1e-10, ivar[:, ends])
    flux[:, ends] += np.where(absurd, rng.normal(0, 0.3, absurd.shape), 0.0)
    spoiled = spectra.assign(ivar=(("star", "wavelength"), ivar), flux=(("star", "wavelength"), flux))
    without = spectra.assign(ivar=spectra.ivar.where(~np.isin(np.arange(400), ends), 0.0))
    clean, dirty = lab2.train(without), lab2.train(spoiled)
    assert not dirty.trained.values[ends].any()
    fits, expected = lab2.fit_labels(dirty, spoiled), lab2.fit_labels(clean, without)
    assert (fits.n_pixels.values == expected.n_pixels.values).all()
    sigma = np.sqrt(np.diagonal(expected.covariance.values, axis1=1, axis2=2))
    assert (np.abs((fits.labels - expected.labels).values) < 1e-6 * sigma).all()


def test_a_star_with_fewer_informative_pixels_than_labels_has_no_data():
    spectra, _, _ = drawn_survey(np.random.default_rng(9), 100, 3, 300, unseen=0.0)
    model = lab2.train(spectra)
    few = spoil(spectra.isel(star=[0, 1]), np.arange(3, 300), [0], 1e5)
    fits = lab2.fit_labels(model, few)
    assert fits.n_pixels.values.tolist() == [3, 300]
    assert fits.flag.values[0] & lab2.cannon.Flag.NO_DATA
    assert np.isnan(fits.labels.values[0]).all()
    assert not fits.flag.values[1] & lab2.cannon.Flag.NO_DATA


def test_one_pixel_of_a_far_too_small_error_makes_the_others_not_untypical():
    spectra, _, _ = drawn_survey(np.random.default_rng(10), 200, 2, 300, unseen=0.0)
    model = lab2.train(spectra)
    scattering = int(np.argmax(model.s2.values))
    ivar = spectra.ivar.values.copy()
    ivar[0, scattering] *= 1e6
    fits, usual = (lab2.fit_labels(model, some) for some in (spectra.assign(ivar=(spectra.ivar.dims, ivar)), spectra))
    assert fits.n_pixels.values[0] == usual.n_pixels.values[0] == 300
    assert float(fits.reduced_chi2[0]) == pytest.approx(float(usual.reduced_chi2[0]), rel=0.1)
    assert fits.flag.values[0] == usual.flag.values[0]


@pytest.mark.parametrize("n_stars", range(40, 60))
def test_the_farthest_training_star_is_not_outside_by_rounding(n_stars):
    labels = np.linspace(4000.0, 5000.0, n_stars)[:, None]
    flux = 1.0 + 1e-4 * (labels - 4500.0) * [1.0, 0.0, -2.0]
    spectra = from_arrays(flux, np.full((n_stars, 3), 1e4), [15200.0, 16000.0, 16900.0], labels, label=["teff"])
    fits = fit_labels(cannon.train(spectra), spectra)
    np.testing.assert_allclose(fits.distance.values.max(), 1.0, rtol=1e-9)
    assert not (fits.flag.values & Flag.OUTSIDE_TRAINING).any()
