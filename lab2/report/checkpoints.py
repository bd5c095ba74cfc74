"""The three checkpoints and the report, put together from the executed notebooks."""

import json
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import nbformat

from lab2 import _code
from lab2._command import command
from lab2.files import replacing, sha256
from lab2.report.credits import credits_for
from lab2.report.run import executed, find
from lab2.report.words import escaped
from lab2.survey import build_folder, manifest, notebook_folder, survey_folder

__all__ = ["CHECKPOINTS", "checkpoint", "checkpoint_path", "is_fresh", "report", "report_path", "sources_of"]

# The handout prints lab1 in the name of the third file. It is kept: that name is what is asked for.
CHECKPOINTS = {1: "lab2_cp1", 2: "lab2_cp2", 3: "lab1_cp3"}

_NAME = re.compile(r"[^\W_][\w.'-]*")  # letters of any alphabet, digits and . ' - _
_COURSE = "Astro 128, Lab 2"


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
        If there is no such checkpoint, the name will not do, or something cannot be set.
    FileNotFoundError
        If a notebook that holds such a cell has not been executed.
    """
    path, sources, cells = checkpoint_path(number, survey, name), sources_of(number), []
    for notebook, stem in _read(sources, survey, f"make cp{number}"):
        cells += [_named(cell, stem, index) for index, cell in _tagged(notebook, f"checkpoint-{number}")]
    about = {
        "title": f"{_COURSE}: checkpoint {number}",
        "notes": [name.replace("_", " "), _described(survey)],
        "contents": False,
    }
    return _write(path, survey, sources, cells, about)


def sources_of(number: int) -> list[Path]:
    """The notebooks that hold cells of a checkpoint.

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


def is_fresh(path: Path, survey: str, sources: Sequence[Path]) -> bool:
    """Whether a PDF is what these executed notebooks and the code would make now.

    Parameters
    ----------
    path : pathlib.Path
        The PDF.
    survey : str
        The survey.
    sources : list of pathlib.Path
        The notebooks that it shows.

    Returns
    -------
    bool
    """
    try:
        record = json.loads(_record_path(path).read_text(encoding="utf-8"))
        return record["pdf"] == sha256(path) and record["made_of"] == _made_of(survey, sources)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def report(survey: str = "simulated") -> Path:
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
    about = {"title": f"{_COURSE}: Modeling Stellar Spectra", "notes": notes, "contents": True}
    return _write(report_path(survey), survey, sources, cells, about)


def report_path(survey: str) -> Path:
    """The PDF of the report."""
    return build_folder(survey) / "report.pdf"


def _made_of(survey, sources):
    """Checksums of what a PDF is made of."""
    parts = {source.stem: sha256(executed(source, survey)) for source in sources}
    typesetters = {name: metadata.version(name) for name in ("typst", "pypandoc_binary", "nbconvert")}
    manifest_sum = sha256(survey_folder(survey) / "manifest.json")
    return parts | typesetters | {"manifest": manifest_sum, "code": _code.digest(_code.PDF)}


def _record_path(path):
    return path.with_suffix(".json")


def _read(sources, survey, target):
    """The executed notebooks, each with its name."""
    made = [executed(source, survey) for source in sources]
    if missing := [path.stem for path in made if not path.is_file()]:
        numbers = " ".join(stem[:2] for stem in missing)
        raise FileNotFoundError(
            f"not executed on survey {survey!r} yet: {', '.join(missing)}; "
            f"run: {target} (or {command(f'run {numbers} --survey {survey}')})"
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
    if "seed" in about:
        kind += f"; seed {escaped(about['seed'])}"
    if not about["simulated"]:
        kind = f"observed; labels of the pipeline's run {about.get('label_tree', 'unknown')}"
    return f"Survey: {survey} ({kind})"


def _write(path, survey, sources, cells, about):
    """Set the cells as PDF, and keep beside it the record of what it was made of."""
    from lab2.report.typst import PDFExporter

    about = about | {"simulated": manifest(survey)["simulated"]}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"lab2": about})
    resources = {"metadata": {"name": path.stem, "path": str(notebook_folder())}}
    pdf, _ = PDFExporter(exclude_input=True).from_notebook_node(notebook, resources)
    with replacing(path) as part:
        part.write_bytes(pdf)
    with replacing(_record_path(path)) as part:
        record = {"pdf": sha256(path), "made_of": _made_of(survey, sources)}
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path
