"""A reading of a userspace device that is begun before it is needed, in a thread and over a connection of its own.

The program works on it while the daemon does something else, and whoever needs it waits for what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from peerway.backends.device import Seen, digest
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.keys import LENGTH, PublicKey
from peerway.protocols import uapi, uapi_set
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.gathering import Memory

PART: Final = 1 << 17  # bytes that are received at once
_PROBE: Final = cl.make(px.AF_INET, [px.parse("0.0.0.0/0")])


@dataclass(frozen=True, slots=True)
class Foreseen:
    """
    What was found: whether single prefixes can be taken away; if not, a reading, and what it leaves for the next one.
    """

    can_take: bool
    seen: Seen | None = None
    memory: Memory | None = None


class Foresight:
    """
    One reading, begun now. Only in a running event loop.
    """

    def __init__(self, device: tuple[str, int], path: Path, memory: Memory, timeout: float) -> None:
        """
        `device` is its name and index. `timeout` in seconds without a sign of life.
        """
        self._device, self._path, self._memory, self._timeout = device, path, memory, timeout
        self._future = asyncio.get_running_loop().run_in_executor(None, self._look)
        self._future.add_done_callback(_forget_error)

    async def result(self) -> Foreseen | None:
        """
        Wait for it; None if it went wrong, which is told to whoever tries again.
        """
        try:
            return await self._future
        except (OSError, RemoteProtocolError):
            return None

    def _look(self) -> Foreseen:
        began = time.monotonic()
        with self._connected() as sock:
            nobody = PublicKey(os.urandom(LENGTH))
            if self._ask(sock, uapi_set.take([(nobody, _PROBE)])).errno != errno.EINVAL:
                return Foreseen(can_take=True)
        with self._connected() as sock:
            answer = self._ask(sock, uapi.GET)
        if answer.errno:
            raise OSError(answer.errno, os.strerror(answer.errno))
        reading = answer.reading(*self._device)
        return Foreseen(can_take=False, seen=Seen(reading, began, time.monotonic()), memory=answer.memory)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(self._timeout)
            sock.connect(os.fspath(self._path))
            yield sock

    def _ask(self, sock: socket.socket, request: bytes) -> uapi.Answer:
        sock.sendall(request)
        answer = uapi.Answer(digest, self._memory)
        while not answer.done:
            part = sock.recv(PART)
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, "the program closed the connection")
            answer.feed(part)
        return answer


def _forget_error(future: asyncio.Future[Foreseen]) -> None:
    """Nobody may ever ask."""
    if not future.cancelled():
        future.exception()
