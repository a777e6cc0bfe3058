"""Memory that was used once and is not needed again."""

from __future__ import annotations

import contextlib
import ctypes


def give_memory_back() -> None:
    """Hand what is free in the C library's heap back to the system, where it can: 100 MB stay there after a network."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
