"""`lab2 train` and `lab2 label` as typed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.table import Table

from lab2 import cannon, validation
from lab2.__main__ import main


def label(*arguments):
    return main(["label", *map(str, arguments), "--workers", "1"])


def test_a_folder_of_files(tiny_survey, giants, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["lab2", "label", "folder"])
    out = tmp_path / "new" / "labels.fits"
    assert label(tiny_survey / "apStar", "--model", trained.path, "-o", out) == 0
    said = capsys.readouterr()
    n_files = len(list(tiny_survey.glob("apStar/*/*.fits")))
    assert said.out.startswith(f"{n_files} of {n_files} stars have labels; files that could not be read: 0; flags: ")
    assert said.err == ""
    table = Table.read(out)
    rows = dict(zip(giants.rows["APOGEE_ID"], giants.rows["TEFF"], strict=True))
    residual = [teff - rows[star] for star, teff in table["apogee_id", "teff"] if star in rows]
    assert len(residual) == len(giants.files)
    assert np.median(np.abs(residual)) < 60
    assert table.meta["TRAINING"].startswith(f"{len(giants.files)} simulated spectra")
    assert table.meta["ERRORS"] == f"calibrated on residuals of {trained.calibration.dataset.attrs['n_stars']} stars"
    assert table.meta["MODEL"] == trained.model.fingerprint
    assert "lab2" in table.meta["VERSIONS"]
    assert table.meta["COMMAND"] == "lab2 label folder"


def test_bad_files_among_good_ones_are_status_3(mixed, trained, tmp_path, capsys):
    (tmp_path / "list").write_text("\n".join(map(str, mixed[:4] + mixed[5:])))
    out = tmp_path / "labels.csv"
    assert label(mixed[4], "--files-from", tmp_path / "list", "--model", trained.path, "-o", out) == 3
    # the folder among the files is no file, and the star that is given twice is one
    assert "6 of 10 stars have labels; files that could not be read: 4; " in capsys.readouterr().out
    table = Table.read(out)
    assert len(table) == 10
    assert (table["reason"] != "-").sum() == 4


def test_a_model_of_simulated_spectra_on_a_real_star(real_spectra, giants, trained, tmp_path, capsys):
    out = tmp_path / "labels.ecsv"
    assert label(giants.files[0], real_spectra["giant"], "--model", trained.path, "-o", out) == 0
    said = capsys.readouterr()
    assert "1 SIMULATED_MODEL" in said.out
    assert "1 of 2 spectra are observed, but the model was trained on simulated spectra; on spectra" in said.err
    table = Table.read(out)
    assert "which no error here includes" in table.meta["caveat"]
    assert np.isnan(table["sigma_teff"][1])  # fitted worse than those of the calibration
    assert "UNCALIBRATED" in table["flag_words"][1]


def test_without_a_calibration_the_errors_are_called_formal(giants, trained, tmp_path, capsys):
    trained.model.save(tmp_path / "alone.nc")
    trained.calibration.save(tmp_path / "calibration.nc")
    out, model = tmp_path / "labels.ecsv", tmp_path / "alone.nc"
    assert label(giants.files[0], "--model", model, "-o", out) == 0
    assert "lab2: warning: the errors are formal" in capsys.readouterr().err
    formal = Table.read(out)
    assert formal.meta["errors"].startswith("formal")
    assert label(giants.files[0], "--model", model, "--calibration", tmp_path / "calibration.nc", "-o", out) == 0
    assert Table.read(out)["sigma_teff"][0] > formal["sigma_teff"][0]


def test_what_is_wrong_is_found_before_the_first_file(giants, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lab2.labelling.stream.label_stream", lambda *given: pytest.fail("the work has begun"))
    monkeypatch.setattr("lab2.labelling.training.train_files", lambda *given: pytest.fail("the work has begun"))
    other = trained.calibration.dataset.assign_attrs(model="degree 1")
    validation.Calibration(other).save(tmp_path / "other.nc")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "empty").mkdir()
    out = ["-o", tmp_path / "labels.csv"]
    for arguments, message in (
        ([giants.files[0], *out, "--calibration", tmp_path / "other.nc"], "belongs to another model"),
        (
            [giants.files[0], *out, "--calibration", trained.path.with_name("no.nc")],
            "no such lab2 calibration file",
        ),
        ([giants.files[0], "-o", tmp_path / "folder.csv"], "is a folder"),
        ([giants.files[0], "-o", giants.files[0]], "would replace one of the spectra"),
        ([tmp_path / "empty", *out], "holds no spectra named"),
        (out, "no spectra were given"),
    ):
        assert label(*arguments, "--model", trained.path) == 2
        error = capsys.readouterr().err
        assert error.startswith("lab2: error: ")
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "labels.csv").exists()


def test_after_ctrl_c_nothing_stands_under_the_final_name(giants, trained, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for n in range(6000):
        os.link(giants.files[n % len(giants.files)], many / f"apStar-{n:04d}.fits")
    out = tmp_path / "out" / "labels.fits"
    # as in the foreground: a shell's background job ignores SIGINT, and so do its children
    foreground = "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-m", "lab2", "label", many, "--model", trained.path, "-o", out, "--workers", "2"]
    running = subprocess.Popen(
        [sys.executable, "-c", foreground, *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (out.parent.is_dir() and os.listdir(out.parent)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # into the start of the workers
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.endswith("interrupted; nothing was written; run the same command to start again\n")
    assert "Traceback" not in said
    assert os.listdir(out.parent) == []


def test_training_says_what_it_used_and_records_it(trained, giants, tiny_survey, tmp_path, capsys):
    cut = tmp_path / "apStar-dr17-cut.fits"
    cut.write_bytes(giants.files[0].read_bytes()[:40_000])
    rows = giants.rows[["APOGEE_ID", "FIELD", "SNR", "TEFF", "LOGG", "AL_FE"]]
    rows["AL_FE"][3] = np.nan
    rows[2:].write(tmp_path / "catalog.ecsv")
    out = tmp_path / "model.nc"
    chosen = [*map(str, [cut, *giants.files]), "--labels", str(tmp_path / "catalog.ecsv"), "-o", str(out)]
    assert main(["train", *chosen, "--label", "teff", "--label", "logg", "--label", "AL_FE", "--factors", "1"]) == 0
    said = capsys.readouterr().out
    left_out = "1 a label is missing, 1 cannot be read, 2 not in the catalog"
    assert said.startswith(f"trained on {len(rows) - 3} of {len(rows) + 1} files; left out: {left_out}\n")
    assert said.count("bias") == 3
    model, calibration = cannon.Cannon.load(out), validation.Calibration.load(out)
    calibration.check_model(model)
    assert model.labels == ["teff", "logg", "al_fe"]
    assert model.loadings.sizes["factor"] == 1
    assert model.simulated
    assert model.trusted is not None
    assert model.dataset.attrs["left_out"] == left_out
    assert model.dataset.attrs["catalog"].endswith("catalog.ecsv")
    assert (model.dataset.cross_validated_std > 0).all()
    # the stars trained on are those of the catalog, with its labels
    by_name = dict(zip(giants.rows["APOGEE_ID"], giants.rows["TEFF"], strict=True))
    expected = [by_name[star] for star in model.dataset.training_star.values]
    np.testing.assert_allclose(np.asarray(expected, float), model.training_labels[:, 0], rtol=1e-6)
