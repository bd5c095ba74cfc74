"""Whether compiled loops can be cached on disk: in NUMBA_CACHE_DIR, beside the code, or in the user's own cache.

If none of these is writable, every process compiles the loops again, which takes seconds.
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
