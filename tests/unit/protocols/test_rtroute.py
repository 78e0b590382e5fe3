"""Route messages, read one by one: every form, any order of attributes, any bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.rtroute import parse_route
from tests.harness.routes import attribute, damaged, header_of, payload_of, shuffled_payloads

PATH = Path(254, 4, 0, (NextHop(3, px.parse_address("fe80::1")),))
NET = px.parse("10.1.0.0/16")


@given(shuffled_payloads())
def test_a_route_means_the_same_in_any_order(given_: tuple[bytes, Prefix, Path]) -> None:
    """Prefix and path are read from attributes in any order, whatever unknown ones stand between them."""
    payload, prefix, path = given_
    read = parse_route(payload)
    assert read is not None
    assert (read.prefix, read.path) == (prefix, path)


@given(st.binary(max_size=120) | damaged(shuffled_payloads().map(lambda one: one[0])))
def test_any_bytes_parse_or_raise_the_one_error(data: bytes) -> None:
    """Whatever comes, parse_route returns or raises RemoteProtocolError."""
    try:
        read = parse_route(data)
    except RemoteProtocolError:
        return
    assert read is None or px.length(read.prefix) <= px.bits(read.prefix)


def test_cached_routes_and_other_families_are_nothing() -> None:
    """A route that was cloned into a cache, or one of MPLS, is not one of the table."""
    assert parse_route(header_of(NET, PATH, flags=0x200)) is None
    assert parse_route(b"\x1c" + payload_of(NET, PATH)[1:]) is None


def test_the_table_attribute_counts_over_the_header() -> None:
    """Tables above 255 do not fit the header's byte; RTA_TABLE names them."""
    path = Path(100_000, 4, 0, PATH.nexthops)
    payload = payload_of(NET, path)
    assert payload[4] == 252
    read = parse_route(payload)
    assert read is not None
    assert read.path.table == 100_000


def test_a_nexthop_object_alone_says_where_a_route_goes() -> None:
    """Beside RTA_NH_ID, the gateway that compat mode tells is left out: it is that of one moment."""
    payload = payload_of(NET, PATH) + attribute(30, struct.pack("=I", 7))
    read = parse_route(payload)
    assert read is not None
    assert read.path == Path(254, 4, 0, (), nexthop_id=7)


def test_dead_next_hops_are_the_same_path() -> None:
    """Flags that come and go with the carrier (RTNH_F_DEAD, RTNH_F_LINKDOWN) do not make another path."""
    read, dead = (
        parse_route(payload_of(NET, PATH)),
        parse_route(header_of(NET, PATH, 0x11) + payload_of(NET, PATH)[12:]),
    )
    assert read == dead


@pytest.mark.parametrize(
    "extra",
    [
        attribute(18, b"\0"),
        attribute(18, b"\x0a\0fe"),
        attribute(5, b"123"),
        attribute(9, b"1234567"),
        attribute(4, b"1"),
    ],
    ids=["short via", "via with half an address", "gateway of 3 bytes", "half a next hop", "short oif"],
)
def test_malformed_next_hops_are_refused(extra: bytes) -> None:
    """A next hop that cannot be read raises RemoteProtocolError."""
    with pytest.raises(RemoteProtocolError):
        parse_route(header_of(NET, PATH) + extra)


def test_a_next_hop_longer_than_its_list_is_refused() -> None:
    """The length inside RTA_MULTIPATH is checked at both ends."""
    for length in (7, 9):
        with pytest.raises(RemoteProtocolError):
            parse_route(header_of(NET, PATH) + attribute(9, struct.pack("=HBBI", length, 0, 0, 3)))


def test_a_gateway_of_no_ip_family_is_no_gateway() -> None:
    """RTA_VIA may name a family that is not IP; such a next hop has an interface and no gateway."""
    payload = header_of(NET, PATH) + attribute(18, b"\x07\0123456") + attribute(4, struct.pack("=I", 3))
    read = parse_route(payload)
    assert read is not None
    assert read.path.nexthops == (NextHop(3),)
