"""What kernel and userspace devices share: one operation at a time, AllowedIPs in chunks, refusals one by one.

Taking a prefix away has two ways. New WireGuards know it as an operation; old ones answer EINVAL, and change nothing.
There a throwaway peer does it: it gets the prefixes and goes with them, in one request. That takes a prefix from
WHOEVER holds it, so only prefixes that a fresh reading shows at the named peer go this way.
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
from typing import Final

from peerway.backends.chunks import Ahead, Chunk, halves
from peerway.model import columns as cl
from peerway.model.columns import Column
from peerway.model.device import AllowedIPs, AllowedIPsDelta, Backend, Group, Reading
from peerway.model.keys import LENGTH, PublicKey
from peerway.model.ports import Refusal
from peerway.model.setup import DeviceConfig

FRESH: Final = 0.1  # seconds for which a reading may tell who holds a prefix, before removals by throwaway peer
_DIGEST_KEY: Final = os.urandom(LENGTH)


def digest(psk: bytes) -> bytes:
    """
    What may be remembered of a preshared key (model.device.Peer.psk): a digest that only this process can make.
    """
    return hashlib.blake2b(psk, key=_DIGEST_KEY, digest_size=16).digest()


class BaseDevice(ABC):
    """
    A WireGuard device (model.ports.DeviceHandle). Its subclasses say how a request is written and sent.
    """

    def __init__(self, name: str, ifindex: int) -> None:
        self.name = name
        self.ifindex = ifindex
        self._lock = asyncio.Lock()
        self._can_take: bool = True  # until the device says no

    @property
    @abstractmethod
    def backend(self) -> Backend:
        """How it is spoken to."""

    async def read(self) -> Reading:
        """
        Read all of the device. Raises OSError: ENODEV when it is gone, EBUSY when it changes without a pause.
        """
        async with self._lock:
            return await self._read()

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
            self._lock.release()
        return refusals

    async def configure(self, config: DeviceConfig) -> None:
        """
        Set keys, port, mark and peers. Raises OSError, and ValueError for an endpoint that is none.
        """
        async with self._lock:
            await self._configure(config)

    @abstractmethod
    async def close(self) -> None:
        """Let go of the device's socket; the next operation would open it again."""

    @abstractmethod
    async def _read(self) -> Reading: ...

    @abstractmethod
    async def _configure(self, config: DeviceConfig) -> None: ...

    @abstractmethod
    def _chunks(self, groups: Iterable[Group]) -> Iterator[Chunk]: ...

    @abstractmethod
    def _give(self, chunk: Chunk) -> bytes: ...

    @abstractmethod
    def _take(self, chunk: Chunk) -> bytes: ...

    @abstractmethod
    def _discard(self, columns: Iterable[Column], throwaway: PublicKey) -> bytes: ...

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
        chunk = next(chunks, None)
        request = write(chunk) if chunk else b""
        while chunk:
            following = next(chunks, None)
            ahead = Ahead(write, following) if following else None
            try:
                await self._send(request, ahead)
            except OSError as error:
                if not self._refused(error):
                    raise
                if not await failed(chunk, error):
                    return itertools.chain((chunk,), (following,) if following else (), chunks)
            chunk, request = following, ahead.request() if ahead else b""
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
        chunks = self._chunks(groups)
        if self._can_take:
            chunks = await self._take_all(chunks, refusals)
        holders = AllowedIPs()
        fresh_until = 0.0
        for chunk in chunks:
            if time.monotonic() >= fresh_until:
                began = time.monotonic()
                holders = (await self._read()).allowed_ips
                now = time.monotonic()
                fresh_until = now + max(FRESH, now - began)  # a reading is never fresher than the time that it takes
            held = _held(chunk, holders)
            if held:
                try:
                    await self._throw_away(held)
                except OSError as error:
                    await self._halve(self._throw_away, held, error, refusals)
            await asyncio.sleep(0)

    async def _take_all(self, chunks: Iterator[Chunk], refusals: list[Refusal]) -> Iterator[Chunk]:
        # The first removal is its own probe. An answer 0 proves nothing if the peer is gone, so EINVAL counts always.
        async def failed(chunk: Chunk, error: OSError) -> bool:
            if error.errno == errno.EINVAL:
                self._can_take = False
                return False
            await self._halve(lambda half: self._send(self._take(half)), chunk, error, refusals)
            return True

        return await self._each(self._take, chunks, failed)

    async def _throw_away(self, chunk: Chunk) -> None:
        throwaway = PublicKey(os.urandom(LENGTH))
        try:
            await self._send(self._discard([column for _, column in chunk], throwaway))
        except BaseException:
            with contextlib.suppress(OSError):
                await self._send(self._remove_peer(throwaway))
            raise


def _held(chunk: Chunk, holders: AllowedIPs) -> Chunk:
    """What of a chunk is at the peer that is named."""
    held = []
    for key, column in chunk:
        code = holders.known(key)
        mine = column[holders.find(column) == code] if code else column[:0]
        if len(mine):
            held.append((key, mine))
    return held
