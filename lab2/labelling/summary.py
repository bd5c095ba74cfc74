"""The header of a table of labels, and the summary that a command prints at the end."""

import os
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import numpy as np
from astropy.table import Table

from lab2.cannon import Cannon, Flag
from lab2.files import now
from lab2.validation import Calibration

__all__ = ["Summary", "about"]

_SOFTWARE = ("lab2", "numpy", "astropy")


def about(model: Cannon, calibration: Calibration | None, path: str | os.PathLike) -> dict[str, str]:
    """The header of a table of labels: the model, its training, the errors, the software and the command.

    Parameters
    ----------
    model : lab2.Cannon
    calibration : lab2.validation.Calibration or None
    path : path-like
        The model's file.

    Returns
    -------
    dict of str to str
        Keys of at most eight letters, as the cards of a FITS header have.
    """
    kind, errors = "simulated" if model.simulated else "observed", "formal: several times too small"
    if calibration is not None:
        errors = f"calibrated on residuals of {calibration.dataset.attrs['n_stars']} stars"
    found = {
        "model": model.fingerprint,
        "file": Path(path).name,
        "training": f"{model.dataset.sizes['training_star']} {kind} spectra, labels from {model.label_tree}",
        "errors": errors,
        "versions": ", ".join(f"{name} {metadata.version(name)}" for name in _SOFTWARE),
        "date": now(),
        "command": " ".join(["lab2", *sys.argv[1:]]),
    }
    return found | ({"caveat": _caveat()} if model.simulated else {})


def _caveat():
    """Accuracy of labels of real stars from a model of simulated spectra."""
    from lab2.simulate import real_offsets

    return (
        "the model was trained on simulated spectra; on spectra of real giants its labels were off by "
        f"{real_offsets()}, which no error here includes"
    )


class Summary:
    """Counts of a table of labels that is processed in parts.

    Attributes
    ----------
    stars, unreadable, without, observed : int
        Rows; those whose file could not be read; those without labels; those that were read and are not simulated.
    flags : collections.Counter
        Rows with each of the `lab2.cannon.Flag` bits, by name, without unreadable files.
    """

    def __init__(self) -> None:
        self.stars = self.unreadable = self.without = self.observed = 0
        self.flags = Counter()

    def add(self, table: Table) -> None:
        """Count the rows of a part."""
        read, flags = np.asarray(table["read"]), np.asarray(table["flag"])
        self.stars += len(table)
        self.unreadable += int((~read).sum())
        self.without += int(((flags & (Flag.NO_DATA | Flag.NOT_CONVERGED)) != 0).sum())
        self.observed += int((read & ~np.asarray(table["simulated"])).sum())
        self.flags.update({bit.name: int((read & ((flags & bit) != 0)).sum()) for bit in Flag})

    def line(self) -> str:
        """Numbers of stars with labels, of unreadable files, and of stars with each flag."""
        flags = ", ".join(f"{self.flags[bit.name]} {bit.name}" for bit in Flag if self.flags[bit.name])
        return (
            f"{self.stars - self.without} of {self.stars} stars have labels; files that could not be read: "
            f"{self.unreadable}; flags: {flags or 'none'}"
        )
