import sys

import numpy as np
import pytest

from lab2 import cannon, network
from lab2.files import write_dataset
from lab2.spectra import from_arrays

torch = pytest.importorskip("torch")

WAVELENGTH = np.linspace(15000.0, 15100.0, 120)
MEAN, SCALE = np.array([4800.0, -0.2]), np.array([250.0, 0.3])


def spectra(n_stars, seed, noise=0.0, unseen=None):
    """Spectra linear in two labels; `unseen` pixels have no information and a senseless flux."""
    slopes = 0.05 * np.random.default_rng(0).normal(size=(2, WAVELENGTH.size))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_stars, 2))
    flux = 1.0 + x @ slopes + noise * rng.normal(size=(n_stars, WAVELENGTH.size))
    ivar = np.full(flux.shape, 1.0 / 0.01**2)
    if unseen is not None:
        flux[:, unseen], ivar[:, unseen] = 50.0, 0.0
    return from_arrays(flux, ivar, WAVELENGTH, labels=MEAN + SCALE * x, label=["teff", "fe_h"])


@pytest.fixture(scope="module")
def trained():
    return network.train(spectra(400, seed=1, unseen=slice(10, 20)), hidden=(32,), epochs=40)


def rms(found, truth):
    return np.sqrt(((found - truth) ** 2).mean(axis=0))


def test_recovers_labels_ten_times_better_than_their_mean(trained):
    test = spectra(200, seed=2, unseen=slice(10, 20))
    found = trained.predict(test).labels.values
    truth = test.labels.values
    assert (rms(found, truth) < 0.1 * truth.std(axis=0)).all()


def test_pixels_unseen_in_training_are_not_used(trained):
    assert not trained.dataset.used.values[10:20].any()
    assert trained.dataset.used.values.sum() == WAVELENGTH.size - 10
    test = spectra(5, seed=3)
    changed = test.assign(flux=test.flux.where(~test.wavelength.isin(WAVELENGTH[10:20]), 7.0))
    np.testing.assert_array_equal(trained.predict(test).labels, trained.predict(changed).labels)


def test_flux_without_weight_does_not_matter(trained):
    test = spectra(5, seed=3)
    ivar = test.ivar.where(test.wavelength != WAVELENGTH[50], 0.0)
    one, other = (
        trained.predict(test.assign(ivar=ivar, flux=test.flux.where(ivar > 0, value))) for value in (1.0, np.nan)
    )
    np.testing.assert_array_equal(one.labels, other.labels)
    assert np.abs(one.labels - trained.predict(test).labels).max() > 0


def test_prediction_is_what_pytorch_computes(trained):
    test = spectra(50, seed=4)
    inputs = (test.flux.values - 1.0)[:, trained.dataset.used.values] - trained.dataset.input_mean.values
    values = torch.tensor(inputs / float(trained.dataset.input_scale))
    for k in range(2):
        weight, bias = (torch.tensor(trained.dataset[f"{part}_{k}"].values).double() for part in ("weight", "bias"))
        values = torch.nn.functional.linear(values, weight, bias)
        values = torch.nn.functional.gelu(values) if k == 0 else values
    expected = trained.dataset.label_mean.values + trained.dataset.label_scale.values * values.numpy()
    np.testing.assert_allclose(trained.predict(test).labels, expected, rtol=1e-10, atol=1e-10)


def test_a_star_without_pixels_is_flagged_and_the_others_are_not(trained):
    test = spectra(3, seed=5)
    test.ivar.values[1] = 0.0
    found = trained.predict(test)
    assert np.isnan(found.labels.values[1]).all()
    assert np.isfinite(found.labels.values[[0, 2]]).all()
    assert found.flag.values.tolist() == [0, cannon.Flag.NO_DATA, 0]
    assert found.n_pixels.values.tolist() == [110, 0, 110]


def test_loss_falls_and_the_best_epoch_is_kept():
    training, validation = spectra(200, seed=6, noise=0.05), spectra(100, seed=7, noise=0.05)
    found = network.train(training, validation=validation, hidden=(64, 64), epochs=60, noise=0.0)
    history = found.history.sel(part="validation").values
    assert found.history.sel(part="training").values[-1] < 0.1 * found.history.sel(part="training").values[0]
    assert history.argmin() < len(history) - 1  # without added noise it ends by learning noise by heart
    pull = (found.predict(validation).labels - validation.labels).values / found.dataset.label_scale.values
    np.testing.assert_allclose((pull**2).mean(), history.min(), rtol=1e-4)


def test_added_noise_teaches_the_network_which_pixels_not_to_trust():
    training, test = spectra(300, seed=8), spectra(100, seed=9)
    doubtful = training.wavelength > WAVELENGTH[59]
    training = training.assign(ivar=training.ivar.where(~doubtful, 0.09**-2))  # an error nine times the others'
    changed = test.assign(flux=test.flux + 0.05 * doubtful * np.random.default_rng(10).choice([-1, 1], 120))
    response = []
    for noise in (0.0, 2.0):
        found = network.train(training, hidden=(32,), epochs=40, noise=noise)
        assert found.dataset.used.all()
        pull = (found.predict(changed).labels - found.predict(test).labels).values / SCALE
        response.append(np.sqrt((pull**2).mean()))
    assert response[1] < 0.5 * response[0]


def test_a_seed_repeats_itself_and_leaves_other_random_numbers_alone():
    training = spectra(60, seed=10, noise=0.01)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    one, two, other = (network.train(training, hidden=(8,), epochs=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(4), expected)
    np.testing.assert_array_equal(one.dataset.weight_0, two.dataset.weight_0)
    assert np.abs(one.dataset.weight_0 - other.dataset.weight_0).max() > 0


def test_a_saved_network_predicts_the_same(trained, tmp_path):
    trained.save(tmp_path / "network.nc")
    read = network.Network.load(tmp_path / "network.nc")
    test = spectra(20, seed=11)
    np.testing.assert_array_equal(read.predict(test).labels, trained.predict(test).labels)
    np.testing.assert_array_equal(read.history, trained.history)
    assert read.labels == ["teff", "fe_h"]
    assert [path.name for path in tmp_path.iterdir()] == ["network.nc"]


def test_files_that_hold_no_network_are_refused(trained, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file of a lab2 network"):
        network.Network.load(tmp_path / "none.nc")
    trained.save(tmp_path / "whole.nc")
    (tmp_path / "cut.nc").write_bytes((tmp_path / "whole.nc").read_bytes()[:3000])
    with pytest.raises(ValueError, match="not a whole file"):
        network.Network.load(tmp_path / "cut.nc")
    write_dataset(tmp_path / "other.nc", trained.dataset, cannon.Cannon.kind, cannon.Cannon.version)
    with pytest.raises(ValueError, match="is not a lab2 network: its attribute 'format' is 'lab2 Cannon'"):
        network.Network.load(tmp_path / "other.nc")


DAMAGE = {
    "weight_1 must be finite": lambda d: d.assign(weight_1=d.weight_1 * np.nan),
    "it has no bias_0": lambda d: d.drop_vars("bias_0"),
    r"weight_0 must have the dims \(hidden_1, input\)": lambda d: d.assign(weight_0=d.weight_0.T),
    r"weight_1 must have the dims \(hidden_2, hidden_1\)": lambda d: d.assign_attrs(n_layers=3),
    "'n_layers' must be a number of layers, not 0": lambda d: d.assign_attrs(n_layers=0),
    "'n_layers' must be a number of layers, not 10000000000": lambda d: d.assign_attrs(n_layers=10**10),
    "'n_layers' must be a number of layers, not 'two'": lambda d: d.assign_attrs(n_layers="two"),
    "110 inputs are not the number of pixels used": lambda d: d.assign(used=~d.used),
    "input_scale must be finite and more than 0": lambda d: d.assign(input_scale=0.0),
    "label_scale must be finite and more than 0": lambda d: d.assign(label_scale=-d.label_scale),
}


@pytest.mark.parametrize("words", DAMAGE)
def test_what_is_no_network_is_refused_with_the_reason(trained, tmp_path, words):
    path = tmp_path / "network.nc"
    write_dataset(path, DAMAGE[words](trained.dataset), network.Network.kind, network.Network.version)
    with pytest.raises(ValueError, match=rf"network\.nc is damaged: this is no lab2 network: .*{words}"):
        network.Network.load(path)


def test_bad_training_sets_are_refused():
    training = spectra(30, seed=12)
    missing = training.assign(labels=training.labels.where(training.labels > training.labels.min()))
    with pytest.raises(ValueError, match="of 27 training stars lack a label"):
        network.train(missing)
    with pytest.raises(ValueError, match="no labels"):
        network.train(training.drop_vars("labels"))
    constant = training.assign(labels=training.labels.where(training.label != "fe_h", 0.1))
    with pytest.raises(ValueError, match="the label fe_h is the same"):
        network.train(constant)
    with pytest.raises(ValueError, match="no pixel is seen"):
        network.train(training.assign(ivar=0.0 * training.ivar))
    with pytest.raises(ValueError, match="leaves no stars"):
        network.train(training, validation=0.001)


def test_other_wavelengths_are_refused(trained):
    with pytest.raises(ValueError, match="they must be the same"):
        trained.predict(spectra(2, seed=13).isel(wavelength=slice(5, None)))


def test_advice_where_pytorch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install -r requirements\.torch\.txt"):
        network.train(spectra(30, seed=14))
