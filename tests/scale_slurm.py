"""The script of docs/howto/survey.md for Slurm, with stand-ins for its commands, and jobs that are killed. By hand:

python tests/scale_slurm.py FOLDER_OF_SPECTRA MODEL

dask-jobqueue must be importable. The jobs run on this machine; all are killed once in the middle, as at the end of
their time.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lab2.cannon import Cannon
from lab2.files import holds
from lab2.labelling import label_files
from lab2.labelling.inputs import spectrum_files
from lab2.scale.catalog import read_labels
from lab2.validation import Calibration

_JOBS, _SHARD, _KILLED_AFTER = 2, 4, 10  # jobs, spectra a shard, shards
_SBATCH = """#!{python}
import os, pathlib, shutil, subprocess, sys
jobs = pathlib.Path(os.environ["STAND_IN_JOBS"])
number = 1000 + len(list(jobs.glob("*.sh")))
script = shutil.copy(sys.argv[-1], jobs / f"{{number}}.sh")
with open(jobs / f"{{number}}.out", "w") as out:
    job = subprocess.Popen(["bash", script], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
(jobs / f"{{number}}.pid").write_text(str(job.pid))
print("Submitted batch job", number)
"""
_SCANCEL = """#!{python}
import contextlib, os, pathlib, signal, sys
with contextlib.suppress(ProcessLookupError):
    os.killpg(int(pathlib.Path(os.environ["STAND_IN_JOBS"], sys.argv[-1] + ".pid").read_text()), signal.SIGTERM)
"""


def main(spectra, model):
    """Run the script and the command, kill all jobs once, and print how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, text in (("sbatch", _SBATCH), ("scancel", _SCANCEL)):
            (place / name).write_text(text.format(python=sys.executable))
            (place / name).chmod(0o755)
        path = f"{place}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "STAND_IN_JOBS": folder, "PYTHONUNBUFFERED": "1"}
        script = subprocess.Popen(
            [sys.executable, "-c", _documented()],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            _label(spectra, model, place, script.stdout.readline().strip())
        finally:
            script.communicate("\n")
            time.sleep(5.0)
            left = [pid for pid in map(_pid, place.glob("*.pid")) if _alive(pid)]
            print(f"the script ended with status {script.returncode}; jobs that are left: {len(left)}")
            for pid in left:
                _kill(pid)


def _documented():
    """The script of the how-to page, for as few jobs as this machine has cores."""
    page = Path(__file__).parents[1] / "docs" / "howto" / "survey.md"
    (script,) = re.findall(r"```python\n(from dask_jobqueue.*?)```", page.read_text(), re.DOTALL)
    return re.sub(r"(minimum_jobs|maximum_jobs)=\d+", rf"\1={_JOBS}", script)


def _label(spectra, model, place, address):
    out = place / "run"
    words = ["label-survey", spectra, "--model", model, "-o", out, "--shard", _SHARD, "--scheduler", address]
    run = subprocess.Popen([sys.executable, "-m", "lab2", *map(str, words)], stdout=subprocess.PIPE, text=True)
    while run.poll() is None and len(list(out.glob("shards/0*.json"))) < _KILLED_AFTER:
        time.sleep(0.05)
    first = [_pid(path) for path in place.glob("*.pid")]
    for pid in first:
        _kill(pid)
    finished = len(list(out.glob("shards/0*.json")))
    print(run.communicate()[0].strip())
    jobs = len(list(place.glob("*.pid")))
    print(
        f"status {run.returncode}; {len(first)} jobs killed after {finished} shards, {jobs - len(first)} put in place"
    )
    found = read_labels(out / "labels.parquet")
    calibration = Calibration.load(model) if holds(model, Calibration.kind) else None
    expected = label_files([Path(name) for name in found["file"]], Cannon.load(model), calibration)
    assert len(found) == len(spectrum_files([spectra])), "a star is lost, or there twice"
    worst = max(np.nanmax(np.abs(found[name] / expected[name] - 1)) for name in ("teff", "logg", "fe_h"))
    print(f"{len(found)} stars, each once; labels differ from those of one process by {worst:.1g} at most, relative")
    assert worst < 1e-6


def _pid(path):
    return int(path.read_text())


def _alive(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
