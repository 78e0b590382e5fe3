"""Route messages, RTM_NEWROUTE and RTM_DELROUTE, read one by one (rtnetlink(7), linux/rtnetlink.h).

This is the careful reader, for attributes in any order; rtdecoder.py is the quick one, and rtrequest.py writes.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from peerway.model import prefix as px
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from peerway.model.route import NextHop, Path
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError

RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26

RTM_F_CLONED: Final = 0x200
RTM_F_FIB_MATCH: Final = 0x2000
RTNH_F_ONLINK: Final = 4
IP6_DEFAULT_METRIC: Final = 1024  # IP6_RT_PRIO_USER: what an IPv6 route without a metric reads back as

RTA_DST: Final = 1
RTA_SRC: Final = 2
RTA_OIF: Final = 4
RTA_GATEWAY: Final = 5
RTA_PRIORITY: Final = 6
RTA_MULTIPATH: Final = 9
RTA_TABLE: Final = 15
RTA_VIA: Final = 18
RTA_NH_ID: Final = 30
READ: Final = frozenset(
    {RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_MULTIPATH, RTA_TABLE, RTA_VIA, RTA_NH_ID}
)
"""The attributes on which a path depends; the values of all others may differ (rtlayout.py)."""

# family, dst_len, src_len, tos, table, protocol, scope, type, flags
RTMSG: Final = Struct("=8BI")
RTNEXTHOP: Final = Struct("=HBBI")  # length, flags, hops, ifindex
_ADDRESS_SIZE: Final = {AF_INET: 4, AF_INET6: 16}
_HOST: Final = {4: AF_INET, 16: AF_INET6}


class ParsedRoute(NamedTuple):
    """
    One route: `regular` tells that the message has exactly one RTA_DST, of full length.
    """

    prefix: Prefix
    path: Path
    regular: bool


def parse_route(payload: nl.Buffer) -> ParsedRoute | None:
    """
    Read the payload of a route message; None for what is not in a table of routes: cached ones (RTM_F_CLONED) and
    families other than IP. Raises RemoteProtocolError.
    """
    if len(payload) < RTMSG.size:
        raise RemoteProtocolError(f"a route message has {len(payload)} bytes")
    family, dst_len, src_len, tos, table, protocol, scope, kind, flags = RTMSG.unpack_from(payload)
    if family not in _ADDRESS_SIZE or flags & RTM_F_CLONED:
        return None
    destinations = 0
    found: dict[int, memoryview] = {}
    for name, value in nl.walk(memoryview(payload)[RTMSG.size :]):
        found[name] = value
        destinations += name == RTA_DST
    dst, src = found.get(RTA_DST), found.get(RTA_SRC)
    path = Path(
        table=nl.u32(found[RTA_TABLE]) if RTA_TABLE in found else table,
        protocol=protocol,
        metric=nl.u32(found[RTA_PRIORITY]) if RTA_PRIORITY in found else 0,
        nexthops=() if RTA_NH_ID in found else _nexthops(family, found),  # the object tells, at each moment
        nexthop_id=nl.u32(found[RTA_NH_ID]) if RTA_NH_ID in found else 0,
        type=kind,
        scope=scope,
        tos=tos,
        source=_prefix(family, src, src_len) if src_len or src is not None else None,
    )
    regular = destinations == 1 and dst is not None and len(dst) == _ADDRESS_SIZE[family]
    return ParsedRoute(_prefix(family, dst, dst_len), path, regular)


def _prefix(family: int, address: memoryview | None, length: int) -> Prefix:
    size = _ADDRESS_SIZE[family]
    raw = b"" if address is None else bytes(address)
    if len(raw) > size or length > size * 8:
        raise RemoteProtocolError(f"a prefix of family {family} has {len(raw)} bytes and length {length}")
    return px.make(family, raw, length)


def gateway(found: dict[int, memoryview]) -> Prefix | None:
    """
    The gateway that RTA_GATEWAY or RTA_VIA names; None without one, or with one that is no IP address.
    """
    if RTA_GATEWAY in found:
        return host(found[RTA_GATEWAY])
    if RTA_VIA not in found:
        return None
    via = found[RTA_VIA]
    if len(via) < 2:
        raise RemoteProtocolError(f"a route's RTA_VIA has {len(via)} bytes")
    if nl.u16(via[:2]) not in _ADDRESS_SIZE:
        return None
    return host(via[2:])


def host(address: nl.Buffer) -> Prefix:
    """
    The host-length prefix of 4 or 16 address bytes.
    """
    if len(address) not in _HOST:
        raise RemoteProtocolError(f"a gateway has {len(address)} bytes")
    return px.host(_HOST[len(address)], bytes(address))


def _nexthops(family: int, found: dict[int, memoryview]) -> tuple[NextHop, ...]:
    if RTA_MULTIPATH in found:
        hops = _multipath(found[RTA_MULTIPATH])
        # A notification begins with the next hop that it is about, a dump with the oldest: one order for both.
        return hops if family == AF_INET else tuple(sorted(hops, key=_place))
    via = gateway(found)
    ifindex = nl.u32(found[RTA_OIF]) if RTA_OIF in found else 0
    return (NextHop(ifindex, via),) if ifindex or via is not None else ()


def _place(hop: NextHop) -> tuple[int, Prefix, int]:
    return hop.ifindex, hop.gateway or Prefix(0), hop.weight


def _multipath(data: memoryview) -> tuple[NextHop, ...]:
    hops: list[NextHop] = []
    at, end = 0, len(data)
    while at < end:
        if end - at < RTNEXTHOP.size:
            raise RemoteProtocolError(f"{end - at} bytes are too few for a next hop")
        length, _, weight, ifindex = RTNEXTHOP.unpack_from(data, at)
        if not RTNEXTHOP.size <= length <= end - at:
            raise RemoteProtocolError(f"a next hop of {length} bytes in a rest of {end - at}")
        found = nl.attributes(data[at + RTNEXTHOP.size : at + length])
        hops.append(NextHop(ifindex, gateway(found), weight + 1))
        at += nl.aligned(length)
    return tuple(hops)
