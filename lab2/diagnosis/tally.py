"""Counts of odd stars: what was found of what was planted, and what goes along with labels that are off."""

from collections.abc import Sequence

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

__all__ = ["circumstances", "confusion", "detection"]

_PROBABLE = 0.5  # that labels are none of the ordinary scatter
_CLIPPED = 0.95  # quantile of the continuum's error beyond which it counts as off


def confusion(planted: ArrayLike, kind: ArrayLike, order: Sequence[str]) -> QTable:
    """How many stars of each planted oddity were found to be of each kind.

    Parameters
    ----------
    planted : array_like of str, shape (n_stars,)
        What was planted in a simulated star; "" for nothing.
    kind : array_like of str, shape (n_stars,)
        What was found, as from `lab2.diagnosis.diagnose`; "" for nothing.
    order : sequence of str
        The kinds that become columns.

    Returns
    -------
    astropy.table.QTable
        A row for each planted oddity and one for "nothing": planted, stars, a column a kind, and "nothing found".
    """
    planted, kind = np.asarray(planted), np.asarray(kind)
    names = [*sorted(set(planted.tolist()) - {""}), ""]
    table = QTable({"planted": [name or "nothing" for name in names], "stars": [(planted == n).sum() for n in names]})
    for found in [*order, ""]:
        table[found or "nothing found"] = [((planted == name) & (kind == found)).sum() for name in names]
    return table


def detection(planted: ArrayLike, kind: ArrayLike) -> dict:
    """How complete and how pure a search for odd stars is.

    Parameters
    ----------
    planted, kind : array_like of str, shape (n_stars,)
        As for `confusion`.

    Returns
    -------
    dict
        odd and normal, the numbers of stars with and without a planted oddity; found, the fraction of the odd ones of
        which anything was said, whatever it was; accused, the number of normal ones; missed, a dict of each oddity
        that was missed to the number of its stars.

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
    """What goes along with labels that are off: each circumstance among those stars and among the others.

    Parameters
    ----------
    evidence : astropy.table.QTable
        As from `lab2.diagnosis.diagnose`.

    Returns
    -------
    astropy.table.QTable
        A row a circumstance: its name, and the fractions of the outlying stars (whose labels are more probably none of
        the ordinary scatter than not) and of the others that share it; NaN where there are no such stars. The
        circumstances are "competing minima", "odd spectrum" (a kind other than "labels"), "continuum off" (the trusted
        pixels of some chip are off by more than in 95 % of the stars), "BAD flag" (of ASPCAPFLAG) and "STARFLAG" (any
        bit). meta: outlying, the number of those stars; continuum, the level's difference from 1 that counts as off.
    """
    outlying = np.asarray(evidence["outlier"]) > _PROBABLE
    kind = np.asarray(evidence["kind"])
    level = np.abs(np.asarray(evidence["continuum"], dtype=float) - 1.0)
    clipped = float(np.nanquantile(level, _CLIPPED)) if np.isfinite(level).any() else float("nan")
    cases = {
        "competing minima": ["MULTIPLE_MINIMA" in words for words in evidence["fit_flags"]],
        "odd spectrum": (kind != "") & (kind != "labels"),
        "continuum off": level > clipped,
        "BAD flag": ["_BAD" in words for words in evidence["aspcapflag"]],
        "STARFLAG": np.asarray(evidence["starflag"]) != "-",
    }
    shares = [[_fraction(np.asarray(case)[which]) for which in (outlying, ~outlying)] for case in cases.values()]
    return QTable(
        {"circumstance": list(cases), "outlying": [a for a, _ in shares], "others": [b for _, b in shares]},
        meta={"outlying": int(outlying.sum()), "continuum": clipped},
    )


def _fraction(which):
    return float(which.mean()) if which.size else float("nan")
