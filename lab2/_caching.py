"""Whether compiled loops can be kept on disk: in NUMBA_CACHE_DIR, beside the code, or in the user's own cache.

Where none of these can be written, the loops are compiled anew by every process, which takes seconds.
"""

from numba import njit

__all__ = ["CACHE"]


def _probe():
    return None


def _can_be_written():
    try:
        njit(cache=True)(_probe)  # numba looks for a folder now, and compiles later
    except RuntimeError:
        return False
    return True


CACHE = _can_be_written()
