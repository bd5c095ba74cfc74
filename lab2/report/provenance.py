"""What a result came from: the code's commit, the versions it ran on, the survey; and whether it is still there."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from lab2.files import sha256
from lab2.survey import build_folder, figure_folder, home, root, survey_folder

__all__ = ["broken", "commit", "made", "versions"]

_PACKAGES = ("numpy", "scipy", "astropy", "matplotlib", "xarray")
_IF_LOADED = ("pymc", "jax", "equinox", "optax")


def commit():
    """The commit of the project's checkout, and whether its files differ from it.

    Returns
    -------
    commit : str or None
        None where git is missing, or the code does not lie in a checkout of its own.
    dirty : bool or None
        Whether a file was changed or added since; None with no commit.
    """
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root():
        return None, None
    head = _git("rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        return None, None
    return head, bool(_git("status", "--porcelain"))


def versions():
    """The versions of Python, of lab2 and of the packages that the numbers depend on."""
    names = ("lab2", *_PACKAGES, *(name for name in _IF_LOADED if name in sys.modules))
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}


def made(stem, survey):
    """The record of an executed notebook: the survey's manifest, and all that the notebook has made of it.

    Parameters
    ----------
    stem : str
        The notebook's name, such as "04_spectral_model". What it makes begins with its number.
    survey : str
        The survey.

    Returns
    -------
    dict
        "manifest", its SHA-256, and "products", the path of each file relative to the home folder with its SHA-256.
    """
    folders = build_folder(survey), figure_folder(survey)
    products = sorted(path for folder in folders for path in folder.glob(f"{stem[:2]}_*") if path.suffix != ".ipynb")
    return {
        "manifest": sha256(survey_folder(survey) / "manifest.json"),
        "products": {path.relative_to(home()).as_posix(): sha256(path) for path in products},
    }


def broken(survey):
    """What has to be made again although it is newer than what it was made from.

    Parameters
    ----------
    survey : str
        The survey.

    Returns
    -------
    list of str
        Executed notebooks that are damaged, that another state of the survey was used for, or of which a product is
        missing or changed; and PDFs that are cut. Relative to the home folder.
    """
    folder, manifest = build_folder(survey), survey_folder(survey) / "manifest.json"
    if not manifest.is_file():
        return []
    digest = sha256(manifest)
    found = [path for path in folder.glob("[0-9][0-9]_*.ipynb") if path.suffixes == [".ipynb"]]
    bad = [path for path in found if not _is_whole(path, digest)]
    bad += [path for path in folder.glob("*.pdf") if b"%%EOF" not in path.read_bytes()[-1024:]]
    return sorted(path.relative_to(home()).as_posix() for path in bad)


def _is_whole(executed, digest):
    try:
        about = json.loads(executed.read_text(encoding="utf-8"))["metadata"]["lab2"]
        products = {home() / name: known for name, known in about["products"].items()}
        same = about["manifest"] == digest
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return same and all(path.is_file() and sha256(path) == known for path, known in products.items())


def _git(*arguments):
    """What git prints, or None where it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", root(), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    # a folder's name may end in a space, or not be UTF-8
    return os.fsdecode(done.stdout).removesuffix("\n") if done.returncode == 0 else None
