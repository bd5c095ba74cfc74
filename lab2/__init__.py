"""lab2: a small Cannon for APOGEE spectra (see README.md).

Everything public is reached from here; modules are imported when they are first used, so that ``import lab2`` is
quick and pymc, torch and matplotlib load only where they are needed.
"""

from importlib import import_module, metadata

__all__ = [
    "LABELS",
    "apstar",
    "archive",
    "cannon",
    "catalog",
    "continuum",
    "from_arrays",
    "inference",
    "isochrones",
    "labels",
    "leave_one_out",
    "likelihood",
    "lines",
    "network",
    "paths",
    "plots",
    "posterior",
    "report",
    "simulate",
    "spectra",
    "validation",
]
__version__ = metadata.version("lab2")

_SHORTCUTS = {"LABELS": "labels", "from_arrays": "spectra"}


def __getattr__(name):
    if name in _SHORTCUTS:
        return getattr(import_module(f"lab2.{_SHORTCUTS[name]}"), name)
    if name in __all__:
        return import_module(f"lab2.{name}")
    raise AttributeError(f"module 'lab2' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
