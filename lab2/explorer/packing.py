"""Arrays as text: rounded to whole steps, compressed, in base64. JavaScript reads them again (page/packing.js)."""

import base64
import zlib

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["MISSING", "in_steps", "packed", "unpacked"]

# The code of a value that is not there, in an array of bytes.
MISSING = -128
_LEVEL = 9  # of zlib
_MOST = np.iinfo(np.int16).max


def packed(values: ArrayLike, dtype: str) -> dict:
    """An array as JSON can hold it.

    Parameters
    ----------
    values : array_like
        In any shape; the order is C's.
    dtype : str
        "int8", "int16" or "float32".

    Returns
    -------
    dict
        dtype, shape, and data: the bytes, least significant first, compressed (RFC 1950) and in base64.

    Examples
    --------
    >>> unpacked(packed([[1, 2], [3, -4]], "int16")).tolist()
    [[1, 2], [3, -4]]
    """
    values = np.asarray(values)
    content = values.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    data = base64.b64encode(zlib.compress(content, _LEVEL)).decode("ascii")
    return {"dtype": dtype, "shape": list(values.shape), "data": data}


def unpacked(found: dict) -> np.ndarray:
    """The array that `packed` was given, in its dtype."""
    content = zlib.decompress(base64.b64decode(found["data"]))
    return np.frombuffer(content, np.dtype(found["dtype"]).newbyteorder("<")).reshape(found["shape"])


def in_steps(rows: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers as 16-bit integers, each row in steps of its own.

    Parameters
    ----------
    rows : array_like, shape (n_rows, n)

    Returns
    -------
    whole : numpy.ndarray of int, shape (n_rows, n)
        From -32767 to 32767.
    steps : numpy.ndarray, shape (n_rows,)
        ``whole * steps[:, None]`` is within half a step of the rows.

    Examples
    --------
    >>> whole, steps = in_steps([[0.0, 0.5, -1.0], [0.0, 0.0, 0.0]])
    >>> whole.tolist()
    [[0, 16384, -32767], [0, 0, 0]]
    """
    rows = np.asarray(rows, dtype=float)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    steps = largest / _MOST
    steps = np.where(steps >= np.finfo(float).tiny, steps, 1.0 / _MOST)  # a row of next to nothing is one of zeros
    return np.rint(rows / steps[:, None]).astype(int), steps
