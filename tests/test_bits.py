import numpy as np
import pytest
import xarray as xr

from lab2._bits import Bits
from lab2.apstar import PixelBit
from lab2.cannon import Flag
from lab2.catalog import AspcapFlag, StarFlag

KINDS = [PixelBit, StarFlag, AspcapFlag, Flag]


class Four(Bits):
    LOW = 1
    MIDDLE = 4
    HIGH = 1 << 31
    BEYOND = 1 << 41  # of a 64-bit integer


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "-"),
        (1, "LOW"),
        (5, "LOW MIDDLE"),
        (Four.MIDDLE | Four.LOW, "LOW MIDDLE"),
        (2, "-"),  # a bit that has no name
        (7, "LOW MIDDLE"),
        (np.int16(4), "MIDDLE"),
        (np.uint32(1 << 31), "HIGH"),
        (np.int32(-(2**31)), "HIGH"),  # the highest of 32 bits as a sign
        (np.int64(-(2**31) + 1), "LOW HIGH"),
        (np.int64((1 << 41) + 1), "LOW BEYOND"),
        (np.int64(-(2**63) + (1 << 41)), "BEYOND"),  # the sign of 64 bits
        (4.0, "MIDDLE"),  # an integer that went through a table of floats
    ],
)
def test_words_name_the_bits_that_are_set(value, words):
    assert Four.words(value) == words


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_single_bits_in_rising_order(kind):
    values = [int(bit) for bit in kind]
    assert values == sorted(set(values))
    assert all(value & (value - 1) == 0 and value > 0 for value in values)
    assert kind.words(sum(values)) == " ".join(bit.name for bit in kind)
    assert len(kind.__members__) == len(values)  # no second name for a bit, and none of several


@pytest.mark.parametrize("kind", KINDS)
def test_a_flag_selects_from_an_array_as_it_is(kind):
    # as in fits.flag & Flag.POOR_FIT
    first, *_, last = kind
    values = np.array([0, int(first), int(last), int(first | last)], dtype=np.int64)
    assert ((values & first) > 0).tolist() == [False, True, False, True]
    assert ((values & last) > 0).tolist() == [False, False, True, True]


@pytest.mark.parametrize("value", [5, np.int64(5), np.uint8(5), np.array(5), xr.DataArray(5), 5.0])
def test_any_integer_has_words(value):
    assert Four.words(value) == Four.words(5)
