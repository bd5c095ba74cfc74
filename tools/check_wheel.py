"""Build the wheel, install it with the core's dependencies alone, and use it away from the project.

    python tools/check_wheel.py [PYTHON ...]

For each Python (by default the one that runs this): a new virtual environment in a temporary folder; the wheel, and
what it needs, by pip; then an empty folder as the home, no user's home, and a package that cannot be written, so that
numba finds no place for its cache. There the command line makes a small survey, and a model is trained, saved, loaded
and used to label its stars. Each extra that is missing has to be named. Prints sizes and times; stops at the first
fault.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = "/dev/null/nowhere"  # a folder that nobody can make, root included
# What each extra is for; importing it without the extra is an error that names it.
NEEDS = {"lab2.plots": "plot", "lab2.posterior": "mcmc", "lab2.archive": "archive", "lab2.report": "lab"}


def main():
    """Check the wheel with every Python that is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="*", default=[sys.executable], metavar="PYTHON")
    with tempfile.TemporaryDirectory(prefix="lab2-wheel-") as work:
        for number, python in enumerate(parser.parse_args().pythons):
            folder = Path(work, str(number))
            wheel = build(python, folder)
            environment = install(python, wheel, folder)
            use(environment, folder)


def build(python, folder):
    """The wheel, built from a copy, so that nothing is left in the project."""
    copy = folder / "source"
    copy.mkdir(parents=True)
    shutil.copytree(ROOT / "lab2", copy / "lab2", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy)
    (wheel,) = folder.glob("lab2-*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    return wheel


def install(python, wheel, folder):
    """A virtual environment with the wheel and its dependencies, and lab2 made unwritable in it."""
    environment, start = folder / "environment", time.perf_counter()
    run(python, "-m", "venv", environment)
    before = size(environment)
    own = environment / "bin" / "python"
    run(own, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile", wheel)
    packages = len(run(own, "-m", "pip", "list", "--format=freeze").split())
    added = (size(environment) - before) / 1e6
    version = run(own, "--version").strip()
    print(f"{version}: core installed in {time.perf_counter() - start:.0f} s, {packages} packages, {added:.0f} MB")
    for package in {path.parent for path in environment.glob("lib/python*/site-packages/lab2/**/*.py")}:
        (package / "__pycache__").write_text("")  # a file in the place of the folder: no cache here, not even for root
    return environment


def use(environment, folder):
    """Run the part of this file below in the environment, in an empty folder, without a home."""
    home = folder / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    path = f"{environment / 'bin'}:/usr/bin:/bin"
    clean = kept | {"PATH": path, "HOME": NOWHERE, "XDG_CACHE_HOME": NOWHERE, "NUMBA_CACHE_DIR": NOWHERE}
    start, before = time.perf_counter(), listing(environment)
    script = folder / "inside.py"
    shutil.copy(__file__, script)
    print(run(environment / "bin" / "python", "-I", script, "--inside", cwd=home, env=clean), end="")
    added = listing(environment) - before
    if added:
        raise SystemExit(f"the environment was written to: {sorted(added)[:3]}")
    print(f"used away from the project in {time.perf_counter() - start:.0f} s, nothing compiled before\n")


def inside():
    """What is done with the installed wheel; the current folder is empty."""
    import lab2

    prefix = Path(sys.prefix).resolve()
    assert prefix in Path(lab2.__file__).resolve().parents, lab2.__file__
    told = command("--version")
    assert lab2.__version__ in told, told
    command("simulate", "--n-stars", "150")
    assert Path("data/simulated/manifest.json").is_file(), "the survey was not made in the current folder"
    model, spectra = train_on_survey(lab2)
    label(lab2, model, spectra)
    for module, extra in NEEDS.items():
        print(missing(module, extra))


def train_on_survey(lab2):
    """A model of three labels, trained on the survey, kept in a file and read again; and the spectra."""
    giants, _ = lab2.catalog.select_giants(lab2.catalog.load("simulated"))
    raw = lab2.apstar.read_many(lab2.catalog.spectrum_paths(giants, "simulated"), progress=False)
    spectra = lab2.continuum.normalize(lab2.apstar.mask_bad_pixels(raw))
    spectra = lab2.catalog.attach(spectra, giants, labels=["teff", "logg", "fe_h"])
    lab2.train(spectra).save("model.nc")
    return lab2.Cannon.load("model.nc"), spectra


def label(lab2, model, spectra):
    """Labels with calibrated errors, and the same by the command line."""
    tests = lab2.validation.cross_validate(spectra)
    calibration = lab2.validation.calibrate(tests, spectra.labels)
    fits = calibration.apply(lab2.fit_labels(model, spectra))
    scatter = lab2.validation.robust_scatter(fits.labels.values - spectra.labels.values)
    assert scatter[0] < 150, scatter
    assert scatter[2] < 0.15, scatter
    files = sorted(map(str, Path("data/simulated/apStar").glob("*/*.fits")))
    told = command("label", *files, "--model", "model.nc", "--out", "labels.ecsv")
    assert Path("labels.ecsv").is_file(), told
    print(f"labels of {len(files)} stars; about the catalog's: {scatter[0]:.0f} K, {scatter[2]:.3f} dex in [Fe/H]")


def missing(module, extra):
    """The error of a module whose extra is not installed."""
    done = subprocess.run([sys.executable, "-I", "-c", f"import {module}"], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1:]
    if not last or "ImportError" not in last[0] or f"lab2[{extra}]" not in last[0]:
        raise SystemExit(f"{module} without the extra {extra!r} should be an ImportError that names it; got {last}")
    return last[0]


def command(*arguments):
    """Output of the program lab2 of this environment."""
    return run(Path(sys.prefix, "bin", "lab2"), *arguments)


def run(*arguments, **options):
    """Standard output of a program; its errors are shown where it fails."""
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments[:4]))} ... failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def listing(folder):
    """The files of a folder, without those that Python compiles for itself."""
    return {str(path) for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".pyc"}


def size(folder):
    """Bytes in the files of a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


if __name__ == "__main__":
    inside() if "--inside" in sys.argv else main()
