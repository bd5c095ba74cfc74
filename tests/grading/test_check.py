"""Whole folders of notebooks: judged rightly, once, and without harm to the lab's own files."""

import json
import os
import shutil

import nbformat
import psutil
import pytest
from astropy.table import Table

from lab2.__main__ import main
from lab2._failure import Failure
from lab2.grading import check, isolation
from lab2.report.run import executed, find, run

GOOD = """
import os, pathlib, subprocess
lab, own = pathlib.Path(os.environ["LAB2_HOME"]), pathlib.Path.home().parent
assert "LAB2_TEST_SECRET" not in os.environ
assert own / "lab2" in lab.parents and own.name.startswith("lab2-check-")
assert os.environ["TMPDIR"] == str(own / "tmp")
assert (lab / "data" / survey / "allStar.fits").is_file()
"""
NAP = ["sleep", str(10_000_000 + os.getpid())]  # not that of another run of the tests
LEAVES_ONE = f"subprocess.Popen({NAP}, start_new_session=True)"
# What breaks the notebook of each of these, the cell that it ends in, and the cause that is reported.
BROKEN = {
    "03": ("1 / 0", "failed", "1 / 0", "ZeroDivisionError"),
    "01": ("import time\ntime.sleep(1000)", "timed out", "import time", "not finished after 0.5 minutes"),
    "05": ("x = bytearray(20_000_000_000)", "failed", "x = bytearray", "MemoryError"),
    "07": ("raise SystemExit", "failed", "raise SystemExit", "ended itself here"),
    "09": ("os.kill(os.getpid(), 9)", "failed", "os.kill", "the kernel died"),
}
LIMITS = isolation.Limits(minutes=0.5, memory=4.0)


def test_thirty_copies_of_which_five_are_broken(home, survey, hand_in, quick, monkeypatch, capsys):
    monkeypatch.setenv("LAB2_TEST_SECRET", "1234")
    folder = home / "course"
    for number in (f"{n:02d}" for n in range(1, 31)):
        breaks = BROKEN[number][0] if number in BROKEN else LEAVES_ONE
        hand_in(folder / f"student {number}" / "it's {mine} é.ipynb", GOOD, breaks, "y = 1")
    given = ["check", str(folder), "--minutes", "0.5", "--memory", "4", "--workers", "3"]
    assert main(given) == 1
    said = capsys.readouterr()
    out = home / "course-checked"
    assert said.err.endswith("5 of 30 notebooks did not run to their end\n")
    assert f"30 notebooks: 25 ran, 4 failed, 1 timed out; {out}/check.html\n" in said.out
    assert "not a sandbox" in said.out
    table = Table.read(out / "check.ecsv", format="ascii.ecsv")
    assert len(table) == 30
    for row in table:
        name = row["file"].split("/")[0].removeprefix("student ")
        _, outcome, cell, cause = BROKEN.get(name, ("", "ran", "", ""))
        assert row["outcome"] == outcome, row
        assert cell in str(row["cell"]), row
        assert cause in str(row["cause"]), row
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == NAP]

    # a notebook that was mended is run again, and no other
    records = {path: path.stat().st_mtime_ns for path in out.glob("*/record.json")}
    hand_in(folder / "student 03" / "it's {mine} é.ipynb", GOOD)
    assert main(given) == 1
    assert "30 notebooks: 26 ran, 3 failed, 1 timed out" in capsys.readouterr().out
    again = [path for path, before in records.items() if path.stat().st_mtime_ns != before]
    assert [json.loads(path.read_text())["file"][:10] for path in again] == ["student 03"]


def test_a_notebook_that_spoils_the_lab_ends_the_check(home, survey, hand_in, quick):
    catalog = '(lab / "data" / survey / "allStar.fits")'
    hand_in(home / "course" / "a.ipynb", GOOD, f'with {catalog}.open("ab") as file:\n    file.write(b"x")')
    with pytest.raises(Failure, match=r"changed.*: data/simulated/allStar\.fits\. It was .*: a\.ipynb\. Remake the"):
        check(home / "course", "simulated", LIMITS, progress=False)
    assert not list((home / "course-checked").glob("*/record.json"))


def test_deleting_files_deletes_links_and_nothing_else(home, survey, hand_in, quick):
    before = {path: path.read_bytes() for path in survey.iterdir()}
    hand_in(home / "course" / "a.ipynb", GOOD, "import shutil\nshutil.rmtree(own)", "1 / 0")
    (home / "course" / "b.ipynb").write_text("no notebook")
    (home / "course" / "c.ipynb").symlink_to("/dev/zero")
    records, out = check(home / "course", "simulated", LIMITS, workers=2, progress=False)
    assert {path: path.read_bytes() for path in survey.iterdir()} == before
    assert [record["outcome"] for record in records] == ["failed", "not run", "not run"]
    assert "b.ipynb is not a Jupyter notebook" in records[1]["cause"]
    assert "c.ipynb" in (out / "check.html").read_text()


def test_what_is_given_wrongly_is_refused(home, survey, hand_in, capsys):
    assert main(["check", str(home / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["check", str(survey)]) == 2
    assert "there is no notebook in" in capsys.readouterr().err
    hand_in(home / "course" / "04.ipynb", 'Page("04_spectral_model", survey, seed)')
    assert main(["check", str(home / "course")]) == 2
    assert "no reference for these notebooks: 01_training_set, 02_spectra" in capsys.readouterr().err
    for wrong in (["--minutes", "0"], ["--memory", "nan"], ["--workers", "-1"], ["--out", str(home / "course" / "x")]):
        assert main(["check", str(home / "course"), *wrong]) == 2
        assert wrong[0].strip("-") in capsys.readouterr().err


def test_a_real_notebook_beside_the_reference(tiny_survey, quick, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB2_HOME", str(tiny_survey.parents[1]))
    source = find(["01"])[0]
    if not executed(source, "simulated").is_file():
        run(["01"], progress=False)
    folder = tmp_path / "course"
    folder.mkdir()
    shutil.copy(source, folder / "ann_1234_01_training_set.ipynb")
    notebook = nbformat.read(source, as_version=4)
    (cut,) = [number for number, cell in enumerate(notebook.cells) if "select_giants(allstar)" in cell.source]
    cell = notebook.cells[cut]
    cell.source = cell.source.replace("select_giants(allstar)", 'select_giants(allstar[allstar["FE_H"] > -0.2])')
    del notebook.cells[cut + 1 :]  # one cut more, and no figures
    nbformat.write(notebook, folder / "bob.ipynb")
    records, out = check(folder, "simulated", isolation.Limits(10, 8), workers=2, progress=False)
    assert [(record["outcome"], record["number"]) for record in records] == [("ran", "01"), ("ran", "01")]
    table = Table.read(out / "numbers.ecsv", format="ascii.ecsv")
    stars = table[table["name"] == "stars with a spectrum"]
    assert stars["verdict"].tolist() == ["same", "differs"]
    assert stars["value"][0] == stars["reference"][0] == 150
    assert stars["value"][1] < 150
    ours = table[table["file"] == "ann_1234_01_training_set.ipynb"]
    assert set(ours["verdict"]) == {"same"}
    assert "figures" in ours["name"]
    kept = out / os.path.dirname(next(out.glob("ann*/executed.ipynb")).relative_to(out))
    assert any(cell.get("outputs") for cell in nbformat.read(kept / "executed.ipynb", as_version=4).cells)
