"""Another program's hand: changes and reads AllowedIPs through a backend, in one go and without a process for each."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from peerway.backends.device import BaseDevice
from peerway.backends.devices import SOCKETS
from peerway.backends.kernel import KernelDevice
from peerway.backends.userspace import UserspaceDevice
from peerway.lab.wireguard import WireGuard
from peerway.model.device import AllowedIPs, AllowedIPsDelta
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.setup import DeviceConfig, PeerConfig
from tests.harness.columns import groups

T = TypeVar("T")
Pairs = Iterable[tuple[Prefix, PublicKey]]


class Hand:
    """Changes one device; unlike `wg set` it adds to a peer's prefixes, and takes single ones."""

    def __init__(self, device: WireGuard) -> None:
        self._device = device

    def give(self, pairs: Pairs) -> None:
        """Pin prefixes to peers."""
        self._apply(AllowedIPsDelta(add=groups(pairs)))

    def take(self, pairs: Pairs) -> None:
        """Take prefixes from the peers that are named."""
        self._apply(AllowedIPsDelta(remove=groups(pairs)))

    def peers(self, *peers: PeerConfig) -> None:
        """Add, change or remove peers."""
        self._do(lambda handle: handle.configure(DeviceConfig(peers=peers)))

    def read(self) -> AllowedIPs:
        """The device's map."""
        return self._do(lambda handle: handle.read()).allowed_ips

    def _apply(self, delta: AllowedIPsDelta) -> None:
        refused = self._do(lambda handle: handle.apply(delta))
        assert not refused, refused

    def _do(self, act: Callable[[BaseDevice], Awaitable[T]]) -> T:
        async def once() -> T:
            with self._device.namespace.enter():
                handle = self._handle()
                try:
                    return await act(handle)
                finally:
                    await handle.close()

        return asyncio.run(once())

    def _handle(self) -> BaseDevice:
        name = self._device.name
        ifindex = socket.if_nametoindex(name)
        if self._device.userspace:
            return UserspaceDevice(name, ifindex, SOCKETS / f"{name}.sock")
        return KernelDevice(name, ifindex)
