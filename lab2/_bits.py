"""Bitmasks with names: the base class of all flags in the project."""

from enum import IntFlag
from functools import lru_cache
from typing import SupportsInt

__all__ = ["Bits"]


class Bits(IntFlag):
    """Named bits of an integer; the members of a subclass are its single bits."""

    @classmethod
    def words(cls, value: SupportsInt) -> str:
        """Names of the bits that are set in `value`, in the order of the members; "-" when none is.

        Bits without a name are left out. A negative value down to -2^31 is a 32-bit integer whose sign is bit 31, as in
        older SDSS catalogs; it has no higher bits.
        """
        return _words(cls, int(value))


@lru_cache(4096)  # thousands of stars have the same few values
def _words(bits, value):
    if -(2**31) <= value < 0:
        value += 2**32
    return " ".join(bit.name for bit in bits if value & bit) or "-"
