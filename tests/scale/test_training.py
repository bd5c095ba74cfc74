"""Training from a store: the model is that of the files."""

import numpy as np
import pytest
import xarray as xr

import lab2
from lab2 import validation
from lab2.__main__ import main
from lab2.cannon import Cannon
from lab2.scale import open_store

NAMES = ["teff", "logg"]


def same_model(one, other):
    """Assert that two models agree to rounding, and know the same of themselves."""
    for name in ("theta", "s2", "label_mean", "label_scale", "training_labels"):
        np.testing.assert_allclose(one.dataset[name].values, other.dataset[name].values, rtol=1e-9, err_msg=name)
    assert one.fingerprint == other.fingerprint
    assert (one.trusted == other.trusted).all()
    own = {"command", "date", "left_out", "n_files"}  # of each
    assert {k: v for k, v in one.dataset.attrs.items() if k not in own} == {
        k: v for k, v in other.dataset.attrs.items() if k not in own
    }


@pytest.fixture(scope="module")
def from_files(tiny_survey, files, tmp_path_factory):
    """What the command makes of the files: its path, and arguments that are the same for the store."""
    out, labels = tmp_path_factory.mktemp("trained") / "model.nc", str(tiny_survey / "allStar.fits")
    known = ["--labels", labels, "--label", "teff", "--label", "logg", "--factors", "1"]
    assert main(["train", *map(str, files), *known, "-o", str(out)]) == 0
    return out, known


def test_the_command_makes_the_same_model_of_a_store(from_files, built, tmp_path, capsys):
    path, known = from_files
    out = tmp_path / "model.nc"
    assert main(["train", str(built), *known, "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("trained on 60 of 61 files; left out: 1 cannot be read\n")
    same_model(Cannon.load(out), Cannon.load(path))
    one, other = validation.Calibration.load(out), validation.Calibration.load(path)
    np.testing.assert_allclose(one.floor_errors.values, other.floor_errors.values, rtol=1e-6)


def test_python_trains_on_a_store_as_it_is(from_files, built, normalized):
    known = Cannon.load(from_files[0])
    truth = xr.DataArray(
        known.training_labels.values,
        dims=("star", "label"),
        coords={"star": known.dataset.training_star.values, "label": NAMES},
    )
    stored = open_store(built, slice(60)).assign(labels=truth)
    assert not stored.variables["flux"]._in_memory
    found, expected = lab2.train(stored), lab2.train(normalized.assign(labels=truth))
    same_model(found, expected)
    assert not stored.variables["flux"]._in_memory  # pixels were read, some at a time, and not kept


def test_a_store_is_no_folder_of_files(built, from_files, tmp_path, capsys):
    path, known = from_files
    assert main(["label", str(built), "--model", str(path), "-o", str(tmp_path / "a.csv")]) == 2
    assert "is a store: lab2 label-survey labels its spectra" in capsys.readouterr().err
    assert main(["train", str(built), str(path), *known, "-o", str(tmp_path / "a.nc")]) == 2
    assert "lab2 train takes it alone" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "no.zarr"), *known, "-o", str(tmp_path / "a.nc")]) == 2
    assert "no such store of spectra" in capsys.readouterr().err
