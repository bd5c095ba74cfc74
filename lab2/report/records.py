"""The record beside a page: its checksum, and checksums of what it was made of."""

import json
from collections.abc import Callable
from pathlib import Path

from lab2.files import replacing, sha256

__all__ = ["is_fresh", "write"]


def write(path: Path, content: bytes, made_of: dict) -> Path:
    """Write a page, and its record beside it.

    Parameters
    ----------
    path : pathlib.Path
        The page.
    content : bytes
    made_of : dict
        As JSON can hold it.

    Returns
    -------
    pathlib.Path
        The page.
    """
    with replacing(path) as part:
        part.write_bytes(content)
    with replacing(_beside(path)) as part:
        record = {"page": sha256(path), "made_of": made_of}
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def is_fresh(path: Path, made_of: Callable[[], dict]) -> bool:
    """Whether a page is as it was written, and made of what `made_of` now returns.

    A page or a record that is missing or damaged is not fresh, nor is one of whose sources one is missing.
    """
    try:
        record = json.loads(_beside(path).read_text(encoding="utf-8"))
        return record["page"] == sha256(path) and record["made_of"] == made_of()
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def _beside(path):
    return path.with_name(f"{path.name}.json")
