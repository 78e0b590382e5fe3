"""What the watcher tells: one frozen dataclass per kind of change, in the past tense.

`peerway monitor` prints them, features hear them. No event carries a secret.
"""

from __future__ import annotations

from dataclasses import dataclass

from peerway.model.keys import PublicKey
from peerway.model.link import Address
from peerway.model.prefix import Prefix
from peerway.model.route import Path


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at an interface."""

    interface: str


@dataclass(frozen=True, slots=True)
class InterfaceAdded(Event):
    """A WireGuard interface came."""

    ifindex: int
    backend: str


@dataclass(frozen=True, slots=True)
class InterfaceRemoved(Event):
    """A WireGuard interface went."""

    ifindex: int


@dataclass(frozen=True, slots=True)
class InterfaceRenamed(Event):
    """A WireGuard interface has a new name; `interface` is the new one."""

    old_name: str


@dataclass(frozen=True, slots=True)
class InterfaceUp(Event):
    """The link was set up."""


@dataclass(frozen=True, slots=True)
class InterfaceDown(Event):
    """The link was set down."""


@dataclass(frozen=True, slots=True)
class PublicKeyChanged(Event):
    """The interface has another private key, and so another public one."""

    public_key: PublicKey | None


@dataclass(frozen=True, slots=True)
class ListenPortChanged(Event):
    """The UDP port changed."""

    listen_port: int


@dataclass(frozen=True, slots=True)
class FirewallMarkChanged(Event):
    """The fwmark changed."""

    fwmark: int


@dataclass(frozen=True, slots=True)
class PeerEvent(Event):
    """Something that happened at a peer."""

    peer: PublicKey


@dataclass(frozen=True, slots=True)
class PeerAdded(PeerEvent):
    """A peer came."""


@dataclass(frozen=True, slots=True)
class PeerRemoved(PeerEvent):
    """A peer went."""


@dataclass(frozen=True, slots=True)
class EndpointChanged(PeerEvent):
    """The peer is at another address and port; empty = none known."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class PresharedKeyChanged(PeerEvent):
    """A preshared key was set, changed or taken away."""

    is_set: bool


@dataclass(frozen=True, slots=True)
class KeepaliveChanged(PeerEvent):
    """The persistent keepalive interval changed; seconds, 0 = off."""

    keepalive: int


@dataclass(frozen=True, slots=True)
class HandshakeSeen(PeerEvent):
    """A handshake was completed; nanoseconds of the Unix clock."""

    latest_handshake: int


@dataclass(frozen=True, slots=True)
class CountersMoved(PeerEvent):
    """Bytes were received or sent; totals."""

    rx_bytes: int
    tx_bytes: int


@dataclass(frozen=True, slots=True)
class AllowedIPAdded(PeerEvent):
    """A peer has a prefix; it may have moved from another peer, which then has an AllowedIPRemoved before."""

    prefix: Prefix


@dataclass(frozen=True, slots=True)
class AllowedIPRemoved(PeerEvent):
    """A peer no longer has a prefix."""

    prefix: Prefix


@dataclass(frozen=True, slots=True)
class AddressAdded(Event):
    """The interface has an address."""

    address: Address


@dataclass(frozen=True, slots=True)
class AddressRemoved(Event):
    """The interface no longer has an address."""

    address: Address


@dataclass(frozen=True, slots=True)
class RouteAdded(Event):
    """A route leaves through the interface; a changed one is removed and added."""

    prefix: Prefix
    path: Path


@dataclass(frozen=True, slots=True)
class RouteRemoved(Event):
    """A route no longer leaves through the interface."""

    prefix: Prefix
    path: Path


@dataclass(frozen=True, slots=True)
class ClaimRefused(PeerEvent):
    """A claim of a peer to a prefix was not granted: over the limit, not accepted, or refused by the kernel."""

    prefix: Prefix
    reason: str


@dataclass(frozen=True, slots=True)
class StreamBroken(Event):
    """Notifications were lost; everything is read again. `interface` is empty: it concerns all."""

    reason: str
