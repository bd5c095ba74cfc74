"""The last line of a file of results: its size and the SHA-256 of all that stands before that line.

The libraries that read netCDF and tables are not made for damaged files: to them a table that was cut at the end of a
row is whole, 32 zeroed bytes in a heap of HDF5 make it loop for ever inside C code that nothing can interrupt, and
other damage gives other numbers. So the bytes are compared with the seal before a library sees them. Readers of both
kinds of file pass over that line: HDF5 because its superblock says where the file ends, ECSV because it is a comment. A
program that writes into such a file breaks or drops the seal.

A digest of the decoded contents, in an attribute, would come too late: HDF5 has to decode them first. The strings of a
variable can be of fixed length, but the names of a netCDF variable's dimensions always are references in a heap.

The seal tells damage, not malice: whoever changes a file on purpose can seal it again.
"""

import hashlib
from pathlib import Path

__all__ = ["check_seal", "seal"]

_LINE = "# lab2 seal: {size:016d} bytes, sha256 {digest}\n"
_LENGTH = len(_LINE.format(size=0, digest=64 * "0"))
_BLOCK = 1 << 20


def seal(content: bytes | memoryview) -> bytes:
    """The line that belongs at the end of this content.

    Examples
    --------
    >>> seal(b"abc").decode()[:64]
    '# lab2 seal: 0000000000000003 bytes, sha256 ba7816bf8f01cfea4141'
    """
    return _line(len(content), hashlib.sha256(content))


def check_seal(path) -> None:
    """Raise an error for a file that is not as it was sealed.

    Parameters
    ----------
    path : path-like
        The file; it is read in small pieces.

    Raises
    ------
    ValueError
        If it has no seal, or one that does not fit.
    """
    with Path(path).open("rb") as file:
        size = max(0, file.seek(0, 2) - _LENGTH)
        file.seek(size)
        found = file.read(_LENGTH)
        if not found.startswith(_LINE.split("{")[0].encode()):
            raise ValueError(
                f"{path} is not a whole file: it does not end with its seal, so it was cut short, changed by another "
                "program, or written by an older version"
            )
        digest = hashlib.sha256()
        file.seek(0)
        while size > file.tell():
            digest.update(file.read(min(_BLOCK, size - file.tell())))
        if found != _line(size, digest):
            raise ValueError(f"{path} is damaged: its bytes are not those that were sealed")


def _line(size, digest):
    return _LINE.format(size=size, digest=digest.hexdigest()).encode()
