import h5netcdf
import numpy as np
import pytest
import xarray as xr
from twins import drawn_survey

from lab2 import cannon
from lab2.cannon import Cannon


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
    with pytest.raises(FileNotFoundError, match="no such file of a lab2 Cannon"):
        Cannon.load(tmp_path / "none.nc")


@pytest.mark.parametrize("keep", [0, 100, 5000, -100])
def test_truncated_model_file(tmp_path, model, keep):
    path = tmp_path / "model.nc"
    model.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"model.nc is not a whole netCDF file"):
        Cannon.load(path)


def test_text_file_is_no_model(tmp_path):
    (tmp_path / "model.nc").write_text("theta: 1 2 3\n" * 100)
    with pytest.raises(ValueError, match="not a whole netCDF file"):
        Cannon.load(tmp_path / "model.nc")


def test_foreign_netcdf(tmp_path, small):
    small.to_netcdf(tmp_path / "spectra.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="is not a lab2 Cannon: its attribute 'format' is None"):
        Cannon.load(tmp_path / "spectra.nc")


def test_model_of_another_version(tmp_path, model):
    path = tmp_path / "model.nc"
    model.save(path)
    with h5netcdf.File(path, "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(ValueError, match="format version 99, this code reads 1; train it again"):
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
