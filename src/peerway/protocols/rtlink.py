"""Links and addresses on the wire: RTM_NEWLINK, RTM_NEWADDR and their removals (linux/if_link.h, linux/if_addr.h)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from peerway.model import prefix as px
from peerway.model.link import Address, AddressChange, Link, LinkChange
from peerway.model.prefix import AF_INET, AF_INET6
from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22

IFF_UP: Final = 1
IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_LINKINFO: Final = 18
IFLA_AF_SPEC: Final = 26
IFLA_EXT_MASK: Final = 29
IFLA_INFO_KIND: Final = 1
IFLA_INET6_ADDR_GEN_MODE: Final = 8
IN6_ADDR_GEN_MODE_NONE: Final = 1
RTEXT_FILTER_SKIP_STATS: Final = 8

IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
IFA_PROTO: Final = 11

IFINFOMSG: Final = Struct("=BxHIII")  # family, type, index, flags, change
IFADDRMSG: Final = Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ADDRESS_SIZE: Final = {AF_INET: 4, AF_INET6: 16}


def parse_link(kind: int, payload: nl.Buffer) -> LinkChange | None:
    """
    Read RTM_NEWLINK or RTM_DELLINK; None for messages about one side of a link only (bridge ports), which say
    nothing of the link's being. Raises RemoteProtocolError.
    """
    if len(payload) < IFINFOMSG.size:
        raise RemoteProtocolError(f"a link message has {len(payload)} bytes")
    family, _, ifindex, flags, _ = IFINFOMSG.unpack_from(payload)
    if family:
        return None
    found = nl.attributes(memoryview(payload)[IFINFOMSG.size :])
    if kind == RTM_DELLINK:
        return LinkChange(ifindex, None)
    if IFLA_IFNAME not in found:
        raise RemoteProtocolError(f"link {ifindex} has no name")
    info = nl.attributes(found[IFLA_LINKINFO]) if IFLA_LINKINFO in found else {}
    link = Link(
        ifindex=ifindex,
        name=nl.text(found[IFLA_IFNAME]),
        kind=nl.text(info.get(IFLA_INFO_KIND, b"")),
        up=bool(flags & IFF_UP),
        mtu=nl.u32(found[IFLA_MTU]) if IFLA_MTU in found else 0,
    )
    return LinkChange(ifindex, link)


def parse_address(kind: int, payload: nl.Buffer) -> AddressChange | None:
    """
    Read RTM_NEWADDR or RTM_DELADDR; None for families other than IP. Raises RemoteProtocolError.
    """
    if len(payload) < IFADDRMSG.size:
        raise RemoteProtocolError(f"an address message has {len(payload)} bytes")
    family, length, _, _, ifindex = IFADDRMSG.unpack_from(payload)
    if family not in _ADDRESS_SIZE:
        return None
    found = nl.attributes(memoryview(payload)[IFADDRMSG.size :])
    raw = found.get(IFA_LOCAL, found.get(IFA_ADDRESS))  # IFA_ADDRESS is the other end on a point-to-point link
    if raw is None or len(raw) != _ADDRESS_SIZE[family] or length > 8 * len(raw):
        raise RemoteProtocolError(f"an address of link {ifindex} has no proper address or length")
    protocol = nl.u8(found[IFA_PROTO]) if IFA_PROTO in found else 0
    address = Address(ifindex, px.host(family, bytes(raw)), length, protocol)
    return AddressChange(address, present=kind == RTM_NEWADDR)
