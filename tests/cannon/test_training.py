import tracemalloc

import numpy as np
import pytest
import xarray as xr
from twins import drawn_survey, minus_two_log_likelihood, spoil, train_pixel

import lab2
from lab2 import cannon, from_arrays
from lab2.cannon import polynomial, training

N_LABELS, N_TERMS = 3, 10


@pytest.fixture(scope="module")
def drawn():
    """Spectra, theta, s2 of a known model."""
    return drawn_survey(np.random.default_rng(21), n_stars=1200, n_labels=N_LABELS, n_pixels=300)


@pytest.fixture(scope="module")
def small():
    return drawn_survey(np.random.default_rng(22), n_stars=120, n_labels=N_LABELS, n_pixels=25)[0]


@pytest.fixture(scope="module")
def trained(drawn):
    return cannon.train(drawn[0])


@pytest.fixture(scope="module")
def model(small):
    return cannon.train(small)


def test_shapes_and_scaling(trained, drawn):
    spectra = drawn[0]
    assert trained.theta.dims == ("wavelength", "term")
    assert trained.theta.shape == (300, N_TERMS)
    assert trained.s2.dims == ("wavelength",)
    assert trained.labels == ["label_0", "label_1", "label_2"]
    np.testing.assert_allclose(trained.label_mean, spectra.labels.mean("star"), rtol=1e-12)
    np.testing.assert_allclose(trained.label_scale, spectra.labels.std("star"), rtol=1e-12)
    assert trained.dataset.term.values[[0, 1, -1]].tolist() == ["1", "label_0", "label_2*label_2"]
    assert trained.trained.all()


def test_recovers_the_injected_coefficients_within_their_errors(trained, drawn):
    spectra, theta, s2 = drawn
    design = trained.design(spectra.labels)
    chi2 = 0.0
    for p in range(len(theta)):
        ivar = spectra.ivar.values[:, p]
        fisher = (design * (ivar / (1 + ivar * s2[p]))[:, None]).T @ design
        miss = trained.theta.values[p] - theta[p]
        chi2 += miss @ fisher @ miss
    freedom = theta.size
    assert abs(chi2 / freedom - 1) < 4 * np.sqrt(2 / freedom)


def test_recovers_the_injected_scatter_within_its_errors(trained, drawn):
    spectra, _, s2 = drawn
    found, ivar = trained.s2.values, spectra.ivar.values
    weight = ivar / (1 + ivar * s2)
    error = np.sqrt(2 / (weight**2).sum(axis=0))  # from the second derivative of -2 ln L
    # the maximum of the likelihood lies low, because theta was fitted to the same stars
    bias = N_TERMS / weight.sum(axis=0)
    clear = s2 > 6 * error
    assert clear.sum() > 100
    pulls = ((found + bias - s2) / error)[clear]
    assert abs(pulls.mean()) < 4 / np.sqrt(clear.sum())
    assert 0.85 < pulls.std() < 1.15
    # where there is none the likelihood must not invent any
    none = s2 == 0
    assert (found[none] < 4 * error[none]).all()
    assert (found[none] == 0).sum() > 0.3 * none.sum()


def test_is_the_maximum_of_the_handouts_likelihood(small, model):
    design = model.design(small.labels)
    for p in range(small.sizes["wavelength"]):
        flux, ivar = small.flux.values[:, p], small.ivar.values[:, p]
        value, theta = minus_two_log_likelihood(flux, ivar, design, float(model.s2[p]))
        assert value <= train_pixel(flux, ivar, design)[0] + 1e-5
        np.testing.assert_allclose(model.theta[p], theta, rtol=1e-6, atol=1e-9)


def test_pixels_that_cannot_be_trained_are_left_out_and_harm_nothing(small):
    fifty = small.isel(star=slice(0, 50))
    model = cannon.train(fifty)
    ivar = fifty.ivar.values.copy()
    ivar[:, 3] = 0.0  # nobody saw it
    ivar[N_TERMS:, 7] = 0.0  # as many stars as coefficients
    ivar[:N_TERMS, 7] = 1e4
    ivar[N_TERMS + 1 :, 9] = 0.0  # one more: just enough
    ivar[: N_TERMS + 1, 9] = 1e4
    lacking = cannon.train(fifty.assign(ivar=fifty.ivar.copy(data=ivar)))
    assert np.flatnonzero(~lacking.trained).tolist() == [3, 7]
    assert np.isinf(lacking.s2[[3, 7]]).all()
    np.testing.assert_array_equal(lacking.theta[[3, 7]], [[1.0] + [0.0] * (N_TERMS - 1)] * 2)
    assert (lacking.predict(fifty.labels)[:, [3, 7]] == 1).all()
    others = [p for p in range(25) if p not in (3, 7, 9)]
    np.testing.assert_allclose(lacking.theta[others], model.theta[others], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(lacking.s2[others], model.s2[others], rtol=1e-6, atol=1e-12)


def test_pixel_that_less_than_a_fifth_of_the_stars_saw_is_left_out(small):
    ivar = np.full(small.ivar.shape, 1e4)
    ivar[24:, 5], ivar[25:, 6] = 0.0, 0.0
    lacking = cannon.train(small.assign(ivar=small.ivar.copy(data=ivar)))
    assert np.flatnonzero(~lacking.trained).tolist() == [5]


def test_pixel_seen_only_by_identical_stars_is_left_out():
    # Many stars, but all with the same labels: enough of them, and still they determine nothing.
    spectra, _, _ = drawn_survey(np.random.default_rng(23), 60, 2, 5)
    labels = spectra.labels.values.copy()
    labels[:20] = labels[0]
    ivar = spectra.ivar.values.copy()
    ivar[:20, 2], ivar[20:, 2] = 1e4, 0.0
    found = cannon.train(from_arrays(spectra.flux, ivar, spectra.wavelength, labels))
    assert np.flatnonzero(~found.trained).tolist() == [2]


def test_a_star_without_information_changes_nothing(small, model):
    extra = small.isel(star=[0]).assign(ivar=lambda s: s.ivar * 0, flux=lambda s: s.flux * 0 + 5)
    # it does count for the mean and scale of the labels, so predictions are compared, not coefficients
    with_it = cannon.train(xr.concat([small, extra.assign_coords(star=["empty"])], "star"))
    labels = small.labels
    np.testing.assert_allclose(with_it.predict(labels), model.predict(labels), atol=1e-9)
    np.testing.assert_allclose(with_it.s2, model.s2, rtol=1e-4, atol=1e-11)


@pytest.mark.parametrize(("n_labels", "degree"), [(1, 2), (2, 2), (7, 2), (5, 1), (1, 1)])
def test_any_number_of_labels_and_both_degrees(n_labels, degree):
    spectra, theta, _ = drawn_survey(np.random.default_rng(24), 300, n_labels, 12, degree, errors=(0.001, 0.002))
    found = cannon.train(spectra, degree=degree)
    assert found.dataset.sizes["term"] == theta.shape[1]
    np.testing.assert_allclose(found.theta, theta, atol=0.05)
    truth = polynomial.design(found.scale(spectra.labels), found.pairs) @ theta.T
    miss = found.predict(spectra.labels).values - truth
    assert np.sqrt(np.mean(miss**2)) < 0.01  # scatter up to 0.03, averaged by 300 stars over up to 36 terms


def test_units_of_labels_do_not_matter(small, model):
    factor, zero = np.array([1e4, 1e-3, -2.0]), np.array([0.0, 5.0, 1e3])
    other = cannon.train(small.assign(labels=small.labels * factor + zero))
    np.testing.assert_allclose(other.predict(small.labels * factor + zero), model.predict(small.labels), atol=1e-8)
    np.testing.assert_allclose(other.s2, model.s2, rtol=1e-4, atol=1e-11)
    np.testing.assert_allclose(other.gradient("label_0") * factor[0], model.gradient("label_0"), atol=1e-8)


def test_order_of_stars_does_not_matter(small, model):
    shuffled = cannon.train(small.isel(star=np.random.default_rng(25).permutation(120)))
    np.testing.assert_allclose(shuffled.theta, model.theta, atol=1e-8)
    np.testing.assert_allclose(shuffled.s2, model.s2, rtol=1e-4, atol=1e-11)
    assert shuffled.dataset.attrs["training_ids_sha256"] == model.dataset.attrs["training_ids_sha256"]


def test_training_set_is_identified(small, model):
    fewer = cannon.train(small.isel(star=slice(1, None)))
    assert fewer.dataset.attrs["training_ids_sha256"] != model.dataset.attrs["training_ids_sha256"]
    assert model.dataset.training_star.values.tolist() == small.star.values.tolist()


def test_pixels_are_independent_and_blocks_leave_no_seam(monkeypatch, drawn, trained):
    for part in (slice(0, 20), slice(140, 160), slice(299, 300)):
        alone = cannon.train(drawn[0].isel(wavelength=part))
        np.testing.assert_allclose(alone.theta, trained.theta[part], atol=1e-9)
        np.testing.assert_allclose(alone.s2, trained.s2[part], rtol=1e-4, atol=1e-11)
    monkeypatch.setattr(training, "_BLOCK", 50 * 1200)
    in_blocks = cannon.train(drawn[0])
    np.testing.assert_allclose(in_blocks.theta, trained.theta, atol=1e-9)
    np.testing.assert_allclose(in_blocks.s2, trained.s2, rtol=1e-4, atol=1e-11)


def test_lazily_opened_spectra_give_the_same(tmp_path, small, model):
    small.to_netcdf(tmp_path / "spectra.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "spectra.nc", engine="h5netcdf") as lazy:
        assert not lazy.flux.variable._in_memory
        found = cannon.train(lazy)
        assert not lazy.flux.variable._in_memory
    np.testing.assert_allclose(found.theta, model.theta, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.s2, model.s2, rtol=1e-9)


def test_float32_spectra_train(small, model):
    single = small.assign(flux=small.flux.astype("f4"), ivar=small.ivar.astype("f4"))
    np.testing.assert_allclose(cannon.train(single).theta, model.theta, atol=1e-5)


# --- bad input ----------------------------------------------------------------------------------------------


def relabeled(spectra, **columns):
    labels = spectra.labels.copy(deep=True)
    for name, values in columns.items():
        labels.loc[{"label": name}] = values
    return spectra.assign(labels=labels)


def test_constant_label_is_named(small):
    with pytest.raises(ValueError, match="label label_1 is the same for every star"):
        cannon.train(relabeled(small, label_1=0.1))


def test_duplicate_label_is_named(small):
    with pytest.raises(ValueError, match="label label_0 is a linear combination of label_2: leave one out"):
        cannon.train(relabeled(small, label_2=small.labels.sel(label="label_0").values))


def test_collinear_labels_are_named(small):
    first, second = small.labels.sel(label="label_0").values, small.labels.sel(label="label_1").values
    with pytest.raises(ValueError, match="label label_0 is a linear combination of label_1, label_2"):
        cannon.train(relabeled(small, label_2=3 * first - 0.5 * second + 4))


def test_label_with_two_values_has_no_quadratic(small):
    two = relabeled(small, label_1=np.arange(120) % 2)
    with pytest.raises(ValueError, match=r"do not determine a polynomial of 10 terms .* degree=1"):
        cannon.train(two)
    assert cannon.train(two, degree=1).trained.all()


def test_fewer_stars_than_terms(small):
    with pytest.raises(ValueError, match="10 stars cannot determine 10 coefficients"):
        cannon.train(small.isel(star=slice(0, 10)))


def test_missing_labels_are_counted_and_named(small):
    labels = small.labels.values.copy()
    labels[[3, 5], 1] = np.nan
    labels[5, 2] = np.inf
    with pytest.raises(ValueError, match=r"2 of 120 stars lack a label \(label_1, label_2\)"):
        cannon.train(small.assign(labels=small.labels.copy(data=labels)))


def test_no_labels_at_all(small):
    with pytest.raises(ValueError, match=r"no labels \(star, label\)"):
        cannon.train(small.drop_vars("labels"))


def test_transposed_or_incomplete_spectra_are_refused(small):
    for wrong in (small.transpose("wavelength", "star", "label"), small.drop_vars("flux")):
        with pytest.raises(ValueError, match=r"spectra need flux with dims \(star, wavelength\); got"):
            cannon.train(wrong)


def test_degree_three(small):
    with pytest.raises(ValueError, match="degree of the model must be 1 or 2, got 3"):
        cannon.train(small, degree=3)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ivar", np.inf, "ivar is negative or not finite in 1 pixels, first in star '4' at"),
        ("ivar", np.nan, "ivar is negative or not finite in 1 pixels"),
        ("ivar", -1.0, "ivar is negative or not finite in 1 pixels"),
        ("flux", np.nan, "flux is not finite in 1 pixels, first in star '4' at .* ivar = 0"),
    ],
)
def test_bad_spectra_are_refused(small, name, value, message):
    values = small[name].values.copy()
    values[4, 6] = value
    ivar = small.ivar.values.copy()
    ivar[4, 6] = values[4, 6] if name == "ivar" else 1.0
    with pytest.raises(ValueError, match=message):
        cannon.train(small.assign({"ivar": small.ivar.copy(data=ivar), name: small[name].copy(data=values)}))


def test_nan_flux_without_weight_is_no_matter(small, model):
    flux = small.flux.values.copy()
    flux[small.ivar.values == 0] = np.nan
    assert np.isnan(flux).any()
    found = cannon.train(small.assign(flux=small.flux.copy(data=flux)))
    np.testing.assert_allclose(found.theta, model.theta, rtol=1e-12, atol=1e-14)


def test_memory_of_training_is_a_few_blocks():
    rng = np.random.default_rng(41)
    n_stars, n_pixels = 400, 6000
    labels = rng.normal(size=(n_stars, 3))
    flux = 1 + labels @ rng.normal(0, 0.02, (3, n_pixels)) + rng.normal(0, 0.01, (n_stars, n_pixels))
    spectra = from_arrays(flux, np.full(flux.shape, 1e4), np.arange(n_pixels) + 15000.0, labels)
    cannon.train(spectra.isel(wavelength=slice(0, 200)))  # compiled beforehand
    tracemalloc.start()
    cannon.train(spectra)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.0 * (flux.nbytes + flux.nbytes)


def test_a_pixel_that_few_stars_saw_well_is_not_trained_on():
    spectra, _, _ = drawn_survey(np.random.default_rng(5), 200, 2, 60, unseen=0.0)
    usual = lab2.train(spectra)
    few, many = np.arange(170), np.arange(100)  # 30 of 200 stars are left, and 100
    model = lab2.train(spoil(spoil(spectra, [7], few, 1e4), [8], many, 1e4))
    assert bool(usual.trained.all())
    assert np.flatnonzero(~model.trained.values).tolist() == [7]
    rest = np.delete(np.arange(60), [7, 8])
    assert np.allclose(model.theta.values[rest], usual.theta.values[rest], rtol=1e-7, atol=1e-12)


def test_a_pixel_that_all_stars_saw_badly_is_not_trained_on():
    spectra, _, _ = drawn_survey(np.random.default_rng(6), 200, 2, 60, unseen=0.0)
    model = lab2.train(spoil(spectra, [7], np.arange(200), 1e3))
    assert np.flatnonzero(~model.trained.values).tolist() == [7]
