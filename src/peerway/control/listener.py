"""The unix socket that the daemon listens on: it replaces a dead one, never takes one from a living daemon.

The socket is bound under a temporary name, made ready, and renamed to its place, so that whoever opens the path finds a
socket that answers. Two daemons that start together are kept apart by a lock on the directory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GROUP_MODE: Final = 0o660  # where one group may open it: nobody else gets as far as the daemon
OPEN_MODE: Final = 0o666  # where two may, or a group that the daemon cannot give it to: the daemon tells them apart
DIRECTORY_MODE: Final = 0o755
BACKLOG: Final = 128
_LONGEST_PATH: Final = 107  # sun_path without its final zero


class SocketTakenError(RuntimeError):
    """
    Another daemon answers on the path. The text says so, and the cure.
    """


@dataclass(frozen=True, slots=True)
class Listener:
    """
    A listening socket at its place. `identity` tells our file from one that replaced it; None = the file is not ours.
    """

    socket: socket.socket
    path: Path
    identity: tuple[int, int] | None

    def close(self) -> None:
        """
        Stop listening, and remove the file if it is still ours.
        """
        self.socket.close()
        with suppress(OSError), _locked(self.path.parent):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self.identity:
                self.path.unlink()


def listen(path: Path, groups: Collection[int]) -> Listener:
    """
    Listen on `path`, so that members of these groups can open it; its directory is made if it is missing. Raises
    SocketTakenError, and OSError with the path in it.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, "too long for a unix socket", str(path))
    _make_directory(path.parent)
    with _locked(path.parent):
        try:
            taken = _answers(path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        if taken:
            raise SocketTakenError(
                f"another peerway answers on {path}; stop it (`systemctl stop peerway`) or set daemon.control_socket"
            )
        temporary = path.with_name(f".{os.getpid()}")
        temporary.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            listener.bind(str(temporary))
            open_to(temporary, groups)
            listener.listen(BACKLOG)
            found = temporary.lstat()
            temporary.rename(path)
        except OSError as error:
            listener.close()
            temporary.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error
    return Listener(listener, path, (found.st_dev, found.st_ino))


def adopt(listening: socket.socket, groups: Collection[int]) -> Listener:
    """
    A socket that somebody else opened for us, and keeps when we end: systemd (socket activation).
    """
    path = Path(os.fsdecode(listening.getsockname()))
    with suppress(OSError):  # its mode is also set where it is opened (peerway.socket); the daemon judges in any case
        open_to(path, groups)
    return Listener(listening, path, None)


def open_to(path: Path, groups: Collection[int]) -> None:
    """
    Let members of these groups open a socket file. Raises OSError if it is not ours.
    """
    mode = OPEN_MODE
    if len(groups) == 1:
        with suppress(PermissionError):  # we are no member, and not root
            os.chown(path, -1, *groups)
            mode = GROUP_MODE
    path.chmod(mode)


def _make_directory(directory: Path) -> None:
    missing = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        parent.chmod(DIRECTORY_MODE)  # whatever the umask is


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _answers(path: Path) -> bool:
    """Whether somebody listens there. A file that is no socket is not ours to replace: OSError."""
    if not path.exists():
        return False
    if not path.is_socket():
        raise FileExistsError(
            errno.EEXIST, "a file that is no socket is in the way; set daemon.control_socket", str(path)
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # its queue of connections is full: it is alive, if slow
    return True
