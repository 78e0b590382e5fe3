"""Two snapshots compared: the events that lead from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from peerway.model.device import Device, Peer
from peerway.model.events import (
    AllowedIPAdded,
    AllowedIPRemoved,
    CountersMoved,
    EndpointChanged,
    Event,
    FirewallMarkChanged,
    HandshakeSeen,
    KeepaliveChanged,
    ListenPortChanged,
    PeerAdded,
    PeerRemoved,
    PresharedKeyChanged,
    PublicKeyChanged,
    RouteAdded,
    RouteRemoved,
)
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.route import Path


def device_events(old: Device, new: Device) -> Iterator[Event]:
    """
    What happened to a device and its peers; AllowedIPs apart.
    """
    name = new.name
    if old.public_key != new.public_key:
        yield PublicKeyChanged(name, new.public_key)
    if old.listen_port != new.listen_port:
        yield ListenPortChanged(name, new.listen_port)
    if old.fwmark != new.fwmark:
        yield FirewallMarkChanged(name, new.fwmark)
    for key in sorted(old.peers.keys() - new.peers.keys()):
        yield PeerRemoved(name, key)
    for key in sorted(new.peers):
        before = old.peers.get(key)
        if before is None:
            yield PeerAdded(name, key)
            before = Peer(key)
        if before != new.peers[key]:
            yield from peer_events(name, before, new.peers[key])


def peer_events(interface: str, old: Peer, new: Peer) -> Iterator[Event]:
    """
    What happened to one peer.
    """
    key = new.public_key
    if old.endpoint != new.endpoint:
        yield EndpointChanged(interface, key, new.endpoint)
    if old.psk != new.psk:
        yield PresharedKeyChanged(interface, key, bool(new.psk))
    if old.keepalive != new.keepalive:
        yield KeepaliveChanged(interface, key, new.keepalive)
    if old.latest_handshake != new.latest_handshake and new.latest_handshake:
        yield HandshakeSeen(interface, key, new.latest_handshake)
    if (old.rx_bytes, old.tx_bytes) != (new.rx_bytes, new.tx_bytes):
        yield CountersMoved(interface, key, new.rx_bytes, new.tx_bytes)


Holder = Callable[[Prefix], PublicKey | None]


def allowed_ip_events(interface: str, old: Holder, new: Holder, prefixes: Iterable[Prefix]) -> Iterator[Event]:
    """
    What happened to these prefixes; a move is a removal and an addition.
    """
    for prefix in sorted(prefixes):
        before, after = old(prefix), new(prefix)
        if before == after:
            continue
        if before is not None:
            yield AllowedIPRemoved(interface, before, prefix)
        if after is not None:
            yield AllowedIPAdded(interface, after, prefix)


def route_events(interface: str, prefix: Prefix, old: tuple[Path, ...], new: tuple[Path, ...]) -> Iterator[Event]:
    """
    What happened to the routes of one prefix.
    """
    for path in old:
        if path not in new:
            yield RouteRemoved(interface, prefix, path)
    for path in new:
        if path not in old:
            yield RouteAdded(interface, prefix, path)
