"""A small world for pure tests: interfaces with two peers, no kernel, no engine."""

from __future__ import annotations

from peerway.model.device import Backend, Device, Peer
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.link import Link
from peerway.model.policy import Policy
from peerway.model.prefix import Prefix
from peerway.model.world import World
from tests.harness.columns import one
from tests.harness.site import OTHER, WG, key

A, B = key(1), key(2)


def small_world(*names: str, policy: Policy | None = None) -> World:
    """One interface for each name, with peers A and B; the first has the index WG. Nothing is dirty."""
    made = World()
    made.links[OTHER] = Link(OTHER, "eth0", "", up=True)
    for ifindex, name in enumerate(names, WG):
        device = Device(name, ifindex, Backend.KERNEL, key(100), peers={A: Peer(A), B: Peer(B)})
        link = Link(ifindex, name, "wireguard", up=True)
        interface = Interface(link, device, policy or Policy(), made.nexthops)
        interface.refresh_gateways()
        interface.dirty.clear()
        made.links[ifindex] = link
        made.interfaces[ifindex] = interface
    return made


def own(interface: Interface, prefix: Prefix, peer: PublicKey) -> None:
    """The prefix is ours at this peer, as a plan would have it."""
    disown(interface, prefix)
    interface.own(one(prefix), peer)
    interface.ledger.ours[prefix] = peer


def disown(interface: Interface, prefix: Prefix) -> None:
    """The prefix is no longer ours, as a plan would have it."""
    peer = interface.ledger.ours.drop(prefix)
    if peer is not None:
        interface.disown(one(prefix), peer)
        interface.let_in({peer})
