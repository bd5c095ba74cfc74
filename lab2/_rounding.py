"""Numbers with errors as text, for figures and pages alike."""

import math

__all__ = ["MINUS", "measured"]

MINUS = "\N{MINUS SIGN}"


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
