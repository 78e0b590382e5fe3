"""When something was applied: time stamps that another process sends to the bench."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final, Self

from peerway.backends.device import Pair
from peerway.backends.userspace import UserspaceDevice
from peerway.engine import Engine
from peerway.model import prefix as px

PATIENCE: Final = 120.0  # seconds; a limit for a broken program
RECORD: Final = Struct("=QII")  # CLOCK_MONOTONIC in ns, how many IPv4 prefixes were given, address of the last one


@dataclass(frozen=True, slots=True)
class Stamp:
    """One record; without prefixes it says that a round of the engine begins."""

    time: int
    given: int
    address: int


class Stamps:
    """
    A datagram socket for records. A sender opens its own one, so it works after a fork that closed all descriptors.
    """

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="peerway-bench-")
        self._path = str(Path(self._home.name, "stamps"))
        self._receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._receiver.bind(self._path)
        self._receiver.settimeout(PATIENCE)
        self._sender: tuple[int, socket.socket] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._receiver.close()
        self._home.cleanup()

    def send(self, given: int = 0, address: int = 0) -> None:
        """The present time, from whichever process."""
        record = RECORD.pack(time.monotonic_ns(), given, address)
        if self._sender is None or self._sender[0] != os.getpid():
            self._sender = os.getpid(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender[1].sendto(record, self._path)

    def receive(self) -> Stamp:
        """The next record. Raises TimeoutError."""
        return Stamp(*RECORD.unpack(self._receiver.recv(RECORD.size)))

    def clear(self) -> None:
        """Forget what waits."""
        self._receiver.setblocking(False)
        try:
            while self._receiver.recv(RECORD.size):
                pass
        except BlockingIOError:
            self._receiver.settimeout(PATIENCE)


@contextmanager
def in_peerway(stamps: Stamps) -> Iterator[None]:
    """
    A daemon that is forked inside this `with` stamps the begin of its first round, and each reply to a request that
    gives prefixes.
    """
    step, give = Engine.step, UserspaceDevice._give
    begun = False

    async def stamped_step(engine: Engine) -> None:
        nonlocal begun
        if not begun:
            begun = True
            stamps.send()
        await step(engine)

    async def stamped_give(device: UserspaceDevice, pairs: Sequence[Pair]) -> None:
        await give(device, pairs)
        given = [prefix for prefix, _ in pairs if not prefix & px.V6]
        if given:
            stamps.send(len(given), px.number(given[-1]))

    Engine.step, UserspaceDevice._give = stamped_step, stamped_give  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Engine.step, UserspaceDevice._give = step, give  # type: ignore[method-assign]
