"""The interface of a notebook to files and output: it opens, saves, shows and describes results, and records their
origin."""

from __future__ import annotations

import contextlib
import datetime
import inspect
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray
from astropy.table import QTable, Table
from IPython import get_ipython
from IPython.display import HTML, Markdown, display

from lab2._command import command
from lab2.files import read_table, replacing, sha256, write_table
from lab2.report import notices, pictures, places, products, provenance
from lab2.report.briefly import briefly
from lab2.report.html import html_table
from lab2.survey import check, home, survey_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["Page"]


class Page:
    """The page written by one notebook.

    All files of the survey are compared with its manifest first. The manifest's checksum, which every figure's record
    has, therefore identifies the data.

    In an interactive run (in JupyterLab, for example, but not by `lab2 run`) results and figures go to
    build/<survey>/interactive/ and figures/<survey>/interactive/, and results of other notebooks are read from there
    first. So interactive work never changes the files of `lab2 run`. To go back to these, delete the folder
    build/<survey>/interactive/.

    IPython shows errors of a page in a few lines that begin with the advice.

    Parameters
    ----------
    notebook : str
        The notebook's name, such as "04_spectral_model"; its number is part of the names of its files.
    survey : str
        The survey that it reads, the name of a folder in data/.
    seed : int
        The seed of its random numbers, kept in the record of every figure.

    Raises
    ------
    ValueError
        If the notebook's name does not begin with two digits and an underscore, or the survey's files do not match its
        manifest.
    FileNotFoundError
        If the survey does not exist.
    """

    def __init__(self, notebook: str, survey: str, seed: int) -> None:
        if not re.fullmatch(r"\d\d_\w+", notebook):
            raise briefly(ValueError(f"a notebook is named like '04_spectral_model', not {notebook!r}"))
        self.notebook = notebook
        self.survey = survey
        self.seed = seed
        self.interactive = places.is_interactive()
        try:
            about = check(survey, progress=False)
        except (ValueError, OSError) as problem:
            raise briefly(problem) from None
        self.simulated = about["simulated"]
        self.label_tree = about.get("label_tree", "unknown")
        self._inputs = {}
        self._told = set()
        self._commit, self._dirty = provenance.commit()
        self.input(survey_folder(survey) / "manifest.json")

    @property
    def number(self) -> str:
        """The notebook's number, two digits."""
        return self.notebook[:2]

    @property
    def statement(self) -> str:
        """Text for the top of the notebook: the survey, real or simulated, and the folder of the results."""
        text = notices.survey_statement(self.survey, self.simulated, self.label_tree, self.seed)
        if self.interactive:
            folders = places.place(self.survey, True), places.figures_place(self.survey, True)
            results, figures = map(_short, folders)
            text += (
                f"\n>\n> **Interactive run.** Its results go to `{results}/` and its figures to `{figures}/`; what "
                "other notebooks have left there is read first. The files of `lab2 run` stay as they are."
            )
        return text

    def introduce(self) -> None:
        """Show the statement, which the report omits here and gives on its first page."""
        notices.notice(self.statement)

    def input(self, path: str | os.PathLike) -> Path:
        """Record a file as one that this notebook reads.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        pathlib.Path
            The same file, to be opened.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        path = Path(path)
        if not path.is_file():
            raise briefly(FileNotFoundError(f"there is no file {path}, which notebook {self.notebook} reads"))
        self._inputs[_short(path)] = sha256(path)
        return path

    def open(self, name: str) -> xarray.Dataset:
        """Read a Dataset that a notebook saved.

        Parameters
        ----------
        name : str
            The file's name, such as "03_spectra.nc".

        Returns
        -------
        xarray.Dataset

        Raises
        ------
        FileNotFoundError
            If it is not there; the message names the notebook that makes it.
        ValueError
            If the file is damaged; likewise.
        """
        return self._read(name, products.load)

    def table(self, name: str) -> QTable:
        """Read a table that a notebook saved.

        Parameters
        ----------
        name : str
            The file's name, such as "01_giants.ecsv".

        Returns
        -------
        astropy.table.QTable

        Raises
        ------
        FileNotFoundError
            If it is not there; the message names the notebook that makes it.
        ValueError
            If the file is damaged; likewise.
        """
        return self._read(name, read_table)

    def path(self, name: str) -> Path:
        """The path of a file that a notebook saved, recorded as an input like `open`'s."""
        return self._made(name)

    def save(self, result: Any, name: str) -> Path:
        """Save a result for the notebooks that follow.

        Parameters
        ----------
        result : xarray.Dataset, arviz.InferenceData, astropy.table.Table or an object with .save(path)
            A Dataset and an InferenceData go to netCDF, a Table to ECSV; each of these files ends with a seal
            (`lab2.files`).
        name : str
            The file's name; it begins with this notebook's number.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        ValueError
            If the name does not begin with this notebook's number.
        TypeError
            If a result of this kind cannot be saved.
        """
        if not name.startswith(f"{self.number}_"):
            raise briefly(ValueError(f"notebook {self.notebook} saves files named {self.number}_..., not {name!r}"))
        path = places.place(self.survey, self.interactive) / name
        if isinstance(result, xarray.Dataset) and "path" in result:  # independent of the location of the checkout
            result = result.assign(path=result.path.copy(data=[_short(Path(file)) for file in result.path.values]))
        if isinstance(result, Table):
            result = result.copy(copy_data=False)
            result.meta |= {"survey": self.survey, "simulated": self.simulated}
        with replacing(path) as part:
            if isinstance(result, xarray.Dataset):
                products.save(result, part)
            elif isinstance(result, Table):
                write_table(part, result)
            elif hasattr(result, "save"):
                result.save(part)
            elif hasattr(result, "posterior"):
                from lab2 import posterior  # PyMC was loaded to make it

                posterior.save(result, part)
            else:
                kind = type(result).__name__
                raise briefly(TypeError(f"give a Dataset, a Table or a model: a {kind} cannot be saved"))
        return path

    def show(self, figure: Figure, name: str, caption: str, real: bool = False, zoom: bool = False) -> Figure:
        """Show a figure with its caption, and save it with a record of its origin.

        Writes figures/<survey>/NN_<name>.png, .pdf and .json, in an interactive run to the folder interactive/ there.

        Parameters
        ----------
        figure : matplotlib.figure.Figure
            The figure.
        name : str
            One word for it, such as "corner".
        caption : str
            Its caption, in Markdown. Its lines are joined to one paragraph.
        real : bool
            Whether it shows only real spectra. Otherwise a figure made from a simulated survey is marked as such.
        zoom : bool
            Whether an interactive run adds a zoomable view, for a figure with more pixels than the screen. It needs
            ipympl.

        Returns
        -------
        matplotlib.figure.Figure
            The same figure, which can be changed and shown again. pyplot has closed it.

        Raises
        ------
        ValueError
            If the name is not of a-z, 0-9 and _, or there is no caption.
        """
        import matplotlib.pyplot as plt

        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise briefly(ValueError(f"a figure's name is of a-z, 0-9 and _, not {name!r}"))
        caption = _paragraph(caption)
        if not caption:
            raise briefly(ValueError(f"give a caption: figure {name!r} has none"))
        stamped = self.simulated and not real
        if stamped:
            pictures.stamp(figure)
        drawn = pictures.pictures(figure)
        plt.close(figure)  # otherwise IPython shows it again at the end of the cell, and pyplot keeps it
        stem = places.figures_place(self.survey, self.interactive) / f"{self.number}_{name}"
        for kind, picture in drawn.items():
            with replacing(stem.with_suffix(f".{kind}")) as part:
                part.write_bytes(picture)
        with replacing(stem.with_suffix(".json")) as part:
            part.write_text(json.dumps(self._record(name, caption), indent=2) + "\n", encoding="utf-8")
        data, about = pictures.bundle(drawn, stem.name)
        display(data, raw=True, metadata=about)
        notices.caption(caption, "Figure", stem.name)
        if zoom and self.interactive:
            view = pictures.zoom_view(figure, f"{stem.name}{', simulated survey' if stamped else ''}")
            if view is not None:
                display(view, metadata={"lab2": {"role": "zoom"}})
        pictures.shown_already(figure)
        return figure

    def say(self, markdown: str) -> None:
        """Show Markdown text, for prose with computed numbers.

        Parameters
        ----------
        markdown : str
            Usually a triple-quoted f-string, indented like the code around it: the common indentation and blank lines
            at both ends are removed (`inspect.cleandoc`). This applies to the formatted string, so inserted values must
            not contain line breaks.

        Raises
        ------
        ValueError
            If there is no text.
        """
        text = inspect.cleandoc(markdown).strip()
        if not text:
            raise briefly(ValueError("give a text: there is nothing to say"))
        display(Markdown(text))

    def display_table(
        self, table: Table | DataFrame, caption: str, formats: Mapping[str, str] | None = None, name: str | None = None
    ) -> None:
        """Show a table with its caption. Labels appear by their symbols, in a column "label" with their units.

        Parameters
        ----------
        table : astropy.table.Table or pandas.DataFrame
            A DataFrame's index is its first column, unless it only counts the rows.
        caption : str
            Its caption, in Markdown. Its lines are joined to one paragraph.
        formats : dict, optional
            Column to format, such as {"bias": ".2f"}.
        name : str, optional
            One word for it, such as "statistics", if prose refers to it.

        Raises
        ------
        ValueError
            If there is no caption, or a format is given for a column that is not there.
        """
        caption = _paragraph(caption)
        if not caption:
            raise briefly(ValueError("give a caption: a table has one"))
        try:
            html = html_table(table, formats)
        except ValueError as problem:
            raise briefly(problem) from None
        display(HTML(html), metadata={"lab2": {"role": "table"}})
        notices.caption(caption, "Table", name and f"{self.number}_{name}")

    def _made(self, name):
        path = places.product(name, self.survey, self.interactive)
        if not path.is_file():
            raise briefly(FileNotFoundError(f"{self._advice(name)}: there is no {name} in {path.parent}"))
        if name not in self._told and (run := places.official(path, self.survey)):
            self._told.add(name)
            self.say(f"""
                > **Read from an interactive run:** `{_short(path)}` of {_date(path)}, which differs from
                > `{_short(run)}` of {_date(run)}. To go back to the files of `lab2 run`, delete the folder
                > `{_short(path.parent)}/`.
            """)
        return self.input(path)

    def _read(self, name, reader):
        path = self._made(name)
        try:
            return reader(path)
        except ValueError as problem:
            raise briefly(ValueError(f"{self._advice(name)}: {problem}")) from problem

    def _advice(self, name):
        maker = re.match(r"(\d\d)_", name)
        if not maker:
            return "look at the name, no notebook makes it"
        return f"run {command(f'run {maker[1]} --survey {self.survey}')} (notebook {maker[1]} makes {name})"

    def _record(self, name, caption):
        shell = get_ipython()
        return {
            "notebook": self.notebook,
            "cell": shell.execution_count if shell else None,
            "figure": name,
            "caption": caption,
            "survey": self.survey,
            "simulated": self.simulated,
            "label_tree": self.label_tree,
            "seed": self.seed,
            "interactive": self.interactive,
            "commit": self._commit,
            "dirty": self._dirty,
            "inputs": dict(sorted(self._inputs.items())),
            "versions": provenance.versions(),
        }


def _paragraph(text: str) -> str:
    """Text of several indented lines as one line."""
    return " ".join(text.split())


def _date(path):
    """When a file was written, in local time."""
    return f"{datetime.datetime.fromtimestamp(path.stat().st_mtime):%Y-%m-%d %H:%M:%S}"


def _short(path):
    """A file's path relative to the home folder; outside of it only its name, since other folders depend on the
    machine."""
    with contextlib.suppress(ValueError):
        return path.resolve().relative_to(home()).as_posix()
    return path.name
