"""The bytes of a FITS file as header cards and arrays: the boundary between an apStar file and everything else.

Only the headers of the first HDUs and the first row of each image are read. Sizes are limited to those of an apStar
file and compared with the headers before reading, so that no file costs more memory, whatever its header claims.
astropy reads far more of FITS, but warns or fails on damage to parts that are not needed here.
"""

import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

__all__ = ["FitsError", "Image", "finite_number", "read_images", "text", "whole_number"]

_BLOCK, _CARD = 2880, 80
# An apStar file has one row per visit; the most often observed stars have about 60.
_MOST_ROWS = 1000
_MOST_BYTES = 8 * 8575 * _MOST_ROWS  # bytes of one image, in its widest type
_MOST_CARDS = 36 * _MOST_ROWS  # a visit takes eleven cards
_MOST_UNPACKED = 4 * _MOST_BYTES  # bytes of a gzipped file: the three images that are used, in float64, and the rest
_EXPECTED = "expected images of flux, error and bitmask in HDUs 1-3"
_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_OTHER_PACKERS = {b"\x1f\x9d": "compress (.Z)", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK": "zip", b"(\xb5/\xfd": "zstd"}
_CHARACTERS = re.compile(r"'((?:[^']|'')*)' *(?:/.*)?")
_LOGICAL = re.compile(r"([TF]) *(?:/.*)?")
_NUMBER = re.compile(r"([+-]?(?:\d+(\.\d*)?|(\.\d+))([ED][+-]?\d+)?) *(?:/.*)?", re.IGNORECASE | re.ASCII)


class FitsError(ValueError):
    """A file is not FITS, is damaged where it is read, or is too large for an apStar file."""


class Cards(Mapping):
    """The cards of a header by keyword, the first of each; None if the value is undefined or unreadable.

    A value is parsed on access: an apStar file has a hundred cards, of which a dozen are used.
    """

    def __init__(self, fields: dict[bytes, bytes]):
        self._fields = fields  # for each keyword of 8 bytes, the 70 bytes after "= "

    def __getitem__(self, key: str) -> str | bool | int | float | None:
        return _value(self._fields[_keyword(key)])

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and _keyword(key) in self._fields

    def __iter__(self) -> Iterator[str]:
        return (keyword.decode("latin-1").rstrip() for keyword in self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Image(NamedTuple):
    """One HDU: its cards, the shape of its data in numpy's order (slowest axis first), and the data's first row."""

    cards: Cards
    shape: tuple[int, ...]
    row: np.ndarray


def read_images(path, count) -> tuple[Cards, list[Image]]:
    """The cards of the primary header, and the first `count` extensions, which must be images.

    Parameters
    ----------
    path : pathlib.Path
        A FITS file, gzipped or not.
    count : int

    Returns
    -------
    cards : Cards
    images : list of Image

    Raises
    ------
    FileNotFoundError
        If there is no such file, or it is a folder, a pipe or a device.
    FitsError
        If the file cannot be opened, is damaged where it is read, packed by another program than gzip, or too large.
    """
    try:
        if not path.is_file():
            raise FileNotFoundError(f"no such spectrum file: {path}")
        with path.open("rb") as file:
            magic = file.read(6)
            file.seek(0)
            for signature, name in _OTHER_PACKERS.items():
                if magic.startswith(signature):
                    raise FitsError(f"compressed with {name}, and only gzip is supported: decompress it first")
            if not magic.startswith(b"\x1f\x8b"):
                return _read(file, count)
            with gzip.GzipFile(fileobj=file) as stream:
                found = _read(stream, count)
                _drain(stream)
                return found
    except FileNotFoundError:
        raise
    except PermissionError as problem:
        raise FitsError("no permission to read it") from problem
    except (OSError, EOFError, zlib.error) as problem:
        raise FitsError(f"not a complete FITS file ({problem}); fetch it again") from problem


def finite_number(cards, key) -> float:
    """The value of a card as a number; NaN if it is absent or not a number."""
    value = cards.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def whole_number(cards, key, least, most) -> int | None:
    """The value of a card as an integer from `least` to `most`; None if it is absent or not such a number."""
    value = finite_number(cards, key)
    return int(value) if least <= value <= most and value == int(value) else None


def text(cards, key) -> str:
    """The value of a card as text, stripped; "" if it is absent or unreadable."""
    value = cards.get(key)
    return "" if value is None else str(value).strip()


def _read(stream, count):
    """The primary header and `count` images from a stream at its beginning."""
    primary, images = _cards(stream, 0), []
    left = _data_size(_shape(primary, 0), abs(_bitpix(primary, 0)) // 8, 0)
    for number in range(1, count + 1):
        _skip(stream, left)
        image, left = _image(stream, number)
        images.append(image)
    return primary, images


def _drain(stream):
    """Read a gzipped file to its end, where gzip compares the checksum; a truncated file has none."""
    try:
        while stream.read(1 << 20):
            if stream.tell() > _MOST_UNPACKED:
                raise FitsError(f"decompresses to more than {_MOST_UNPACKED / 1e6:.0f} MB: not an apStar file")
    except EOFError:
        pass


def _cards(stream, number):
    """The cards of the header at the stream's position, the first of each keyword."""
    fields, first = {}, b"XTENSION" if number else b"SIMPLE  "
    for _ in range(_MOST_CARDS // 36):
        block = stream.read(_BLOCK)
        if not fields and block[:10] != first + b"= ":
            raise _no_header(number, f"there is no card {first.decode().rstrip()}" if block else "the file ends")
        if len(block) < _BLOCK:
            raise FitsError(f"not a complete FITS file (it ends in the header of HDU {number}); fetch it again")
        for start in range(0, _BLOCK, _CARD):
            card = block[start : start + _CARD]
            if card[8:10] == b"= ":
                fields.setdefault(card[:8], card[10:])
            elif card[:3] == b"END" and not card[3:].strip():
                return Cards(fields)
    raise FitsError(f"the header of HDU {number} has no card END within {_MOST_CARDS} cards: it is damaged")


def _no_header(number, what):
    if number == 0:
        return FitsError(f"not a complete FITS file ({what} at its beginning); fetch it again")
    return FitsError(f"not an apStar file: {_EXPECTED}; {what} where HDU {number} should begin; fetch it again")


@lru_cache(512)
def _keyword(key):
    """A keyword as written in a card."""
    return f"{key:8}".encode("latin-1", "replace")


@lru_cache(512)  # most cards are the same in all files of a survey
def _value(field):
    """The value of a card as str, bool, int or float; None if it is undefined or unreadable."""
    field = field.decode("latin-1").strip()
    if match := _CHARACTERS.fullmatch(field):
        value = match[1].replace("''", "'").rstrip()
        return value if value.isascii() and value.isprintable() else None
    if match := _LOGICAL.fullmatch(field):
        return match[1] == "T"
    if match := _NUMBER.fullmatch(field):
        digits, *fraction_or_exponent = match.groups()
        if not any(fraction_or_exponent):
            return int(digits)
        value = float(digits.upper().replace("D", "E"))
        return value if math.isfinite(value) else None
    return None


def _image(stream, number):
    """The image HDU at the stream's position, and how many bytes of its data are left."""
    cards = _cards(stream, number)
    if cards["XTENSION"] != "IMAGE":
        packed = ", a compressed image (unpack it with funpack)" if "ZIMAGE" in cards else ""
        raise FitsError(f"not an apStar file: {_EXPECTED}; HDU {number} is of the kind {cards['XTENSION']}{packed}")
    shape, kind = _shape(cards, number), np.dtype(_TYPES[_bitpix(cards, number)])
    size = _data_size(shape, kind.itemsize, number)
    row_size = min(kind.itemsize * shape[-1], size) if shape else 0
    stored = stream.read(row_size)
    if len(stored) < row_size:
        raise FitsError(f"not a complete FITS file (it ends in the first row of HDU {number}); fetch it again")
    return Image(cards, shape, _physical(np.frombuffer(stored, kind), cards, number)), size - row_size


def _shape(cards, number):
    """Lengths of the axes, slowest first."""
    axes = whole_number(cards, "NAXIS", 0, 9)
    if axes is None:
        raise _damaged(cards, number, "NAXIS")
    lengths = [whole_number(cards, f"NAXIS{axis}", 0, _MOST_BYTES) for axis in range(1, axes + 1)]
    if None in lengths:
        raise _damaged(cards, number, f"NAXIS{lengths.index(None) + 1}")
    return tuple(reversed(lengths))


def _bitpix(cards, number):
    """BITPIX: the number type of the data."""
    bitpix = whole_number(cards, "BITPIX", -64, 64)
    if bitpix not in _TYPES:
        raise _damaged(cards, number, "BITPIX")
    return bitpix


def _data_size(shape, item_size, number):
    """Bytes of the data, without the padding of the last block."""
    size = item_size * math.prod(shape) if shape else 0
    if size > _MOST_BYTES:
        raise FitsError(
            f"HDU {number} has {size} bytes of data, shape {shape}; no apStar file has more than {_MOST_ROWS} rows"
        )
    return size


def _skip(stream, size):
    """Skip the last `size` bytes of the data and the padding of their last block."""
    position = stream.tell() + size
    stream.seek(position + -position % _BLOCK, io.SEEK_SET)


def _physical(stored, cards, number):
    """BZERO + BSCALE times the stored values; undefined integers (BLANK) get all bits set."""
    for key in ("BSCALE", "BZERO"):
        if key in cards and math.isnan(finite_number(cards, key)):
            raise _damaged(cards, number, key)
    scale, zero = cards.get("BSCALE", 1), cards.get("BZERO", 0)
    values = stored.astype(stored.dtype.newbyteorder("="))
    if values.dtype.kind == "f":
        values[np.isnan(values)] = np.nan  # signaling NaNs, of which every later operation would warn
    if values.dtype.kind == "f" or scale != 1 or not float(zero).is_integer() or abs(zero) > 2**31:
        with np.errstate(all="ignore"):  # a value that overflows becomes infinite, and the pixel bad
            return values if (scale, zero) == (1, 0) else values.astype(float) * scale + zero
    blank = whole_number(cards, "BLANK", -(2**63), 2**63 - 1)
    values = values.astype("i8") + int(zero)
    return values if blank is None else np.where(stored == blank, -1, values)


def _damaged(cards, number, key):
    found = f"is {cards[key]!r}" if cards.get(key) is not None else "is missing or cannot be read"
    return FitsError(f"card {key} of HDU {number} {found}: the file is damaged; fetch it again")
