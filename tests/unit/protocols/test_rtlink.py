"""Links and addresses on the wire."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.link import Address, AddressChange, Link, LinkChange
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.rtlink import RTM_DELADDR, RTM_DELLINK, RTM_NEWADDR, RTM_NEWLINK, parse_address, parse_link
from tests.harness.routes import damaged

HEADER = struct.pack("=BxHIII", 0, 0xFFFE, 7, 0x11043, 0)
KIND = nl.nested(18, nl.attribute_text(1, "wireguard"))
WG0 = HEADER + nl.attribute_text(3, "wg0") + nl.attribute_u32(4, 1420) + KIND
FE80 = struct.pack("=BBBBI", 10, 64, 0x80, 253, 7) + nl.attribute(1, px.packed(px.parse_address("fe80::1")))


@given(st.binary(max_size=80) | damaged(st.sampled_from([WG0, FE80])), st.sampled_from([16, 17, 20, 21]))
def test_any_bytes_parse_or_raise_the_one_error(data: bytes, kind: int) -> None:
    """Whatever comes, the readers return or raise RemoteProtocolError."""
    for reader in (parse_link, parse_address):
        with contextlib.suppress(RemoteProtocolError):
            reader(kind, data)


def test_a_link_is_read_with_its_kind() -> None:
    """Name, kind, MTU and whether it is up; a removal tells only the index."""
    assert parse_link(RTM_NEWLINK, WG0) == LinkChange(7, Link(7, "wg0", "wireguard", up=True, mtu=1420))
    assert parse_link(RTM_DELLINK, WG0) == LinkChange(7, None)
    down = struct.pack("=BxHIII", 0, 1, 8, 0x1002, 0) + nl.attribute_text(3, "eth0")
    assert parse_link(RTM_NEWLINK, down) == LinkChange(8, Link(8, "eth0", "", up=False))


def test_a_bridge_port_that_leaves_is_no_link_that_goes() -> None:
    """RTM_DELLINK of family AF_BRIDGE says that a port left its bridge: the link itself stays."""
    assert parse_link(RTM_DELLINK, b"\x07" + WG0[1:]) is None


def test_a_link_without_a_name_is_refused() -> None:
    """Every link has a name; a message without one is malformed."""
    with pytest.raises(RemoteProtocolError):
        parse_link(RTM_NEWLINK, HEADER)


def test_the_local_address_counts_on_a_point_to_point_link() -> None:
    """IFA_LOCAL is ours and IFA_ADDRESS the other end, where both are told; IFA_PROTO says who made it."""
    local, other = (px.packed(px.parse_address(a)) for a in ("10.0.0.1", "10.0.0.2"))
    head = struct.pack("=BBBBI", 2, 32, 0, 0, 7)
    payload = head + nl.attribute(1, other) + nl.attribute(2, local) + nl.attribute_u8(11, 87)
    want = Address(7, px.parse_address("10.0.0.1"), 32, 87)
    assert parse_address(RTM_NEWADDR, payload) == AddressChange(want, present=True)
    assert parse_address(RTM_DELADDR, payload) == AddressChange(want, present=False)
    assert parse_address(RTM_NEWADDR, FE80) == AddressChange(Address(7, px.parse_address("fe80::1"), 64), present=True)


def test_an_address_of_another_family_is_nothing() -> None:
    """Families other than IP are passed by; an IP address of a wrong size is refused."""
    assert parse_address(RTM_NEWADDR, struct.pack("=BBBBI", 28, 0, 0, 0, 7)) is None
    with pytest.raises(RemoteProtocolError):
        parse_address(RTM_NEWADDR, FE80[:8] + nl.attribute(1, b"1234"))
