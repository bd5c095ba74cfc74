"""Bitmasks with names: the base of every set of flags in the project."""

from enum import IntFlag

__all__ = ["Bits"]


class Bits(IntFlag):
    """Named bits of an integer; the members of a subclass are its single bits."""

    @classmethod
    def words(cls, value) -> str:
        """Names of the bits that are set in `value`, in the order of the members; "-" when none is.

        A signed integer may use its sign for the highest bit, as SDSS's catalogs do; bits without a name are left out.
        """
        return " ".join(bit.name for bit in cls if int(value) & bit) or "-"
