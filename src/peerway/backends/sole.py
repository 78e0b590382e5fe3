"""One daemon for each network namespace, whatever its state directory and control socket are.

Two would take each other's routes for their own, as these carry the same protocol number. An abstract unix socket has
exactly the right scope: its name belongs to a network namespace, and goes with the process. As any user can take a
name, one is believed only if it is held by somebody who could be a daemon.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import Final

from peerway.backends.privileges import CAP_NET_ADMIN, process_has

NAME: Final = "\0peerway"
_UCRED: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid


class Sole:
    """
    The namespace's one place for a daemon; taken while `taken`.
    """

    def __init__(self, name: str = NAME) -> None:
        """
        Take it in the calling thread's network namespace, if it is free.
        """
        self.taken = False
        self.holder: tuple[int, int] | None = None  # pid and uid of who has it instead
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.bind(name)
            self._socket.listen()
            self.taken = True
        except OSError:
            self.close()
            self.holder = _holder(name)

    @property
    def held_by_a_daemon(self) -> bool:
        """
        Whether somebody else has it who may change networks: root, our own user, or a process with the capability.
        """
        if self.holder is None:
            return False
        pid, uid = self.holder
        return uid in (0, os.geteuid()) or process_has(pid, CAP_NET_ADMIN)

    def close(self) -> None:
        """
        Give it free.
        """
        self._socket.close()


def _holder(name: str) -> tuple[int, int] | None:
    """Who listens there: the kernel tells whoever connects. None if it is gone, or never listened."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(1.0)
        probe.connect(name)
        pid, uid, _ = _UCRED.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return pid, uid
    return None
