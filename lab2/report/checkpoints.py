"""The three checkpoints, assembled from the executed notebooks."""

import re
from pathlib import Path

import nbformat

from lab2.report.pdfs import author, described, foot, named, read, write
from lab2.report.run import find
from lab2.survey import build_folder

__all__ = ["CHECKPOINTS", "checkpoint", "checkpoint_path", "sources_of"]

# The handout has lab1 in the name of the third file; this name is kept.
CHECKPOINTS = {1: "lab2_cp1", 2: "lab2_cp2", 3: "lab1_cp3"}

_NAME = re.compile(r"[^\W_][\w.'-]*")  # letters of any alphabet, digits and . ' - _
_HEADING = re.compile(r"^(#+) ", re.M)


def checkpoint_path(number: int, survey: str, name: str = "Firstname_Lastname") -> Path:
    """The PDF of a checkpoint, as the handout names it.

    Parameters
    ----------
    number : int
        1, 2 or 3.
    survey : str
        The survey.
    name : str
        The student's name, its parts joined by underscores.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If there is no such checkpoint, or the name cannot be part of a file's name.
    """
    if number not in CHECKPOINTS:
        raise ValueError(f"there are checkpoints 1, 2 and 3, not {number!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"a name is written like Firstname_Lastname, in letters, digits and .'-_ only, not {name!r}")
    return build_folder(survey) / f"{name}_{CHECKPOINTS[number]}.pdf"


def checkpoint(number: int, survey: str = "simulated", name: str = "Firstname_Lastname") -> Path:
    """Make the PDF of a checkpoint from the cells tagged `checkpoint-<number>`, without their code.

    Parameters
    ----------
    number : int
        1, 2 or 3.
    survey : str
        The survey.
    name : str
        The student's name, its parts joined by underscores.

    Returns
    -------
    pathlib.Path
        build/<survey>/<name>_lab2_cp1.pdf, or as the handout names the others.

    Raises
    ------
    ValueError
        If there is no such checkpoint, the name is invalid, or something cannot be typeset.
    FileNotFoundError
        If a notebook that holds such a cell has not been executed.
    """
    path, sources, cells, notebooks = checkpoint_path(number, survey, name), sources_of(number), [], []
    for notebook, stem in read(sources, survey, f"make cp{number}"):
        notebooks.append(notebook)
        cells += [named(cell, stem, index) for index, cell in _tagged(notebook, f"checkpoint-{number}")]
    about = {
        "title": f"Astro 128, Lab 2: checkpoint {number}",
        "author": author(name),
        "notes": [described(survey)],
        "foot": foot(survey, notebooks),
        "one_page": True,
    }
    return write(path, survey, sources, _lettered(cells), about)


def _lettered(cells):
    """The cells; the items of the checkpoint are lettered as in the handout, by their headings."""
    letters = iter("abcdefgh")
    for cell in cells:
        if cell.cell_type == "markdown" and _HEADING.search(cell.source):
            letter = next(letters)
            cell.source = _HEADING.sub(rf"\1 ({letter}) ", cell.source, count=1)
            if letter != "a":
                cell.metadata["lab2"]["part"] = "next item"
    return cells


def sources_of(number: int) -> list[Path]:
    """The notebooks that contain cells of a checkpoint.

    Parameters
    ----------
    number : int
        1, 2 or 3.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    ValueError
        If there are none.
    """
    tag = f"checkpoint-{number}"
    sources = [source for source in find() if _tagged(nbformat.read(source, as_version=4), tag)]
    if not sources:
        raise ValueError(f"no notebook has a cell tagged {tag}")
    return sources


def _tagged(notebook, tag):
    """Number and cell of each cell with a tag."""
    return [(i, cell) for i, cell in enumerate(notebook.cells, start=1) if tag in cell.metadata.get("tags", ())]
