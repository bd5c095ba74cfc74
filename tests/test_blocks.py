"""Blocks cover everything once, in order, and errors come through."""

import pytest
from threadpoolctl import threadpool_info

from lab2._blocks import map_blocks


@pytest.mark.parametrize(("size", "block"), [(10, 3), (9, 3), (2, 5), (1, 1), (1001, 64)])
def test_blocks_cover_the_whole_in_order(size, block):
    parts = map_blocks(lambda part: list(range(size))[part], size, block)
    assert [i for part in parts for i in part] == list(range(size))
    assert all(1 <= len(part) <= block for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_nothing_is_one_empty_block():
    assert map_blocks(lambda part: list(range(5))[part], 0, 4) == [[]]


def test_matrix_products_inside_use_one_thread():
    # other libraries of the same process have pools of their own, which no matrix product of ours uses
    (pools,) = map_blocks(lambda _: [pool for pool in threadpool_info() if pool["user_api"] == "blas"], 1, 1)
    assert {pool["num_threads"] for pool in pools} == {1}


def test_an_error_in_a_block_reaches_the_caller():
    def fail(part):
        raise ValueError(f"block {part.start}")

    with pytest.raises(ValueError, match="block 0"):
        map_blocks(fail, 3, 2)
