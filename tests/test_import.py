"""What `import lab2` costs, what it offers, and the examples in its docstrings."""

import doctest
import importlib
import importlib.util
import pkgutil
import subprocess
import sys
import warnings

import pytest

import lab2

HEAVY = ("jupyterlab", "IPython", "nbformat", "papermill", "pymc", "jax", "requests", "astroquery", "matplotlib")
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(lab2.__path__, "lab2.")
    if ">>>" in (importlib.util.find_spec(name).loader.get_source(name) or "")
]


def python(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_import_takes_less_than_a_second_and_loads_nothing_heavy():
    code = f"""
import sys, time
start = time.perf_counter()
import lab2
print(time.perf_counter() - start, *(name for name in {HEAVY} if name in sys.modules))
"""
    found = [python(code) for _ in range(3)]
    assert min(float(seconds) for seconds, *_ in found) < 1.0
    assert [loaded for _, *loaded in found] == [[]] * 3


def test_training_and_fitting_load_nothing_heavy():
    code = f"import sys, lab2; lab2.train, lab2.fit_labels; print(*(n for n in {HEAVY} if n in sys.modules))"
    assert python(code) == []


def test_everything_public_is_reached_and_nothing_else_is_promised():
    assert set(lab2.__all__) <= set(dir(lab2))
    for name in lab2.__all__:
        assert getattr(lab2, name) is not None
    assert lab2.train is lab2.cannon.train
    assert lab2.fit_labels is lab2.cannon.fit_labels
    assert lab2.from_arrays is lab2.spectra.from_arrays
    public = {name for _, name, _ in pkgutil.iter_modules(lab2.__path__) if not name.startswith("_")}
    assert public == {name for name in lab2.__all__ if importlib.util.find_spec(f"lab2.{name}")}
    with pytest.raises(AttributeError, match="inference"):
        lab2.inference  # noqa: B018


@pytest.mark.parametrize("name", [n for _, n, _ in pkgutil.walk_packages(lab2.__path__, "lab2.")])
def test_every_name_in_all_is_there(name):
    if name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    assert all(hasattr(module, public) for public in getattr(module, "__all__", ()))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    module = importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_there_are_examples():
    assert len(MODULES) >= 3
