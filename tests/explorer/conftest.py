"""The products of a small survey, made without notebooks, and the page made of them."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from browser import Browser, chromium

from lab2 import apstar, cannon, catalog, continuum, diagnosis, explorer, validation
from lab2.explorer import products as explorer_products
from lab2.files import write_table
from lab2.report import products
from lab2.survey import build_folder, write_manifest

N_FACTORS = 2


@pytest.fixture(scope="session")
def explored(tiny_survey, tmp_path_factory):
    """A home with two surveys and the files that their pages are made of: "simulated", and "observed", the same without
    truth and without anything that says what it is. The first star has no data, and no fit."""
    home = tmp_path_factory.mktemp("explored")
    (home / "data").mkdir()
    (home / "data" / "simulated").symlink_to(tiny_survey)
    observed = home / "data" / "observed"
    shutil.copytree(tiny_survey, observed, ignore=shutil.ignore_patterns("truth.ecsv", "apStar", "manifest.json"))
    for path in observed.glob("*.fits"):
        path.write_bytes(path.read_bytes().replace(b"SIMULATE=", b"COMMENT  "))
    write_manifest(observed, simulated=False, label_tree="synspec")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB2_HOME", str(home))
        patch.setenv("LAB2_RUN", "1")
        _make_products("simulated")
        shutil.copytree(build_folder("simulated"), build_folder("observed"))
        yield home


def _make_products(survey):
    """What notebooks 03 to 05 save, with models of two factors."""
    giants, _ = catalog.with_spectra(catalog.select_giants(catalog.load(survey))[0], survey)
    raw = apstar.mask_bad_pixels(apstar.read_many(catalog.spectrum_paths(giants, survey), progress=False))
    spectra = catalog.attach(continuum.normalize(raw, continuum.load_pixels()), giants)
    spectra.ivar[0] = 0.0
    fold = validation.split(spectra)
    found = validation.cross_validate(spectra, fold, N_FACTORS)
    evidence = diagnosis.diagnose(found, spectra, giants, N_FACTORS)
    kind = np.asarray(evidence["kind"])
    ordinary = kind == ""
    model = cannon.train(spectra.isel(star=np.flatnonzero(ordinary)), factors=N_FACTORS)
    fits = validation.cross_validate(spectra, fold, N_FACTORS, train_on=ordinary)
    calibration = validation.calibrate(fits, spectra.labels)
    folder = build_folder(survey)
    folder.mkdir(parents=True)
    products.save(spectra, folder / "03_spectra.nc")
    model.save(folder / "05_model.nc")
    products.save(calibration.apply(fits).assign(kind=("star", kind)), folder / "05_fits.nc")
    calibration.save(folder / "05_calibration.nc")
    write_table(folder / "05_diagnosis.ecsv", evidence)


@pytest.fixture(scope="session")
def read(explored):
    """The products of the simulated survey."""
    return explorer_products.read("simulated")


@pytest.fixture(scope="session")
def pages(explored):
    """The pages of both surveys."""
    return SimpleNamespace(simulated=explorer.page("simulated"), observed=explorer.page("observed"))


@pytest.fixture(scope="session")
def chrome():
    """A browser without a window."""
    if chromium() is None:
        pytest.skip("Chromium is not installed: the page cannot be driven")
    with Browser() as one:
        yield one
