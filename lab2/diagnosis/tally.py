"""Counts of odd stars: how many simulated oddities were found, and what accompanies outlying labels."""

from collections.abc import Sequence

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

from lab2.diagnosis.verdict import UNKNOWN

__all__ = ["circumstances", "confusion", "detection", "shares_in_words"]

_PROBABLE = 0.5  # probability above which labels are outliers
_CLIPPED = 0.95  # quantile of the continuum's error above which the continuum counts as off


def confusion(planted: ArrayLike, kind: ArrayLike, order: Sequence[str]) -> QTable:
    """Confusion matrix: number of stars with each simulated oddity that were classified as each kind.

    Parameters
    ----------
    planted : array_like of str, shape (n_stars,)
        The oddity of each simulated star; "" for none.
    kind : array_like of str, shape (n_stars,)
        The kind that was found, as from `lab2.diagnosis.diagnose`; "" for none.
    order : sequence of str
        The kinds, in the order of the columns.

    Returns
    -------
    astropy.table.QTable
        One row per simulated oddity and one for "nothing": planted, stars, one column per kind, and "nothing found".
    """
    planted, kind = np.asarray(planted), np.asarray(kind)
    names = [*sorted(set(planted.tolist()) - {""}), ""]
    table = QTable({"planted": [name or "nothing" for name in names], "stars": [(planted == n).sum() for n in names]})
    for found in [*order, ""]:
        table[found or "nothing found"] = [((planted == name) & (kind == found)).sum() for name in names]
    return table


def detection(planted: ArrayLike, kind: ArrayLike) -> dict:
    """Completeness and false detections of a search for odd stars.

    Parameters
    ----------
    planted, kind : array_like of str, shape (n_stars,)
        As for `confusion`.

    Returns
    -------
    dict
        odd and normal, the numbers of stars with and without a simulated oddity; found, the fraction of odd stars that
        were classified as any kind; accused, the number of normal stars classified as odd; missed, a dict with the
        number of missed stars for each oddity.

    Examples
    --------
    >>> answer = detection(["double", "double", "", ""], ["shifted", "", "", "emission"])
    >>> answer["found"], answer["accused"], answer["missed"]
    (0.5, 1, {'double': 1})
    """
    planted, kind = np.asarray(planted), np.asarray(kind)
    odd, suspect = planted != "", kind != ""
    names, counts = np.unique(planted[odd & ~suspect], return_counts=True)
    return {
        "odd": int(odd.sum()),
        "normal": int((~odd).sum()),
        "found": float(suspect[odd].mean()) if odd.any() else float("nan"),
        "accused": int((~odd & suspect).sum()),
        "missed": dict(zip(names.tolist(), counts.tolist(), strict=True)),
    }


def circumstances(evidence: QTable) -> QTable:
    """What accompanies outlying labels: how frequent each circumstance is among these stars and among the others.

    Parameters
    ----------
    evidence : astropy.table.QTable
        As from `lab2.diagnosis.diagnose`.

    Returns
    -------
    astropy.table.QTable
        One row per circumstance: its name, and its fraction among the outlying stars (whose labels are outliers with a
        probability of more than 0.5) and among the others; NaN if there are no such stars, or the catalog does not
        have the flags. The circumstances are "competing minima", "odd spectrum" (a kind other than "labels"),
        "continuum off" (the trusted pixels' level in some chip deviates from 1 by more than in 95 % of the stars), "BAD
        flag" (of ASPCAPFLAG) and "STARFLAG" (any bit). meta: outlying, the number of outlying stars; continuum, the
        deviation above which a continuum is off.
    """
    outlying = np.asarray(evidence["outlier"]) > _PROBABLE
    kind = np.asarray(evidence["kind"])
    level = np.abs(np.asarray(evidence["continuum"], dtype=float) - 1.0)
    clipped = float(np.nanquantile(level, _CLIPPED)) if np.isfinite(level).any() else float("nan")
    cases = {
        "competing minima": ["MULTIPLE_MINIMA" in words for words in evidence["fit_flags"]],
        "odd spectrum": (kind != "") & (kind != "labels"),
        "continuum off": level > clipped,
        "BAD flag": _known(evidence["aspcapflag"], ["_BAD" in words for words in evidence["aspcapflag"]]),
        "STARFLAG": _known(evidence["starflag"], np.asarray(evidence["starflag"]) != "-"),
    }
    shares = [
        [_fraction(np.asarray(case, dtype=float)[which]) for which in (outlying, ~outlying)] for case in cases.values()
    ]
    return QTable(
        {"circumstance": list(cases), "outlying": [a for a, _ in shares], "others": [b for _, b in shares]},
        meta={"outlying": int(outlying.sum()), "continuum": clipped},
    )


def shares_in_words(table: QTable) -> dict[str, str]:
    """The fractions of each circumstance as a phrase.

    Parameters
    ----------
    table : astropy.table.QTable
        As from `circumstances`.

    Examples
    --------
    >>> shares_in_words(QTable({"circumstance": ["BAD flag"], "outlying": [0.5], "others": [0.011]}))["BAD flag"]
    '50 % of the stars with outlying labels and 1.1 % of the others'
    """
    pattern = "{:.0f} % of the stars with outlying labels and {:.1f} % of the others"
    return {
        row["circumstance"]: "an unknown number of stars"
        if np.isnan(row["outlying"]) and np.isnan(row["others"])
        else pattern.format(100 * row["outlying"], 100 * row["others"])
        for row in table
    }


def _known(words, case):
    """1 where true and 0 where false; NaN where the flags are not known."""
    return np.where(np.asarray(words) == UNKNOWN, np.nan, case)


def _fraction(which):
    known = which[np.isfinite(which)]
    return float(known.mean()) if known.size else float("nan")
