import subprocess
import sys
import tomllib

import numpy as np
import pytest
from astropy.table import QTable

from lab2 import survey
from lab2.__main__ import main


def test_help_is_quick_and_loads_nothing_heavy():
    heavy = "{'numpy', 'xarray', 'matplotlib', 'pymc', 'torch', 'papermill'} & set(sys.modules)"
    code = f"import sys, lab2.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\nprint({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    for command in ["fetch", "simulate", "survey", "run", "checkpoints", "report", "label"]:
        assert command in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["survey", "--survey", "dr17"], "survey 'dr17' was never made"),
        (["survey", "--survey", "a/b"], "one plain word"),
        (["simulate", "--survey", "../x"], "one plain word"),
        (["run", "77"], "there is no notebook 77"),
        (["checkpoints", "--name", "a/b"], "written like Firstname_Lastname"),
        (["checkpoints", "--number", "4"], "1, 2 and 3, not 4"),
        (["report"], "never made|not executed|no notebooks"),
        (["label", "x.fits"], "no model .*04_model.nc; notebook 04 makes it"),
    ],
)
def test_errors_of_the_user_are_one_line(home, capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("lab2: error: ")
    assert error.count("\n") == 1
    import re

    assert re.search(message, error)


@pytest.mark.parametrize("given", ["mystery", "=x", "a b=1"])
def test_a_parameter_is_written_name_value(capsys, given):
    with pytest.raises(SystemExit) as stopped:
        main(["run", "07", "--parameters", given])
    assert stopped.value.code == 2
    assert "name=value" in capsys.readouterr().err


def test_parameters_reach_the_notebooks(home, monkeypatch, capsys):
    asked = {}
    monkeypatch.setattr("lab2.report.run.run", lambda *given: asked.update(given=given) or ["done"])
    main(
        [
            "run",
            "07",
            "--survey",
            "dr17",
            "--parameters",
            "mystery=/a/b.fits",
            "seed=3",
            "--parameters",
            "x=1e-3",
        ]
    )
    assert asked["given"] == (["07"], "dr17", {"mystery": "/a/b.fits", "seed": 3, "x": 1e-3})
    assert capsys.readouterr().out == "done\n"


def test_a_failed_notebook_is_exit_status_1(home, monkeypatch, capsys):
    from lab2.report.run import NotebookError

    def fail(*given):
        raise NotebookError("notebook: 03\n    cell: x\n   cause: y")

    monkeypatch.setattr("lab2.report.run.run", fail)
    assert main(["run"]) == 1
    assert capsys.readouterr().err == "notebook: 03\n    cell: x\n   cause: y\n"


def test_a_survey_of_ones_own(home, capsys):
    folder = home / "data" / "mine"
    (folder / "apStar" / "M15").mkdir(parents=True)
    numbers = {"SNR": 90, "TEFF": 4500, "LOGG": 2, "FE_H": 0, "MG_FE": 0, "SI_FE": 0}
    columns = {"ASPCAP_ID": "a.b.synspec.d", "APOGEE_ID": "2M1", "FIELD": "M15"}
    columns |= {name: np.float32(value) for name, value in numbers.items()}
    QTable({name: np.full(45_000, value) for name, value in columns.items()}).write(folder / "allStar.fits")
    (folder / "apStar" / "M15" / "apStar-1.fits").write_bytes(b"x")
    assert main(["survey", "--survey", "mine"]) == 0
    assert capsys.readouterr().out == "survey 'mine' (observed): 1 spectra, 2 MB; manifest.json written\n"
    assert main(["survey", "--survey", "mine"]) == 0
    assert "all files as in manifest.json" in capsys.readouterr().out


def test_the_simulated_survey_passes_its_own_check(tiny_survey, capsys, monkeypatch):
    monkeypatch.setenv("LAB2_HOME", str(tiny_survey.parents[1]))
    assert survey.check("simulated")["simulated"] is True
    assert main(["survey"]) == 0
    assert "(simulated)" in capsys.readouterr().out


def test_labels_of_files(tiny_survey, real_spectra, tmp_path, monkeypatch, capsys):
    from lab2 import apstar, cannon, catalog, continuum, validation

    monkeypatch.setenv("LAB2_HOME", str(tiny_survey.parents[1]))
    giants, _ = catalog.select_giants(catalog.load("simulated"))
    files = catalog.spectrum_paths(giants, "simulated")
    raw = apstar.mask_bad_pixels(apstar.read_many(files, progress=False))
    model = cannon.train(catalog.attach(continuum.normalize(raw), giants))
    model.save(tmp_path / "model.nc")
    spectra = catalog.attach(continuum.normalize(raw), giants)
    calibration = validation.calibrate(validation.cross_validate(spectra, 2), spectra.labels)
    calibration.dataset["largest_chi2"] = 2.0  # the few stars of this survey are odd more often than 1 %
    calibration.save(tmp_path / "calibration.nc")
    out = tmp_path / "labels.ecsv"
    chosen = [str(files[0]), str(real_spectra["giant"]), "--model", str(tmp_path / "model.nc"), "--out"]
    with pytest.warns(cannon.UncalibratedErrorWarning, match="formal"):
        assert main(["label", *chosen, str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("2 stars, ")
    assert said.err.count("lab2: warning") == 1
    assert "1 of 2 spectra are observed, but the model was trained on simulated ones" in said.err
    table = QTable.read(out)
    assert list(table["simulated"]) == [True, False]
    assert table.meta["comments"][0] in said.err
    assert table["misfit"][1] > 0.01 > table["misfit"][0]
    assert list(table["star"]) == [giants["APOGEE_ID"][0], "2M17335483-2753043"]
    assert str(table["teff"].unit) == "K"
    assert abs(table["teff"][0].value - giants["TEFF"][0]) < 300
    assert np.all(table["sigma_teff"].value > 0)
    formal = table["sigma_teff"][0]
    capsys.readouterr()
    assert main(["label", *chosen, str(out), "--calibration", str(tmp_path / "calibration.nc")]) == 0
    calibrated = QTable.read(out)
    assert calibrated["sigma_teff"][0] > 2 * formal
    # the real star lies outside what was calibrated: no error is quoted
    assert np.isnan(calibrated["sigma_teff"][1])
    assert "UNCALIBRATED" in calibrated["flag"][1]
    assert main(["label", *chosen, "labels.txt"]) == 2


def test_the_command_is_installed():
    project = tomllib.loads((survey.root() / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["lab2"] == "lab2.__main__:main"
