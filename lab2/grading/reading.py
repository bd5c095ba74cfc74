"""What a notebook has left behind, read in a process with limits: its files may be anything.

Run as ``python -m lab2.grading.reading``: it prints JSON into a file.
"""

import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Products", "left_behind", "products_of"]

_PRODUCT = re.compile(r"(\d\d)_.+\.(?:nc|ecsv|png)")


@dataclass(frozen=True)
class Products:
    """The files that a notebook has made.

    Attributes
    ----------
    number : str
        The notebook's number.
    build, figures : pathlib.Path
        The folders with its results and its figures.
    others : pathlib.Path
        Where the results of the other notebooks are.
    """

    number: str
    build: Path
    figures: Path
    others: Path

    def path(self, name: str) -> Path:
        """A result. One of this notebook must be its own, and no link to the reference's."""
        if not name.startswith(self.number):
            return self.others / name
        path = self.build / name
        if not path.is_file() or path.is_symlink():
            raise FileNotFoundError(f"it did not save {name}")
        return path


def left_behind(home: Path, survey: str, number: str, reference: Path) -> dict:
    """The executed notebook, the cell that was running, and the key numbers.

    Parameters
    ----------
    home : pathlib.Path
        The folder that was LAB2_HOME.
    survey : str
    number : str
        Of the notebook; "" where it is told by what was saved.
    reference : pathlib.Path
        The folder build/<survey> of the reference.

    Returns
    -------
    dict
        executed (the path of the notebook with its outputs, or None), running (the first line of the cell that had
        begun and not ended), number, numbers, and problem (why there are none).
    """
    found = {"executed": None, "running": "", "number": number, "numbers": [], "problem": ""}
    executed = sorted(path for path in home.rglob("*.ipynb") if path.is_file() and not path.is_symlink())
    if executed:
        found["executed"] = str(executed[0])
        found["running"] = _running(executed[0])
    try:
        made = products_of(home, survey, number, reference)
        if made:
            from lab2.grading.numbers import key_numbers  # most of the time that this takes

            found["number"] = made.number
            found["numbers"] = [asdict(one) for one in key_numbers(made)]
    except Exception as problem:  # the files may be anything
        found["problem"] = f"{problem}" if isinstance(problem, FileNotFoundError | ValueError) else repr(problem)
    return found


def products_of(home: Path, survey: str, number: str, reference: Path) -> Products | None:
    """The folders in which a notebook has saved something, or None."""
    for path in sorted(home.rglob(f"{survey}/{number or '[0-9][0-9]'}_*")):
        kind, found = path.parents[1], _PRODUCT.fullmatch(path.name)
        if found and kind.name in ("build", "figures") and path.is_file() and not path.is_symlink():
            own = kind.parent
            return Products(found[1], own / "build" / survey, own / "figures" / survey, reference)
    return None


def _running(path):
    """The first line of the last cell that began and did not end, as papermill keeps it."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        stages = [(cell["source"], cell["metadata"].get("papermill", {})) for cell in cells]
        begun = ["".join(source) for source, stage in stages if stage.get("start_time") and not stage.get("end_time")]
        return begun[-1].strip().split("\n")[0] if begun else ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""  # it was cut, or is no notebook


if __name__ == "__main__":
    home, survey, number, reference, out = sys.argv[1:]
    content = left_behind(Path(home), survey, number, Path(reference))
    Path(out).write_text(json.dumps(content), encoding="utf-8")
