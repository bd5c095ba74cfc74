"""The folder of a survey that is to be fetched, and an allStar file."""

import numpy as np
import pytest
from astropy.table import Table

from lab2.archive.session import Session


@pytest.fixture
def folder(home):
    return home / "data" / "dr17"


@pytest.fixture
def allstar(observed_survey, tmp_path):
    """A file like SDSS's own: all columns, other fields, vectors, among many rows."""
    table = Table.read(observed_survey / "allStar.fits")
    table["FPARAM"] = np.ones((len(table), 9), "f4")
    table["ASPCAP_ID"] = [str(name).replace("synspec", "synspec_rev1") for name in table["ASPCAP_ID"]]
    table["J_ERR"] = np.float32(0.1)
    path = tmp_path / "allStar-dr17-synspec_rev1.fits"
    table.write(path)
    return path


@pytest.fixture
def source(archive, tmp_path):
    """A file of 400 kB on the server."""
    archive.stars = tmp_path / "served"
    path = archive.stars / "F" / "a.fits"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(range(256)) * 1600)
    return path


@pytest.fixture
def http():
    with Session() as http:
        yield http
