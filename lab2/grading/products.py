"""The files that a notebook has made, and where to find them."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Products", "products_of"]

_PRODUCT = re.compile(r"(\d\d)_.+\.(?:nc|ecsv|png)")


@dataclass(frozen=True)
class Products:
    """The files made by a notebook.

    Attributes
    ----------
    number : str
        The notebook's number.
    build, figures : pathlib.Path
        The folders of its results and figures.
    others : pathlib.Path
        The folder of the results of the other notebooks.
    """

    number: str
    build: Path
    figures: Path
    others: Path

    def path(self, name: str) -> Path:
        """Path of a result. Those of this notebook must be its own, not links to the reference."""
        if not name.startswith(self.number):
            return self.others / name
        path = self.build / name
        if not path.is_file() or path.is_symlink():
            raise FileNotFoundError(f"it did not save {name}")
        return path


def products_of(home: Path, survey: str, number: str, reference: Path) -> Products | None:
    """The folders in which a notebook saved results, or None."""
    for path in sorted(home.rglob(f"{survey}/{number or '[0-9][0-9]'}_*")):
        kind, found = path.parents[1], _PRODUCT.fullmatch(path.name)
        if found and kind.name in ("build", "figures") and path.is_file() and not path.is_symlink():
            own = kind.parent
            return Products(found[1], own / "build" / survey, own / "figures" / survey, reference)
    return None
