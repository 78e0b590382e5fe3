"""A timer as a descriptor, so that it can wait beside sockets: timerfd_create(2), which Python has from 3.13 on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import time

_libc = ctypes.CDLL(None, use_errno=True)


class Timer:
    """
    Becomes readable once, some time after `start`.
    """

    def __init__(self) -> None:
        """Raises OSError if the process has no descriptors left."""
        self._fd: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def start(self, seconds: float) -> None:
        """Start, or start again."""
        whole, fraction = divmod(max(seconds, 0.001), 1)
        _libc.timerfd_settime(self._fd, 0, struct.pack("@llll", 0, 0, int(whole), int(fraction * 1e9)), None)

    def expired(self) -> bool:
        """Whether it ran out since it was started; asks once."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._fd, 8))
        return False

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
