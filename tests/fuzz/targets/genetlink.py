"""Generic netlink: the number of a family."""

from __future__ import annotations

from peerway.protocols import genetlink
from peerway.protocols import netlink as nl
from tests.fuzz.outcome import outcome


def seeds() -> list[bytes]:
    return [genetlink.HEADER.pack(1, 2) + nl.attribute_text(2, "wireguard") + nl.attribute_u16(1, 28)]


def one(data: bytes) -> None:
    """
    Any bytes tell a family's number, of 16 bits, or are a RemoteProtocolError.
    """
    found = outcome(lambda: genetlink.family_id(data))
    assert not isinstance(found, int) or 0 <= found <= 0xFFFF
    outcome(lambda: genetlink.attributes(data))
