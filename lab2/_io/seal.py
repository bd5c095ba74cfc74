"""The last line of a results file: the size and SHA-256 of everything before it.

Libraries that read netCDF and tables do not detect damage: a table cut at the end of a row looks complete, 32 zeroed
bytes in an HDF5 heap cause an infinite loop in C code that cannot be interrupted, and other damage changes numbers. So
the bytes are compared with the seal before a library reads them. Readers of both formats ignore the line: the HDF5
superblock says where the file ends, and in ECSV it is a comment. A program that modifies such a file breaks or drops
the seal.

A digest of the decoded contents, in an attribute, would come too late, since HDF5 has to decode them first. The strings
of a variable can have a fixed length, but the names of a netCDF variable's dimensions are always references to a heap.

The seal detects damage, not tampering: anyone who changes a file on purpose can seal it again.
"""

import hashlib
from pathlib import Path

__all__ = ["check_seal", "seal"]

_LINE = "# lab2 seal: {size:016d} bytes, sha256 {digest}\n"
_LENGTH = len(_LINE.format(size=0, digest=64 * "0"))
_BLOCK = 1 << 20


def seal(content: bytes | memoryview) -> bytes:
    """The line to append to this content.

    Examples
    --------
    >>> seal(b"abc").decode()[:64]
    '# lab2 seal: 0000000000000003 bytes, sha256 ba7816bf8f01cfea4141'
    """
    return _line(len(content), hashlib.sha256(content))


def check_seal(path) -> None:
    """Raise an error if a file has changed since it was sealed.

    Parameters
    ----------
    path : path-like
        The file; it is read in small pieces.

    Raises
    ------
    ValueError
        If it has no seal, or the seal does not match.
    """
    with Path(path).open("rb") as file:
        size = max(0, file.seek(0, 2) - _LENGTH)
        file.seek(size)
        found = file.read(_LENGTH)
        if not found.startswith(_LINE.split("{")[0].encode()):
            raise ValueError(
                f"{path} is not a complete file: it does not end with its seal, so it was truncated, changed by "
                "another program, or written by an older version"
            )
        digest = hashlib.sha256()
        file.seek(0)
        while size > file.tell():
            digest.update(file.read(min(_BLOCK, size - file.tell())))
        if found != _line(size, digest):
            raise ValueError(f"{path} is damaged: its bytes do not match its seal")


def _line(size, digest):
    return _LINE.format(size=size, digest=digest.hexdigest()).encode()
