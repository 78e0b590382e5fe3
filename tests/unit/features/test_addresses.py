"""Derived addresses: what an interface and its peers should have, and which address is in the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.features.addresses import DerivedAddresses, disturbs
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.device import Backend, Device
from peerway.model.link import IFAPROT_KERNEL_LL, Address
from peerway.model.policy import Policy
from peerway.model.prefix import Prefix
from tests.harness.site import WG, gateway, key
from tests.harness.small import A, small_world
from tests.harness.wg_strategies import PREFIXES

OWN = gateway(key(100))
KERNELS = px.parse("fe80::abcd")


@given(st.lists(PREFIXES, max_size=4, unique=True), st.integers(1, 255))
def test_an_interface_has_one_address_below_each_prefix(prefixes: list[Prefix], protocol: int) -> None:
    """Each address is derived from the interface's own key, on-link as far as the prefix, and marked as ours."""
    world = small_world("wg0", policy=Policy(prefixes=tuple(prefixes), route_protocol=protocol))
    wanted = DerivedAddresses(world).addresses(world.interfaces[WG])
    assert wanted == {
        Address(WG, derived_address(prefix, key(100)), px.length(prefix), protocol) for prefix in prefixes
    }


def test_without_a_key_nothing_is_derived() -> None:
    """An interface that has no private key yet wants no address."""
    world = small_world("wg0")
    world.interfaces[WG].device = Device("wg0", WG, Backend.KERNEL)
    assert DerivedAddresses(world).addresses(world.interfaces[WG]) == frozenset()


def test_a_peer_owns_its_derived_address() -> None:
    """The peer's address belongs to it, and other addresses to nobody."""
    world = small_world("wg0")
    feature, interface = DerivedAddresses(world), world.interfaces[WG]
    assert feature.derived(interface, gateway(A)) == A
    assert feature.derived(interface, OWN) is None
    assert feature.derived(interface, px.parse("10.0.0.0/8")) is None


@pytest.mark.parametrize(
    ("address", "wanted", "expected"),
    [
        (Address(WG, KERNELS, 64, IFAPROT_KERNEL_LL), OWN, True),
        (Address(WG, KERNELS, 64, 0), OWN, False),
        (Address(WG, KERNELS, 64, 87), OWN, False),
        (Address(WG, OWN, 64, IFAPROT_KERNEL_LL), OWN, False),
        (Address(WG, KERNELS, 64, IFAPROT_KERNEL_LL), px.parse("10.237.0.1"), False),
        (Address(WG, px.parse("fd00::1"), 64, IFAPROT_KERNEL_LL), OWN, False),
    ],
)
def test_only_the_kernels_own_link_local_address_is_in_the_way(
    address: Address, wanted: Prefix, expected: bool
) -> None:
    """It disturbs while another link-local one is wanted; one that a person assigned never does."""
    assert disturbs(address, frozenset({Address(WG, wanted, 64, 87)})) is expected


def test_where_nothing_is_wanted_nothing_is_in_the_way() -> None:
    """Without derived addresses the kernel may have its own."""
    assert not disturbs(Address(WG, KERNELS, 64, IFAPROT_KERNEL_LL), frozenset())
