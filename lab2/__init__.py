"""lab2: a small Cannon for APOGEE spectra (see README.md).

Everything public is reached from here. Modules are imported when they are first used, so that ``import lab2`` is quick
and pymc, jax and matplotlib load only where they are needed.
"""

from importlib import metadata

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "apstar",
        "archive",
        "cannon",
        "catalog",
        "continuum",
        "diagnosis",
        "explorer",
        "files",
        "grading",
        "grid",
        "isochrones",
        "labelling",
        "labels",
        "lines",
        "network",
        "plots",
        "posterior",
        "report",
        "scale",
        "simulate",
        "spectra",
        "survey",
        "validation",
    ],
    submod_attrs={
        "cannon": ["Cannon", "fit_labels", "to_table", "train"],
        "labels": ["LABELS"],
        "spectra": ["from_arrays"],
    },
)
__version__ = metadata.version("lab2")
