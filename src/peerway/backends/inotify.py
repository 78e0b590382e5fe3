"""Hints that something changed in one directory, also while it does not exist yet: inotify(7)."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Final

IN_MOVED_FROM: Final = 0x40
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_ONLYDIR: Final = 0x01000000
_WHAT: Final = IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR

NOTHING: Final = -1

_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """
    Watches one directory for names that come and go. While it is not there, its nearest ancestor is watched.
    """

    def __init__(self, directory: Path) -> None:
        """
        Raises OSError if the kernel has no more inotify instances.
        """
        self._directory = directory
        # IN_NONBLOCK and IN_CLOEXEC are these two.
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self._number = NOTHING
        self._watch()

    def fileno(self) -> int:
        """
        The descriptor that is readable after a change.
        """
        return self._fd

    def read_hints(self) -> bool:
        """
        Read what waits, and watch what is there now. Whether anything was there to be read.
        """
        changed = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, 1 << 16):
                changed = True
        if changed:
            self._watch()
        return changed

    def close(self) -> None:
        """
        Stop watching.
        """
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _watch(self) -> None:
        path, number = self._add()
        if path != self._directory and self._directory.is_dir():
            path, number = self._add()  # it came between the two system calls
        if self._number not in (number, NOTHING):
            _libc.inotify_rm_watch(self._fd, self._number)  # EINVAL if the directory is gone: just as well
        self._number = number

    def _add(self) -> tuple[Path, int]:
        for path in (self._directory, *self._directory.parents):
            number: int = _libc.inotify_add_watch(self._fd, os.fsencode(path), _WHAT)
            if number >= 0:
                return path, number
        return self._directory, NOTHING


def _checked(result: int, doing: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
    return result
