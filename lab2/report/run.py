"""Execute the notebooks, by papermill, in one process."""

import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat
from tqdm import tqdm

from lab2._failure import Failure
from lab2.files import replacing
from lab2.report import freshness, provenance
from lab2.survey import build_folder, home, manifest, notebook_folder

__all__ = ["NotebookError", "executed", "find", "parameters_of", "run"]

# Parameters that name a file.
_FILES = ("mystery",)


class NotebookError(Failure):
    """A notebook that failed: the message names it, the cell and the cause, in three lines."""


def find(notebooks: Sequence[str] | None = None) -> list[Path]:
    """The source files of the project's notebooks, or of others.

    Parameters
    ----------
    notebooks : sequence of str, optional
        Their numbers ("04") or names ("04_spectral_model"), or paths of other notebooks ("alice/04.ipynb"); all of the
        project's by default.

    Returns
    -------
    list of pathlib.Path
        The project's in order of their numbers, then the others as they were given.

    Raises
    ------
    ValueError
        If the project has no such notebook.
    FileNotFoundError
        If there is no such file.
    """
    sources = sorted(notebook_folder().glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        return sources
    paths = [str(name) for name in notebooks if str(name).endswith(".ipynb") or os.sep in str(name)]
    files = list(dict.fromkeys(Path(path).resolve() for path in paths))
    if missing := [str(path) for path in files if not path.is_file()]:
        raise FileNotFoundError(f"there is no file {', '.join(missing)}; the project's notebooks are {_list(sources)}")
    wanted = {str(name) for name in notebooks}.difference(paths)
    unknown = wanted - {s.stem for s in sources} - {s.stem[:2] for s in sources}
    if unknown:
        raise ValueError(f"there is no notebook {', '.join(sorted(unknown))}; there are {_list(sources)}")
    own = [s for s in sources if wanted & {s.stem, s.stem[:2]} or s.resolve() in files]
    return own + [path for path in files if path not in {s.resolve() for s in sources}]


def executed(source: Path, survey: str) -> Path:
    """Path of the executed form of a notebook.

    Parameters
    ----------
    source : pathlib.Path
        As from `find`.
    survey : str
        The survey.

    Returns
    -------
    pathlib.Path
        In build/<survey>/; for a notebook that is not the project's own, in a folder there named after it.
    """
    folder = build_folder(survey)
    if not _is_own(source):
        digest = hashlib.sha256(os.fsencode(source)).hexdigest()[:8]
        folder /= f"{source.parent.name[:30]}-{source.stem[:30]}-{digest}"
    return folder / source.name


def run(
    notebooks: Sequence[str] | None = None,
    survey: str = "simulated",
    parameters: dict | None = None,
    progress: bool = True,
    only_stale: bool = False,
) -> list[Path]:
    """Execute notebooks on a survey.

    Each is saved as build/<survey>/<name>.failed.ipynb until it has finished, and then as <name>.ipynb, with the record
    of its inputs and products (`lab2.report.freshness`).

    Any other notebook, such as a student's, reads the results of the project's notebooks without changing them: it
    saves its own in the folder of its executed form, in build/<survey>/ and figures/<survey>/ there.

    Parameters
    ----------
    notebooks : sequence of str, optional
        Their numbers or names, or paths of other notebooks; all of the project's by default.
    survey : str
        The survey, passed to each notebook as its parameter `survey`.
    parameters : dict, optional
        Further parameters; each goes to the notebooks that have it. A relative path of a file (mystery) is relative
        to the current folder. Without a seed, it is that of the simulated survey (`lab2.report.freshness.choices`).
    progress : bool
        Whether to show a progress bar.
    only_stale : bool
        Execute only the notebooks that are not up to date, and those among their dependencies.

    Returns
    -------
    list of pathlib.Path
        The executed notebooks.

    Raises
    ------
    ValueError
        If there is no such notebook, or a parameter that no notebook has, or `survey` among the parameters; then
        nothing is run.
    FileNotFoundError
        If the survey does not exist, or there is no such file.
    NotebookError
        If a notebook fails.
    """
    sources, given = find(notebooks), _given(parameters or {})
    about = {"survey": survey, "simulated": manifest(survey)["simulated"]}
    if only_stale:
        sources = freshness.with_needed(sources, find())
    known = {source: parameters_of(source) for source in sources}
    for name in given:
        if not any(name in names for names in known.values()):
            has = ", ".join(sorted(set().union(*known.values()))) or "none"
            raise ValueError(f"no notebook among {_list(sources)} has a parameter {name!r}; they have {has}")
    if homeless := [source for source in sources if "survey" not in known[source]]:
        raise ValueError(f"{_list(homeless)}: no parameter `survey` in a cell tagged `parameters`")

    given = freshness.choices(survey) | given
    build_folder(survey).mkdir(parents=True, exist_ok=True)
    commit, dirty = provenance.commit()
    about |= {"commit": commit, "dirty": dirty}
    with tqdm(sources, unit="notebook", disable=not progress) as bar:
        for source in bar:
            bar.set_description(source.stem)
            chosen = _given({name: value for name, value in given.items() if name in known[source]})
            if only_stale:
                reason = freshness.why_stale(source, survey, chosen)
                if not reason:
                    continue
                bar.write(f"{source.stem}: {reason}")
            _run(source, survey, chosen, about)
    return [executed(source, survey) for source in sources]


def _run(source, survey, parameters, about):
    """Execute one notebook and keep it, with its record."""
    record = freshness.made_of(source, survey, parameters)
    notebook = _execute(source, survey, parameters | {"survey": survey})
    made = freshness.products(source, survey) if _is_own(source) else {}
    notebook.metadata["lab2"] = about | {"made_of": record, "products": made}
    _reproducible(notebook, source.stem)
    with replacing(executed(source, survey)) as part:
        nbformat.write(notebook, part)
    _failed(source, survey).unlink(missing_ok=True)


def _is_own(source):
    """Whether a notebook is one of the project's."""
    return source.parent.resolve() == notebook_folder().resolve()


def _given(parameters):
    """The parameters of a run as the notebooks get them: paths are absolute."""
    if "survey" in parameters:
        raise ValueError("the survey is no parameter of its own: choose it by --survey (in Python, by survey=)")
    given = dict(parameters)
    for name in _FILES:
        if given.get(name) is not None:
            path = Path(given[name]).expanduser().absolute()
            if not path.is_file():
                raise FileNotFoundError(f"there is no file {path}, which was given as {name}")
            given[name] = str(path)
    return given


@contextlib.contextmanager
def _environment(variables):
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _own_home(source, survey):
    """Give a notebook that is not the project's a separate home while it runs.

    The home has links to the project's data and results; files that the notebook saves replace the links.
    """
    if _is_own(source):
        yield
        return
    folder = executed(source, survey).parent
    results = (path for path in build_folder(survey).iterdir() if path.suffix in (".nc", ".ecsv"))
    targets = {folder / "build" / survey / path.name: path for path in results} | {folder / "data": home() / "data"}
    for link, target in targets.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        if not link.exists():
            link.symlink_to(target)
    with _environment({"LAB2_HOME": str(folder)}):
        yield


def _execute(source, survey, parameters):
    """The executed notebook, or a NotebookError."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    failed = _failed(source, survey)
    # The kernel is that of this environment, whatever others the user has registered; LAB2_RUN tells pages that the run
    # is not interactive.
    environment = {"JUPYTER_PREFER_ENV_PATH": os.environ.get("JUPYTER_PREFER_ENV_PATH", "1"), "LAB2_RUN": "1"}
    # papermill fills in parameters where a path has braces
    read, written = (str(path).replace("{", "{{").replace("}", "}}") for path in (source, failed))
    try:
        with _own_home(source, survey), _environment(environment):
            notebook = papermill.execute_notebook(
                read,
                written,
                parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                cwd=source.parent,
                # errors only: no word on the transport; and no result is kept in Out[], figures least of all
                extra_arguments=["--IPKernelApp.log_level=40", "--ZMQInteractiveShell.cache_size=0"],
            )
    except papermill.PapermillExecutionError as error:
        first = error.source.strip().split("\n")[0]
        cell, cause = f"In [{error.exec_count}]: {first}", f"{error.ename}: {error.evalue}".strip()
    except DeadKernelError:
        cell, cause = _unfinished(failed), "the kernel died; was the memory enough?"
    else:
        if all(cell.metadata.papermill.status == "completed" for cell in notebook.cells):
            return notebook
        cell, cause = _unfinished(failed), "the notebook ended itself here, before its last cell"  # by exit()
    where = f"notebook: {_name(source)} (kept as {failed})"
    raise NotebookError(f"{where}\n    cell: {_line(cell)}\n   cause: {_line(cause)}")


def _reproducible(notebook, stem):
    """Drop times and random names, so that two runs with the same results give the same file."""
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)
        part.metadata.pop("execution", None)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.id = "parameters-" + re.sub(r"[^\w-]", "-", stem, flags=re.ASCII)[:50]


def _line(cause):
    """The first line of a cause, which may have many, with control characters escaped."""
    line = cause.split("\n")[0][:500]
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)


def _unfinished(failed):
    """The cell that was running when the kernel died: the last one started."""
    cells = nbformat.read(failed, as_version=4).cells
    begun = [cell.source for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]
    return begun[-1].strip().split("\n")[0] if begun else "none"


def parameters_of(source: Path) -> set[str]:
    """Names of a notebook's parameters: those that papermill finds in its cell tagged `parameters`.

    Parameters
    ----------
    source : pathlib.Path
        The notebook.

    Returns
    -------
    set of str

    Raises
    ------
    ValueError
        If it is not a notebook.
    """
    import papermill

    try:
        notebook = nbformat.read(source, as_version=4)
        # what `_execute` runs it with, whatever the file says: papermill cannot read a cell of an unknown language
        notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
        notebook.metadata["language_info"] = {"name": "python"}
        return set(papermill.inspect_notebook(notebook))
    except Exception as problem:  # the file may be anything
        raise ValueError(f"{source} is not a Jupyter notebook: {_line(str(problem))}") from problem


def _failed(source, survey):
    return executed(source, survey).with_suffix(".failed.ipynb")


def _list(sources):
    return ", ".join(map(_name, sources))


def _name(source):
    """Name of a notebook in messages."""
    return source.stem if _is_own(source) else str(source)
