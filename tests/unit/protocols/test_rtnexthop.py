"""Nexthop objects on the wire."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.route import NextHop, NexthopChange, NexthopObject
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.rtnexthop import RTM_DELNEXTHOP, RTM_NEWNEXTHOP, parse_nexthop
from tests.harness.routes import damaged

HEAD = struct.pack("=BBBBI", 10, 0, 3, 0, 0) + nl.attribute_u32(1, 7)
GATEWAY = px.parse_address("fe80::7")
SINGLE = HEAD + nl.attribute_u32(5, 3) + nl.attribute(6, px.packed(GATEWAY))
GROUP = HEAD + nl.attribute(2, struct.pack("=IBBHIBBH", 1, 0, 0, 0, 2, 3, 1, 0)) + nl.attribute_u16(3, 0)


@given(st.binary(max_size=60) | damaged(st.sampled_from([SINGLE, GROUP])), st.sampled_from([104, 105]))
def test_any_bytes_parse_or_raise_the_one_error(data: bytes, kind: int) -> None:
    """Whatever comes, the reader returns or raises RemoteProtocolError."""
    with contextlib.suppress(RemoteProtocolError):
        parse_nexthop(kind, data)


def test_each_sort_of_object_is_read() -> None:
    """One next hop, a group with its weights, a blackhole, and a removal."""
    assert parse_nexthop(RTM_NEWNEXTHOP, SINGLE) == NexthopChange(7, NexthopObject(7, NextHop(3, GATEWAY)))
    assert parse_nexthop(RTM_NEWNEXTHOP, GROUP) == NexthopChange(7, NexthopObject(7, group=((1, 1), (2, 260))))
    assert parse_nexthop(RTM_NEWNEXTHOP, HEAD + nl.attribute(4)) == NexthopChange(7, NexthopObject(7))
    assert parse_nexthop(RTM_DELNEXTHOP, SINGLE) == NexthopChange(7, None)


@pytest.mark.parametrize("payload", [HEAD[:8], HEAD[:7], HEAD + nl.attribute(2, b"1234567")])
def test_malformed_objects_are_refused(payload: bytes) -> None:
    """Without an id, without a header, or with half a member, it raises."""
    with pytest.raises(RemoteProtocolError):
        parse_nexthop(RTM_NEWNEXTHOP, payload)
