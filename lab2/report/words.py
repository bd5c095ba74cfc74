"""Numbers in a sentence, sentences that depend on a number, and text from outside in Markdown."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence

from lab2._rounding import MINUS, measured
from lab2._text import visible
from lab2.labels import LABELS

__all__ = ["MINUS", "correlated", "counted", "escaped", "graded", "joined", "listed", "measured", "symbol"]

_SYMBOLS = {label.name: label.symbol for label in LABELS}

# JupyterLab looks for formulas between $ and $, or \( and \), once more after Markdown's own escapes are gone, and
# spares nothing but code. A backtick would end that code, and nbconvert takes an escaped & for the start of an entity.
_ACTIVE = re.compile(r"(?P<formula>[\\$]+)|(?P<entity>[&`])|[!-/:-@\[-_{-~]")


def escaped(text: object) -> str:
    """Text from outside as Markdown that shows its characters literally.

    All text from servers, headers, catalogs, manifests and users passes through this function before it is used in
    `Page.say` or captions.

    Parameters
    ----------
    text : object
        A string, or an object to convert to one; `lab2._text.visible` says what is shortened and which characters are
        replaced.

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


def symbol(name: object) -> str:
    """The symbol of a label; any other name unchanged.

    Parameters
    ----------
    name : object
        Such as "fe_h".

    Returns
    -------
    str
        Such as "[Fe/H]"; a formula for Teff and log g.

    Examples
    --------
    >>> symbol("mg_fe"), symbol("S/N")
    ('[Mg/Fe]', 'S/N')
    """
    return _SYMBOLS.get(str(name), str(name))


def listed(values: Iterable[float], names: Iterable[str], form: str = ".2f") -> str:
    """Values with their names as a list for a sentence; labels by their symbols.

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
    >>> listed([1.2345, 0.5], ["fe_h", "S/N"])
    '1.23 ([Fe/H]), 0.50 (S/N)'
    """
    return ", ".join(f"{value:{form}} ({symbol(name)})" for value, name in zip(values, names, strict=True))


def joined(names: Iterable[str], nothing: str = "none") -> str:
    """Names as a list for a sentence; labels by their symbols.

    Parameters
    ----------
    names : sequence of str
    nothing : str
        What to say where there are no names.

    Returns
    -------
    str

    Examples
    --------
    >>> joined(["Teff", "log g", "[Fe/H]"])
    'Teff, log g and [Fe/H]'
    >>> joined([])
    'none'
    """
    *first, last = [symbol(name) for name in names] or [nothing]
    return f"{', '.join(first)} and {last}" if first else last


def counted(names: Iterable[str]) -> str:
    """How often each name occurs, the most frequent first; labels by their symbols.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    str

    Examples
    --------
    >>> counted(["OH", "CO", "OH"])
    'OH 2, CO 1'
    """
    return ", ".join(f"{name} {count}" for name, count in Counter(map(symbol, names)).most_common()) or "none"


def graded(value: float, limits: Sequence[float], texts: Sequence[str]) -> str:
    """Choose a text by the interval in which a number lies.

    Parameters
    ----------
    value : float
        The number; NaN where it could not be determined.
    limits : sequence of float
        Ascending. A value that equals a limit lies above it.
    texts : sequence of str
        From the lowest interval to the highest, one more than there are limits.

    Returns
    -------
    str
        "" for NaN.

    Raises
    ------
    ValueError
        If the limits do not ascend, or there is not one text more than limits.

    Examples
    --------
    >>> graded(2.3, [1, 3], ["within the error", "doubtful", "significant"])
    'doubtful'
    """
    if len(texts) != len(limits) + 1 or sorted(limits) != list(limits):
        raise ValueError(f"give ascending limits and one text more: got {list(limits)} and {len(texts)} texts")
    return "" if value != value else texts[bisect_right(limits, value)]


def correlated(r: float) -> str:
    """Describe a correlation coefficient in words.

    Parameters
    ----------
    r : float
        Pearson's.

    Returns
    -------
    str

    Examples
    --------
    >>> correlated(-0.9), correlated(0.1)
    ('strongly anticorrelated', 'hardly correlated')
    """
    strength = graded(abs(r), (0.2, 0.4, 0.8), ("hardly ", "weakly ", "", "strongly "))
    return f"{strength}{'anti' if r <= -0.2 else ''}correlated"
