"""Nexthop objects on the wire: RTM_NEWNEXTHOP and RTM_DELNEXTHOP (linux/nexthop.h, ip-nexthop(8))."""

from __future__ import annotations

from struct import Struct
from typing import Final

from peerway.model.route import NextHop, NexthopChange, NexthopObject
from peerway.protocols import netlink as nl
from peerway.protocols import rtroute
from peerway.protocols.errors import RemoteProtocolError

RTM_NEWNEXTHOP: Final = 104
RTM_DELNEXTHOP: Final = 105
RTM_GETNEXTHOP: Final = 106

NHA_ID: Final = 1
NHA_GROUP: Final = 2
NHA_OIF: Final = 5
NHA_GATEWAY: Final = 6

NHMSG: Final = Struct("=BBBBI")  # family, scope, protocol, reserved, flags
_MEMBER: Final = Struct("=IBBH")  # id, weight - 1, its high byte (Linux 6.12; zero before), reserved


def parse_nexthop(kind: int, payload: nl.Buffer) -> NexthopChange:
    """
    Read RTM_NEWNEXTHOP or RTM_DELNEXTHOP. Raises RemoteProtocolError.
    """
    if len(payload) < NHMSG.size:
        raise RemoteProtocolError(f"a nexthop message has {len(payload)} bytes")
    found = nl.attributes(memoryview(payload)[NHMSG.size :])
    if NHA_ID not in found:
        raise RemoteProtocolError("a nexthop object has no id")
    number = nl.u32(found[NHA_ID])
    if kind == RTM_DELNEXTHOP:
        return NexthopChange(number, None)
    if NHA_GROUP in found:
        return NexthopChange(number, NexthopObject(number, group=_group(number, found[NHA_GROUP])))
    gateway = rtroute.host(found[NHA_GATEWAY]) if NHA_GATEWAY in found else None
    ifindex = nl.u32(found[NHA_OIF]) if NHA_OIF in found else 0
    hop = NextHop(ifindex, gateway) if ifindex or gateway is not None else None  # a blackhole has neither
    return NexthopChange(number, NexthopObject(number, hop))


def _group(number: int, data: memoryview) -> tuple[tuple[int, int], ...]:
    if len(data) % _MEMBER.size:
        raise RemoteProtocolError(f"the group of nexthop object {number} has {len(data)} bytes")
    return tuple((member, (high << 8 | low) + 1) for member, low, high, _ in _MEMBER.iter_unpack(data))
