"""An interactive page about a survey, report.html: one file that opens from disk, without server or network.

``products`` reads what the notebooks have made, ``model``, ``stars`` and ``dial`` turn it into the numbers of the
page's three panels, ``packing`` makes these small, and ``writing`` puts them together with BokehJS and with the HTML,
CSS and JavaScript in ``page/``.
"""

from lab2._extras import require

require("lab", __name__)

from lab2.explorer.products import NOTEBOOKS
from lab2.explorer.writing import is_fresh, page, page_path

__all__ = ["NOTEBOOKS", "is_fresh", "page", "page_path"]
