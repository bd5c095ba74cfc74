"""How to type a lab2 command on this machine, for messages that suggest one."""

import os
import sys
from pathlib import Path

__all__ = ["command"]


def command(text: str) -> str:
    """A command as typed in the current folder.

    Parameters
    ----------
    text : str
        The command without the program, such as "run 04".

    Returns
    -------
    str
        ``.venv/bin/python -m lab2 run 04`` if Python belongs to an inactive .venv in the current folder or above it,
        else ``python -m lab2 run 04``.
    """
    environment = Path(sys.prefix)
    active = os.environ.get("VIRTUAL_ENV") == sys.prefix
    python = "python"
    if environment.name == ".venv" and not active and Path.cwd().is_relative_to(environment.parent):
        python = f"{os.path.relpath(environment)}/bin/python"
    return f"{python} -m lab2 {text}"
