"""Execute the notebooks, by papermill, in one process."""

import importlib.util
import os
from pathlib import Path

import nbformat
from tqdm import tqdm

from lab2.files import replacing
from lab2.report import provenance
from lab2.survey import build_folder, manifest, notebook_folder

__all__ = ["NotebookError", "executed", "find", "run"]

# What a notebook cannot do without, beyond the packages that are always installed.
_NEEDS = {"09": "torch"}


class NotebookError(RuntimeError):
    """A notebook that failed: the message names it, the cell and the cause, in three lines."""


def find(notebooks=None):
    """The source files of notebooks.

    Parameters
    ----------
    notebooks : sequence of str, optional
        Their numbers ("04") or names ("04_spectral_model"); all of them by default.

    Returns
    -------
    list of pathlib.Path
        In order of their numbers.

    Raises
    ------
    ValueError
        If there is no such notebook.
    """
    sources = sorted(notebook_folder().glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        return sources
    wanted = {Path(name).stem for name in notebooks}
    unknown = wanted - {s.stem for s in sources} - {s.stem[:2] for s in sources}
    if unknown:
        raise ValueError(f"there is no notebook {', '.join(sorted(unknown))}; there are {_list(sources)}")
    return [source for source in sources if wanted & {source.stem, source.stem[:2]}]


def executed(source, survey):
    """Where the executed form of a notebook lies."""
    return build_folder(survey) / source.name


def run(notebooks=None, survey="simulated", parameters=None, progress=True):
    """Execute notebooks on a survey.

    Each is kept as build/<survey>/<name>.failed.ipynb until it has come to its end, and as <name>.ipynb then.
    A notebook that needs a package which is not installed is left out: a note takes its place.

    Parameters
    ----------
    notebooks : sequence of str, optional
        Their numbers or names; all of them by default.
    survey : str
        The survey, passed to each notebook as its parameter `survey`.
    parameters : dict, optional
        Further parameters; each goes to the notebooks that have it.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    list of pathlib.Path
        The executed notebooks.

    Raises
    ------
    ValueError
        If there is no such notebook, or no notebook has such a parameter; nothing has been run then.
    FileNotFoundError
        If the survey was never made.
    NotebookError
        If a notebook fails.
    """
    sources = find(notebooks)
    simulated = manifest(survey)["simulated"]
    known = {source: _parameters(source) for source in sources}
    given = dict(parameters or {}, survey=survey)
    for name in given:
        if not any(name in names for names in known.values()):
            has = ", ".join(sorted(set().union(*known.values()))) or "none"
            raise ValueError(f"no notebook among {_list(sources)} has a parameter {name!r}; they have {has}")
    if homeless := [source for source in sources if "survey" not in known[source]]:
        raise ValueError(f"{_list(homeless)}: no parameter `survey` in a cell tagged `parameters`")

    # The kernel is the one of this environment, whatever others the user has registered.
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    build_folder(survey).mkdir(parents=True, exist_ok=True)
    commit, dirty = provenance.commit()
    about = {"survey": survey, "simulated": simulated, "commit": commit, "dirty": dirty}
    results = []
    with tqdm(sources, unit="notebook", disable=not progress) as bar:
        for source in bar:
            bar.set_description(source.stem)
            needed = _NEEDS.get(source.stem[:2])
            if needed and importlib.util.find_spec(needed) is None:
                notebook = _left_out(source, needed)
                bar.write(f"{needed} is not installed: notebook {source.stem} is left out")
            else:
                chosen = {name: value for name, value in given.items() if name in known[source]}
                notebook = _execute(source, survey, chosen)
            notebook.metadata["lab2"] = about | provenance.made(source.stem, survey)
            _reproducible(notebook, source.stem)
            results.append(executed(source, survey))
            with replacing(results[-1]) as part:
                nbformat.write(notebook, part)
            _failed(source, survey).unlink(missing_ok=True)
    return results


def _execute(source, survey, parameters):
    """The executed notebook, or a NotebookError."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    failed = _failed(source, survey)
    try:
        return papermill.execute_notebook(
            source,
            failed,
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=source.parent,
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors only: no word on the transport
        )
    except papermill.PapermillExecutionError as error:
        first = error.source.strip().split("\n")[0]
        cell, cause = f"In [{error.exec_count}]: {first}", f"{error.ename}: {error.evalue}".strip()
    except DeadKernelError:
        cell, cause = _unfinished(failed), "the kernel died; was the memory enough?"
    raise NotebookError(f"notebook: {source.stem} (kept as {failed})\n    cell: {cell}\n   cause: {_line(cause)}")


def _reproducible(notebook, stem):
    """Drop times of day and random names, so that two runs that give the same results are the same file."""
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)
        part.metadata.pop("execution", None)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.id = f"parameters-{stem}"


def _line(cause):
    """The first line of a cause that may have many, as those of TeX and HDF5 do."""
    return cause.split("\n")[0]


def _unfinished(failed):
    """The cell that was running when the kernel died: the last one that began."""
    cells = nbformat.read(failed, as_version=4).cells
    begun = [cell.source for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]
    return begun[-1].strip().split("\n")[0] if begun else "none"


def _parameters(source):
    """Names of a notebook's parameters: what papermill reads off its cell tagged `parameters`."""
    import papermill

    notebook = nbformat.read(source, as_version=4)
    # what `_execute` runs it with, whatever the file says: papermill cannot read a cell of an unknown language
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook.metadata["language_info"] = {"name": "python"}
    return set(papermill.inspect_notebook(notebook))


def _left_out(source, needed):
    text = f"Notebook {source.stem} was left out: it needs {needed}, which is not installed."
    cell = nbformat.v4.new_markdown_cell(f"# {source.stem[:2]} · left out\n\n{text}", id="left-out")
    return nbformat.v4.new_notebook(cells=[cell])


def _failed(source, survey):
    return executed(source, survey).with_suffix(".failed.ipynb")


def _list(sources):
    return ", ".join(source.stem for source in sources)
