"""Text from outside (a server, a header, a catalog, a user) in characters that every page and figure can show."""

import re
import unicodedata

__all__ = ["printable", "visible"]

# Characters in the fonts of both the report and the figures, without combining, invisible and right-to-left ones:
# Latin, Greek, Cyrillic, punctuation, mathematical letters and symbols, boxes.
_OTHERS = re.compile(
    r"[^\n -~\xa1-\xac\xae-\u02af"
    r"\u0386-\u038a\u038c\u038e-\u03a1\u03a3-\u0482\u048a-\u04ff\u1e00-\u1efb"
    r"\u2010-\u2027\u2030-\u205e\u2070\u2071\u2074-\u208e\u2090-\u209c\u20ac"
    r"\u2102\u2103\u210f\u2113\u2116\u2135\u2150\u2151\u2153-\u2184\u2190-\u2311\u2500-\u262f]"
)
_WORD = re.compile(r"([^\s/]{60})[^\s/]+")
_LONGEST = 300


def printable(text) -> str:
    """Text whose characters are all on the page: those without a glyph become their Python escapes, such as \\x00.

    Parameters
    ----------
    text : str
        Any characters.

    Returns
    -------
    str
        In Unicode normal form C, with its line breaks.

    Examples
    --------
    >>> print(printable("caf\\u00e9 \\u202e \\x00"))
    café \\u202e \\x00
    """
    return _OTHERS.sub(lambda found: ascii(found[0])[1:-1], unicodedata.normalize("NFC", text))


def visible(text) -> str:
    """One line of printable text that fits on a page: blanks collapsed, long text shortened, a dash for no text.

    Parameters
    ----------
    text : object
        A string, or an object to convert to one.

    Returns
    -------
    str
        Words of at most 60 characters (and what separates folders in a path), 300 in all.

    Examples
    --------
    >>> visible(" two\\nlines ")
    'two lines'
    """
    line = " ".join(str(text)[: 10 * _LONGEST].split())
    line = _WORD.sub(r"\1…", printable(line))
    return (line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…") or "–"
