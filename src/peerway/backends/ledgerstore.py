"""Ledgers as files, 0600, in the state directory. A write is in the kernel's page cache when it returns, which outlives
the process but not the machine; AllowedIPs do not outlive the machine either.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/net")
SO_NETNS_COOKIE = 71  # asm-generic/socket.h, since Linux 5.14


def place() -> str:
    """
    A name for this boot and network namespace.
    """
    return f"{BOOT_ID.read_text().strip()}-{_namespace()}"


def _namespace() -> str:
    """The namespace's cookie, which no later one gets; from kernels that have none, its inode, which others may get."""
    try:
        with socket.socket(socket.AF_UNIX) as any_socket:
            cookie = any_socket.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
    except OSError:
        return f"inode{NAMESPACE.stat().st_ino}"
    return str(int.from_bytes(cookie, sys.byteorder))


class LedgerFiles:
    """
    model.ports.LedgerStore over a directory, which is made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        """
        Raises OSError if the directory cannot be made.
        """
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            words = "a file is where a directory should be; set daemon.state_directory"
            raise OSError(error.errno, words, str(directory)) from None
        self._open: dict[str, tuple[int, int]] = {}  # descriptor and size; nobody else writes
        self._lock = -1

    def lock(self, name: str) -> bool:
        """
        Take the directory for the one daemon of a namespace until this process ends; whether it was free.
        """
        self._lock = os.open(self._directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = -1
            return False
        return True

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.ledger"

    def load(self, key: str) -> bytes:
        """
        All that was written for this key, empty if nothing. Raises OSError.
        """
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return b""

    def append(self, key: str, data: bytes) -> None:
        """
        Write at the end; half a write is cut off again. Raises OSError.
        """
        descriptor, size = self._open.get(key) or self._opened(key)
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                _write_all(descriptor, data[written:])
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        self._open[key] = descriptor, size + len(data)

    def _opened(self, key: str) -> tuple[int, int]:
        descriptor = os.open(self._path(key), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._open[key] = found = descriptor, os.fstat(descriptor).st_size
        return found

    def replace(self, key: str, data: bytes) -> None:
        """
        Put `data` in the place of all, atomically. Raises OSError.
        """
        fresh = self._path(key).with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)
        fresh.rename(self._path(key))
        self._forget_descriptor(key)

    def keys(self) -> list[str]:
        """
        The keys that are kept.
        """
        return sorted(path.stem for path in self._directory.glob("*.ledger"))

    def delete(self, key: str) -> None:
        """
        Forget a key; a missing one is fine.
        """
        self._forget_descriptor(key)
        self._path(key).unlink(missing_ok=True)

    def close(self) -> None:
        """
        Close all files, and give the directory free.
        """
        for key in list(self._open):
            self._forget_descriptor(key)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _forget_descriptor(self, key: str) -> None:
        descriptor, _ = self._open.pop(key, (-1, 0))
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
