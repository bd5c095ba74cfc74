"""Numbers in a sentence, sentences that depend on a number, and text from outside in Markdown."""

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence

from lab2._text import visible
from lab2.labels import LABELS

__all__ = ["correlated", "counted", "escaped", "graded", "joined", "listed", "measured", "symbol"]

MINUS = "\N{MINUS SIGN}"
_SYMBOLS = {label.name: label.symbol for label in LABELS}

# JupyterLab looks for formulas between $ and $, or \( and \), once more after Markdown's own escapes are gone, and
# spares nothing but code. A backtick would end that code, and nbconvert takes an escaped & for the start of an entity.
_ACTIVE = re.compile(r"(?P<formula>[\\$]+)|(?P<entity>[&`])|[!-/:-@\[-_{-~]")


def escaped(text: object) -> str:
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


def symbol(name: object) -> str:
    """A label as readers know it; any other name as it is.

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


def measured(value: float, error: float) -> str:
    """A value with its error, both rounded to what the error allows.

    The error keeps two digits if they are 10 to 35, otherwise one: the rule of the Particle Data Group (Review of
    Particle Physics, Introduction, "Rounding").

    Parameters
    ----------
    value, error : float
        In the same unit. Without an error, NaN, the value keeps three digits.

    Returns
    -------
    str
        "–" where there is no value.

    Examples
    --------
    >>> print(measured(-9.13, 1.97), measured(4712.4, 38.2), measured(0.0513, 0.0068), sep="; ")
    −9.1 ± 2.0; 4710 ± 40; 0.051 ± 0.007
    """
    if not math.isfinite(value):
        return "–"
    if not (math.isfinite(error) and error > 0):
        return f"{value:.3g}".replace("-", MINUS)
    three, exponent = f"{error:.2e}".split("e")  # its first three digits decide
    digits = 1 - int(exponent) if float(three) < 3.55 or float(three) >= 9.5 else -int(exponent)
    digits -= float(three) >= 9.5  # it becomes 10
    texts = [f"{round(x, digits) + 0.0:.{max(digits, 0)}f}" for x in (value, error)]
    return " ± ".join(texts).replace("-", MINUS)


def listed(values: Iterable[float], names: Iterable[str], form: str = ".2f") -> str:
    """Values with their names, as a sentence lists them; labels by their symbols.

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
    """Names as a sentence lists them; labels by their symbols.

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
    """The text that holds for a number: one for each interval between limits.

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
        "" for NaN, of which nothing can be said.

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
    """What a correlation coefficient is called.

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
