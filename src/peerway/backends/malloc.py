"""The C library's allocator, told to give back what is not used: columns are large, and short-lived ones many."""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8

LARGE: Final = 16 << 20
"""Bytes from which a block is a mapping of its own, which goes when it is freed (mallopt(3)). Smaller ones come and go
too often for that, and are given back by `trim`."""


def be_frugal() -> None:
    """
    Keep large blocks out of the heap, and the heap in one arena. Does nothing where the C library is no glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, LARGE), (M_ARENA_MAX, 1)):
            mallopt(parameter, value)


def trim() -> None:
    """
    Give back what the heap has free at its end and in between (malloc_trim(3)).
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
