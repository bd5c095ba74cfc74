"""How a command of lab2 is typed on this machine, for messages that tell someone to run one."""

import os
import sys
from pathlib import Path

__all__ = ["command"]


def command(text: str) -> str:
    """A command as one types it in the current folder.

    Parameters
    ----------
    text : str
        The command without the program, such as "run 04".

    Returns
    -------
    str
        ``.venv/bin/python -m lab2 run 04`` where Python is that of a .venv which lies in the current folder or above it
        and is not active, else ``python -m lab2 run 04``.
    """
    environment = Path(sys.prefix)
    active = os.environ.get("VIRTUAL_ENV") == sys.prefix
    python = "python"
    if environment.name == ".venv" and not active and Path.cwd().is_relative_to(environment.parent):
        python = f"{os.path.relpath(environment)}/bin/python"
    return f"{python} -m lab2 {text}"
