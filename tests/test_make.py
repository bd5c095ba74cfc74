"""The Makefile: what it asks for, what it leaves alone, and what it notices; lab2's commands only note their names."""

import os
import shutil
import subprocess
import sys

import pytest

from lab2.survey import root

# In the place of .venv/bin/python: it writes down the command, and makes what that would make.
STUB = """#!{python} -IBS
import hashlib, json, os, pathlib, sys
if "-c" in sys.argv:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with open("asked", "a") as file:
    print(*sys.argv[3:], file=file)
NAMES = {{"1": "2_cp1", "2": "2_cp2", "3": "1_cp3"}}
command, first, *_ = sys.argv[3:]
given = dict(zip(sys.argv[3:], sys.argv[4:]))
data, build = pathlib.Path("data", given["--survey"]), pathlib.Path("build", given["--survey"])
manifest = data / "manifest.json"
if command == "survey" and manifest.exists():
    sys.exit("changed!" if pathlib.Path("changed").exists() else 0)
made = dict(
    simulate=manifest,
    survey=manifest,
    run=build / (first + ".ipynb"),
    report=build / "report.pdf",
    checkpoints=build / ("Jane_Doe_lab" + NAMES.get(given.get("--number"), "") + ".pdf"),
)[command]
made.parent.mkdir(parents=True, exist_ok=True)
made.write_text("%%EOF")
if command == "run":
    product = build / (first[:2] + "_product.nc")
    product.write_text(first)
    digest = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
    about = dict(manifest=digest(manifest), products={{str(product): digest(product)}})
    made.write_text(json.dumps(dict(metadata=dict(lab2=about))))
"""


def installed(top):
    """The Makefile, the notebooks and the code in a folder of their own, with the stub in the place of Python."""
    for name in ("notebooks", "lab2"):
        shutil.copytree(root() / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root() / "Makefile", top)
    for name in ("requirements.lock.txt", "requirements.realdata.txt", "requirements.torch.txt", "pyproject.toml"):
        (top / name).touch()
    python = top / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STUB.format(python=sys.executable))
    python.chmod(0o755)
    (top / ".venv" / ".installed").touch()
    return top


def make(top, *arguments, code=0):
    """What make says; the commands of lab2 that it ran, each as one line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment["LAB2_HOME"] = str(top / "elsewhere")  # make works in its own folder, whatever this says
    command = ["make", "NAME=Jane_Doe", *arguments]
    done = subprocess.run(command, cwd=top, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    asked = top / "asked"
    commands = asked.read_text().splitlines() if asked.exists() else []
    asked.unlink(missing_ok=True)
    return done.stdout + done.stderr, commands


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkout in which everything has been made, to be copied; the commands that it took."""
    top = installed(tmp_path_factory.mktemp("made") / "lab")
    return top, make(top, "report")[1]


@pytest.fixture
def checkout(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "lab", symlinks=True)  # times stay


def tree(folder):
    return {path: path.lstat().st_mtime_ns for path in [folder.parent, *folder.parent.rglob("*")]}


def runs(commands):
    return [line.split()[1][:2] for line in commands if line.startswith("run")]


def test_everything_is_made_once_and_the_survey_is_checked_every_time(made, checkout):
    _, commands = made
    assert commands[:2] == ["simulate --survey simulated", "survey --survey simulated"]
    assert sorted(runs(commands)) == [f"0{n}" for n in range(1, 10)]
    assert make(checkout, "report")[1] == ["survey --survey simulated"]
    (checkout / "changed").touch()
    said, commands = make(checkout, "report", code=2)
    assert "changed!" in said
    assert commands == ["survey --survey simulated"]


def test_a_dry_run_changes_nothing_and_tells_the_truth(checkout, tmp_path):
    before = tree(checkout)
    assert "lab2 run" not in make(checkout, "-n", "report")[0]
    said = make(checkout, "-n", "report", "N_STARS=7", "mystery=Makefile")[0]
    assert "lab2 simulate" in said
    assert "lab2 run 07_mystery_star" in said
    assert "lab2 survey --survey mine" in make(checkout, "-n", "cp3", "SURVEY=mine")[0]
    assert tree(checkout) == before
    (checkout / "build" / "simulated" / "03_product.nc").unlink()
    before = tree(checkout)
    assert "lab2 run 03_continuum" in make(checkout, "-n", "report")[0]
    assert tree(checkout) == before
    for folder in ("build", "data"):
        shutil.rmtree(checkout / folder)
    before = tree(checkout)
    make(checkout, "-n", "report")
    assert tree(checkout) == before


def test_a_survey_that_is_no_plain_name_is_refused_before_anything_is_done(checkout):
    before = tree(checkout)
    for name in ("../../x", "a b", "", ".x", "-x", "a%", "a'b", 'a"b', "a;touch evil", "a$$(touch evil)"):
        for dry in ([], ["-n"]):
            said, commands = make(checkout, *dry, "cp3", f"SURVEY={name}", code=2)
            assert "SURVEY is one plain word" in said
            assert commands == []
    assert tree(checkout) == before


def test_the_number_of_stars_is_remembered(checkout):
    assert make(checkout, "survey", "N_STARS=30")[1] == ["simulate --survey simulated --n-stars 30"]
    assert make(checkout, "survey", "N_STARS=30")[1] == []
    assert make(checkout, "survey")[1] == ["simulate --survey simulated"]


def test_another_mystery_star_is_noticed_by_its_content(checkout):
    star = checkout / "my star's.fits"
    star.write_text("one")
    assert runs(make(checkout, "lab", f"mystery={star}")[1]) == ["07"]
    star.write_text("two")
    assert runs(make(checkout, "lab", f"mystery={star}")[1]) == ["07"]
    assert runs(make(checkout, "lab")[1]) == ["07"]
    assert "there is no file" in make(checkout, "lab", "mystery=nothing.fits", code=2)[0]


def test_products_that_were_deleted_cut_or_changed_are_made_again(checkout):
    build = checkout / "build" / "simulated"
    right = {path: path.read_bytes() for path in build.iterdir()}
    (build / "09_product.nc").unlink()
    (build / "06_product.nc").write_text("06_kiel")
    (build / "08_product.nc").write_text("another")
    (build / "07_mystery_star.ipynb").write_text("{")
    assert sorted(runs(make(checkout, "lab")[1])) == ["06", "07", "08", "09"]
    assert {path: path.read_bytes() for path in build.iterdir()} == right
    (build / "05_product.nc").unlink()
    assert sorted(runs(make(checkout, "lab")[1])) == ["05", "06", "07", "09"]  # and what was made of it
    assert make(checkout, "lab")[1] == ["survey --survey simulated"]


def test_pdfs_that_were_cut_are_made_again(checkout):
    for name in ("Jane_Doe_lab2_cp1.pdf", "report.pdf"):
        (checkout / "build" / "simulated" / name).write_text("%PDF")
    again = make(checkout, "report")[1]
    assert sorted(line.split()[0] for line in again) == ["checkpoints", "report", "survey"]


def test_another_state_of_the_survey_is_noticed_whatever_its_date(checkout):
    manifest = checkout / "data" / "simulated" / "manifest.json"
    before = manifest.stat()
    manifest.write_text("another")
    os.utime(manifest, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(runs(make(checkout, "lab")[1])) == 9
