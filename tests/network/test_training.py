import subprocess
import sys

import numpy as np
import pytest
from two_label_spectra import ERROR, SCALE, WAVELENGTH, linear_errors, made

from lab2 import cannon, network
from lab2.files import write_dataset
from lab2.network import checkpoint, training
from lab2.validation import robust_scatter, shrinkage

QUICK = network.Settings(components=4, hidden=(8,), dropout=0.0, rate=1e-2, epochs=150, noise=3.0)
SHORT = network.Settings(components=3, hidden=(4,), epochs=6)


@pytest.fixture(scope="module")
def trained():
    return network.train(made(400, seed=1, unseen=slice(10, 20)), QUICK, seed=3)


def test_labels_are_recovered_nearly_as_well_as_the_noise_allows(trained):
    test = made(300, seed=2, unseen=slice(10, 20))
    residual = (trained.predict(test).labels - test.labels).values / SCALE
    assert (residual.std(axis=0) < 2.5 * linear_errors()).all()


def test_pulls_are_about_as_wide_as_1_and_slopes_about_0(trained):
    test = made(300, seed=2, unseen=slice(10, 20))
    fits = trained.predict(test)
    errors = np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
    widths = robust_scatter((fits.labels - test.labels).values / errors)
    assert (widths > 0.6).all()
    assert (widths < 1.3).all()
    assert (np.abs(shrinkage(fits, test.labels)) < 0.02).all()


def test_a_noisier_spectrum_has_larger_errors(trained):
    test = made(200, seed=4)
    rng = np.random.default_rng(5)
    noisy = test.assign(flux=test.flux + np.sqrt(8) * ERROR * rng.normal(size=test.flux.shape), ivar=test.ivar / 9)
    sizes = [
        np.sqrt(np.diagonal(trained.predict(s).covariance.values, axis1=1, axis2=2)).mean(0) for s in (test, noisy)
    ]
    assert (sizes[1] > 1.5 * sizes[0]).all()


def test_pixels_that_few_stars_see_are_not_used(trained):
    assert not trained.dataset.used.values[10:20].any()
    assert trained.dataset.used.values[20:].all()
    assert (trained.predict(made(3, seed=6)).n_pixels == 110).all()


def test_masked_pixels_carry_no_information_whatever_their_flux(trained):
    test = made(5, seed=7)
    masked = test.assign(ivar=test.ivar.where(test.wavelength > WAVELENGTH[40], 0.0))
    other = masked.assign(flux=masked.flux.where(masked.ivar > 0, -1e6))
    one, two = trained.predict(masked), trained.predict(other)
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.covariance, two.covariance)


def test_a_star_without_data_is_flagged_and_the_others_are_answered(trained):
    test = made(3, seed=8)
    dark = test.assign(ivar=test.ivar.where(test.star != "1", 0.0))
    fits = trained.predict(dark)
    assert fits.flag.values[1] == cannon.Flag.NO_DATA
    assert np.isnan(fits.labels.values[1]).all()
    assert np.isnan(fits.covariance.values[1]).all()
    np.testing.assert_allclose(fits.labels.values[[0, 2]], trained.predict(test).labels.values[[0, 2]], rtol=1e-5)


def test_one_star_is_answered_as_among_many(trained):
    test = made(300, seed=9)  # more than a block
    alone = trained.predict(test.isel(star=[290]))
    assert alone.sizes["star"] == 1
    np.testing.assert_allclose(alone.labels[0], trained.predict(test).labels[290], rtol=1e-5, atol=1e-5)


def test_spectra_unlike_the_training_set_are_flagged(trained):
    test = made(50, seed=10)
    ordinary = trained.predict(test)
    assert (ordinary.flag.values == 0).mean() > 0.9
    far = test.assign(flux=1 + 6 * (test.flux - 1))
    assert ((trained.predict(far).flag.values & int(cannon.Flag.OUTSIDE_TRAINING)) > 0).mean() > 0.8
    shuffled = test.assign(flux=test.flux.copy(data=test.flux.values[:, ::-1]))
    assert ((trained.predict(shuffled).flag.values & int(cannon.Flag.POOR_FIT)) > 0).mean() > 0.8


def test_the_covariance_is_that_of_the_members_and_between_them(trained):
    # law of total covariance, from members predicting one by one
    test = made(4, seed=11)
    d = trained.dataset
    kept = [name for name in d.data_vars if "member" in d[name].dims]
    alone = [
        d.drop_vars(kept).assign({n: d[n].isel(member=[k]) for n in kept}).assign_attrs(n_members=1) for k in range(5)
    ]
    each = [network.Network(one).predict(test) for one in alone]
    means = np.array([one.labels.values for one in each])
    within = np.mean([one.covariance.values for one in each], axis=0)
    off = means - means.mean(axis=0)
    wide = d.widening.values
    between = np.einsum("msi,msj->sij", off, off) / 5 * wide[:, None] * wide
    whole = trained.predict(test)
    np.testing.assert_allclose(whole.labels, means.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(whole.covariance, within + between, rtol=1e-3, atol=1e-8)


def test_sensitivity_is_the_derivative_by_the_flux(trained):
    test = made(1, seed=12)
    flux = test.flux.values[0]
    looks = trained.sensitivity(test)
    assert not looks.values[:, 10:20].any()
    step = 0.02 * np.random.default_rng(13).normal(size=flux.size)
    up, down = (trained.predict(test.assign(flux=test.flux + sign * step)).labels.values[0] for sign in (1, -1))
    np.testing.assert_allclose((up - down) / 2 / SCALE, looks.values @ step / SCALE, rtol=0.05, atol=0.01)


def test_label_errors_make_bad_labels_count_little():
    spectra = made(200, seed=14)
    wrong = np.random.default_rng(15).random(200) < 0.3
    labels = spectra.labels + 8 * SCALE * wrong[:, None] * np.random.default_rng(16).normal(size=(200, 2))
    errors = np.where(wrong[:, None], 8 * SCALE, 0.01 * SCALE)
    told = spectra.assign(labels=labels, label_errors=(("star", "label"), errors))
    test = made(200, seed=17)
    off = [
        np.abs((network.train(s, QUICK, members=1).predict(test).labels - test.labels).values / SCALE).mean()
        for s in (told, told.drop_vars("label_errors"))
    ]
    assert off[0] < 0.5 * off[1]


def weights(one):
    d = one.dataset
    return [d[name].values for name in d.data_vars if name.startswith("weights_")] + [d.history.values]


def test_a_seed_repeats_itself_bit_for_bit():
    training_set = made(60, seed=18)
    one, two, other = (network.train(training_set, SHORT, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(weights(one)[0] - weights(other)[0]).max() > 0


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, monkeypatch):
    training_set, path = made(60, seed=19), tmp_path / "state.nc"
    whole = network.train(training_set, SHORT, seed=1)
    written = checkpoint.write

    def killed(*arguments):
        written(*arguments)
        if len(arguments[1].history) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        network.train(training_set, SHORT, seed=1, checkpoint=path)
    monkeypatch.undo()
    epochs = []
    advance = training.Descent.epoch
    monkeypatch.setattr(training.Descent, "epoch", lambda *a: epochs.append(1) or advance(*a))
    resumed = network.train(training_set, SHORT, seed=1, checkpoint=path)
    assert len(epochs) == 3  # of six
    for a, b in zip(weights(whole), weights(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not path.exists()


def test_the_checkpoint_of_another_training_is_refused(tmp_path):
    training_set, path = made(60, seed=19), tmp_path / "state.nc"
    ready = training.prepared(training_set)
    mark = checkpoint.fingerprint((SHORT, 5), 2, *ready)
    checkpoint.write(path, checkpoint.State([], [], [], np.zeros(5), np.zeros((0, 3))), mark)
    with pytest.raises(ValueError, match=r"state\.nc is the checkpoint of another training"):
        network.train(training_set, SHORT, seed=1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="not a complete file"):
        network.train(training_set, SHORT, seed=1, checkpoint=path)


def test_each_member_is_stopped_by_stars_that_it_is_not_trained_on(monkeypatch):
    seen = {}
    start = training.Descent.__init__

    def spied(self, settings, basis, ready, mine, seed):
        seen["mine"] = mine
        start(self, settings, basis, ready, mine, seed)

    monkeypatch.setattr(training.Descent, "__init__", spied)
    network.train(made(53, seed=20), network.Settings(components=2, hidden=(2,), epochs=1))
    left_out = ~seen["mine"]
    assert (left_out.sum(axis=0) == 1).all()  # every star by one member
    assert set(left_out.sum(axis=1)) <= {10, 11}


def test_a_saved_network_predicts_the_same(trained, tmp_path):
    trained.save(tmp_path / "network.nc")
    read = network.Network.load(tmp_path / "network.nc")
    test = made(20, seed=21)
    np.testing.assert_array_equal(read.predict(test).labels, trained.predict(test).labels)
    np.testing.assert_array_equal(read.history, trained.history)
    assert read.settings == QUICK
    assert read.labels == ["teff", "fe_h"]


def test_files_that_hold_no_network_are_refused(trained, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such lab2 network file"):
        network.Network.load(tmp_path / "none.nc")
    trained.save(tmp_path / "whole.nc")
    (tmp_path / "cut.nc").write_bytes((tmp_path / "whole.nc").read_bytes()[:3000])
    with pytest.raises(ValueError, match="not a complete file"):
        network.Network.load(tmp_path / "cut.nc")
    write_dataset(tmp_path / "other.nc", trained.dataset, cannon.Cannon.kind, cannon.Cannon.version)
    with pytest.raises(ValueError, match="is not a lab2 network: its attribute 'format' is 'lab2 Cannon'"):
        network.Network.load(tmp_path / "other.nc")


DAMAGE = {
    "weights_1 must be finite": lambda d: d.assign(weights_1=d.weights_1 * np.nan),
    "it has no weights_0": lambda d: d.drop_vars("weights_0"),
    r"weights_0 must have the dims \(member, weights_0_1, weights_0_2\)": lambda d: d.assign(weights_0=d.weights_0.T),
    r"weights_0 must have the shape \(5, 8, 8\), not \(5, 7, 8\)": lambda d: d.isel(weights_0_1=slice(7)),
    "'n_members' must be a number of networks, not 0": lambda d: d.assign_attrs(n_members=0),
    "'n_members' must be a number of networks, not 10000000000": lambda d: d.assign_attrs(n_members=10**10),
    "'settings' must be those of a network, not 'two'": lambda d: d.assign_attrs(settings="two"),
    "110 inputs are not the number of pixels used": lambda d: d.assign(used=~d.used),
    r"center must have the shape \(2, 4\)": lambda d: d.isel(feature=slice(3)),
    "widening must be finite and more than 0": lambda d: d.assign(widening=-d.widening),
    "label_scale must be finite and more than 0": lambda d: d.assign(label_scale=-d.label_scale),
}


@pytest.mark.parametrize("words", DAMAGE)
def test_what_is_no_network_is_refused_with_the_reason(trained, tmp_path, words):
    path = tmp_path / "network.nc"
    write_dataset(path, DAMAGE[words](trained.dataset), network.Network.kind, network.Network.version)
    with pytest.raises(ValueError, match=rf"network\.nc is damaged: this is not a valid lab2 network: .*{words}"):
        network.Network.load(path)


def test_bad_training_sets_are_refused():
    spectra = made(30, seed=22)
    missing = spectra.assign(labels=spectra.labels.where(spectra.labels > spectra.labels.min()))
    with pytest.raises(ValueError, match="of 30 training stars lack a label; leave them out"):
        network.train(missing)
    with pytest.raises(ValueError, match="no labels"):
        network.train(spectra.drop_vars("labels"))
    constant = spectra.assign(labels=spectra.labels.where(spectra.label != "fe_h", 0.1))
    with pytest.raises(ValueError, match="the label fe_h is the same"):
        network.train(constant)
    with pytest.raises(ValueError, match="0 pixels have data in more than 50% of the 30"):
        network.train(spectra.assign(ivar=0.0 * spectra.ivar))
    with pytest.raises(ValueError, match="1 training stars are too few: at least 10"):
        network.train(spectra.isel(star=[0]))
    with pytest.raises(ValueError, match="label_errors must be finite and 0 or more, or NaN: 60 are not"):
        network.train(spectra.assign(label_errors=spectra.labels * 0 - 1))
    with pytest.raises(ValueError, match="members must be 1 to 5; got 0"):
        network.train(spectra, members=0)


def test_other_wavelengths_are_refused(trained):
    with pytest.raises(ValueError, match="they must be the same"):
        trained.predict(made(2, seed=23).isel(wavelength=slice(5, None)))
    with pytest.raises(ValueError, match="they must be the same"):
        trained.sensitivity(made(2, seed=23).isel(wavelength=slice(5, None)))


def test_the_module_loads_without_jax():
    code = "import sys, lab2; lab2.network.Settings(); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
