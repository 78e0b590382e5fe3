"""Derived addresses: each interface has its own, each peer is allowed its, so that keys are next hops (DESIGN 6)."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from peerway.features.base import Feature
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.link import IFAPROT_KERNEL_LL, Address
from peerway.model.prefix import Prefix


class DerivedAddresses(Feature):
    """
    Wants the interface's own derived addresses on it, and each peer's allowed at the peer.
    """

    name: ClassVar[str] = "addresses"

    @override
    def addresses(self, interface: Interface) -> frozenset[Address]:
        key = interface.device.public_key
        if key is None:
            return frozenset()
        policy = interface.policy
        return frozenset(
            Address(interface.ifindex, derived_address(prefix, key), px.length(prefix), policy.route_protocol)
            for prefix in policy.prefixes
        )

    @override
    def derived(self, interface: Interface, prefix: Prefix) -> PublicKey | None:
        return interface.gateways.derived_owner(prefix)


def disturbs(address: Address, wanted: frozenset[Address]) -> bool:
    """
    Whether the kernel made this link-local address while we want a derived one: sockets would take it as source.
    """
    return (
        address.protocol == IFAPROT_KERNEL_LL
        and px.is_link_local(address.address)
        and any(px.is_link_local(other.address) for other in wanted)
        and all(other.address != address.address for other in wanted)
    )
