"""Run a numerical function over blocks on all cores: threads outside, one thread inside each matrix product.

The kernels release the global interpreter lock, so threads suffice. Blocks that fit in the cache keep memory traffic
and memory use small.
"""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from itertools import pairwise

from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

__all__ = ["map_blocks", "n_cores", "one_thread"]

_alone = ContextVar("alone", default=False)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within this context `map_blocks` uses one thread, because other processes use the other cores."""
    token = _alone.set(True)
    try:
        with threadpool_limits(1):
            yield
    finally:
        _alone.reset(token)


def n_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def map_blocks(function, size, block, progress=None) -> list:
    """Results of ``function(slice)`` for consecutive slices of at most `block` that cover ``range(size)``.

    The slices have equal sizes to within one, and each core gets the same number. If `size` is 0 there is one empty
    slice, so that results keep their shape.

    Parameters
    ----------
    function : callable
        Takes a slice.
    size, block : int
    progress : str, optional
        Text of a progress bar; none is shown by default.

    Returns
    -------
    list
        In the order of the slices.
    """
    workers = 1 if _alone.get() else n_cores()
    rounds = -(-size // (block * workers))
    count = max(min(rounds * workers, size), 1)
    edges = [size * k // count for k in range(count + 1)]
    slices = [slice(*pair) for pair in pairwise(edges)]
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        bar = tqdm(pool.map(function, slices), total=len(slices), desc=progress, disable=progress is None)
        return list(bar)
