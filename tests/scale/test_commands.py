"""`lab2 label-survey` and `lab2 store` as typed."""

from types import SimpleNamespace

import numpy as np
import pytest

from lab2 import _extras
from lab2.__main__ import main
from lab2._cli import scale
from lab2.scale import SHARD
from lab2.scale.catalog import read_labels


def test_files_to_a_store_to_labels_to_a_figure(files, model, address, tmp_path, capsys):
    built, out, figure = tmp_path / "s.zarr", tmp_path / "labels", tmp_path / "labels.png"
    known = ["--model", str(model.path), "--scheduler", address]
    assert main(["store", *map(str, files[:10]), "-o", str(built), *known]) == 0
    assert capsys.readouterr().out == f"10 spectra: {built}\n"
    assert main(["label-survey", str(built), "-o", str(out), "--figure", str(figure), *known]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("10 of 10 stars have labels; files that could not be read: 0; flags: ")
    assert "lab2: dashboard: http://127.0.0.1:" in said.err
    assert "warning: the errors are formal" in said.err  # the model has no calibration
    assert figure.read_bytes().startswith(b"\x89PNG")
    found = read_labels(out / "labels.parquet")
    assert np.isfinite(found["teff"]).all()


def test_a_bad_file_is_status_3_and_a_failed_shard_status_1(files, model, address, tmp_path, capsys):
    command = ["label-survey", str(files[0]), str(tmp_path / "missing.fits"), "--model", str(model.path)]
    command += ["-o", str(tmp_path / "run"), "--scheduler", address]
    assert main(command) == 3
    (tmp_path / "run" / "shards" / "000000.parquet").unlink()
    (tmp_path / "run" / "shards" / "000000.parquet").mkdir()
    assert main(command) == 1
    assert "1 of 1 shards failed 3 times" in capsys.readouterr().err


def test_a_model_of_simulated_spectra_on_a_real_star(real_spectra, model, address, tmp_path, capsys):
    command = ["label-survey", str(real_spectra["giant"]), "--model", str(model.path), "--scheduler", address]
    assert main([*command, "-o", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert "1 SIMULATED_MODEL" in said.out
    assert "1 of 1 spectra are observed, but the model was trained on simulated spectra" in said.err


def test_what_is_wrong_is_said_before_any_work(files, tmp_path, capsys):
    assert main(["label-survey", str(files[0]), "--model", str(tmp_path / "no.nc"), "-o", str(tmp_path / "run")]) == 2
    assert "no such lab2 Cannon file" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_figure_that_cannot_be_drawn_is_refused_before_any_work(files, model, tmp_path, capsys):
    (tmp_path / "folder.pdf").mkdir()
    command = ["label-survey", str(files[0]), "--model", str(model.path), "-o", str(tmp_path / "run"), "--figure"]
    for figure, message in (("a.doc", "drawn as .pdf, .png, .svg"), ("folder.pdf", "is a folder")):
        assert main([*command, str(tmp_path / figure)]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match="the figure shows teff, logg, fe_h, mg_fe, but the model has no mg_fe"):
        scale._check_figure(tmp_path / "a.pdf", SimpleNamespace(labels=["teff", "logg", "fe_h"]))
    assert not (tmp_path / "run").exists()


def test_the_default_shard_is_the_one_of_the_function(capsys):
    with pytest.raises(SystemExit):
        main(["label-survey", "--help"])
    assert f"spectra per shard (default: {SHARD})" in " ".join(capsys.readouterr().out.split())


def test_without_the_extra_the_message_says_which(monkeypatch):
    monkeypatch.setattr(_extras, "find_spec", lambda name: None if name == "zarr" else True)
    with pytest.raises(ImportError, match=r"lab2\.scale needs zarr.*pip install 'lab2\[scale\]'"):
        _extras.require("scale", "lab2.scale")
