"""JSON with a seal as its last line, for plans and records, which are valid only if their bytes match the seal."""

import json
from pathlib import Path

from lab2._io.seal import check_seal, seal
from lab2.files import replacing

__all__ = ["read", "write"]


def write(path, content) -> None:
    """Write a dict as sealed JSON, atomically."""
    text = (json.dumps(content, indent=1) + "\n").encode()
    with replacing(path) as part:
        part.write_bytes(text + seal(text))


def read(path) -> dict:
    """Read a file that `write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or was written by other software.
    """
    check_seal(path)
    lines = Path(path).read_bytes().splitlines(keepends=True)
    return json.loads(b"".join(lines[:-1]))
