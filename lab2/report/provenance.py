"""Provenance of a result: the commit of the code and the versions of the packages."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

from lab2.survey import root

__all__ = ["commit", "installed", "versions"]

_PACKAGES = ("numpy", "scipy", "astropy", "matplotlib", "xarray")
_IF_LOADED = ("pymc", "jax", "equinox", "optax")
# Packages that numbers and figures of notebooks depend on.
_NUMERICAL = (*_PACKAGES, "numba", "pymc", "nutpie", "jax", "jaxlib", "equinox", "optax", "corner")


def commit() -> tuple[str | None, bool | None]:
    """The commit of the project's checkout, and whether its files differ from it.

    Returns
    -------
    commit : str or None
        None if git is missing, or the code is not in its own checkout.
    dirty : bool or None
        Whether a file was changed or added since; None with no commit.
    """
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root():
        return None, None
    head = _git("rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        return None, None
    # by content: git status also lists notebooks that differ from the commit only in what the filter takes out
    changed, added = _git("diff", "HEAD", "--name-only"), _git("ls-files", "--others", "--exclude-standard")
    return head, bool(changed or added)


def versions() -> dict[str, str]:
    """The versions of Python, of lab2 and of the packages that the numbers depend on."""
    names = ("lab2", *_PACKAGES, *(name for name in _IF_LOADED if name in sys.modules))
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}


def installed() -> dict[str, str]:
    """The versions of Python and of every package that numbers and figures can depend on, as far as installed."""
    found = {"python": platform.python_version()}
    for name in _NUMERICAL:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _git(*arguments):
    """Output of git, or None if it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", root(), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    # a folder's name may end in a space, or not be UTF-8
    return os.fsdecode(done.stdout).removesuffix("\n") if done.returncode == 0 else None
