"""The compiled loops where no folder for their cache can be written."""

import os
import subprocess
import sys

CODE = """
import numpy as np
from lab2._caching import CACHE
from lab2.cannon._kernels import weight
from lab2.spectra import credible_errors
print(CACHE, weight(4.0, 0.25), credible_errors(np.ones((1, 3))))
"""


def test_without_a_folder_for_the_cache_the_loops_are_compiled_anew(tmp_path):
    (tmp_path / "file").touch()
    environment = os.environ | {
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",  # not beside the code, nor in the home folder
        "NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache"),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "False 2.0 [[1. 1. 1.]]\n", done.stderr
