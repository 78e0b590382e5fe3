"""Links and addresses: values that compare whole, and sort."""

from __future__ import annotations

from peerway.model import prefix as px
from peerway.model.link import IFAPROT_KERNEL_LL, Address, Link


def test_each_field_of_a_link_counts() -> None:
    """A link that is down, renamed or of another size is another value: that is how changes are seen."""
    link = Link(7, "wg0", "wireguard", up=True, mtu=1420)
    others = [
        Link(8, "wg0", "wireguard", up=True, mtu=1420),
        Link(7, "wg1", "wireguard", up=True, mtu=1420),
        Link(7, "wg0", "tun", up=True, mtu=1420),
        Link(7, "wg0", "wireguard", up=False, mtu=1420),
        Link(7, "wg0", "wireguard", up=True, mtu=1280),
    ]
    assert link == Link(7, "wg0", "wireguard", up=True, mtu=1420)
    assert len({link, *others}) == 6


def test_addresses_sort_by_link_then_address() -> None:
    """Addresses are set and removed in one order, whatever set they come from."""
    one, two = px.parse_address("10.0.0.1"), px.parse_address("fe80::1")
    addresses = [Address(8, one, 24), Address(7, two, 64, IFAPROT_KERNEL_LL), Address(7, two, 64), Address(7, one, 24)]
    assert sorted(addresses) == [addresses[3], addresses[2], addresses[1], addresses[0]]
