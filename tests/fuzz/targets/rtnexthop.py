"""Nexthop objects."""

from __future__ import annotations

import struct

from peerway.protocols import netlink as nl
from peerway.protocols.rtnexthop import parse_nexthop
from tests.fuzz.outcome import outcome


def seeds() -> list[bytes]:
    number = nl.attribute_u32(1, 77)
    via = nl.attribute_u32(5, 3) + nl.attribute(6, b"\n\0\0\1")
    group = nl.attribute(2, struct.pack("=IBBH", 77, 0, 0, 0) + struct.pack("=IBBH", 78, 4, 1, 0))
    return [bytes(8) + number + via, bytes(8) + number + group, bytes(8) + number]


def one(data: bytes) -> None:
    """
    Any bytes are a nexthop object or a RemoteProtocolError; weights count from 1.
    """
    for kind in (104, 105):
        found = outcome(lambda: parse_nexthop(kind, data))  # noqa: B023 - called at once
        group = getattr(getattr(found, "object", None), "group", ())
        assert all(weight >= 1 for _, weight in group)
