"""A connection to a userspace program: a unix stream socket that waits through the event loop, but not at once.

Most answers are there within microseconds, which is less than a turn of the event loop takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from pathlib import Path
from typing import Final

_AGAIN: Final = 0.01  # seconds until a program whose queue is full is tried again
_SELECTABLE: Final = 1024  # descriptors below it (FD_SETSIZE)


class UapiSocket:
    """
    One connection. Each wait raises TimeoutError after `timeout` seconds, and ConnectionError when it is closed.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._waiting: asyncio.Future[None] | None = None

    async def connect(self, path: Path) -> None:
        """
        Connect to a socket file. Raises OSError.
        """
        async with asyncio.timeout(self._timeout):
            while True:
                try:
                    self._socket.connect(os.fspath(path))
                except BlockingIOError:  # as many as it takes are waiting already
                    await asyncio.sleep(_AGAIN)
                else:
                    return

    def fileno(self) -> int:
        """
        The descriptor, -1 when closed.
        """
        return self._socket.fileno()

    def finish(self) -> None:
        """
        Send no more; what was sent is still done, and then the other side closes.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """
        Close it, also under somebody who waits; again does no harm.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._stop_waiting()
            if not waiting.done():
                waiting.set_exception(ConnectionAbortedError("closed by ourselves"))
        self._socket.close()

    async def send(self, data: bytes) -> None:
        """
        Send all of it.
        """
        sent = self.send_some(data)
        while sent < len(data):
            await self._wait(writable=True)
            sent += self.send_some(memoryview(data)[sent:])

    def send_some(self, data: bytes | memoryview) -> int:
        """
        Send what can be sent at once; how many bytes it was.
        """
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def receive_soon(self, most: int, seconds: float) -> bytes | None:
        """
        What comes within so many seconds, without a turn of the event loop: b"" is the end, None is nothing.
        """
        number = self._socket.fileno()
        if number < _SELECTABLE:
            select.select((number,), (), (), seconds)
        return self.receive_waiting(most)

    def receive_waiting(self, most: int) -> bytes | None:
        """
        What waits: b"" is the end, None is nothing.
        """
        try:
            return self._socket.recv(most)
        except BlockingIOError:
            return None

    async def receive(self, most: int) -> bytes:
        """
        Wait through the event loop for what comes; b"" is the end. Others have a turn in any case.
        """
        while True:
            await self._wait(writable=False)
            part = self.receive_waiting(most)
            if part is not None:
                return part

    async def _wait(self, *, writable: bool) -> None:
        loop = asyncio.get_running_loop()
        number = self._socket.fileno()
        if number < 0:
            raise ConnectionAbortedError("closed by ourselves")
        waiting = self._waiting = loop.create_future()
        (loop.add_writer if writable else loop.add_reader)(number, _wake, waiting)
        guard = loop.call_later(self._timeout, _fail, waiting)
        try:
            await waiting
        finally:
            guard.cancel()
            if self._waiting is waiting:  # else it was closed, and the number may be another's by now
                self._stop_waiting()
                self._waiting = None

    def _stop_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket.fileno())
        loop.remove_writer(self._socket.fileno())


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _fail(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())
