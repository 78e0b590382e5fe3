"""Requests to rtnetlink: payloads that add and delete routes and addresses, look up, dump, and set a link's ways.

Flags of the message (NLM_F_CREATE and so on) are the sender's business; here are the payloads alone.
"""

from __future__ import annotations

from typing import Final

from peerway.model import prefix as px
from peerway.model.link import Address
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from peerway.model.route import NextHop, Path
from peerway.protocols import netlink as nl
from peerway.protocols import rtlink, rtroute
from peerway.protocols.rtroute import RTMSG, RTNEXTHOP

_SIZE: Final = {AF_INET: 4, AF_INET6: 16}


class RouteTemplate:
    """
    Builds the route messages of one path for many prefixes of one family; all but the prefix is made once.
    """

    __slots__ = ("_family", "_head", "_size", "_tail")

    def __init__(self, family: int, path: Path, *, exact: bool = False) -> None:
        """
        `exact` is for RTM_DELROUTE: it names everything that the kernel compares, so that no other route matches.
        (IPv4 knows no way to say "metric 0": such a request matches any metric of the same protocol and next hop.)
        """
        self._family, self._size = family, _SIZE[family]
        source = path.source
        flags = 0
        if not exact and len(path.nexthops) == 1 and not path.nexthop_id:
            flags = _onlink(path.nexthops[0])
        header = RTMSG.pack(
            family,
            0,
            0 if source is None else px.length(source),
            path.tos,
            path.table if path.table < 256 else 0,
            path.protocol,
            path.scope,
            path.type,
            flags,
        )
        metric = path.metric or (rtroute.IP6_DEFAULT_METRIC if family == AF_INET6 else 0)
        tail = [nl.attribute_u32(rtroute.RTA_TABLE, path.table)]
        if metric:
            tail.append(nl.attribute_u32(rtroute.RTA_PRIORITY, metric))
        if source is not None:
            tail.append(nl.attribute(rtroute.RTA_SRC, px.packed(source)))
        tail.append(_nexthops(family, path, exact=exact))
        # One RTA_DST of full length stands behind the header, also for a default route: the kernel takes it.
        self._head = header[2:] + nl.ATTRIBUTE.pack(4 + self._size, rtroute.RTA_DST)
        self._tail = b"".join(tail)

    def payload(self, prefix: Prefix) -> bytes:
        """
        The payload for this prefix, which must be of the template's family.
        """
        address = ((prefix & ~px.V6) >> 8).to_bytes(self._size, "big")
        return b"".join((bytes((self._family, prefix & 0xFF)), self._head, address, self._tail))


def _onlink(hop: NextHop) -> int:
    # The kernel takes a link-local gateway as it is; any other one on a WireGuard link is in no connected network.
    return 0 if hop.gateway is None or px.is_link_local(hop.gateway) else rtroute.RTNH_F_ONLINK


def _nexthops(family: int, path: Path, *, exact: bool) -> bytes:
    if path.nexthop_id:
        return nl.attribute_u32(rtroute.RTA_NH_ID, path.nexthop_id)
    if len(path.nexthops) == 1:
        (hop,) = path.nexthops
        return nl.attribute_u32(rtroute.RTA_OIF, hop.ifindex) + _gateway(family, hop.gateway, exact=exact)
    if not path.nexthops:
        return b""
    hops = []
    for hop in path.nexthops:
        via = _gateway(family, hop.gateway, exact=exact)
        flags = 0 if exact else _onlink(hop)
        hops.append(RTNEXTHOP.pack(RTNEXTHOP.size + len(via), flags, hop.weight - 1, hop.ifindex) + via)
    return nl.attribute(rtroute.RTA_MULTIPATH, b"".join(hops))


def _gateway(family: int, gateway: Prefix | None, *, exact: bool) -> bytes:
    if gateway is None:
        # IPv6 compares the gateway only if one is named, and an absent one is all zeros to it.
        return nl.attribute(rtroute.RTA_GATEWAY, bytes(16)) if exact and family == AF_INET6 else b""
    if px.family(gateway) == family:
        return nl.attribute(rtroute.RTA_GATEWAY, px.packed(gateway))
    return nl.attribute(rtroute.RTA_VIA, px.family(gateway).to_bytes(2, nl.ORDER) + px.packed(gateway))


def dump_routes(family: int) -> bytes:
    """
    RTM_GETROUTE with NLM_F_DUMP: all tables of a family, without cached routes.
    """
    return RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)


def lookup(address: Prefix) -> bytes:
    """
    RTM_GETROUTE: which route of the tables (not which copy in a cache) is used for this destination.
    """
    header = RTMSG.pack(px.family(address), px.bits(address), 0, 0, 0, 0, 0, 0, rtroute.RTM_F_FIB_MATCH)
    return header + nl.attribute(rtroute.RTA_DST, px.packed(address))


def address(value: Address) -> bytes:
    """
    RTM_NEWADDR and RTM_DELADDR. The protocol (IFA_PROTO) is left out if it is 0; kernels before 5.18 ignore it.
    """
    raw = px.packed(value.address)
    parts = [
        rtlink.IFADDRMSG.pack(px.family(value.address), value.length, 0, 0, value.ifindex),
        nl.attribute(rtlink.IFA_LOCAL, raw),
        nl.attribute(rtlink.IFA_ADDRESS, raw),
    ]
    if value.protocol:
        parts.append(nl.attribute_u8(rtlink.IFA_PROTO, value.protocol))
    return b"".join(parts)


def dump_addresses() -> bytes:
    """
    RTM_GETADDR with NLM_F_DUMP: both families, all links.
    """
    return rtlink.IFADDRMSG.pack(0, 0, 0, 0, 0)


def dump_links() -> bytes:
    """
    RTM_GETLINK with NLM_F_DUMP, without statistics.
    """
    return rtlink.IFINFOMSG.pack(0, 0, 0, 0, 0) + nl.attribute_u32(rtlink.IFLA_EXT_MASK, rtlink.RTEXT_FILTER_SKIP_STATS)


def dump_nexthops() -> bytes:
    """
    RTM_GETNEXTHOP with NLM_F_DUMP: all nexthop objects.
    """
    return bytes(8)


def no_kernel_link_local(ifindex: int) -> bytes:
    """
    RTM_NEWLINK: set addr_gen_mode none on an existing link (ip-link(8)).
    """
    mode = nl.attribute_u8(rtlink.IFLA_INET6_ADDR_GEN_MODE, rtlink.IN6_ADDR_GEN_MODE_NONE)
    return rtlink.IFINFOMSG.pack(0, 0, ifindex, 0, 0) + nl.nested(rtlink.IFLA_AF_SPEC, nl.nested(AF_INET6, mode))
