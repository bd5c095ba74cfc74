import numpy as np
import pytest
import xarray as xr
from twins import drawn_survey

from lab2 import cannon
from lab2.cannon import Cannon
from lab2.cannon.model import fingerprint
from lab2.files import write_dataset


@pytest.fixture(scope="module")
def small():
    return drawn_survey(np.random.default_rng(22), n_stars=120, n_labels=3, n_pixels=25)[0]


@pytest.fixture(scope="module")
def model(small):
    return cannon.train(small)


def test_predict_of_one_and_many(model, small):
    many = model.predict(small.labels)
    assert many.dims == ("star", "wavelength")
    assert many.star.values.tolist() == small.star.values.tolist()
    one = model.predict(small.labels.values[4])
    assert one.dims == ("wavelength",)
    np.testing.assert_allclose(one, many[4], rtol=1e-13)
    np.testing.assert_allclose(model.predict(small.labels.T), many, rtol=1e-13)
    np.testing.assert_allclose(model.predict(model.label_mean), model.theta[:, 0], rtol=1e-13)


def test_predict_reproduces_the_formula(model, small):
    x = (small.labels.values[0] - model.label_mean.values) / model.label_scale.values
    terms = [1.0, *x] + [x[i] * x[j] for i in range(3) for j in range(i, 3)]
    np.testing.assert_allclose(model.predict(small.labels.values[0]), model.theta.values @ terms, rtol=1e-13)


@pytest.mark.parametrize("wrong", [np.zeros(2), np.zeros((5, 4)), 3.0])
def test_predict_refuses_other_labels(model, wrong):
    with pytest.raises(ValueError, match=r"expected the labels \['label_0', 'label_1', 'label_2'\], last axis 3; got"):
        model.predict(wrong)


def test_labels_of_a_data_array_are_taken_by_name(model, small):
    shuffled = small.labels[:, [2, 0, 1]]
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(small.labels.values))
    np.testing.assert_array_equal(model.design(shuffled.T), model.design(small.labels.values))
    np.testing.assert_array_equal(model.predict(shuffled[5]), model.predict(small.labels.values[5]))
    np.testing.assert_array_equal(model.gradient("label_1", at=shuffled[5]), model.gradient("label_1", small.labels[5]))
    more = xr.concat([shuffled, shuffled[:, :1].assign_coords(label=["age"])], "label")
    np.testing.assert_array_equal(model.predict(more), model.predict(small.labels.values))
    nameless = small.labels.drop_vars("label")
    np.testing.assert_array_equal(model.predict(nameless), model.predict(small.labels.values))


def test_predict_refuses_a_data_array_without_its_labels(model, small):
    other = small.labels.assign_coords(label=["label_0", "label_1", "teff"])
    with pytest.raises(ValueError, match=r"each of the labels \['label_0', 'label_1', 'label_2'\] once; got .*'teff'"):
        model.predict(other)
    with pytest.raises(ValueError, match="once; got"):
        model.predict(other.assign_coords(label=["label_0", "label_0", "label_1"]))


@pytest.mark.parametrize("label", ["label_0", "label_1", "label_2"])
def test_gradient_is_the_slope_of_predict(model, label):
    k, at = model.labels.index(label), model.label_mean.values + [0.7, -1.1, 0.4] * model.label_scale.values
    step = np.eye(3)[k] * 0.5 * model.label_scale.values[k]
    for where, center in ((None, model.label_mean.values), (at, at)):
        difference = (model.predict(center + step) - model.predict(center - step)) / (2 * step[k])
        np.testing.assert_allclose(model.gradient(label, at=where), difference, atol=1e-12)


def test_gradient_of_unknown_label(model):
    with pytest.raises(ValueError, match=r"no label 'teff'; it has \['label_0'"):
        model.gradient("teff")


# --- files --------------------------------------------------------------------------------------------------


def test_save_and_load_are_exact(tmp_path, model, small):
    path = tmp_path / "deeper" / "model.nc"
    model.save(path)
    back = Cannon.load(path)
    xr.testing.assert_identical(back.dataset, model.dataset)
    assert back.labels == model.labels
    np.testing.assert_array_equal(back.predict(small.labels), model.predict(small.labels))
    assert [file.name for file in path.parent.iterdir()] == ["model.nc"]


def test_untrained_pixels_survive_the_file(tmp_path, small):
    found = cannon.train(small.assign(ivar=small.ivar.where(small.wavelength != small.wavelength[2], 0.0)))
    found.save(tmp_path / "model.nc")
    assert np.flatnonzero(np.isinf(Cannon.load(tmp_path / "model.nc").s2)).tolist() == [2]


def test_missing_model_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such lab2 Cannon file"):
        Cannon.load(tmp_path / "none.nc")


@pytest.mark.parametrize("keep", [0, 100, 5000, -100])
def test_truncated_model_file(tmp_path, model, keep):
    path = tmp_path / "model.nc"
    model.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"model.nc is not a complete file"):
        Cannon.load(path)


def test_text_file_is_no_model(tmp_path):
    (tmp_path / "model.nc").write_text("theta: 1 2 3\n" * 100)
    with pytest.raises(ValueError, match="not a complete file"):
        Cannon.load(tmp_path / "model.nc")


def test_foreign_netcdf(tmp_path, small):
    small.to_netcdf(tmp_path / "spectra.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"spectra\.nc is not a complete file: .* changed by another program"):
        Cannon.load(tmp_path / "spectra.nc")


def test_model_of_another_version(tmp_path, model):
    path = tmp_path / "model.nc"
    write_dataset(path, model.dataset, model.kind, 99)
    with pytest.raises(ValueError, match="format version 99, this code reads 2; train and save it again"):
        Cannon.load(path)


def test_degree_is_kept_in_the_file(tmp_path, small):
    linear = cannon.train(small, degree=1)
    linear.save(tmp_path / "model.nc")
    np.testing.assert_array_equal(
        Cannon.load(tmp_path / "model.nc").predict(small.labels), linear.predict(small.labels)
    )


def test_the_model_keeps_how_its_spectra_were_normalized(tmp_path, small):
    rng = np.random.default_rng(43)
    trusted = rng.random(small.sizes["wavelength"]) < 0.5
    model = cannon.train(small.assign_coords(trusted=("wavelength", trusted)))
    model.save(tmp_path / "model.nc")
    kept = Cannon.load(tmp_path / "model.nc").dataset.trusted
    assert kept.dtype == bool
    np.testing.assert_array_equal(kept, trusted)


# --- what a model must be -----------------------------------------------------------------------------------


def with_value(dataset, name, value):
    """The dataset with one value of a variable replaced."""
    changed = dataset[name].copy(deep=True)
    changed.values.flat[1] = value
    return dataset.assign({name: changed})


@pytest.fixture(scope="module")
def rich(small):
    """A model with all that it may have: factors and trusted pixels."""
    trusted = small.assign_coords(trusted=("wavelength", np.arange(25) % 2 == 0))
    return cannon.train(trusted, factors=1)


DAMAGE = {
    "theta must be finite": lambda d: with_value(d, "theta", np.nan),
    r"theta must have the dims \(wavelength, term\), not": lambda d: d.assign(theta=d.theta.T),
    "theta must be floating-point numbers, not of type": lambda d: d.assign(theta=d.theta.astype(str)),
    "3 labels and degree 2 make 10 terms, not the 9": lambda d: d.isel(term=slice(9)),
    "3 labels and degree 1 make 4 terms, not the 10": lambda d: d.assign_attrs(degree=1),
    "'degree' must be 1 or 2, not 3": lambda d: d.assign_attrs(degree=3),
    "'degree' must be 1 or 2, not None": lambda d: d.drop_attrs(),
    "its terms are not those of the labels label_1, label_0": lambda d: d.assign_coords(
        label=["label_1", "label_0", "label_2"]
    ),
    "it has no theta": lambda d: d.drop_vars("theta"),
    "it has no wavelength": lambda d: d.drop_vars("wavelength"),
    "it has no label": lambda d: d.drop_vars("label"),
    "s2 must be 0 or more, and is not in 1 of 25 places": lambda d: with_value(d, "s2", -1e-9),
    "s2 must be 0 or more": lambda d: with_value(d, "s2", np.nan),
    "label_scale must be finite and more than 0": lambda d: with_value(d, "label_scale", 0.0),
    "label_mean must be finite": lambda d: with_value(d, "label_mean", np.inf),
    "label must be different names": lambda d: d.assign_coords(label=["label_0", "label_0", "label_2"]),
    "training_labels must be finite": lambda d: with_value(d, "training_labels", np.nan),
    "it has no training_labels": lambda d: d.isel(training_star=slice(0)),
    "loadings must be finite": lambda d: with_value(d, "loadings", np.nan),
    "it has trained_on, .* but no loadings": lambda d: d.drop_vars("loadings"),
    "trained_on must be True or False": lambda d: d.assign(trained_on=d.trained_on.astype(float)),
    "trusted must be True or False": lambda d: d.assign_coords(trusted=d.trusted.astype(int)),
    "wavelength must be finite and ascending": lambda d: d.isel(wavelength=slice(None, None, -1)),
}


@pytest.mark.parametrize("words", DAMAGE)
def test_what_is_no_model_is_refused_with_the_reason(rich, tmp_path, words):
    damaged = DAMAGE[words](rich.dataset)
    with pytest.raises(ValueError, match=f"^this is not a valid lab2 Cannon: .*{words}"):
        Cannon(damaged)
    path = tmp_path / "model.nc"
    write_dataset(path, damaged, Cannon.kind, Cannon.version)  # sealed, so that only the schema can tell
    with pytest.raises(ValueError, match=rf"model\.nc is damaged: .*{words}.*; train and save it again"):
        Cannon.load(path)


def test_a_whole_model_is_accepted(rich, tmp_path):
    rich.save(tmp_path / "model.nc")
    xr.testing.assert_identical(Cannon.load(tmp_path / "model.nc").dataset, rich.dataset)


def test_a_model_changed_in_place_is_not_saved(small, tmp_path):
    model = cannon.train(small)
    model.dataset.theta.values[0, 0] = np.nan
    with pytest.raises(ValueError, match="not a valid lab2 Cannon: theta must be finite"):
        model.save(tmp_path / "model.nc")
    assert list(tmp_path.iterdir()) == []


# --- which model it is --------------------------------------------------------------------------------------


def test_the_fingerprint_survives_the_file_and_goes_with_the_fits(model, small, tmp_path):
    model.save(tmp_path / "model.nc")
    again = Cannon.load(tmp_path / "model.nc")
    shuffled = small.isel(star=np.random.default_rng(4).permutation(small.sizes["star"]))
    fits = cannon.fit_labels(again, small.isel(star=slice(3)))
    assert fits.attrs["model"] == again.fingerprint == model.fingerprint == cannon.train(shuffled).fingerprint
    assert model.fingerprint.startswith("degree 2, 3 labels, 0 factors, 120 training stars, sha256 ")


def test_models_made_in_another_way_have_another_fingerprint(model, small):
    moved = small.assign(labels=small.labels + np.array([0.0, 0.0, 1e-9]))
    others = {
        cannon.train(small, degree=1).fingerprint,
        cannon.train(small, factors=1).fingerprint,
        fingerprint(small.isel(star=slice(1, None)), 2, 0),
        fingerprint(small.isel(wavelength=slice(1, None)), 2, 0),
        fingerprint(small.isel(label=[1, 0, 2]), 2, 0),
        fingerprint(small.assign_coords(trusted=("wavelength", np.ones(25, dtype=bool))), 2, 0),
        fingerprint(moved, 2, 0),
    }
    assert len(others | {model.fingerprint}) == 8


def test_a_model_made_by_hand_has_no_fingerprint(model, small):
    dataset = model.dataset.copy()
    del dataset.attrs["fingerprint"]
    assert Cannon(dataset).fingerprint == "unknown"
