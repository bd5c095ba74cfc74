"""lab2: a small Cannon for APOGEE spectra (see README.md).

All public names are available here. Modules are imported on first use, so that ``import lab2`` is fast and pymc, jax
and matplotlib are loaded only when needed.
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
