"""What a notebook holds in its hand: it opens, saves, shows and says, and every result keeps its origin."""

import base64
import contextlib
import inspect
import io
import json
import re
from pathlib import Path

import xarray
from astropy.table import Table
from IPython import get_ipython
from IPython.display import HTML, Markdown, display

from lab2.files import read_table, replacing, sha256, write_table
from lab2.report import products, provenance
from lab2.report.html import html_table
from lab2.report.words import escaped
from lab2.survey import build_folder, check, figure_folder, home, survey_folder

__all__ = ["Page"]

_DPI = 200
_SHOWN_DPI = 100  # JupyterLab shows a picture at this scale, and keeps the rest for sharp screens


class Page:
    """The page that one notebook writes.

    All files of the survey are compared with its manifest first. The manifest's checksum, which every figure's record
    has, therefore stands for the data themselves.

    Parameters
    ----------
    notebook : str
        The notebook's name, such as "04_spectral_model"; its number marks everything that it makes.
    survey : str
        The survey that it reads, the name of a folder in data/.
    seed : int
        The seed of its random numbers, kept in the record of every figure.

    Raises
    ------
    ValueError
        If the notebook's name does not begin with two digits and an underscore, or the survey's files are not those of
        its manifest.
    FileNotFoundError
        If the survey was never made.
    """

    def __init__(self, notebook, survey, seed):
        if not re.fullmatch(r"\d\d_\w+", notebook):
            raise ValueError(f"a notebook is named like '04_spectral_model', not {notebook!r}")
        self.notebook = notebook
        self.survey = survey
        self.seed = seed
        about = check(survey, progress=False)
        self.simulated = about["simulated"]
        self.label_tree = about.get("label_tree", "unknown")
        self._inputs = {}
        self._commit, self._dirty = provenance.commit()
        self.input(survey_folder(survey) / "manifest.json")

    @property
    def number(self):
        """The notebook's number, two digits."""
        return self.notebook[:2]

    @property
    def statement(self):
        """A sentence for the top of the notebook: which survey it shows, real or simulated."""
        survey = escaped(self.survey)
        if self.simulated:
            return (
                f"> This run shows the survey **{survey}**: *simulated* spectra and catalog, with the "
                f"layout of SDSS DR17's files. Nothing in it was observed. Seed {self.seed}."
            )
        return (
            f"> This run shows the survey **{survey}**: observed spectra, and labels of the pipeline's run "
            f"*{escaped(self.label_tree)}*. Seed {self.seed}."
        )

    def input(self, path):
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
            raise FileNotFoundError(f"there is no file {path}, which notebook {self.notebook} reads")
        self._inputs[_short(path)] = sha256(path)
        return path

    def open(self, name):
        """Read a Dataset that a notebook saved.

        Parameters
        ----------
        name : str
            The file's name in build/<survey>/, such as "03_spectra.nc".

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

    def table(self, name):
        """Read a table that a notebook saved.

        Parameters
        ----------
        name : str
            The file's name in build/<survey>/, such as "01_giants.ecsv".

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

    def path(self, name):
        """The path of a file in build/<survey>/ that a notebook saved, recorded as an input like `open`'s."""
        return self._made(name)

    def save(self, result, name):
        """Save a result for the notebooks that follow.

        Parameters
        ----------
        result : xarray.Dataset, arviz.InferenceData, astropy.table.Table or an object with .save(path)
            A Dataset and an InferenceData go to netCDF, a Table to ECSV; each of these files ends with a seal
            (`lab2.files`).
        name : str
            The file's name in build/<survey>/; it begins with this notebook's number.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        ValueError
            If the name does not begin with this notebook's number.
        TypeError
            If the result is of no kind that can be saved.
        """
        if not name.startswith(f"{self.number}_"):
            raise ValueError(f"notebook {self.notebook} saves files named {self.number}_..., not {name!r}")
        path = build_folder(self.survey) / name
        if isinstance(result, xarray.Dataset) and "path" in result:  # the same wherever the checkout lies
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
                raise TypeError(f"cannot save a {type(result).__name__}: give a Dataset, a Table or a model")
        return path

    def show(self, figure, name, caption, real=False):
        """Show a figure with its caption, and keep it with the record of where it came from.

        Writes figures/<survey>/NN_<name>.png, .pdf and .json. The figure is closed.

        Parameters
        ----------
        figure : matplotlib.figure.Figure
            The figure.
        name : str
            One word for it, such as "corner".
        caption : str
            Its caption, in Markdown. Its lines are joined to one paragraph.
        real : bool
            Whether only real spectra are on it. Otherwise a figure made from a simulated survey says so.
        """
        import matplotlib.pyplot as plt

        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise ValueError(f"a figure's name is of a-z, 0-9 and _, not {name!r}")
        caption = _paragraph(caption)
        if not caption:
            raise ValueError(f"figure {name!r} has no caption")
        if self.simulated and not real:
            # Below the axes' lower edge, where the tight bounding box makes room: it can hide nothing.
            figure.text(1.0, 0.0, "simulated survey", ha="right", va="top", size=6, color="0.5")
        pictures = {
            kind: _picture(figure, kind, metadata)
            for kind, metadata in {"png": {}, "pdf": {"CreationDate": None}}.items()
        }
        plt.close(figure)
        stem = figure_folder(self.survey) / f"{self.number}_{name}"
        for kind, picture in pictures.items():
            with replacing(stem.with_suffix(f".{kind}")) as part:
                part.write_bytes(picture)
        with replacing(stem.with_suffix(".json")) as part:
            part.write_text(json.dumps(self._record(name, caption), indent=2) + "\n", encoding="utf-8")
        width = int.from_bytes(pictures["png"][16:20], "big")  # from the PNG header
        display(
            {
                "image/png": base64.b64encode(pictures["png"]).decode("ascii"),
                "application/pdf": base64.b64encode(pictures["pdf"]).decode("ascii"),
                "text/plain": f"figure {stem.name}",
            },
            raw=True,
            metadata={"lab2": {"role": "figure"}, "image/png": {"width": width * _SHOWN_DPI // _DPI}},
        )
        _display_caption(caption)

    def say(self, markdown: str) -> None:
        """Put a passage of Markdown on the page, for prose whose numbers were computed.

        Parameters
        ----------
        markdown : str
            Usually a triple-quoted f-string, indented like the code around it: the margin that its lines share is taken
            off, and blank lines at both ends (`inspect.cleandoc`). It is taken off the finished string, so a value put
            into indented text must not bring lines of its own.

        Raises
        ------
        ValueError
            If there is no text.
        """
        text = inspect.cleandoc(markdown).strip()
        if not text:
            raise ValueError("there is nothing to say")
        display(Markdown(text))

    def display_table(self, table, caption, formats=None):
        """Show a table with its caption.

        Parameters
        ----------
        table : astropy.table.Table or pandas.DataFrame
            A DataFrame's index is its first column, unless it only counts the rows.
        caption : str
            Its caption, in Markdown. Its lines are joined to one paragraph.
        formats : dict, optional
            Column to format, such as {"bias": ".2f"}.

        Raises
        ------
        ValueError
            If there is no caption, or a format is given for a column that is not there.
        """
        caption = _paragraph(caption)
        if not caption:
            raise ValueError("a table has a caption")
        display(HTML(html_table(table, formats)), metadata={"lab2": {"role": "table"}})
        _display_caption(caption)

    def _made(self, name):
        path = build_folder(self.survey) / name
        if not path.is_file():
            raise FileNotFoundError(f"there is no {name} in {path.parent}: {self._advice(name)}")
        return self.input(path)

    def _read(self, name, reader):
        path = self._made(name)
        try:
            return reader(path)
        except ValueError as problem:
            raise ValueError(f"{problem}; {self._advice(name)}") from problem

    def _advice(self, name):
        maker = re.match(r"(\d\d)_", name)
        if not maker:
            return "no notebook makes it"
        return f"notebook {maker[1]} makes it; run: python -m lab2 run {maker[1]} --survey {self.survey}"

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
            "commit": self._commit,
            "dirty": self._dirty,
            "inputs": dict(sorted(self._inputs.items())),
            "versions": provenance.versions(),
        }


def _paragraph(text: str) -> str:
    """Text of several indented lines as one line."""
    return " ".join(text.split())


def _display_caption(caption):
    display(Markdown(caption), metadata={"lab2": {"role": "caption"}})


def _picture(figure, kind, metadata):
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_DPI, bbox_inches="tight", metadata=metadata)
    figure.set_layout_engine("none")  # once laid out it is; to do so again for the next kind takes as long as to draw
    return buffer.getvalue()


def _short(path):
    """A file by its place under the home folder; elsewhere by its name, since folders are a machine's own."""
    with contextlib.suppress(ValueError):
        return path.resolve().relative_to(home()).as_posix()
    return path.name
