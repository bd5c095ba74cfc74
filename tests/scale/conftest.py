"""One cluster for all tests here, a model, and runs whose results are texts."""

from types import SimpleNamespace

import pytest

from lab2 import _code, apstar, cannon, continuum
from lab2.scale import build_store, cluster
from lab2.scale.plan import make_plan
from lab2.scale.shards import Job


@pytest.fixture(scope="session")
def address():
    """Of a scheduler with two workers."""
    with cluster.connected(2) as address:
        yield address


@pytest.fixture(scope="session")
def files(tiny_survey):
    """60 apStar files."""
    return sorted(tiny_survey.glob("apStar/*/*.fits"))[:60]


@pytest.fixture(scope="session")
def model(tiny_survey, tmp_path_factory):
    """A model trained on the small survey, and its file."""
    from lab2.labelling.training import _training_set, read_catalog
    from lab2.labels import from_catalog

    rows = read_catalog(tiny_survey / "allStar.fits")
    paths = sorted(tiny_survey.glob("apStar/*/*.fits"))
    spectra, _ = _training_set(paths, rows, from_catalog(rows), False)
    path = tmp_path_factory.mktemp("model") / "model.nc"
    trained = cannon.train(spectra)
    trained.save(path)
    return SimpleNamespace(path=path, model=trained)


@pytest.fixture
def texts(tmp_path):
    """A run over 23 files in 5 shards: what makes its job with a given maker, its plan, folder and files."""
    folder, spectra = tmp_path / "run", [tmp_path / "spectra" / f"{n}.fits" for n in range(23)]
    spectra[0].parent.mkdir()
    for n, path in enumerate(spectra[:-1]):  # the last one is missing
        path.write_text(f"{n}")
    plan = make_plan(folder, spectra, 5, {"code": _code.digest(_code.RUN)})
    return SimpleNamespace(folder=folder, plan=plan, files=spectra, job=lambda make: Job.of(folder, plan, make))


@pytest.fixture(scope="session")
def normalized(files, model):
    """The files' normalized spectra, in memory."""
    return continuum.normalize(apstar.mask_bad_pixels(apstar.read_rows(files)), model.model.trusted)


@pytest.fixture(scope="session")
def built(files, model, address, tmp_path_factory):
    """A store of the 60 files and of one that is missing."""
    folder = tmp_path_factory.mktemp("store")
    out = folder / "s.zarr"
    build_store(
        [*files, folder / "missing.fits"], out, model.model.trusted, scheduler=address, report=lambda text: None
    )
    return out
