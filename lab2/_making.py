"""From a survey's name to finished PDFs: make everything that is missing or stale, and nothing else."""

import datetime
import os
from pathlib import Path

from lab2 import _code, catalog, explorer
from lab2.report import freshness
from lab2.report.checkpoints import CHECKPOINTS, checkpoint, checkpoint_path, sources_of
from lab2.report.document import report, report_path
from lab2.report.pdfs import is_fresh
from lab2.report.places import interactive_files, official
from lab2.report.run import find, parameters_of, run
from lab2.simulate import make_survey
from lab2.simulate.again import arguments
from lab2.survey import check, manifest, survey_folder

__all__ = ["TARGETS", "make", "prepare", "status"]

_PDFS = {"report": (*CHECKPOINTS, 0), "checkpoints": tuple(CHECKPOINTS), **{f"cp{n}": (n,) for n in CHECKPOINTS}}
TARGETS = ("survey", "lab", *_PDFS)


def make(
    target: str,
    survey: str = "simulated",
    seed: int | None = None,
    n_stars: int | None = None,
    mystery: str | os.PathLike | None = None,
    name: str = "Firstname_Lastname",
) -> list[Path]:
    """Make the survey if necessary, execute the notebooks that are not up to date, and make the PDFs.

    Parameters
    ----------
    target : str
        "survey" (the data alone), "lab" (all notebooks), "cp1", "cp2", "cp3" or "checkpoints" (with the notebooks that
        they need), or "report" (everything, report.html too).
    survey : str
        The survey.
    seed : int, optional
        Seed of the simulated survey and of the notebooks; unchanged by default.
    n_stars : int, optional
        Approximate number of stars in the simulated survey; unchanged by default.
    mystery : path-like, optional
        An apStar file for notebook 07, or "survey" for the survey's own; unchanged by default.
    name : str
        The student's name.

    Returns
    -------
    list of pathlib.Path
        The PDFs, or the executed notebooks of the target "lab"; none for "survey".

    Raises
    ------
    ValueError
        If there is no such target, the survey does not agree with `seed` and `n_stars`, or its files have changed.
    FileNotFoundError
        If there is no such survey or mystery spectrum.
    lab2.report.run.NotebookError
        If a notebook fails.
    """
    if target not in TARGETS:
        raise ValueError(f"the targets are {', '.join(TARGETS)}, not {target!r}")
    numbers = _PDFS.get(target, ())
    paths = [_path(number, survey, name) for number in numbers]  # reject an invalid name at once
    if mystery is not None and mystery != "survey":
        mystery = Path(mystery).expanduser().absolute()
        if not mystery.is_file():
            raise FileNotFoundError(f"there is no file {mystery}, which was given as mystery")
    prepare(survey, seed, n_stars)
    if mystery is not None:
        freshness.remember(survey, mystery=None if mystery == "survey" else str(mystery))
    if seed is not None and "seed" not in manifest(survey):
        freshness.remember(survey, seed=seed)
    if target == "survey":
        return []
    sources = find() if 0 in numbers or not numbers else [s for number in numbers for s in sources_of(number)]
    made = run([source.stem for source in sources], survey, only_stale=True)
    for number, path in zip(numbers, paths, strict=True):
        if not is_fresh(path, survey, _sources(number), name):
            _set(number, survey, name)
    if target == "report":
        if not explorer.is_fresh(survey):
            explorer.page(survey)
        paths.append(explorer.page_path(survey))
    return paths or made


def prepare(survey: str, seed: int | None = None, n_stars: int | None = None) -> dict:
    """Make a missing simulated survey, write a missing manifest of other files, or check an existing survey.

    A simulated survey made by other code is remade from the same seed. One with fewer stars than requested is replaced
    by a larger one.

    Parameters
    ----------
    survey : str
        The survey.
    seed, n_stars : int, optional
        Of the simulated survey; unchanged by default.

    Returns
    -------
    dict
        The survey's manifest.

    Raises
    ------
    ValueError
        If there is a survey of this name with another seed or more stars, or its files have changed.
    FileNotFoundError
        If there is no such survey, and no option says that it is to be simulated.
    """
    folder, wanted = survey_folder(survey), arguments(survey, seed, n_stars)
    if not folder.exists() and (survey == "simulated" or wanted):
        make_survey(folder, **wanted)
        return manifest(survey)
    if not (survey_folder(survey, must_exist=True) / "manifest.json").is_file():
        catalog.adopt(survey)
    about = manifest(survey)
    if "seed" in about:
        if wanted["n_stars"] > about["n_stars"]:
            print(f"survey {survey!r}: its {about['n_stars']} stars are replaced by {wanted['n_stars']}")
            make_survey(folder, **wanted)
        elif about.get("code") != _code.digest(_code.SIMULATION):
            print(f"survey {survey!r} is simulated anew: the code has changed since")
            make_survey(folder, **wanted)
    elif n_stars is not None:
        raise ValueError(f"survey {survey!r} was not simulated here: the number of its stars cannot be chosen")
    return check(survey)


def status(survey: str = "simulated", name: str = "Firstname_Lastname") -> list[tuple[str, str]]:
    """List what is up to date and what is not, and why.

    Parameters
    ----------
    survey : str
        The survey.
    name : str
        The student's name in the checkpoints' file names.

    Returns
    -------
    list of tuple of str
        The notebook or PDF, and its state.

    Raises
    ------
    FileNotFoundError
        If the survey does not exist.
    ValueError
        If its files do not match its manifest.
    """
    about, given = check(survey), freshness.choices(survey)
    simulated = f"simulated, seed {about['seed']}, {about['n_stars']} stars" if "seed" in about else "observed"
    found, stale = [(f"survey {survey}", simulated)], set()
    for source in find():
        names = parameters_of(source)
        reason = freshness.why_stale(source, survey, {name: given[name] for name in given if name in names})
        before = [name for name in freshness.reads(source) if name[:2] in stale]
        if not reason and before:
            reason = f"{before[0]} will be made again"
        if reason:
            stale.add(source.name[:2])
        found.append((source.stem, reason or "up to date"))
    for number in _PDFS["report"]:
        path, sources = _path(number, survey, name), _sources(number)
        shown_stale = stale & {source.name[:2] for source in sources}
        found.append((path.name, _state(path, shown_stale, is_fresh(path, survey, sources, name))))
    page = explorer.page_path(survey)
    found.append((page.name, _state(page, stale & explorer.NOTEBOOKS, explorer.is_fresh(survey))))
    return found + [(f"interactive: {path.name}", _read_first(path, survey)) for path in interactive_files(survey)]


def _state(path, stale, fresh):
    """The state of a page made of notebooks."""
    if not path.is_file():
        return "not made yet"
    if stale:
        return "notebooks that it shows are not up to date"
    return "up to date" if fresh else "not of these notebooks and this code"


def _read_first(path, survey):
    """Message about an interactive file, which notebooks of `lab2 run` never read."""
    day = datetime.datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes")
    return f"of {day}; in JupyterLab read before the official one" if official(path, survey) else f"of {day}"


def _path(number, survey, name):
    """The PDF of a checkpoint; of the report for 0."""
    return checkpoint_path(number, survey, name) if number else report_path(survey)


def _sources(number):
    return sources_of(number) if number else find()


def _set(number, survey, name):
    return checkpoint(number, survey, name) if number else report(survey, name)
