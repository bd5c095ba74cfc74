"""Kill workers at ten moments and the scheduler once, while a survey is labelled; compare with one process. By hand:

python tests/scale_kills.py FOLDER_OF_SPECTRA MODEL
"""

import os
import random
import signal
import socket
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

_KILLS = 10
_SHARD = 16


def main(spectra, model):
    """Run, kill, and print what was killed and whether the labels are right."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, dice = f"tcp://127.0.0.1:{port}", random.Random(128)
    with tempfile.TemporaryDirectory() as folder:
        scheduler = _scheduler(port, folder)
        workers = [_worker(address, folder) for _ in range(2)]
        out = Path(folder, "run")
        command = [sys.executable, "-m", "lab2", "label-survey", spectra, "--model", model, "-o", str(out)]
        command += ["--shard", str(_SHARD), "--scheduler", address]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        killed = restarted = 0
        # the moments follow the work, so that each kill meets a run that is under way, however fast the machine is
        total = -(-len(spectrum_files([spectra])) // _SHARD)
        moments = sorted(dice.uniform(0.05, 0.9) * total for _ in range(_KILLS))
        while run.poll() is None:
            finished = len(list(out.glob("shards/0*.json")))
            if killed < _KILLS and finished >= moments[killed]:
                place = dice.randrange(2)
                _kill(workers[place])
                workers[place] = _worker(address, folder)
                killed += 1
            if not restarted and finished >= total / 2:
                _kill(scheduler)
                scheduler = _scheduler(port, folder)
                restarted = finished
            time.sleep(0.02)
        print(run.communicate()[0].strip())
        for process in (*workers, scheduler):
            _kill(process)
        print(
            f"status {run.returncode}; {killed} kills of workers; scheduler killed after {restarted} of {total} shards"
        )
        calibration = Calibration.load(model) if holds(model, Calibration.kind) else None
        expected = label_files(spectrum_files([spectra]), Cannon.load(model), calibration)
        _compare(read_labels(out / "labels.parquet"), expected)


def _compare(found, expected):
    files = [os.path.abspath(name) for name in expected["file"]]
    assert found["file"].tolist() == files, "a star is lost, or there twice"
    worst = 0.0
    for name in ("teff", "logg", "fe_h", "mg_fe", "si_fe"):
        worst = max(worst, np.nanmax(np.abs(found[name] / expected[name] - 1)))
        assert (np.isnan(found[name]) == np.isnan(expected[name])).all()
    print(f"{len(found)} stars, each once; labels differ from those of one process by {worst:.1g} at most, relative")
    assert worst < 1e-6


def _scheduler(port, folder):
    return _start(["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], folder)


def _worker(address, folder):
    return _start(["worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"], folder)


def _start(arguments, folder):
    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
