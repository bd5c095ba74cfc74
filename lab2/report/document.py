"""The report: one document from the cells of all executed notebooks.

The tags of a cell determine its place. Those tagged `abstract` and `introduction` come first; those tagged `appendix`
are diagnostics that the main text refers to, and those tagged `notebook-only` are for the screen. All others follow in
the order of the notebooks, in the sections of `_SECTIONS`; a notebook that is not listed there is its own section. The
notebook `_FRAME` contains abstract, introduction, discussion and further appendices.
"""

from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

from lab2.report.credits import credits_for
from lab2.report.pdfs import author, described, foot, named, read, write
from lab2.report.run import find
from lab2.survey import build_folder, manifest, notebook_folder

__all__ = ["TITLE", "report", "report_path"]

TITLE = "Modeling Stellar Spectra: The Cannon on APOGEE’s Red Giants"
_SECTIONS = {
    "01": "Data",
    "02": "Data",
    "03": "Method",
    "04": "Method",
    "06": "Results",
    "07": "Results",
    "08": "Results",
}
_FRAME = "10"
_FRONT, _APPENDIX, _SCREEN = ("abstract", "introduction"), "appendix", "notebook-only"


def report(survey: str = "simulated", name: str = "Firstname_Lastname") -> Path:
    """Make the PDF of the whole lab.

    Parameters
    ----------
    survey : str
        The survey.
    name : str
        The author's, its parts joined by underscores.

    Returns
    -------
    pathlib.Path
        build/<survey>/report.pdf.

    Raises
    ------
    ValueError
        If something cannot be typeset.
    FileNotFoundError
        If a notebook has not been executed.
    """
    sources = find()
    if not sources:
        raise FileNotFoundError(f"there are no notebooks in {notebook_folder()}")
    notebooks = {stem: notebook for notebook, stem in read(sources, survey, "make report")}
    about = {
        "title": TITLE,
        "author": author(name),
        "notes": ["UC Berkeley, Astro 128, Lab 2", described(survey)],
        "foot": foot(survey, list(notebooks.values())),
        "numbered": True,
        "floats": True,
    }
    return write(report_path(survey), survey, sources, _arranged(notebooks, survey), about)


def report_path(survey: str) -> Path:
    """The PDF of the report."""
    return build_folder(survey) / "report.pdf"


def _arranged(notebooks, survey):
    """All cells in the order of the report."""
    front = {tag: [] for tag in _FRONT}
    main, own_appendices, diagnostics, section = [], [], [], None
    for stem, notebook in notebooks.items():
        number = stem[:2]
        if _SECTIONS.get(number) not in (None, section):
            main.append(_part(f"# {_SECTIONS[number]}"))
        section = _SECTIONS.get(number)
        depth = -1 if number == _FRAME else int(section is not None)
        details = []
        for index, cell in enumerate(notebook.cells, start=1):
            tags = set(cell.metadata.get("tags", ()))
            _without_notices(cell)
            if _SCREEN in tags:
                continue
            cell = named(cell, stem, index, depth=depth)
            if places := tags & set(_FRONT):
                front[places.pop()].append(cell)
            elif _APPENDIX not in tags:
                main.append(cell)
            elif number == _FRAME:
                own_appendices.append(cell)
            else:
                cell.metadata["lab2"] |= {"depth": 1, "floats": False}  # figures stay with their headings
                details.append(cell)
        if details:
            diagnostics += [_part(f"## {_title(notebook, stem)}"), *details]
    for cell in front["abstract"]:
        cell.metadata["lab2"]["part"] = "abstract"
    thanks = _part(credits_for(manifest(survey)))
    if diagnostics:
        diagnostics.insert(0, _part("# Diagnostics"))
    back = [thanks, _part("# References", part="references"), _part("", part="appendix"), *own_appendices, *diagnostics]
    return [*front["abstract"], _part("", part="contents"), *front["introduction"], *main, *back]


def _part(text, **about):
    """A cell that is in no notebook."""
    return named(new_markdown_cell(text), "report", 1, **about)


def _title(notebook: nbformat.NotebookNode, stem: str) -> str:
    """The first heading of a notebook, or its name."""
    rows = [row for cell in notebook.cells if cell.cell_type == "markdown" for row in cell.source.splitlines()]
    return next((row.removeprefix("# ") for row in rows if row.startswith("# ")), stem)


def _without_notices(cell):
    """Drop a notebook's notices about the run, which the report gives on its first page."""
    if cell.cell_type == "code":
        kept = [output for output in cell.outputs if output.get("metadata", {}).get("lab2", {}).get("role") != "notice"]
        cell.outputs = kept
