"""Links and addresses."""

from __future__ import annotations

from peerway.protocols import netlink as nl
from peerway.protocols.rtlink import IFADDRMSG, IFINFOMSG, parse_address, parse_link
from tests.fuzz.outcome import outcome


def seeds() -> list[bytes]:
    info = nl.nested(18, nl.attribute_text(1, "wireguard"))
    link = IFINFOMSG.pack(0, 65534, 7, 1, 0) + nl.attribute_text(3, "wg0") + nl.attribute_u32(4, 1420) + info
    address = IFADDRMSG.pack(2, 24, 0, 0, 7) + nl.attribute(1, bytes(4)) + nl.attribute(2, b"\n\0\0\1")
    return [link, address, IFADDRMSG.pack(10, 64, 0, 0, 7) + nl.attribute(1, b"\xfe\x80" + bytes(14))]


def one(data: bytes) -> None:
    """
    Any bytes are a link or an address, or none, or a RemoteProtocolError. What is read can be kept in sets and sorted.
    """
    for kind in (16, 17):
        outcome(lambda: hash(parse_link(kind, data)))  # noqa: B023 - called at once
    for kind in (20, 21):
        outcome(lambda: hash(parse_address(kind, data)))  # noqa: B023 - called at once
