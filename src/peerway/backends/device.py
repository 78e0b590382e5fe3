"""What kernel and userspace devices share: one operation at a time, AllowedIPs in chunks, refusals one by one.

Taking a prefix away has two ways. New WireGuards know it as an operation; old ones answer EINVAL, and change nothing.
There a throwaway peer does it: it gets the prefixes and goes with them, in one request. That takes a prefix from
WHOEVER holds it, so only prefixes that a fresh reading shows at the named peer go this way (removals.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from peerway.backends.chunks import Ahead, Chunk, halves
from peerway.backends.removals import Removals
from peerway.model import columns as cl
from peerway.model.columns import Column
from peerway.model.device import AllowedIPsDelta, Backend, Group, Reading
from peerway.model.keys import LENGTH, PublicKey
from peerway.model.ports import Refusal
from peerway.model.setup import DeviceConfig

FRESH: Final = 0.1  # seconds for which a reading may tell who holds a prefix, before removals by throwaway peer
TRUST: Final = 2  # or so many times as long as it took: else there would be no end of reading
_DIGEST_KEY: Final = os.urandom(LENGTH)


def digest(psk: bytes) -> bytes:
    """
    What may be remembered of a preshared key (model.device.Peer.psk): a digest that only this process can make.
    """
    return hashlib.blake2b(psk, key=_DIGEST_KEY, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Seen:
    """
    A reading, and when it began and ended in seconds of the monotonic clock.
    """

    reading: Reading
    began: float
    ended: float

    def is_fresh(self) -> bool:
        """
        Whether it may still tell who holds a prefix.
        """
        return time.monotonic() < self.ended + max(FRESH, TRUST * (self.ended - self.began))


class BaseDevice(ABC):
    """
    A WireGuard device (model.ports.DeviceHandle). Its subclasses say how a request is written and sent.
    """

    short = 4096
    """Bytes of a request that is answered sooner than another one is written."""

    def __init__(self, name: str, ifindex: int) -> None:
        self.name = name
        self.ifindex = ifindex
        self._lock = asyncio.Lock()
        self._can_take: bool | None = None  # nobody knows until the device says no, or is asked
        self._seen: Seen | None = None  # what was foreseen and read, until something changes

    @property
    @abstractmethod
    def backend(self) -> Backend:
        """How it is spoken to."""

    async def read(self) -> Reading:
        """
        Read all of the device. Raises OSError: ENODEV when it is gone, EBUSY when it changes without a pause.
        """
        async with self._lock:
            foreseen = self._seen = await self._foreseen()
            return foreseen.reading if foreseen else await self._read()

    @abstractmethod
    def foresee(self) -> None:
        """
        Many prefixes may have to go soon: what that needs is begun now, beside other work, if it can be.
        """

    async def apply(self, delta: AllowedIPsDelta) -> list[Refusal]:
        """
        Give and take AllowedIPs (model.ports.DeviceHandle.apply). What was done before an OSError stays done.
        """
        refusals: list[Refusal] = []
        await self._lock.acquire()
        try:
            if delta.add:
                await self._give_all(delta.add, refusals)
            if delta.remove:
                await self._remove(delta.remove, refusals)
        finally:
            self._unsee()
            self._lock.release()
        return refusals

    async def configure(self, config: DeviceConfig) -> None:
        """
        Set keys, port, mark and peers. Raises OSError, and ValueError for an endpoint that is none.
        """
        async with self._lock:
            self._unsee()
            await self._configure(config)

    @abstractmethod
    async def close(self) -> None:
        """Let go of the device's socket; the next operation would open it again."""

    @abstractmethod
    async def _read(self) -> Reading: ...

    async def _foreseen(self) -> Seen | None:
        """The reading that was foreseen, if it is fresh; it is given once."""
        return None

    def _unsee(self) -> None:
        """What was read before a change shows what was."""
        self._seen = None

    @abstractmethod
    async def _configure(self, config: DeviceConfig) -> None: ...

    @abstractmethod
    def _chunks(self, groups: Iterable[Group]) -> Iterator[Chunk]: ...

    @abstractmethod
    def _give(self, chunk: Chunk) -> bytes: ...

    @abstractmethod
    def _take(self, chunk: Chunk) -> bytes: ...

    @abstractmethod
    def _discard(self, chunk: Chunk) -> bytes:
        """A request that gives all of a chunk to its one peer, and removes that peer."""

    @abstractmethod
    def _remove_peer(self, key: PublicKey) -> bytes: ...

    @abstractmethod
    async def _send(self, request: bytes, meanwhile: Callable[[], None] | None = None) -> None:
        """
        Send a change and wait for its answer. `meanwhile` is called while the device works, if it can, and then the
        event loop has a turn.
        """

    @abstractmethod
    def _refused(self, error: OSError) -> bool:
        """Whether the device answered, and may have meant a single prefix."""

    async def _each(
        self,
        write: Callable[[Chunk], bytes],
        chunks: Iterator[Chunk],
        failed: Callable[[Chunk, OSError], Awaitable[bool]],
    ) -> Iterator[Chunk]:
        """
        Send chunks; the next one is written while the device works. `failed` decides whether to go on; returns what
        is left.
        """
        chunk, request = Ahead(write, chunks).drawn()
        while chunk:
            ahead = Ahead(write, chunks)
            if len(request) < self.short:
                ahead()
            try:
                await self._send(request, ahead if len(request) >= self.short else None)
            except OSError as error:
                if not self._refused(error):
                    raise
                if not await failed(chunk, error):
                    following, _ = ahead.drawn()
                    return itertools.chain((chunk,), (following,) if following else (), chunks)
            chunk, request = ahead.drawn()
        return chunks

    async def _give_all(self, groups: Iterable[Group], refusals: list[Refusal]) -> None:
        async def failed(chunk: Chunk, error: OSError) -> bool:
            await self._halve(lambda half: self._send(self._give(half)), chunk, error, refusals)
            return True

        await self._each(self._give, self._chunks(groups), failed)

    async def _halve(
        self, act: Callable[[Chunk], Awaitable[None]], chunk: Chunk, error: OSError, refusals: list[Refusal]
    ) -> None:
        # Halve a refused chunk until the prefix that is meant stands alone. Doing a part twice changes nothing.
        if not self._refused(error):
            raise error
        if len(chunk) == 1 and len(chunk[0][1]) == 1:
            prefix = cl.first(chunk[0][1])
            refusals.append(Refusal(prefix, error.errno or errno.EINVAL, error.strerror or str(error)))
            return
        for half in halves(chunk):
            try:
                await act(half)
            except OSError as again:
                await self._halve(act, half, again, refusals)

    async def _remove(self, groups: Iterable[Group], refusals: list[Refusal]) -> None:
        self._seen = self._seen or await self._foreseen()
        if self._can_take is not False:
            groups = [group for chunk in await self._take_all(self._chunks(groups), refusals) for group in chunk]
        removals = Removals(groups)
        while removals:
            seen, self._seen = self._seen, None
            if not (seen and seen.is_fresh()):
                began = time.monotonic()
                seen = Seen(await self._read(), began, time.monotonic())
            await self._throw_away(removals.held(seen.reading.allowed_ips, seen.is_fresh), refusals)

    async def _take_all(self, chunks: Iterator[Chunk], refusals: list[Refusal]) -> Iterator[Chunk]:
        # The first removal is its own probe. An answer 0 proves nothing if the peer is gone, so EINVAL counts always.
        async def failed(chunk: Chunk, error: OSError) -> bool:
            if error.errno == errno.EINVAL:
                self._can_take = False
                return False
            await self._halve(lambda half: self._send(self._take(half)), chunk, error, refusals)
            return True

        return await self._each(self._take, chunks, failed)

    async def _throw_away(self, columns: Iterator[Column], refusals: list[Refusal]) -> None:
        throwaway = PublicKey(os.urandom(LENGTH))

        async def forget() -> None:
            with contextlib.suppress(OSError):
                await self._send(self._remove_peer(throwaway))

        async def again(half: Chunk) -> None:
            try:
                await self._send(self._discard(half))
            except OSError:
                await forget()
                raise

        async def failed(chunk: Chunk, error: OSError) -> bool:
            await forget()
            await self._halve(again, chunk, error, refusals)
            return True

        chunks = (chunk for column in columns for chunk in self._chunks([(throwaway, column)]))
        try:
            await self._each(self._discard, chunks, failed)
        except BaseException:
            await forget()
            raise
