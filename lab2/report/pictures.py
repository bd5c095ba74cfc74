"""A figure on a page: a picture for the screen, one for print, and a zoomable view."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from IPython import get_ipython

if TYPE_CHECKING:  # loading them takes long
    from ipywidgets import Accordion
    from matplotlib.figure import Figure

__all__ = ["bundle", "pictures", "shown_already", "stamp", "zoom_view"]

_DPI = 200
_SHOWN_DPI = 140  # a figure of the page's width is 940 pixels wide on the screen, which keeps the rest if it is sharp
_STAMP = "simulated survey"


def stamp(figure: Figure) -> None:
    """Mark a figure, once, as made from simulated data."""
    if not any(text.get_gid() == _STAMP for text in figure.texts):
        # Below the axes' lower edge, where the tight bounding box makes room, so that it hides nothing.
        figure.text(1.0, 0.0, _STAMP, ha="right", va="top", size=6, color="0.5", gid=_STAMP)


def pictures(figure: Figure) -> dict[str, bytes]:
    """A figure as PNG and PDF; equal figures give equal bytes."""
    layout = figure.get_layout_engine()
    drawn = {"png": _drawn(figure, "png")}
    figure.set_layout_engine("none")  # once laid out it is; to do so again for the PDF takes as long as to draw
    drawn["pdf"] = _drawn(figure, "pdf", metadata={"CreationDate": None})
    figure.set_layout_engine(layout)
    return drawn


def bundle(drawn: Mapping[str, bytes], name: str) -> tuple[dict, dict]:
    """The display data of a figure by type, and metadata with the picture's width on the screen."""
    data = {
        "image/png": base64.b64encode(drawn["png"]).decode("ascii"),
        "application/pdf": base64.b64encode(drawn["pdf"]).decode("ascii"),
        "text/plain": f"figure {name}",
    }
    width = int.from_bytes(drawn["png"][16:20], "big")  # from the PNG header
    return data, {"lab2": {"role": "figure"}, "image/png": {"width": width * _SHOWN_DPI // _DPI}}


def shown_already(figure: Figure) -> None:
    """Prevent IPython from showing a figure again if it is the value of its cell.

    Later cells may display it again.
    """
    shell = get_ipython()
    if shell is None or "_ipython_display_" in vars(figure):
        return
    figure._ipython_display_ = _nothing

    def forget(*_):
        vars(figure).pop("_ipython_display_", None)
        shell.events.unregister("post_run_cell", forget)

    shell.events.register("post_run_cell", forget)


def zoom_view(figure: Figure, title: str) -> Accordion | None:
    """A collapsed widget in which a figure can be zoomed and panned; None if ipympl is not installed."""
    if find_spec("ipympl") is None:
        return None
    import matplotlib

    backend = matplotlib.get_backend()
    from ipympl.backend_nbagg import Canvas, FigureManager  # which makes itself the backend of all further figures
    from ipywidgets import Accordion

    matplotlib.use(backend)
    figure.set_dpi(_SHOWN_DPI)
    FigureManager(Canvas(figure), 0).set_window_title(title)
    return Accordion(children=[figure.canvas], titles=["Zoom in"])


def _drawn(figure, kind, **options):
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_DPI, bbox_inches="tight", **options)
    return buffer.getvalue()


def _nothing():
    """Display nothing."""
