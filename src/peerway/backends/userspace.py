"""A WireGuard device of a userspace program (wireguard-go and others), over its unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from typing_extensions import override

from peerway.backends.chunks import Chunk, chunks
from peerway.backends.device import BaseDevice, Seen, digest
from peerway.backends.foresight import Foresight
from peerway.backends.uapisocket import UapiSocket
from peerway.model.device import Backend, Group, Reading
from peerway.model.keys import PublicKey
from peerway.model.setup import DeviceConfig
from peerway.protocols import uapi, uapi_set
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.gathering import Memory

TIMEOUT: Final = 5  # seconds without a sign of life
LINES: Final = 2400  # of one request: others wait for a millisecond or two
PART: Final = 1 << 17  # bytes of an answer that are read between two turns of the event loop
SHORT: Final = 4096  # bytes of an answer that is read as it comes
PAUSE: Final = 0.001  # seconds in which the parts of a long answer gather
HURRY: Final = 0.0002  # seconds for which all else may wait for a short answer
HURRY_LONG: Final = 0.0015  # and for the answer to one of many requests
LARGE: Final = 20_000  # AllowedIPs that are sorted beside the event loop

T = TypeVar("T")


class RefusedError(OSError):
    """
    The program answered with an errno.
    """


class UserspaceDevice(BaseDevice):
    """
    A WireGuard device of a userspace program. One connection is kept; after an errno it is out of step (the program
    goes on reading what it refused), so a new one is made. It also reads beyond a request and drops that, so nothing is
    sent before the answer came.
    """

    def __init__(self, name: str, ifindex: int, path: Path) -> None:
        super().__init__(name, ifindex)
        self._path = path
        self._socket: UapiSocket | None = None
        self._late: UapiSocket | None = None  # what was asked there was not answered in time, and may still be done
        self._memory = Memory()
        self._foresight: Foresight | None = None
        self._asked = b""
        self._may_be_dead = False  # the connection is kept from earlier, and nothing was heard since

    @property
    @override
    def backend(self) -> Backend:
        return Backend.USERSPACE

    @override
    async def close(self) -> None:
        self._close()
        self._forget_late()

    def _close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _give_up(self) -> None:
        """A program that hangs does what it was asked when it goes on, though nobody waits for it by then."""
        if self._socket:
            self._late, self._socket = self._socket, None
            self._late.finish()
            self._unsee()

    async def _hear_out(self) -> None:
        """Wait until the program has done what it was asked before, else what is read now would be true too early."""
        late = self._late
        try:
            while late and await late.receive(PART):
                pass
        except TimeoutError:
            raise
        except OSError:
            pass  # the program is gone, and with it what it was asked
        self._forget_late()

    def _forget_late(self) -> None:
        if self._late:
            self._late.close()
            self._late = None

    @override
    def foresee(self) -> None:
        if not self._can_take and self._foresight is None and self._late is None:
            self._foresight = Foresight((self.name, self.ifindex), self._path, self._memory, TIMEOUT)

    @override
    async def _foreseen(self) -> Seen | None:
        foresight, self._foresight = self._foresight, None
        found = await foresight.result() if foresight else None
        if found is None:
            return None
        self._can_take, self._memory = found.can_take, found.memory or self._memory
        return found.seen if found.seen and found.seen.is_fresh() else None

    @override
    def _unsee(self) -> None:
        super()._unsee()
        self._foresight = None

    @override
    async def _read(self) -> Reading:
        answer = await self._guard(self._get())
        if answer.size > LARGE:
            reading = await asyncio.to_thread(answer.reading, self.name, self.ifindex)
        else:
            reading = answer.reading(self.name, self.ifindex)
        self._memory = answer.memory
        return reading

    @override
    async def _configure(self, config: DeviceConfig) -> None:
        await self._send(uapi_set.configure(config))

    @override
    def _chunks(self, groups: Iterable[Group]) -> Iterator[Chunk]:
        return chunks(groups, 1, 2, LINES)

    @override
    def _give(self, chunk: Chunk) -> bytes:
        return uapi_set.give(chunk)

    @override
    def _take(self, chunk: Chunk) -> bytes:
        return uapi_set.take(chunk)

    @override
    def _discard(self, chunk: Chunk) -> bytes:
        return uapi_set.discard([column for _, column in chunk], chunk[0][0])

    @override
    def _remove_peer(self, key: PublicKey) -> bytes:
        return uapi_set.remove_peer(key)

    @override
    async def _send(self, request: bytes, meanwhile: Callable[[], None] | None = None) -> None:
        try:
            await self._set(request, meanwhile)
        except BaseException as error:  # noqa: BLE001 - it is raised again, perhaps in other words
            raise self._broken(error) from None

    @override
    def _refused(self, error: OSError) -> bool:
        return isinstance(error, RefusedError)

    async def _guard(self, steps: Coroutine[None, None, T]) -> T:
        try:
            return await steps
        except BaseException as error:  # noqa: BLE001 - it is raised again, perhaps in other words
            raise self._broken(error) from None

    def _broken(self, error: BaseException) -> BaseException:
        """Whatever went wrong, the connection is out of step then. Returns what to tell."""
        if isinstance(error, TimeoutError):
            self._give_up()
            words = f"{self.name}: the userspace WireGuard at {self._path} gave no answer in {TIMEOUT} s"
            return OSError(errno.ETIMEDOUT, words)
        self._close()
        if isinstance(error, RemoteProtocolError):
            return OSError(errno.EPROTO, f"{self.name}: {error}")
        return error

    async def _ask(self, request: bytes) -> None:
        if self._late:
            await self._hear_out()
        self._may_be_dead = self._socket is not None
        sock = self._socket or await self._connected()
        self._asked = request
        try:
            sent = sock.send_some(request)
            if sent < len(request):
                await sock.send(request[sent:])
        except ConnectionError:
            pass  # which is seen where the answer is waited for

    async def _set(self, request: bytes, meanwhile: Callable[[], None] | None) -> None:
        await self._ask(request)
        hurry = HURRY
        if meanwhile:
            meanwhile()
            await asyncio.sleep(0)  # the program works while others have their turn
            hurry = HURRY_LONG
        heard = await self._part(hurry, SHORT)
        while heard != uapi.DONE and not self._is_whole(heard):
            heard += await self._part(hurry)

    def _is_whole(self, heard: bytes) -> bool:
        """Whether this, which is no plain success, is all of an answer; raises if it is an error."""
        answer = uapi.Answer(digest)
        answer.feed(heard)
        self._check(answer)
        return answer.done

    def _check(self, answer: uapi.Answer) -> None:
        if answer.done and answer.errno:
            words = f"{self.name}: the userspace WireGuard refused the request: {os.strerror(answer.errno)}"
            raise RefusedError(answer.errno, words)

    async def _get(self) -> uapi.Answer:
        await self._ask(uapi.GET)
        answer = uapi.Answer(digest, self._memory)
        part = await self._part(HURRY)
        answer.feed(part)
        size = len(part)
        while not answer.done:
            part = await self._part(0) if size <= SHORT else await self._long_part()
            answer.feed(part)
            size += len(part)
        self._check(answer)
        return answer

    async def _part(self, hurry: float, most: int = PART) -> bytes:
        """The next part of an answer. Raises OSError ENODEV at its end."""
        sock = self._socket
        part: bytes | None = b""
        if sock:
            try:
                part = sock.receive_soon(most, hurry) if hurry else None
                if part is None:
                    part = await sock.receive(most)
            except ConnectionError:
                part = b""
        if part:
            self._may_be_dead = False
            return part
        if not self._may_be_dead:
            words = f"{self.name}: the userspace WireGuard at {self._path} closed the connection"
            raise OSError(errno.ENODEV, words)
        # The program was started again since; to ask twice does no harm.
        self._close()
        await self._ask(self._asked)
        return await self._part(hurry)

    async def _long_part(self) -> bytes:
        """Several parts of an answer: it is written a page at a time, and to be woken costs more than to read."""
        parts: list[bytes] = []
        size = 0
        while size < PART and not (parts and parts[-1].endswith(b"\n\n")):
            part: bytes | None = None
            with contextlib.suppress(ConnectionError):
                part = self._socket.receive_waiting(PART) if self._socket else None
            if not part:
                await asyncio.sleep(PAUSE)
                part = await self._part(HURRY)
            parts.append(part)
            size += len(part)
        await asyncio.sleep(0)
        return b"".join(parts)

    async def _connected(self) -> UapiSocket:
        sock = self._socket = UapiSocket(TIMEOUT)
        try:
            await sock.connect(self._path)
        except PermissionError:
            raise OSError(
                errno.EACCES,
                f"{self.name}: no permission for {self._path}; run peerway as its owner, or with CAP_DAC_OVERRIDE "
                "(peerway.service.d/userspace.conf)",
            ) from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise OSError(
                errno.ENODEV, f"{self.name}: no userspace WireGuard listens at {self._path} any more"
            ) from None
        return sock
