"""The same inputs give the same bits, whether the compiled loops were compiled just now or come from the cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

CODE = """
import hashlib, json
import numpy as np
from twins import drawn_survey
import lab2
from lab2.cannon import Nuisance

spectra, *_ = drawn_survey(np.random.default_rng(71), 400, 3, 700)
model = lab2.train(spectra)
fits = lab2.fit_labels(model, spectra)
slope = Nuisance(np.linspace(-1, 1, 700)[:, None], 0.01)
found = {"theta": model.theta, "s2": model.s2, "labels": fits.labels, "covariance": fits.covariance}
hidden = lab2.train(spectra, factors=3)
found |= {"loadings": hidden.loadings, "factors": lab2.fit_labels(hidden, spectra).factors}
found |= {"chi2": fits.chi2, "with a nuisance": lab2.fit_labels(model, spectra, [slope]).labels}
print(json.dumps({name: hashlib.sha256(values.values.tobytes()).hexdigest() for name, values in found.items()}))
"""


def test_cold_and_warm_cache_give_the_same_bits(tmp_path):
    path = os.pathsep.join([*(p for p in sys.path if p), str(Path(__file__).parents[1])])
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": path}

    def run():
        done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def compiled():
        return {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nbc")}

    cold = run()
    cache = compiled()
    assert cache, "nothing was compiled"
    assert run() == cold
    assert compiled() == cache, "the second run compiled again"
    assert len(set(cold.values())) == len(cold)  # or the comparison would say nothing
