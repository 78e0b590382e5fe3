"""What was seen of a WireGuard device: a snapshot without secrets, and the map of its AllowedIPs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Column
from peerway.model.keys import PublicKey
from peerway.model.table import Table

AllowedIPs = Table[PublicKey]
Group = tuple[PublicKey, Column]
"""Prefixes of one family that go to, or from, one peer: sorted, without doubles."""


class Backend(Enum):
    """
    How a device is spoken to.
    """

    KERNEL = "kernel"
    USERSPACE = "userspace"


@dataclass(frozen=True, slots=True)
class Peer:
    """
    A peer as WireGuard tells it. Times in nanoseconds of the Unix clock, 0 = never; keepalive in seconds, 0 = off.

    `psk` is a keyed digest of the preshared key under a key that only this process knows, empty if none is set: it
    tells that a PSK changed, never which one it is.
    """

    public_key: PublicKey
    endpoint: str = ""
    latest_handshake: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    keepalive: int = 0
    psk: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Device:
    """
    A WireGuard device at one moment. `public_key` is None while no private key is set.
    """

    name: str
    ifindex: int
    backend: Backend
    public_key: PublicKey | None = None
    listen_port: int = 0
    fwmark: int = 0
    peers: Mapping[PublicKey, Peer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """
    One whole reading of a device: its snapshot and its AllowedIPs, one map from prefix to peer, which is handed over.
    """

    device: Device
    allowed_ips: AllowedIPs


class AllowedIPsDelta(NamedTuple):
    """
    Changes to the AllowedIPs of one device. `add` gives a prefix to a peer, which takes it from any other
    atomically; `remove` takes it from the peer that is named. Adds are done first, removals last.
    """

    add: tuple[Group, ...] = ()
    remove: tuple[Group, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)

    def in_turn(self) -> Iterator[AllowedIPsDelta]:
        """
        The same in steps that keep each address with its old peer or its new one, where prefixes inside each other
        change: longer ones come first, and shorter ones go first.
        """
        yield from (AllowedIPsDelta(add=part) for part in _by_length(self.add, -1))
        yield from (AllowedIPsDelta(remove=part) for part in _by_length(self.remove, 1))


def _by_length(groups: tuple[Group, ...], sign: int) -> Iterator[tuple[Group, ...]]:
    lengths = [cl.lengths(column) for _, column in groups]
    for length in sorted({int(one) for some in lengths for one in np.unique(some)}, key=lambda one: sign * one):
        pairs = zip(groups, lengths, strict=True)
        found = tuple((peer, column[some == length]) for (peer, column), some in pairs)
        yield tuple(group for group in found if len(group[1]))
