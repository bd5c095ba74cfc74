"""A survey of two files, for pages that only ask what it is called and where it comes from."""

import pytest
from astropy.table import Table

from lab2.survey import write_manifest


@pytest.fixture(autouse=True)
def official(monkeypatch):
    """Pages write as those of `lab2 run` do, unless a test says otherwise."""
    monkeypatch.setenv("LAB2_RUN", "1")


@pytest.fixture
def make_survey(home):
    def make(name="simulated", simulated=True):
        folder = home / "data" / name
        folder.mkdir(parents=True)
        Table({"a": [1]}, meta={"SIMULATE": simulated}).write(folder / "allStar.fits")
        about = {"label_tree": "synspec"}
        if not simulated:
            about["catalogue"] = {"rows": 2780, "fields": ["M15", "N6791"], "label_tree": "synspec", "source": "here"}
        write_manifest(folder, simulated=simulated, **about)
        return folder

    return make


@pytest.fixture
def survey(make_survey):
    return make_survey()
