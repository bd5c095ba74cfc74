"""A survey of two files, and notebooks of a few cells."""

import nbformat
import pytest
from astropy.table import Table
from nbformat.v4 import new_code_cell, new_notebook

from lab2.grading import isolation
from lab2.survey import root, write_manifest


@pytest.fixture
def survey(home):
    """The folder of a survey that nothing reads."""
    folder = home / "data" / "simulated"
    folder.mkdir(parents=True)
    Table({"a": [1]}, meta={"SIMULATE": True}).write(folder / "allStar.fits")
    write_manifest(folder, simulated=True, label_tree="simulated")
    return folder


@pytest.fixture
def hand_in():
    """What writes a notebook of code cells, after the one with its parameters."""

    def write(path, *sources):
        path.parent.mkdir(parents=True, exist_ok=True)
        head = new_code_cell('survey = "simulated"\nseed = 1', metadata={"tags": ["parameters"]})
        notebook = new_notebook(cells=[head, *map(new_code_cell, sources)])
        notebook.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "Old", "language": "python"}
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture
def quick(tmp_path_factory, monkeypatch):
    """Half of the time until a notebook begins goes into a grammar of URIs, which jsonschema can do without."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "rfc3987_syntax.py").write_text("raise ImportError\n")
    (folder / "lab2").symlink_to(root() / "lab2")
    monkeypatch.setattr(isolation, "root", lambda: folder)
