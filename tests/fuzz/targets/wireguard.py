"""The kernel's answer about a WireGuard device."""

from __future__ import annotations

import struct

from peerway.model import prefix as px
from peerway.model.device import Reading
from peerway.protocols import genetlink
from peerway.protocols import netlink as nl
from peerway.protocols.gathering import Memory
from peerway.protocols.wireguard import SOCKADDR_IN, SOCKADDR_IN6, DeviceDump
from tests.fuzz import script
from tests.fuzz.outcome import REFUSED, Refused, outcome
from tests.fuzz.targets.wireguard_entries import entries

SECRET = b"\x5e" * 32


def seeds() -> list[bytes]:
    head = genetlink.HEADER.pack(0, 1)
    device = nl.attribute_u16(6, 51820) + nl.attribute_u32(7, 99) + nl.attribute_u32(1, 3) + nl.attribute_text(2, "wg0")
    device += nl.attribute(3, SECRET) + nl.attribute(4, b"\2" * 32)
    times = nl.attribute(6, struct.pack("=qq", 2, 3)) + nl.attribute_u16(5, 25) + nl.attribute(8, bytes(8))
    v4 = nl.attribute(4, SOCKADDR_IN.pack(2, b"\xca\x6c", b"\xc0\0\2\1"))
    v6 = nl.attribute(4, SOCKADDR_IN6.pack(10, b"\xca\x6c", b"\xfe\x80" + bytes(14), 7))
    key = [nl.attribute(1, bytes([number]) * 32) for number in (1, 2)]
    peers = [
        nl.nested(0, key[0], nl.attribute(2, SECRET), times, v4, nl.nested(9, entries())),
        nl.nested(0, key[0], nl.nested(9, entries())),
        nl.nested(0, key[1], v6, nl.nested(9)),
    ]
    first = head + device + nl.nested(8, *peers[:1])
    return [script.raw([first]), script.raw([first, head + nl.nested(8, *peers[1:])]), script.raw([head + device])]


def one(data: bytes) -> None:
    """
    Any messages are a device, or a RemoteProtocolError, and with what the last reading left the same again. Each prefix
    has one owner, which is a peer that was told.
    """
    messages = script.datagrams(data)
    first = outcome(lambda: _read(messages, None))
    if isinstance(first, Refused):
        assert outcome(lambda: _read(messages, None)) is REFUSED
        return
    reading, memory = first
    again, _ = _read(messages, memory)
    assert again.device == reading.device
    assert dict(again.allowed_ips.items()) == dict(reading.allowed_ips.items())
    assert set(reading.allowed_ips.values()) <= set(reading.device.peers)
    assert all(px.length(prefix) <= px.bits(prefix) for prefix in reading.allowed_ips)


def _read(messages: list[bytes], memory: Memory | None) -> tuple[Reading, Memory]:
    dump = DeviceDump(lambda psk: psk[:1], memory)
    for message in messages:
        dump.feed(message)
    reading = dump.reading()
    return reading, dump.memory
