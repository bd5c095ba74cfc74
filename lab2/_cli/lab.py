"""Commands that run notebooks and make PDFs."""

import argparse
import ast

from lab2._cli.data import ON_SURVEY

__all__ = ["add_commands"]

_TARGETS = (
    "survey (the data alone), lab (all notebooks), cp1, cp2, cp3, checkpoints, or report: everything (default: report)"
)
_NAME = {"default": "Firstname_Lastname", "metavar": "NAME", "help": "your name, as Firstname_Lastname"}


def run(chosen):
    """Execute notebooks on a survey."""
    from lab2._lock import alone
    from lab2.report.run import run
    from lab2.survey import build_folder

    with alone(build_folder(chosen.survey), wait=True):
        for path in run(chosen.notebooks, chosen.survey, dict(chosen.parameters)):
            print(path)


def make(chosen):
    """Bring the lab up to date: the survey, the notebooks that are stale, and the PDFs."""
    from lab2._lock import alone
    from lab2._making import make
    from lab2.survey import build_folder

    with alone(build_folder(chosen.survey), wait=True):
        given = {name: getattr(chosen, name) for name in ("survey", "seed", "n_stars", "mystery", "name")}
        for path in make(chosen.target, **given):
            print(path)


def status(chosen):
    """Show what is up to date and what is not, and why. Nothing is changed."""
    from lab2._making import status

    found = status(chosen.survey, chosen.name)
    width = max(len(name) for name, _ in found)
    for name, state in found:
        print(f"{name:{width}}  {state}")


def checkpoints(chosen):
    """Make the checkpoints' PDFs."""
    from lab2._lock import alone
    from lab2.report.checkpoints import CHECKPOINTS, checkpoint
    from lab2.survey import build_folder

    with alone(build_folder(chosen.survey), wait=True):
        for number in chosen.number or CHECKPOINTS:
            print(checkpoint(number, chosen.survey, chosen.name))


def report(chosen):
    """Make the report's PDF."""
    from lab2._lock import alone
    from lab2.report.document import report
    from lab2.survey import build_folder

    with alone(build_folder(chosen.survey), wait=True):
        print(report(chosen.survey, chosen.name))


def explorer(chosen):
    """Make the interactive page, report.html."""
    from lab2._lock import alone
    from lab2.explorer import page
    from lab2.survey import build_folder

    with alone(build_folder(chosen.survey), wait=True):
        print(page(chosen.survey))


def _parameter(text):
    """NAME=VALUE, the value read as a Python literal if possible, else as text; a file name is always text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"a parameter is written name=value, not {text!r}")
    if name == "mystery":
        return name, value
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: deeply nested brackets
        return name, value


def add_commands(add):
    """Describe the commands of this module."""
    one = add(
        run, "run", "finished notebooks are kept; `make` continues with the next, this command starts with the first"
    )
    text = "their numbers, such as 04, or paths of other notebooks (default: all of the project)"
    one.add_argument("notebooks", nargs="*", metavar="NN", help=text)
    one.add_argument("--survey", **ON_SURVEY)
    one.add_argument(
        "--parameters",
        nargs="+",
        type=_parameter,
        default=[],
        action="extend",
        metavar="NAME=VALUE",
        help="parameters of the notebooks; unknown names are rejected, and so is survey: use --survey",
    )

    one = add(make, "make", "finished work is kept; run the same command to continue")
    one.add_argument("target", nargs="?", default="report", metavar="TARGET", help=_TARGETS)
    one.add_argument("--survey", **ON_SURVEY)
    one.add_argument("--seed", type=int, metavar="S", help="seed of the simulated survey and of the notebooks")
    one.add_argument("--n-stars", type=int, metavar="N", help="approximate number of stars in the simulated survey")
    one.add_argument("--mystery", metavar="FILE", help="an apStar file for notebook 07, or survey for the survey's own")
    one.add_argument("--name", **_NAME)

    one = add(status, "status")
    one.add_argument("--survey", **ON_SURVEY)
    one.add_argument("--name", **_NAME)

    one = add(checkpoints, "checkpoints", "finished PDFs are kept; run the same command to make all of them")
    one.add_argument("--survey", **ON_SURVEY)
    one.add_argument("--name", **_NAME)
    one.add_argument("--number", type=int, action="append", help="1, 2 or 3 (default: all three)")

    one = add(report, "report")
    one.add_argument("--survey", **ON_SURVEY)
    one.add_argument("--name", **_NAME)

    one = add(explorer, "explorer")
    one.add_argument("--survey", **ON_SURVEY)
