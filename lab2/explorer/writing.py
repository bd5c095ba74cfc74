"""The page itself: HTML, CSS, JavaScript, BokehJS and the numbers in one file."""

import html
import json
from importlib import metadata
from pathlib import Path
from string import Template

import bokeh

from lab2 import _code
from lab2.explorer import dial, model, stars
from lab2.explorer.products import Products, inputs, read
from lab2.files import sha256
from lab2.report import provenance, records
from lab2.survey import build_folder

__all__ = ["is_fresh", "page", "page_path"]

_PARTS = Path(__file__).with_name("page")
# In the order in which they need each other.
_SCRIPTS = ("packing", "numbers", "model", "charts", "spectrum", "labels_panel", "stars_panel", "dial_panel", "main")
_BOKEH = Path(bokeh.__file__).parent / "server" / "static" / "js"
_BOKEH_SCRIPTS = ("bokeh.min.js", "bokeh-api.min.js")
# Problem 14's pair: a cool giant of low gravity, and a warmer one of higher gravity that is to be made like it.
_PAIR = {"cool": {"teff": 4200.0, "logg": 1.6}, "warm": {"teff": 4650.0, "logg": 2.5}}


def page_path(survey: str) -> Path:
    """The page of a survey: build/<survey>/report.html."""
    return build_folder(survey) / "report.html"


def page(survey: str = "simulated") -> Path:
    """Write the interactive page of a survey.

    Parameters
    ----------
    survey : str
        Its notebooks 01 to 05 have been executed.

    Returns
    -------
    pathlib.Path
        build/<survey>/report.html, which a browser opens from disk. It loads nothing from elsewhere.

    Raises
    ------
    FileNotFoundError
        If a notebook that makes a part of it has not been executed.
    ValueError
        If a file is damaged, or the files do not belong together.

    Notes
    -----
    The same files and versions give the same bytes.
    """
    made_of = _made_of(survey)  # first: what changes while the page is made is not in it
    text = _assembled(survey, read(survey))
    return records.write(page_path(survey), text.encode(), made_of)


def is_fresh(survey: str) -> bool:
    """Whether the page is what its products and the code would make now."""
    return records.is_fresh(page_path(survey), lambda: _made_of(survey))


def _made_of(survey):
    """Checksums of what the page is made of, and versions."""
    files = {name: path and sha256(path) for name, path in inputs(survey).items()}
    return files | _versions() | {"code": _code.digest(_code.EXPLORER)}


def _versions():
    return provenance.installed() | {name: metadata.version(name) for name in ("lab2", "bokeh")}


def _assembled(survey, products):
    """The text of the file."""
    scripts = [(_PARTS / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS]
    library = [(_BOKEH / name).read_text(encoding="utf-8") for name in _BOKEH_SCRIPTS]
    # "<" would end the element that holds the data
    data = json.dumps(_numbers(products), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Template((_PARTS / "page.html").read_text(encoding="utf-8")).substitute(
        survey=html.escape(survey),
        kind="Simulated survey" if products.about["simulated"] else "Observed survey",
        about=html.escape(_about(products)),
        versions=html.escape(", ".join(f"{name} {version}" for name, version in _versions().items())),
        style=(_PARTS / "page.css").read_text(encoding="utf-8"),
        library="\n".join(library),
        data=data,
        script="\n".join(scripts),
    )


def _about(products):
    """What the survey is, in a sentence."""
    about, count = products.about, f"{products.spectra.sizes['star']} giants"
    if not about["simulated"]:
        return f"{count}; labels of the pipeline's run {about.get('label_tree', 'unknown')}."
    seed = f"; seed {about['seed']}" if "seed" in about else ""
    return f"{count}, made by lab2 and not observed{seed}."


def _numbers(products: Products) -> dict:
    """All that the scripts show."""
    names = products.model.labels
    mean = dict(zip(names, products.model.label_mean.values.tolist(), strict=True))
    solar = {name: 0.0 if name.endswith(("_h", "_fe")) else mean[name] for name in names}
    return {
        "simulated": products.about["simulated"],
        "model": model.described(products.model),
        "lines": model.line_list(products.model),
        "pair": {star: [(solar | given)[name] for name in names] for star, given in _PAIR.items()},
        "stars": stars.described(products),
        "dial": dial.described(products),
    }
