"""A WireGuard device of the kernel, over generic netlink."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from typing_extensions import override

from peerway.backends.chunks import Chunk, chunks
from peerway.backends.device import BaseDevice, digest
from peerway.backends.netlink import NETLINK_GENERIC, NetlinkError, NetlinkSocket
from peerway.model.device import Backend, Group, Reading
from peerway.model.keys import PublicKey
from peerway.model.setup import DeviceConfig
from peerway.protocols import genetlink, wireguard, wireguard_set
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.gathering import Memory

READINGS: Final = 8  # tries before a device counts as too busy to be read
PATIENCE: Final = 0.01  # seconds before the second try; doubled each time, 1.3 s in all
YIELD_EVERY: Final = 16  # messages of 32 KiB between two turns of the event loop
LARGE: Final = 20_000  # AllowedIPs that are sorted beside the event loop
_NOT_A_PREFIX: Final = frozenset((errno.ENODEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ETIMEDOUT))


def wireguard_family(sock: NetlinkSocket) -> int:
    """
    The number of WireGuard's generic netlink family; loads its module. Raises NetlinkError ENOENT if there is none.
    """
    request = genetlink.family_request(wireguard.FAMILY)
    replies = sock.request(genetlink.GENL_ID_CTRL, 0, request, doing="looking for WireGuard in the kernel")
    return genetlink.family_id(replies[0].payload if replies else b"")


class KernelDevice(BaseDevice):
    """
    A WireGuard device of the kernel. Its socket is opened at the first operation, in the network namespace of the
    calling thread, and follows the interface by its index.
    """

    def __init__(self, name: str, ifindex: int, mark: int = 0) -> None:
        """
        Its requests bear the mark, by which a tap leaves them out (protocols/nlmon.py).
        """
        super().__init__(name, ifindex)
        self.mark = mark
        self._socket: NetlinkSocket | None = None
        self._family = 0
        self._memory = Memory()

    @property
    @override
    def backend(self) -> Backend:
        return Backend.KERNEL

    @override
    async def close(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _open(self) -> NetlinkSocket:
        if self._socket is None:
            sock = NetlinkSocket(NETLINK_GENERIC, mark=self.mark)
            try:
                self._family = wireguard_family(sock)
            except BaseException:
                sock.close()
                raise
            self._socket = sock
        return self._socket

    @override
    def foresee(self) -> None:
        """It is read in this thread, and quickly."""

    @override
    async def _read(self) -> Reading:
        for attempt in range(READINGS):
            reading = await self._read_once(in_a_hurry=attempt > 1)
            if reading:
                return reading
            await asyncio.sleep(PATIENCE * 2**attempt)
        raise OSError(errno.EBUSY, f"{self.name} was changed during each of {READINGS} readings")

    async def _read_once(self, *, in_a_hurry: bool) -> Reading | None:
        sock = self._open()
        answer = wireguard.DeviceDump(digest, self._memory)
        dump = sock.dump(self._family, wireguard.get_request(self.ifindex), doing=f"reading {self.name}")
        try:
            for count, (kind, payload) in enumerate(dump, 1):
                if kind == self._family:
                    answer.feed(payload)
                if count % YIELD_EVERY == 0 and not in_a_hurry:
                    await asyncio.sleep(0)
            return None if dump.interrupted else await self._whole(answer)
        except BaseException as error:
            self._close()  # the rest of the dump would stand in the way of the next one
            if isinstance(error, RemoteProtocolError):
                raise OSError(errno.EPROTO, f"{self.name}: {error}") from error
            raise

    async def _whole(self, answer: wireguard.DeviceDump) -> Reading:
        reading = await asyncio.to_thread(answer.reading) if answer.size > LARGE else answer.reading()
        self._memory = answer.memory
        return reading

    def _set(self, payload: bytes, doing: str) -> None:
        self._open().request(self._family, 0, payload, doing=f"{doing} {self.name}")

    @override
    async def _configure(self, config: DeviceConfig) -> None:
        for payload in wireguard_set.configure(self.ifindex, _with_numbered_zones(config)):
            self._set(payload, "configuring")
            await asyncio.sleep(0)

    @override
    def _chunks(self, groups: Iterable[Group]) -> Iterator[Chunk]:
        return chunks(groups, wireguard_set.PREFIX_COST, wireguard_set.PEER_COST, wireguard_set.BUDGET)

    @override
    def _give(self, chunk: Chunk) -> bytes:
        return wireguard_set.give(self.ifindex, chunk)

    @override
    def _take(self, chunk: Chunk) -> bytes:
        return wireguard_set.take(self.ifindex, chunk)

    @override
    def _discard(self, chunk: Chunk) -> bytes:
        return wireguard_set.discard(self.ifindex, [column for _, column in chunk], chunk[0][0])

    @override
    def _remove_peer(self, key: PublicKey) -> bytes:
        return wireguard_set.remove_peer(self.ifindex, key)

    @override
    async def _send(self, request: bytes, meanwhile: Callable[[], None] | None = None) -> None:
        self._set(request, "changing AllowedIPs of")  # the kernel works while we send
        if meanwhile:
            await asyncio.sleep(0)

    @override
    def _refused(self, error: OSError) -> bool:
        return isinstance(error, NetlinkError) and error.errno not in _NOT_A_PREFIX


def _with_numbered_zones(config: DeviceConfig) -> DeviceConfig:
    # The kernel takes interface indexes as zones of link-local endpoints; people write names.
    def numbered(endpoint: str | None) -> str | None:
        found = re.search(r"%([^\]]+)\]", endpoint or "")
        if endpoint is None or found is None or found[1].isdecimal():
            return endpoint
        try:
            return f"{endpoint[: found.start(1)]}{socket.if_nametoindex(found[1])}{endpoint[found.end(1) :]}"
        except OSError:
            raise ValueError(f"the endpoint {endpoint} names the interface {found[1]}, which is not there") from None

    return replace(config, peers=tuple(replace(peer, endpoint=numbered(peer.endpoint)) for peer in config.peers))
