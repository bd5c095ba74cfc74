import os
import subprocess
import sys
import threading
import time
import tomllib

import pytest
from plain_catalog import plain_catalog

from lab2 import survey
from lab2.__main__ import main
from lab2._lock import alone


def test_help_is_quick_and_loads_nothing_heavy():
    heavy = "{'numpy', 'xarray', 'matplotlib', 'pymc', 'jax', 'papermill'} & set(sys.modules)"
    code = f"import sys, lab2.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\nprint({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    for command in ["fetch", "simulate", "survey", "run", "checkpoints", "report", "check", "label", "train"]:
        assert command in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["survey", "--survey", "dr17"], "survey 'dr17' does not exist"),
        (["survey", "--survey", "a/b"], "one plain word"),
        (["simulate", "--survey", "../x"], "one plain word"),
        (["simulate", "--n-stars", "149"], "n_stars = 149 is too small; give at least 150; with fewer stars the lab's"),
        (["run", "77"], "there is no notebook 77"),
        (["run", "04_spectral_model.ipynb"], "there is no file .*04_spectral_model.ipynb"),
        (["run", "alice/04_spectral_model.ipynb"], "there is no file .*alice/04_spectral_model.ipynb"),
        (["run", "--parameters", "survey=dr17"], "choose it by --survey"),
        (["run", "07", "--parameters", "mystery=no such.fits"], "there is no file .*/no such.fits"),
        (["checkpoints", "--name", "a/b"], "written like Firstname_Lastname"),
        (["checkpoints", "--number", "4"], "1, 2 and 3, not 4"),
        (["report"], "does not exist|not executed|no notebooks"),
        (["label", "x.fits", "--model", "no.nc"], "no such lab2 Cannon file: no.nc"),
        (["label", "x.fits", "--model", "no.nc", "-o", "a.txt"], ".fits, .parquet, .ecsv, .csv, .* got 'a.txt'"),
        (["train", "x.fits", "--labels", "no.fits"], "no such catalog: no.fits"),
        (["train", "x.fits", "--labels", "no.fits", "-o", "model.h5"], "must end with .nc, not 'model.h5'"),
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


@pytest.mark.parametrize("value", ["1e5", "'quoted'", "None", "[1]", "a=b c", "it's $x;", "(" * 500, ""])
def test_the_name_of_a_file_is_text_whatever_it_looks_like(home, monkeypatch, value):
    asked = {}
    monkeypatch.setattr("lab2.report.run.run", lambda *given: asked.update(given[2]) or [])
    assert main(["run", "07", "--parameters", f"mystery={value}", f"other={'(' * 5000}"]) == 0
    assert asked == {"mystery": value, "other": "(" * 5000}


@pytest.mark.parametrize("survey", ["", "a b", "../x", "a/b", "a$b", "`x`", "it's", 'a"b', "a;b", "é", ".x", "a\nb"])
@pytest.mark.parametrize("command", ["run", "checkpoints", "report", "simulate", "survey"])
def test_a_survey_of_odd_characters_is_refused_before_anything_is_made(home, capsys, command, survey):
    assert main([command, f"--survey={survey}"]) == 2
    assert "one plain word" in capsys.readouterr().err
    assert list(home.iterdir()) == []


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
    plain_catalog("a.b.synspec.d", 30_000).write(folder / "allStar.fits")
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


@pytest.mark.parametrize(
    ("arguments", "interrupted", "said"),
    [
        (["simulate"], "lab2.simulate.make_survey", "the survey is unchanged; run the same command to start again"),
        (["fetch"], "lab2.archive.plan", "complete files are kept; run the same command to continue"),
        (["run"], "lab2.report.run.run", "`make` continues with the next, this command starts with the first"),
        (["report"], "lab2.report.document.report", "nothing was written; run the same command to start again"),
    ],
)
def test_an_interrupted_command_says_what_is_kept(home, monkeypatch, capsys, arguments, interrupted, said):
    def stop(*_, **given):
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupted, stop)
    assert main(arguments) == 130
    error = capsys.readouterr().err
    assert error.startswith("\ninterrupted; ")
    assert error.endswith(f"{said}\n")


def test_a_survey_is_not_replaced_while_notebooks_read_it(home, capsys):
    with alone(survey.build_folder("simulated")):
        assert main(["simulate", "--n-stars", "20"]) == 2
    assert f"build/simulated is in use by process {os.getpid()} on " in capsys.readouterr().err
    assert not (home / "data").exists()


def test_a_second_run_waits_for_the_first_and_says_for_whom(home, monkeypatch, capsys):
    monkeypatch.setattr("lab2.report.run.run", lambda *given: ["done"])
    held = threading.Event()

    def hold():
        with alone(survey.build_folder("simulated")):
            held.set()
            time.sleep(0.5)

    threading.Thread(target=hold).start()
    assert held.wait(10)
    assert main(["run"]) == 0
    said = capsys.readouterr()
    assert said.out == "done\n"
    assert said.err.startswith(f"waiting for process {os.getpid()} on ")


def test_the_command_is_installed():
    project = tomllib.loads((survey.root() / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["lab2"] == "lab2.__main__:main"
