"""The kernel's answer about a device: read from any number of messages, whole, and without secrets."""

from __future__ import annotations

import contextlib
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.device import Backend, Peer
from peerway.model.keys import PublicKey
from peerway.protocols import genetlink
from peerway.protocols import netlink as nl
from peerway.protocols import wireguard as wg
from peerway.protocols.errors import RemoteProtocolError
from tests.harness.wg_strategies import ALLOWED_IPS, KEYS, PREFIXES

A, B = (PublicKey(bytes([number]) * 32) for number in (1, 2))
PSK = b"\x5e" * 32
MESSAGE = genetlink.HEADER.pack(0, 1)
DEVICE = (
    nl.attribute_u16(6, 51820) + nl.attribute_u32(7, 99) + nl.attribute_u32(1, 3) + nl.attribute_text(2, "wg0")
    + nl.attribute(3, b"\x77" * 32) + nl.attribute(4, B)
)  # fmt: skip


def digest(psk: bytes) -> bytes:
    return b"digest of " + psk[:1]


def entry(prefix: px.Prefix, order: tuple[int, ...] = (0, 1, 2)) -> bytes:
    """One allowed IP; the kernel's order is length, family, address."""
    parts = (
        nl.attribute_u8(3, px.length(prefix)),
        nl.attribute_u16(1, px.family(prefix)),
        nl.attribute(2, px.packed(prefix)),
    )
    return nl.nested(0, *(parts[index] for index in order))


def first_part(key: PublicKey, *entries: bytes, endpoint: bytes = b"") -> bytes:
    """A peer with all of its attributes."""
    return nl.nested(
        0,
        nl.attribute(1, key),
        nl.attribute(2, PSK),
        nl.attribute(6, struct.pack("=qq", 2, 3)),
        nl.attribute_u16(5, 25),
        nl.attribute(8, struct.pack("=Q", 5)),
        nl.attribute(7, struct.pack("=Q", 4)),
        nl.attribute_u32(10, 1),
        nl.attribute(4, endpoint) if endpoint else b"",
        nl.nested(9, *entries),
    )


def next_part(key: PublicKey, *entries: bytes) -> bytes:
    return nl.nested(0, nl.attribute(1, key), nl.nested(9, *entries))


def read(*messages: bytes) -> wg.DeviceDump:
    dump = wg.DeviceDump(digest)
    for message in messages:
        dump.feed(message)
    return dump


@given(ALLOWED_IPS, st.data())
def test_device_is_read_from_any_number_of_messages(ips: dict[px.Prefix, PublicKey], data: st.DataObject) -> None:
    """A peer's AllowedIPs may be cut anywhere; its attributes come with the first part only."""
    messages = []
    for key in sorted(set(ips.values())):
        prefixes = [prefix for prefix, owner in ips.items() if owner == key]
        cut = data.draw(st.integers(0, len(prefixes)))
        messages.append(MESSAGE + DEVICE + nl.nested(8, first_part(key, *map(entry, prefixes[:cut]))))
        messages.append(MESSAGE + DEVICE + nl.nested(8, next_part(key, *map(entry, prefixes[cut:]))))
    reading = read(MESSAGE + DEVICE, *messages).reading()
    assert reading.allowed_ips == ips
    device = reading.device
    assert (device.name, device.ifindex, device.backend) == ("wg0", 3, Backend.KERNEL)
    assert (device.public_key, device.listen_port, device.fwmark) == (B, 51820, 99)
    assert device.peers == {key: Peer(key, "", 2_000_000_003, 4, 5, 25, digest(PSK)) for key in ips.values()}


@given(st.lists(PREFIXES, unique=True, max_size=20), st.permutations((0, 1, 2)))
def test_order_of_attributes_does_not_matter(prefixes: list[px.Prefix], order: list[int]) -> None:
    """The quick way is for today's layout; any other layout is read as well."""
    entries = [entry(prefix, tuple(order)) for prefix in prefixes]
    reading = read(MESSAGE + DEVICE + nl.nested(8, first_part(A, *entries))).reading()
    assert reading.allowed_ips == dict.fromkeys(prefixes, A)


def test_entries_may_be_mixed_with_unknown_ones() -> None:
    """An entry with an attribute that a later kernel adds is read, and so is what follows it."""
    one, two = px.parse("10.1.0.0/16"), px.parse("2001:db8::/32")
    longer = nl.nested(
        0, nl.attribute_u8(3, 8), nl.attribute_u16(1, 2), nl.attribute(2, b"\x0b\0\0\0"), nl.attribute_u32(77, 1)
    )
    reading = read(MESSAGE + DEVICE + nl.nested(8, first_part(A, entry(one), longer, entry(two)))).reading()
    assert set(reading.allowed_ips) == {one, px.parse("11.0.0.0/8"), two}


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("192.0.2.1:4000", struct.pack("=H", 2) + struct.pack("!H4s8x", 4000, bytes([192, 0, 2, 1]))),
        (
            "[2001:db8::1]:1",
            struct.pack("=H", 10)
            + struct.pack("!HI16s", 1, 5, ipaddress.ip_address("2001:db8::1").packed)
            + struct.pack("=I", 0),
        ),
        (
            "[fe80::1%7]:65535",
            struct.pack("=H", 10)
            + struct.pack("!HI16s", 65535, 0, ipaddress.ip_address("fe80::1").packed)
            + struct.pack("=I", 7),
        ),
    ],
)
def test_endpoints_are_told_as_text(text: str, raw: bytes) -> None:
    """IPv6 in brackets, a link-local one with the number of its interface."""
    reading = read(MESSAGE + DEVICE + nl.nested(8, first_part(A, endpoint=raw))).reading()
    assert reading.device.peers[A].endpoint == text


def test_nothing_secret_stays() -> None:
    """Neither private nor preshared key can be found in what was read."""
    dump = read(MESSAGE + DEVICE + nl.nested(8, first_part(A, entry(px.parse("10.0.0.0/8")))))
    kept = [bytes(value) for value in dump._device.values()]
    assert not any(secret in b"".join(kept) for secret in (PSK, b"\x77" * 32))
    assert "\\x77" * 8 not in repr(dump.reading())
    assert all(PSK not in peer.psk for peer in dump.reading().device.peers.values())


def test_bare_device_is_read() -> None:
    """A device without key, port, mark and peers is a device, and a peer without a preshared key has no digest."""
    bare = MESSAGE + nl.attribute_u32(1, 3) + nl.attribute_text(2, "wg0")
    device = read(bare).reading().device
    assert (device.public_key, device.listen_port, device.fwmark, device.peers) == (None, 0, 0, {})
    peer = nl.nested(0, nl.attribute(1, A), nl.attribute(2, bytes(32)))
    assert read(bare + nl.nested(8, peer)).reading().device.peers == {A: Peer(A)}


def test_request_names_the_device() -> None:
    """A reading asks for one interface by its index."""
    request = wg.get_request(77)
    assert request[:2] == bytes([0, 1])
    assert nl.u32(genetlink.attributes(request)[1]) == 77


@given(
    st.binary(max_size=120)
    | st.builds(
        lambda key, junk, cut: (MESSAGE + DEVICE + nl.nested(8, next_part(key, junk)))[: cut or None],
        KEYS,
        st.binary(max_size=60) | PREFIXES.map(entry).flatmap(lambda e: st.integers(0, len(e)).map(lambda n: e[:n])),
        st.integers(-40, 0),
    )
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes, the reader returns or raises RemoteProtocolError."""
    with contextlib.suppress(RemoteProtocolError):
        read(data).reading()


@pytest.mark.parametrize(
    ("family", "address", "length"), [(2, 4, 33), (10, 16, 129), (2, 16, 8), (10, 4, 8), (7, 4, 8), (2, 3, 8)]
)
def test_impossible_prefixes_are_refused(family: int, address: int, length: int) -> None:
    """A prefix that cannot be is an error, not some other prefix."""
    impossible = nl.nested(0, nl.attribute_u8(3, length), nl.attribute_u16(1, family), nl.attribute(2, bytes(address)))
    with pytest.raises(RemoteProtocolError, match="allowed IP"):
        read(MESSAGE + DEVICE + nl.nested(8, first_part(A, impossible)))


def test_no_answer_is_no_device() -> None:
    """A dump that named no device raises, instead of being an empty device."""
    with pytest.raises(RemoteProtocolError, match="no device"):
        read().reading()
