"""What `import lab2` costs, what it offers, and the examples in its docstrings."""

import doctest
import importlib
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
import warnings

import pytest

import lab2
from lab2 import _extras

HEAVY = ("jupyterlab", "IPython", "nbformat", "papermill", "pymc", "jax", "requests", "matplotlib")
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
start = time.process_time()
import lab2
print(time.process_time() - start, *(name for name in {HEAVY} if name in sys.modules))
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


def test_the_extras_are_those_of_the_project():
    extras = tomllib.loads((lab2.survey.root() / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    modules = {"beautifulsoup4": "bs4", "pypandoc_binary": "pypandoc"}
    wanted = {
        extra: {re.match(r"[\w-]+", package)[0] for package in packages if not package.startswith("lab2")}
        for extra, packages in extras.items()
    }
    needed = {extra: {modules.get(name, name) for name in packages} for extra, packages in wanted.items()}
    known = {extra: set(names) for extra, names in _extras._MODULES.items()}
    known["lab"].add("ipympl")  # figures are static without it
    assert known == needed


@pytest.mark.parametrize(
    ("extra", "module", "package"),
    [
        ("plot", "lab2.plots", "matplotlib"),
        ("mcmc", "lab2.posterior", "pymc"),
        ("archive", "lab2.archive", "requests"),
        ("network", "lab2.network", "jax"),
        ("lab", "lab2.report", "papermill"),
    ],
)
def test_a_missing_extra_is_named(extra, module, package):
    code = f"""
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {package!r} else find(name, *rest)
try:
    import {module}
except ImportError as problem:
    print(problem)
"""
    words = " ".join(python(code))
    assert words == f"{module} needs {package}, which the extra '{extra}' installs; run: pip install 'lab2[{extra}]'"


def test_commands_of_the_core_run_without_any_extra(tmp_path):
    code = f"""
import sys
for name in {HEAVY}:
    sys.modules[name] = None
from lab2.__main__ import main
print(main(["label", "none.fits", "--model", "none.nc"]), main(["simulate", "--n-stars", "150", "--survey", "tiny"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"LAB2_HOME": str(tmp_path)},
    )
    assert done.stdout.split()[-2:] == ["2", "0"], done.stderr
    assert (tmp_path / "data" / "tiny" / "manifest.json").is_file()
