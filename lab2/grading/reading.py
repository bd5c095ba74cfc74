"""Read the results of a notebook in a process with limits, since its files may contain anything.

Run as ``python -m lab2.grading.reading``; it writes JSON to a file.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from lab2.grading.products import products_of

__all__ = ["left_behind"]


def left_behind(home: Path, survey: str, number: str, reference: Path) -> dict:
    """The executed notebook, the cell that was running, and the key numbers.

    Parameters
    ----------
    home : pathlib.Path
        The folder that was LAB2_HOME.
    survey : str
    number : str
        Number of the notebook; "" if it must be inferred from the saved files.
    reference : pathlib.Path
        The folder build/<survey> of the reference.

    Returns
    -------
    dict
        executed (the path of the notebook with its outputs, or None), running (the first line of the unfinished cell),
        number, numbers, and problem (why there are none).
    """
    found = {"executed": None, "running": "", "number": number, "numbers": [], "problem": ""}
    executed = sorted(path for path in home.rglob("*.ipynb") if path.is_file() and not path.is_symlink())
    if executed:
        found["executed"] = str(executed[0])
        found["running"] = _running(executed[0])
    try:
        made = products_of(home, survey, number, reference)
        if made:
            from lab2.grading.numbers import key_numbers  # takes most of the time

            found["number"] = made.number
            found["numbers"] = [asdict(one) for one in key_numbers(made)]
    except Exception as problem:  # the files may be anything
        found["problem"] = f"{problem}" if isinstance(problem, FileNotFoundError | ValueError) else repr(problem)
    return found


def _running(path):
    """The first line of the last unfinished cell, as recorded by papermill."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        stages = [(cell["source"], cell["metadata"].get("papermill", {})) for cell in cells]
        begun = ["".join(source) for source, stage in stages if stage.get("start_time") and not stage.get("end_time")]
        return begun[-1].strip().split("\n")[0] if begun else ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""  # truncated, or not a notebook


if __name__ == "__main__":
    home, survey, number, reference, out = sys.argv[1:]
    content = left_behind(Path(home), survey, number, Path(reference))
    Path(out).write_text(json.dumps(content), encoding="utf-8")
