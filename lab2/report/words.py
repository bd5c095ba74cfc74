"""Numbers in a sentence."""

from collections.abc import Iterable

__all__ = ["listed"]


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
