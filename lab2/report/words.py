"""Numbers in a sentence, and text from outside in Markdown."""

import re
from collections.abc import Iterable

from lab2._text import visible

__all__ = ["escaped", "listed"]

# JupyterLab looks for formulas between $ and $, or \( and \), once more after Markdown's own escapes are gone, and
# spares nothing but code. A backtick would end that code, and nbconvert takes an escaped & for the start of an entity.
_ACTIVE = re.compile(r"(?P<formula>[\\$]+)|(?P<entity>[&`])|[!-/:-@\[-_{-~]")


def escaped(text) -> str:
    """Text from outside as Markdown that shows these characters and does nothing else.

    Whatever a server, a header, a catalog, a manifest or a user says goes through here on its way into `Page.say` and
    into captions.

    Parameters
    ----------
    text : object
        A string, or what becomes one; `lab2._text.visible` says what is shortened and which characters are replaced.

    Returns
    -------
    str
        One line, which pandoc, JupyterLab and nbconvert read alike.

    Examples
    --------
    >>> print(escaped("404 <b>gone</b>"))
    404 \\<b\\>gone\\<\\/b\\>
    >>> print(escaped("5 $"))
    5 `$`
    """

    def escape(found):
        if found["formula"]:
            return f"`{found[0]}`"
        return f"&#{ord(found[0])};" if found["entity"] else f"\\{found[0]}"

    return _ACTIVE.sub(escape, visible(text))


def listed(values: Iterable[float], names: Iterable[str], form: str = ".2f") -> str:
    """Values with their names, as a sentence lists them.

    Parameters
    ----------
    values : sequence of float
    names : sequence of str
        One for each value.
    form : str
        Format of the values.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there are not as many names as values.

    Examples
    --------
    >>> listed([1.2345, 0.5], ["teff", "logg"])
    '1.23 (teff), 0.50 (logg)'
    """
    return ", ".join(f"{value:{form}} ({name})" for value, name in zip(values, names, strict=True))
