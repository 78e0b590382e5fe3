"""AllowedIPs as the kernel's nests."""

from __future__ import annotations

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.protocols import netlink as nl
from peerway.protocols import wireguard_entries
from peerway.protocols.errors import RemoteProtocolError
from tests.fuzz.outcome import outcome


def entries() -> bytes:
    """Many of each family, and one that is laid out otherwise."""
    v4 = cl.make(px.AF_INET, [px.parse(f"10.{number}.0.0/16") for number in range(40)])
    v6 = cl.make(px.AF_INET6, [px.parse(f"2001:db8:{number:x}::/48") for number in range(20)])
    odd = nl.nested(0, nl.attribute_u16(1, 2), nl.attribute_u8(3, 8), nl.attribute(2, b"\x0b\0\0\0"))
    return wireguard_entries.write(v4) + odd + wireguard_entries.write(v6) + wireguard_entries.write(v4[:1])


def seeds() -> list[bytes]:
    whole = entries()
    return [whole, whole[: 28 * 3], whole[28 * 39 :]]


def one(data: bytes) -> None:
    """
    Any bytes are the prefixes that they are entry by entry, or both ways a RemoteProtocolError. What was read can be
    written and is read as the same.
    """
    found = outcome(lambda: _quick(data))
    assert found == outcome(lambda: _careful(data))
    if isinstance(found, tuple):
        for family, prefixes in zip((px.AF_INET, px.AF_INET6), found, strict=True):
            column = cl.make(family, prefixes)
            read = wireguard_entries.read(wireguard_entries.write(column))
            assert cl.prefixes(read[family != px.AF_INET]) == prefixes


def _quick(data: bytes) -> tuple[list[Prefix], list[Prefix]]:
    v4, v6 = wireguard_entries.read(data)
    return cl.prefixes(v4), cl.prefixes(v6)


def _careful(data: bytes) -> tuple[list[Prefix], list[Prefix]]:
    found: tuple[list[Prefix], list[Prefix]] = ([], [])
    for _, value in nl.walk(data):
        parts = nl.attributes(value)
        if not {1, 2, 3} <= parts.keys():
            raise RemoteProtocolError("an entry lacks an attribute")
        family, length, address = nl.u16(parts[1]), nl.u8(parts[3]), bytes(parts[2])
        size = {px.AF_INET: 4, px.AF_INET6: 16}.get(family)
        if size != len(address) or length > 8 * size:
            raise RemoteProtocolError("an entry is no prefix")
        found[family != px.AF_INET].append(px.make(family, address, length))
    return found
