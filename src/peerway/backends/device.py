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
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from operator import itemgetter
from typing import Final

from peerway.model.device import AllowedIPs, AllowedIPsDelta, Backend, Reading
from peerway.model.keys import LENGTH, PublicKey
from peerway.model.ports import Refusal
from peerway.model.prefix import Prefix
from peerway.model.setup import DeviceConfig

Pair = tuple[Prefix, PublicKey]

FRESH: Final = 0.1  # seconds for which a reading may tell who holds a prefix, before removals by throwaway peer
_DIGEST_KEY: Final = os.urandom(LENGTH)


def digest(psk: bytes) -> bytes:
    """
    What may be remembered of a preshared key (model.device.Peer.psk): a digest that only this process can make.
    """
    return hashlib.blake2b(psk, key=_DIGEST_KEY, digest_size=16).digest()


def chunks(pairs: Sequence[Pair], prefix_cost: int, peer_cost: int, budget: int) -> Iterator[list[Pair]]:
    """
    Cut pairs into requests of at most `budget`, each with its pairs ordered by peer.
    """
    chunk: list[Pair] = []
    cost, last = 0, None
    for pair in sorted(pairs, key=itemgetter(1)):
        cost += prefix_cost + (peer_cost if pair[1] is not last and pair[1] != last else 0)
        last = pair[1]
        if cost > budget and chunk:
            yield chunk
            chunk, cost = [], prefix_cost + peer_cost
        chunk.append(pair)
    if chunk:
        yield chunk


class BaseDevice(ABC):
    """
    A WireGuard device (model.ports.DeviceHandle). Its subclasses say how a request is sent.
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
        async with self._lock:
            for chunk in self._chunks(delta.add):
                await self._each(self._give, chunk, refusals)
                await asyncio.sleep(0)
            await self._remove(delta.remove, refusals)
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
    def _chunks(self, pairs: Sequence[Pair]) -> Iterator[list[Pair]]: ...

    @abstractmethod
    async def _give(self, pairs: Sequence[Pair]) -> None: ...

    @abstractmethod
    async def _take(self, pairs: Sequence[Pair]) -> None: ...

    @abstractmethod
    async def _discard(self, prefixes: Sequence[Prefix], throwaway: PublicKey) -> None: ...

    @abstractmethod
    async def _remove_peer(self, key: PublicKey) -> None: ...

    @abstractmethod
    def _refused(self, error: OSError) -> bool:
        """Whether the device answered, and may have meant a single prefix."""

    async def _each(
        self, act: Callable[[Sequence[Pair]], Awaitable[None]], pairs: Sequence[Pair], refusals: list[Refusal]
    ) -> None:
        # Halve a refused chunk until the prefix that is meant stands alone. Doing a part twice changes nothing.
        try:
            await act(pairs)
        except OSError as error:
            if not self._refused(error):
                raise
            if len(pairs) == 1:
                refusals.append(Refusal(pairs[0][0], error.errno or errno.EINVAL, error.strerror or str(error)))
                return
            middle = len(pairs) // 2
            await self._each(act, pairs[:middle], refusals)
            await self._each(act, pairs[middle:], refusals)

    async def _remove(self, pairs: Sequence[Pair], refusals: list[Refusal]) -> None:
        holders: AllowedIPs = {}
        read_at = -FRESH
        for chunk in self._chunks(pairs):
            if self._can_take and await self._taken(chunk, refusals):
                continue
            if time.monotonic() - read_at >= FRESH:
                holders = (await self._read()).allowed_ips
                read_at = time.monotonic()
            held = [pair for pair in chunk if holders.get(pair[0]) == pair[1]]
            if held:
                await self._each(self._throw_away, held, refusals)
            await asyncio.sleep(0)

    async def _taken(self, pairs: Sequence[Pair], refusals: list[Refusal]) -> bool:
        # The first removal is its own probe. An answer 0 proves nothing if the peer is gone, so EINVAL counts always.
        try:
            await self._take(pairs)
        except OSError as error:
            if not self._refused(error):
                raise
            if error.errno == errno.EINVAL:
                self._can_take = False
                return False
            await self._each(self._take, pairs, refusals)
        await asyncio.sleep(0)
        return True

    async def _throw_away(self, pairs: Sequence[Pair]) -> None:
        throwaway = PublicKey(os.urandom(LENGTH))
        try:
            await self._discard([prefix for prefix, _ in pairs], throwaway)
        except BaseException:
            with contextlib.suppress(OSError):
                await self._remove_peer(throwaway)
            raise
