"""Memory that was used once: kept for what comes next, or given back."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of glibc's mallopt
_KEPT = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}
_AS_BEFORE = {_TRIM_THRESHOLD: 2**26, _MMAP_THRESHOLD: 2**25, _MMAP_MAX: 2**16}  # where glibc's own rule ends, too


def give_memory_back() -> None:
    """Hand what is free in the C library's heap back to the system, where it can: 100 MB stay there after a network."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def trim_as_glibc_does() -> None:
    """Leave it to the C library when free memory goes back to the system, whatever `MALLOC_TRIM_THRESHOLD_` says.

    dask sets that to 64 KB for its workers, and then every array of 128 KB and more is asked for, cleared and given
    back anew.
    """
    _set_options(_AS_BEFORE)


@contextlib.contextmanager
def freed_memory_kept(kept: bool = True) -> Iterator[None]:
    """Within it, freed memory serves the next layer of a network and is not handed back to the system in between.

    Else glibc asks the system for every large tensor anew, and clearing those pages takes a third of the time of the
    paper's networks on its full grid. Given back at the end. Does nothing without glibc, or where not `kept`.
    """
    if not kept:
        yield
        return
    _set_options(_KEPT)
    try:
        yield
    finally:
        _set_options(_AS_BEFORE)
        give_memory_back()


def _set_options(options: dict[int, int]) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        library = ctypes.CDLL(None)
        for option, value in options.items():
            library.mallopt(option, value)
