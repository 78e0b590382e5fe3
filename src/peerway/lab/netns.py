"""The system calls behind named network namespaces, without a process for each: see namespaces(7) and ip-netns(8).

A namespace is a bind mount of /proc/.../ns/net on /run/netns/NAME, which is what ip(8) makes, so `ip netns` sees ours
and we see its. Creating one here costs no fork, which counts on an emulated machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

DIRECTORY: Final = Path("/run/netns")
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_SHARED: Final = 1 << 20
MNT_DETACH: Final = 2
OWN: Final = Path("/proc/thread-self/ns/net")

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: int | bytes | None) -> None:
    """Call a function of the C library that answers 0; raises OSError with its name."""
    if getattr(_libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def path_of(name: str) -> Path:
    """Where the namespace `name` is mounted."""
    return DIRECTORY / name


@contextlib.contextmanager
def entered(path: Path) -> Iterator[None]:
    """
    Put the calling thread into the namespace at `path`, and back at the end. Sockets opened and processes started
    inside belong to that namespace. Do not await inside: other tasks of the thread would be there too.
    """
    with OWN.open("rb") as before:
        with path.open("rb") as there:
            _call("setns", there.fileno(), CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", before.fileno(), CLONE_NEWNET)


def create(name: str) -> Path:
    """Make the namespace `name`. Raises FileExistsError if there is one, PermissionError without root."""
    _prepare_directory()
    path = path_of(name)
    path.touch(exist_ok=False)
    try:
        with OWN.open("rb") as before:
            _call("unshare", CLONE_NEWNET)
            try:
                _call("mount", os.fsencode(OWN), os.fsencode(path), b"none", MS_BIND, None)
            finally:
                _call("setns", before.fileno(), CLONE_NEWNET)
    except OSError:
        path.unlink()
        raise
    return path


def remove(name: str) -> None:
    """Take the name `name` away; the namespace goes with its last process. A missing one is fine."""
    path = path_of(name)
    with contextlib.suppress(OSError):
        _call("umount2", os.fsencode(path), MNT_DETACH)
    path.unlink(missing_ok=True)


def members(name: str) -> list[int]:
    """The ids of the processes that are in the namespace `name`, except this one."""
    try:
        wanted = path_of(name).stat().st_ino
    except OSError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile
                if (entry / "ns/net").stat().st_ino == wanted:
                    found.append(int(entry.name))
    return found


def _prepare_directory() -> None:
    """Make /run/netns a shared mount, as ip(8) does, so that a namespace's end reaches other mount namespaces."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    where = os.fsencode(DIRECTORY)
    try:
        _call("mount", b"", where, b"none", MS_SHARED | MS_REC, None)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Not a mount yet. (Comparing devices would not tell: it becomes one of the same file system.)
        _call("mount", where, where, b"none", MS_BIND | MS_REC, None)
        _call("mount", b"", where, b"none", MS_SHARED | MS_REC, None)
