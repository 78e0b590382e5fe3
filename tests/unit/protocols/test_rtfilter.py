"""The filter for route notifications drops only what the model would ignore, and it drops the churn of others."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ctypes import addressof, create_string_buffer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.ports import Gap
from peerway.model.route import NextHop, Path, RouteChange, RouteChangeKind
from peerway.protocols import netlink as nl
from peerway.protocols import rtfilter
from peerway.protocols.rtchanges import ChangeReader
from peerway.protocols.rtdecoder import RouteDecoder
from peerway.protocols.rtrows import RouteRows
from tests.harness.routes import damaged, payload_of, routes, shuffled_payloads, words_of

OURS, FOREIGN = 3, 4
UNHEARD = 0x80000011
ADD, APPEND, PREPEND, REPLACE = 0x600, 0xC00, 0x400, 0x100
V4, V6 = px.parse("10.0.0.0/8"), px.parse("fd00::/8")
VIA = px.parse_address("fe80::1")


def through(*ifindexes: int, gateway: px.Prefix | None = VIA, table: int = 254) -> Path:
    return Path(table, 4, 1024, tuple(NextHop(index, gateway) for index in ifindexes))


class Filter:
    """A filter of the kernel's, to be tried on messages: of the same netlink form, from one socket to another."""

    def __init__(self, *interfaces: int) -> None:
        self.hear, self.say = (socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2) for _ in range(2))  # USERSOCK
        self.hear.bind((0, 0))
        self.hear.setblocking(False)
        count, code = rtfilter.of(interfaces, UNHEARD)
        program = create_string_buffer(code, len(code))
        self.hear.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", count, addressof(program)))

    def passes(self, message: bytes) -> bool:
        try:
            self.say.sendto(message, self.hear.getsockname())
            return self.hear.recv(1 << 16) == message
        except (BlockingIOError, ConnectionRefusedError):
            return False

    def close(self) -> None:
        self.hear.close()
        self.say.close()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Filter]:
    made = Filter(OURS, 7)
    yield made
    made.close()


DROPPED = [
    *((24, flags, prefix, through(FOREIGN)) for flags in (ADD, APPEND, PREPEND) for prefix in (V4, V6)),
    (25, 0, V4, through(FOREIGN)),
    (25, 0, V4, through(FOREIGN, gateway=None)),
    (25, 0, V6, through(FOREIGN, gateway=None)),
    (24, ADD, V4, through(OURS, table=255)),
    (24, REPLACE, V6, through(OURS, table=255)),
    (25, 0, V6, through(OURS, table=255)),
]
PASSED = [
    *((24, flags, prefix, through(OURS)) for flags in (ADD, APPEND, PREPEND, REPLACE) for prefix in (V4, V6)),
    *((25, 0, prefix, through(7)) for prefix in (V4, V6)),
    *((24, flags, prefix, through(FOREIGN)) for flags in (REPLACE, REPLACE | PREPEND) for prefix in (V4, V6)),
    *((24, ADD, prefix, through(FOREIGN, FOREIGN)) for prefix in (V4, V6)),
    *((24, ADD, prefix, Path(254, 4, 1024, type=6)) for prefix in (V4, V6)),
    *((24, ADD, prefix, Path(254, 4, 1024, nexthop_id=7)) for prefix in (V4, V6)),
    (25, 0, V6, through(FOREIGN)),
    (24, 0, V4, through(FOREIGN)),
]


@pytest.mark.parametrize(("kind", "flags", "prefix", "path"), DROPPED)
def test_churn_of_others_is_dropped(kernel: Filter, kind: int, flags: int, prefix: px.Prefix, path: Path) -> None:
    """What is added or deleted on another interface, and table local, is not queued."""
    assert not kernel.passes(nl.message(kind, flags, 0, payload_of(prefix, path)))


@pytest.mark.parametrize(("kind", "flags", "prefix", "path"), PASSED)
def test_what_may_concern_us_passes(kernel: Filter, kind: int, flags: int, prefix: px.Prefix, path: Path) -> None:
    """Our interfaces, each replacement, several next hops, objects, routes to nowhere, and parts of IPv6 routes."""
    assert kernel.passes(nl.message(kind, flags, 0, payload_of(prefix, path)))


@pytest.mark.parametrize("interfaces", [(), (OURS,)])
def test_new_routes_from_one_port_are_not_heard(interfaces: tuple[int, ...]) -> None:
    """Whatever is chosen besides; what else comes from that port passes, and so do new routes from any other."""
    chosen = Filter(*interfaces)
    for prefix in (V4, V6):
        payload = payload_of(prefix, through(OURS))
        for flags in (ADD, APPEND, REPLACE):
            assert not chosen.passes(nl.message(24, flags, 0, payload, UNHEARD))
            assert chosen.passes(nl.message(24, flags, 0, payload, UNHEARD - 1))
            assert chosen.passes(nl.message(24, flags, UNHEARD, payload))
        assert chosen.passes(nl.message(25, 0, 0, payload, UNHEARD))
    assert chosen.passes(nl.message(16, ADD, 0, payload_of(V4, through(OURS)), UNHEARD))
    chosen.close()


def test_what_is_no_lone_route_passes(kernel: Filter) -> None:
    """Other messages, short ones, several in one datagram, and a route that tells its interface and more."""
    foreign = payload_of(V4, through(FOREIGN))
    route = nl.message(24, ADD, 0, foreign)
    assert not kernel.passes(route)
    assert kernel.passes(nl.message(16, ADD, 0, foreign))
    assert kernel.passes(route * 2)
    assert kernel.passes(nl.message(24, ADD, 0, foreign[:8]))
    assert kernel.passes(nl.message(24, ADD, 0, foreign + nl.attribute_u32(30, 9)))
    assert kernel.passes(nl.message(24, ADD, 0, foreign + nl.attribute(9, bytes(8))))


@given(
    st.sampled_from([24, 25]),
    st.sampled_from([0, ADD, APPEND, PREPEND, REPLACE, REPLACE | PREPEND]),
    shuffled_payloads().map(lambda one: one[0])
    | st.builds(lambda one: payload_of(*one), routes())
    | damaged(st.builds(lambda one: payload_of(*one), routes())),
)
def test_nothing_that_may_concern_us_is_dropped(kind: int, flags: int, payload: bytes) -> None:
    """Of any message that is dropped: it is no replacement, and all its next hops leave through other interfaces."""
    filtered = Filter(OURS, 7)
    message = nl.message(kind, flags, 0, payload)
    passes = filtered.passes(message)
    filtered.close()
    if passes:
        return
    decoder = RouteDecoder()
    for change in ChangeReader(decoder, RouteRows(decoder)).read(*words_of([message])):
        if isinstance(change, Gap):
            continue  # such a message no kernel sends; what the filter saw of it is another interface
        assert isinstance(change, RouteChange)
        assert change.kind is not RouteChangeKind.REPLACED
        assert not change.path.nexthop_id
        (hop,) = change.path.nexthops
        assert hop.ifindex not in (OURS, 7)
        assert change.kind is not RouteChangeKind.DELETED or not change.prefix & px.V6 or hop.gateway is None


def test_as_many_interfaces_as_are_promised_fit() -> None:
    """A filter for MOST interfaces is one that the kernel takes, and the last of them is heard."""
    full = Filter(*range(100, 100 + rtfilter.MOST))
    assert full.passes(nl.message(24, ADD, 0, payload_of(V4, through(99 + rtfilter.MOST))))
    assert full.passes(nl.message(24, ADD, 0, payload_of(V4, through(100))))
    assert not full.passes(nl.message(24, ADD, 0, payload_of(V4, through(99))))
    full.close()
