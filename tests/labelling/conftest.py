"""A model trained by the command on the small survey, and files of all kinds."""

from types import SimpleNamespace

import pytest

from lab2 import cannon, catalog, validation
from lab2.__main__ import main


@pytest.fixture(scope="session")
def giants(tiny_survey):
    """The catalog's giants that have spectra, and their files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB2_HOME", str(tiny_survey.parents[1]))
        rows, _ = catalog.select_giants(catalog.load("simulated"))
        rows, _ = catalog.with_spectra(rows, "simulated")
        return SimpleNamespace(rows=rows, files=catalog.spectrum_paths(rows, "simulated"))


@pytest.fixture(scope="session")
def trained(tiny_survey, tmp_path_factory):
    """What `lab2 train` makes of all files of the small survey."""
    path = tmp_path_factory.mktemp("trained") / "model.nc"
    assert (
        main(["train", str(tiny_survey / "apStar"), "--labels", str(tiny_survey / "allStar.fits"), "-o", str(path)])
        == 0
    )
    return SimpleNamespace(path=path, model=cannon.Cannon.load(path), calibration=validation.Calibration.load(path))


@pytest.fixture
def mixed(giants, tmp_path):
    """Good files, and between them a missing one, a cut one, a foreign one, a folder, and the first one once more."""
    cut, foreign, folder = tmp_path / "apStar-dr17-2M1.fits", tmp_path / "notes.fits", tmp_path / "apStar-folder.fits"
    cut.write_bytes(giants.files[1].read_bytes()[:50_000])
    foreign.write_text("no spectrum")
    folder.mkdir()
    return [*giants.files[:3], tmp_path / "missing.fits", cut, foreign, folder, *giants.files[3:6], giants.files[0]]
