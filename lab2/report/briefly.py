"""Errors that JupyterLab shows without the long traceback, so that their advice is seen."""

import traceback
from types import MethodType

__all__ = ["briefly"]

_IN_A_CELL = ("ipykernel_", "<ipython-input-")  # what IPython calls the source of a cell


def briefly(error: Exception) -> Exception:
    """The same error, of which IPython shows only the message and the line of the cell that raised it.

    Elsewhere it is an error like any other. (IPython asks an error for `_render_traceback_` before it prints one.)

    Parameters
    ----------
    error : Exception
        To be raised. Its message begins with what to do.

    Returns
    -------
    Exception

    Examples
    --------
    >>> error = briefly(ValueError("say more: the text is empty"))
    >>> error._render_traceback_()
    ['ValueError: say more: the text is empty']
    """
    error._render_traceback_ = MethodType(_rendered, error)
    return error


def _rendered(error):
    lines = [f"{type(error).__name__}: {error}"]
    frames = traceback.extract_tb(error.__traceback__)
    here = [frame for frame in frames if any(mark in frame.filename for mark in _IN_A_CELL)]
    if here and here[-1].line:
        lines.append(f"in line {here[-1].lineno} of the cell: {here[-1].line}")
    return lines
