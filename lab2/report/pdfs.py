"""PDFs from cells of executed notebooks, each with a record of its origin."""

import datetime
import os
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import nbformat

from lab2 import _code
from lab2._command import command
from lab2.files import sha256
from lab2.report import records
from lab2.report.run import executed
from lab2.report.words import escaped
from lab2.survey import manifest, notebook_folder, survey_folder

__all__ = ["author", "described", "foot", "is_fresh", "made_on", "named", "read", "write"]

_TYPESETTERS = ("typst", "pypandoc_binary", "nbconvert")


def read(sources: Sequence[Path], survey: str, target: str) -> Iterator[tuple[nbformat.NotebookNode, str]]:
    """The executed notebooks, each with its name.

    Raises
    ------
    FileNotFoundError
        If one has not been executed; the message says how `target` would do it.
    """
    made = [executed(source, survey) for source in sources]
    if missing := [path.stem for path in made if not path.is_file()]:
        numbers = " ".join(stem[:2] for stem in missing)
        raise FileNotFoundError(
            f"not executed on survey {survey!r} yet: {', '.join(missing)}; "
            f"run: {target} (or {command(f'run {numbers} --survey {survey}')})"
        )
    for path in made:
        yield nbformat.read(path, as_version=4), path.stem


def named(cell: nbformat.NotebookNode, stem: str, index: int, **about: object) -> nbformat.NotebookNode:
    """The cell with metadata for the exporter: its origin, for messages, and any others given."""
    cell.metadata["lab2"] = {"origin": f"{stem}, cell {index}"} | about
    return cell


def author(name: str) -> str:
    """The author's name for the title page, from that in a file name, Firstname_Lastname."""
    return name.replace("_", " ")


def described(survey: str) -> str:
    """One line about a survey: simulated or observed."""
    about = manifest(survey)
    kind = "a simulated survey, made by lab2; not observations"
    if "seed" in about:
        kind += f"; seed {escaped(about['seed'])}"
    if not about["simulated"]:
        kind = f"observed; labels of the pipeline's run {about.get('label_tree', 'unknown')}"
    return f"Survey: {survey} ({kind})"


def foot(survey: str, notebooks: Sequence[nbformat.NotebookNode]) -> str:
    """One line about the origin of a PDF: survey, seed, the code's commit and the manifest's checksum."""
    about, parts = manifest(survey), [f"survey {survey}"]
    if "seed" in about:
        parts.append(f"seed {about['seed']}")
    run = notebooks[-1].metadata["lab2"]
    if run["commit"]:
        parts.append(f"lab2 commit {run['commit'][:10]}{', with changes since' if run['dirty'] else ''}")
    parts.append(f"manifest {sha256(survey_folder(survey) / 'manifest.json')[:8]}")
    return " · ".join(parts)


def made_on() -> list[int]:
    """Year, month and day: today, or the day of SOURCE_DATE_EPOCH (reproducible-builds.org)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    utc = datetime.UTC
    day = datetime.datetime.fromtimestamp(int(epoch), utc) if epoch else datetime.datetime.now()
    return [day.year, day.month, day.day]


def write(path: Path, survey: str, sources: Sequence[Path], cells: list, about: dict) -> Path:
    """Typeset cells as PDF, without their code, and write the record of its origin beside it.

    Parameters
    ----------
    path : pathlib.Path
        The PDF.
    survey : str
        The survey.
    sources : sequence of pathlib.Path
        The notebooks that it shows.
    cells : list of nbformat.NotebookNode
        As from `named`.
    about : dict
        As `lab2.report.typst.PDFExporter` reads it.

    Returns
    -------
    pathlib.Path
        The PDF.
    """
    from lab2.report.typst import PDFExporter

    about = about | {"simulated": manifest(survey)["simulated"], "date": made_on()}
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # cells of two notebooks may have the same
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"lab2": about})
    resources = {"metadata": {"name": path.stem, "path": str(notebook_folder())}}
    pdf, _ = PDFExporter(exclude_input=True).from_notebook_node(notebook, resources)
    return records.write(path, pdf, _made_of(survey, sources, about["author"]))


def is_fresh(path: Path, survey: str, sources: Sequence[Path], name: str) -> bool:
    """Whether a PDF is, apart from the date, what these executed notebooks and the code would now give.

    Parameters
    ----------
    path : pathlib.Path
        The PDF.
    survey : str
        The survey.
    sources : list of pathlib.Path
        The notebooks that it shows.
    name : str
        The author's, its parts joined by underscores.

    Returns
    -------
    bool
    """
    return records.is_fresh(path, lambda: _made_of(survey, sources, author(name)))


def _made_of(survey, sources, by):
    """Checksums of the inputs of a PDF."""
    parts = {source.stem: sha256(executed(source, survey)) for source in sources}
    typesetters = {name: metadata.version(name) for name in _TYPESETTERS}
    manifest_sum = sha256(survey_folder(survey) / "manifest.json")
    return parts | typesetters | {"manifest": manifest_sum, "code": _code.digest(_code.PDF), "author": by}
