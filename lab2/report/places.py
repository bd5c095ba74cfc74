"""Folders of results: those of `lab2 run`, and those of interactive runs, which are read first."""

import filecmp
import os
from pathlib import Path

from lab2.survey import build_folder, figure_folder

__all__ = ["figures_place", "interactive_files", "is_interactive", "official", "place", "product"]

_NAME = "interactive"


def is_interactive() -> bool:
    """Whether this process is an interactive run, such as a notebook in JupyterLab.

    `lab2 run` sets the environment variable LAB2_RUN to 1 for the kernels that it starts. All other runs are
    interactive.
    """
    return os.environ.get("LAB2_RUN") != "1"


def place(survey: str, interactive: bool) -> Path:
    """The folder of a survey's results: build/<survey>/, or build/<survey>/interactive/."""
    return build_folder(survey) / _NAME if interactive else build_folder(survey)


def figures_place(survey: str, interactive: bool) -> Path:
    """The folder of a survey's figures: figures/<survey>/, or figures/<survey>/interactive/."""
    return figure_folder(survey) / _NAME if interactive else figure_folder(survey)


def product(name: str, survey: str, interactive: bool) -> Path:
    """The file that a notebook reads.

    Parameters
    ----------
    name : str
        The file's name, such as "03_spectra.nc".
    survey : str
        The survey.
    interactive : bool
        Whether interactive results are preferred. A copy identical to the official file is ignored.

    Returns
    -------
    pathlib.Path
        The file in build/<survey>/interactive/ or in build/<survey>/; the latter if neither exists.
    """
    own, run = place(survey, True) / name, place(survey, False) / name
    if not interactive or not own.is_file():
        return run
    return run if run.is_file() and filecmp.cmp(own, run, shallow=False) else own


def official(path: Path, survey: str) -> Path | None:
    """The official file that an interactive one replaces, or None.

    Parameters
    ----------
    path : pathlib.Path
        As from `product`.
    survey : str
        The survey.

    Returns
    -------
    pathlib.Path or None
    """
    run = place(survey, False) / path.name
    return run if path.parent == place(survey, True) and run.is_file() else None


def interactive_files(survey: str) -> list[Path]:
    """Results and figures of interactive runs.

    Parameters
    ----------
    survey : str
        The survey.

    Returns
    -------
    list of pathlib.Path
        Sorted within each of the two folders.
    """
    folders = place(survey, True), figures_place(survey, True)
    return [path for folder in folders for path in sorted(folder.glob("*")) if path.is_file()]
