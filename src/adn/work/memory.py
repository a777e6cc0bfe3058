"""Freed memory: kept for reuse, or returned to the system."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of glibc's mallopt
_KEPT = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}
_AS_BEFORE = {_TRIM_THRESHOLD: 2**26, _MMAP_THRESHOLD: 2**25, _MMAP_MAX: 2**16}  # where glibc's own adjustment ends


def release_memory() -> None:
    """Return free memory in the C library's heap to the system, if possible: a network leaves 100 MB there."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def restore_glibc_trimming() -> None:
    """Let the C library decide when to return free memory to the system, whatever `MALLOC_TRIM_THRESHOLD_` says.

    dask sets it to 64 KB for its workers, so that every array of 128 KB or more is requested, cleared and returned each
    time.
    """
    _set_options(_AS_BEFORE)


@contextlib.contextmanager
def keep_freed_memory(kept: bool = True) -> Iterator[None]:
    """Inside this context, freed memory is reused by a network's next layer instead of being returned to the system.

    Otherwise glibc requests memory for every large tensor again, and clearing those pages takes a third of the time of
    the paper's networks on its full grid. Returned at the end. Does nothing without glibc, or if not `kept`.
    """
    if not kept:
        yield
        return
    _set_options(_KEPT)
    try:
        yield
    finally:
        _set_options(_AS_BEFORE)
        release_memory()


def _set_options(options: dict[int, int]) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        library = ctypes.CDLL(None)
        for option, value in options.items():
            library.mallopt(option, value)
