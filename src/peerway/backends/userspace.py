"""A WireGuard device of a userspace program (wireguard-go and others), over its unix socket."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from typing_extensions import override

from peerway.backends.device import BaseDevice, Pair, chunks, digest
from peerway.model.device import Backend, Reading
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.setup import DeviceConfig
from peerway.protocols import uapi
from peerway.protocols.errors import RemoteProtocolError

TIMEOUT: Final = 5  # seconds without a sign of life
LINES: Final = 1500  # of one request: others wait a millisecond or two
_PART: Final = 1 << 18


class RefusedError(OSError):
    """
    The program answered with an errno.
    """


class _ClosedError(OSError):
    """The program closed the connection before it said anything."""


class UserspaceDevice(BaseDevice):
    """
    A WireGuard device of a userspace program. One connection is kept; after an errno it is out of step (the program
    goes on reading what it refused), so a new one is made.
    """

    def __init__(self, name: str, ifindex: int, path: Path) -> None:
        super().__init__(name, ifindex)
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    @override
    def backend(self) -> Backend:
        return Backend.USERSPACE

    @override
    async def close(self) -> None:
        if self._streams:
            # close() still sends what is waiting, so that no request is left half said.
            self._streams[1].close()
            self._streams = None

    @override
    async def _read(self) -> Reading:
        return (await self._ask(uapi.GET)).reading(self.name, self.ifindex)

    @override
    async def _configure(self, config: DeviceConfig) -> None:
        await self._ask(uapi.configure(config))

    @override
    def _chunks(self, pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
        return chunks(pairs, 1, 2, LINES)

    @override
    async def _give(self, pairs: Sequence[Pair]) -> None:
        await self._ask(uapi.give(pairs))

    @override
    async def _take(self, pairs: Sequence[Pair]) -> None:
        await self._ask(uapi.take(pairs))

    @override
    async def _discard(self, prefixes: Sequence[Prefix], throwaway: PublicKey) -> None:
        await self._ask(uapi.discard(prefixes, throwaway))

    @override
    async def _remove_peer(self, key: PublicKey) -> None:
        await self._ask(uapi.remove_peer(key))

    @override
    def _refused(self, error: OSError) -> bool:
        return isinstance(error, RefusedError)

    async def _ask(self, request: bytes) -> uapi.Answer:
        kept = self._streams is not None
        try:
            return await self._ask_once(request)
        except _ClosedError:
            if not kept:
                raise
        # The program was started again since; to ask twice does no harm.
        return await self._ask_once(request)

    async def _ask_once(self, request: bytes) -> uapi.Answer:
        try:
            answer = await self._converse(request)
        except TimeoutError:
            self._abort()
            raise OSError(
                errno.ETIMEDOUT, f"{self.name}: the userspace WireGuard at {self._path} gave no answer in {TIMEOUT} s"
            ) from None
        except RemoteProtocolError as error:
            self._abort()
            raise OSError(errno.EPROTO, f"{self.name}: {error}") from error
        except BaseException:
            await self.close()
            raise
        if answer.errno:
            await self.close()
            words = os.strerror(answer.errno)
            raise RefusedError(answer.errno, f"{self.name}: the userspace WireGuard refused the request: {words}")
        return answer

    async def _converse(self, request: bytes) -> uapi.Answer:
        reader, writer = await self._connection()
        answer = uapi.Answer(digest)
        writer.write(request)
        heard = False
        while not answer.done:
            try:
                async with asyncio.timeout(TIMEOUT):
                    part = await reader.read(_PART)
            except ConnectionError:
                part = b""
            if not part:
                words = f"{self.name}: the userspace WireGuard at {self._path} closed the connection"
                raise OSError(errno.ENODEV, words) if heard else _ClosedError(errno.ENODEV, words)
            heard = True
            answer.feed(part)
        return answer

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            try:
                async with asyncio.timeout(TIMEOUT):
                    self._streams = await asyncio.open_unix_connection(self._path, limit=_PART)
            except (FileNotFoundError, ConnectionRefusedError):
                raise OSError(
                    errno.ENODEV, f"{self.name}: no userspace WireGuard listens at {self._path} any more"
                ) from None
        return self._streams

    def _abort(self) -> None:
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None
