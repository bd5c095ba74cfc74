"""The three checkpoints and the report, put together from the executed notebooks."""

import re

import nbformat

from lab2.files import replacing
from lab2.report.credits import credits_for
from lab2.report.run import executed, find
from lab2.survey import build_folder, manifest, notebook_folder

__all__ = ["CHECKPOINTS", "checkpoint", "checkpoint_path", "report"]

# The handout prints lab1 in the name of the third file. It is kept: that name is what is asked for.
CHECKPOINTS = {1: "lab2_cp1", 2: "lab2_cp2", 3: "lab1_cp3"}

_NAME = re.compile(r"[^\W_][\w.'-]*")  # letters of any alphabet, digits and . ' - _
_COURSE = "Astro 128, Lab 2"


def checkpoint_path(number, survey, name="Firstname_Lastname"):
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


def checkpoint(number, survey="simulated", name="Firstname_Lastname"):
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
        If there is no such checkpoint, the name will not do, or something cannot be set.
    FileNotFoundError
        If a notebook that holds such a cell has not been executed.
    """
    path = checkpoint_path(number, survey, name)
    tag = f"checkpoint-{number}"
    sources = [s for s in find() if _tagged(nbformat.read(s, as_version=4), tag)]
    if not sources:
        raise ValueError(f"no notebook has a cell tagged {tag}")
    cells = []
    for notebook, stem in _read(sources, survey, f"make cp{number}"):
        cells += [_named(cell, stem, index) for index, cell in _tagged(notebook, tag)]
    notes = [name.replace("_", " "), _described(survey)]
    return _write(path, survey, cells, f"{_COURSE}: checkpoint {number}", notes)


def report(survey="simulated"):
    """Make the PDF of the whole lab: a title page, a table of contents, and every notebook without its code.

    Parameters
    ----------
    survey : str
        The survey.

    Returns
    -------
    pathlib.Path
        build/<survey>/report.pdf.

    Raises
    ------
    ValueError
        If something cannot be set.
    FileNotFoundError
        If a notebook has not been executed.
    """
    sources = find()
    if not sources:
        raise FileNotFoundError(f"there are no notebooks in {notebook_folder()}")
    cells, notes = [], [_described(survey)]
    for notebook, stem in _read(sources, survey, "make report"):
        cells += [_named(cell, stem, index) for index, cell in enumerate(notebook.cells, start=1)]
        commit, dirty = (notebook.metadata["lab2"][key] for key in ("commit", "dirty"))
    if commit:
        notes.append(f"Made by lab2 at commit {commit[:10]}" + (", with changes since" if dirty else ""))
    thanks = nbformat.v4.new_markdown_cell(credits_for(manifest(survey)))
    cells.append(_named(thanks, "acknowledgement", 1))
    path = build_folder(survey) / "report.pdf"
    return _write(path, survey, cells, f"{_COURSE}: Modeling Stellar Spectra", notes, contents=True)


def _read(sources, survey, target):
    """The executed notebooks, each with its name."""
    made = [executed(source, survey) for source in sources]
    if missing := [path.stem for path in made if not path.is_file()]:
        numbers = " ".join(stem[:2] for stem in missing)
        raise FileNotFoundError(
            f"not executed on survey {survey!r} yet: {', '.join(missing)}; "
            f"run: {target} (or python -m lab2 run {numbers} --survey {survey})"
        )
    for path in made:
        yield nbformat.read(path, as_version=4), path.stem


def _tagged(notebook, tag):
    """Number and cell of each cell with a tag."""
    return [(i, cell) for i, cell in enumerate(notebook.cells, start=1) if tag in cell.metadata.get("tags", ())]


def _named(cell, stem, index):
    """The cell, knowing where it came from, for the messages of the exporter."""
    cell.metadata["lab2"] = {"origin": f"{stem}, cell {index}"}
    return cell


def _described(survey):
    about = manifest(survey)
    kind = "a simulated survey, made by lab2; not observations"
    if not about["simulated"]:
        kind = f"observed; labels of the pipeline's run {about.get('label_tree', 'unknown')}"
    return f"Survey: {survey} ({kind})"


def _write(path, survey, cells, title, notes, contents=False):
    from lab2.report.typst import PDFExporter

    about = {
        "title": title,
        "notes": notes,
        "contents": contents,
        "simulated": manifest(survey)["simulated"],
    }
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"lab2": about})
    resources = {"metadata": {"name": path.stem, "path": str(notebook_folder())}}
    pdf, _ = PDFExporter(exclude_input=True).from_notebook_node(notebook, resources)
    with replacing(path) as part:
        part.write_bytes(pdf)
    return path
