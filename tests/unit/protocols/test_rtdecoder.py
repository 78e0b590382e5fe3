"""The quick reader says what the careful reader says, and gives equal paths as one object."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path, RouteChange, RouteChangeKind
from peerway.protocols import rtdecoder
from peerway.protocols.errors import RemoteProtocolError
from peerway.protocols.rtdecoder import RouteDecoder, change_kind
from peerway.protocols.rtroute import parse_route
from tests.harness.routes import attribute, damaged, header_of, payload_of, prefixes, routes, shuffled_payloads

GATEWAY = px.parse_address("fe80::1")
PATH = Path(254, 4, 1024, (NextHop(3, GATEWAY),))
PAYLOADS = shuffled_payloads().map(lambda one: one[0]) | st.builds(lambda one: payload_of(*one), routes())


def outcome(read: Callable[[bytes], object], data: bytes) -> object:
    try:
        return read(data)
    except RemoteProtocolError:
        return RemoteProtocolError


def careful(data: bytes) -> object:
    read = parse_route(data)
    return read and (read.prefix, read.path)


@given(st.lists(PAYLOADS | damaged(PAYLOADS) | st.binary(max_size=70), max_size=12))
def test_the_quick_reader_agrees_with_the_careful_one(payloads: list[bytes]) -> None:
    """For any sequence of good, shuffled and damaged messages, each seen twice, both readers say the same."""
    decoder = RouteDecoder()
    for payload in payloads * 2:
        assert outcome(decoder.route, payload) == outcome(careful, payload)


@given(PAYLOADS, st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_known_message_with_other_bytes_is_read_anew(payload: bytes, edits: list[tuple[int, int]]) -> None:
    """What was learned from one message is not used for one that differs in more than its address."""
    decoder, data = RouteDecoder(), bytearray(payload)
    decoder.route(payload)
    for at, value in edits:
        data[at % len(data)] = value
    assert outcome(decoder.route, bytes(data)) == outcome(careful, bytes(data))


def test_an_address_inside_another_attribute_is_no_destination() -> None:
    """Bytes at the usual place that only look like RTA_DST are not taken for it, however often they are seen."""
    decoder, head, real = RouteDecoder(), header_of(px.parse("10.1.0.0/16"), PATH), attribute(1, bytes((10, 1, 0, 0)))
    for hidden in (b"\x0a\x02\0\0", b"\x0a\x03\0\0"):
        payload = head + attribute(99, bytes(4) + attribute(1, hidden)) + real
        assert [decoder.route(payload), decoder.route(payload)] == [careful(payload)] * 2


def test_of_two_destinations_the_last_one_counts() -> None:
    """A message with two RTA_DST is read the careful way each time."""
    decoder, head, real = RouteDecoder(), header_of(px.parse("10.1.0.0/16"), PATH), attribute(1, bytes((10, 1, 0, 0)))
    for other in (b"\x0a\x02\0\0", b"\x0a\x03\0\0"):
        read = decoder.route(head + attribute(15, bytes(4)) + attribute(1, other) + real)
        assert read is not None
        assert read[0] == px.parse("10.1.0.0/16")


@given(st.lists(prefixes(), min_size=2, max_size=20))
def test_equal_paths_are_one_object(nets: list[Prefix]) -> None:
    """However a message is read, quickly or not, the same path is the same object."""
    decoder = RouteDecoder()
    found = [decoder.route(payload_of(net, PATH)) for net in nets]
    assert [one[0] for one in found if one] == nets
    assert {id(one[1]) for one in found if one} == {id(decoder.intern(Path(254, 4, 1024, (NextHop(3, GATEWAY),))))}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that never repeats a metric does not fill our memory, and is still read rightly."""
    monkeypatch.setattr(rtdecoder, "KNOWN_LIMIT", 8)
    decoder = RouteDecoder()
    for metric in range(1, 100):
        path = Path(254, 4, metric, PATH.nexthops)
        assert decoder.route(payload_of(px.parse("10.0.0.0/8"), path)) == (px.parse("10.0.0.0/8"), path)
        assert max(len(decoder.interned), len(decoder.known)) <= 8


@pytest.mark.parametrize(
    ("kind", "flags", "want"),
    [
        (24, 0x600, RouteChangeKind.ADDED),
        (24, 0x200, RouteChangeKind.ADDED),
        (24, 0xC00, RouteChangeKind.APPENDED),
        (24, 0x400, RouteChangeKind.PREPENDED),
        (24, 0x100, RouteChangeKind.REPLACED),
        (24, 0x500, RouteChangeKind.REPLACED),
        (25, 0x600, RouteChangeKind.DELETED),
        (25, 0, RouteChangeKind.DELETED),
    ],
)
def test_the_flags_tell_the_kind(kind: int, flags: int, want: RouteChangeKind) -> None:
    """The type of the message and the flags of its cause say what happened."""
    assert change_kind(kind, flags) is want
    net = px.parse("2001:db8::/32")
    assert RouteDecoder().change(kind, flags | 2, payload_of(net, PATH)) == RouteChange(want, net, PATH)
