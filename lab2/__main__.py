"""The command line: python -m lab2 --help."""

import argparse
import sys

from lab2 import __version__
from lab2._cli import data, lab, labels, scale, teaching

__all__ = ["main"]


def main(arguments=None):
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, without the program's name.

    Returns
    -------
    int
        The exit status: 0; 1 if a notebook or an archive failed; 2 if an argument or a file is wrong.
    """
    chosen = _parser().parse_args(arguments)
    from lab2._failure import Failure

    try:
        status = chosen.command(chosen)
    except (ValueError, OSError, ImportError) as error:
        print(f"lab2: error: {error}", file=sys.stderr)
        return 2
    except Failure as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; {chosen.interrupted}", file=sys.stderr)
        return 130
    return status or 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="lab2",
        description="A small Cannon for APOGEE, and its lab report.",
        epilog="Surveys, results and figures are in data/, build/ and figures/ of the home folder: that given by "
        "the environment variable LAB2_HOME, else the project around the current folder, else the current folder.",
    )
    parser.add_argument("--version", action="version", version=f"lab2 {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command, name, interrupted="nothing was written; run the same command to start again"):
        found = commands.add_parser(name, help=command.__doc__, description=command.__doc__)
        found.set_defaults(command=command, interrupted=interrupted)
        return found

    for part in (data, lab, labels, scale, teaching):
        part.add_commands(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
