"""Many datagrams by one call are the same as each by a call of its own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peerway.backends import netlink
from peerway.backends.burst import AVAILABLE, LONGEST, MOST, SHORT, Burst
from peerway.backends.inbox import FEW, Inbox
from peerway.backends.netlink import NETLINK_ROUTE, NetlinkSocket
from peerway.protocols import rtlink, rtrequest
from peerway.protocols.errors import RemoteProtocolError
from tests.harness.need import need

Ends = tuple[socket.socket, socket.socket]
FLAGS = socket.MSG_DONTWAIT | socket.MSG_TRUNC

MANY = FEW + 2 * MOST  # several calls
sizes = st.lists(st.integers(16, 120), min_size=FEW, max_size=MANY) | st.lists(
    st.integers(0, 120) | st.integers(SHORT - 1, SHORT + 40), min_size=FEW, max_size=MANY
)


@pytest.fixture(autouse=True)
def _needed() -> None:
    need(AVAILABLE, "the C library has no recvmmsg: use glibc or musl")


@pytest.fixture
def ends() -> Iterator[Ends]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        yield here, there


def taken(here: socket.socket, many: Burst | None, limit: int = sys.maxsize) -> tuple[bool, list[bytes]]:
    box = Inbox()
    return box.fill(here.recv_into, FLAGS, limit, many), box.datagrams()


@settings(max_examples=25)  # each makes sockets and hundreds of datagrams
@given(sizes, st.integers(0, 3 * MOST), st.randoms(use_true_random=False))
@example([92] * (MANY + 1), MANY, Random(0))
@example([*range(MANY), *[92] * MOST], 2 * MANY, Random(1))
@example([], 0, Random(2))
def test_it_takes_what_single_calls_take(sizes: list[int], limit: int, random: Random) -> None:
    """Any sizes, any limit: the same datagrams, the same that wait, and the same word on emptiness."""
    sent = [random.randbytes(size) for size in sizes]
    found = []
    for with_burst in (False, True):
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with here, there:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            for datagram in sent:
                there.send(datagram, socket.MSG_DONTWAIT)
            many = Burst(here) if with_burst else None
            found.append((taken(here, many, limit), taken(here, many)))
    assert found[0] == found[1]
    assert found[0][0][1] + found[0][1][1] == sent


def test_a_long_one_among_short_ones_is_whole(ends: Ends) -> None:
    """The longest stands where it came; one byte more is refused, not cut."""
    here, there = ends
    sent = [b"short"] * (FEW + 2) + [bytes(range(256)) * (LONGEST // 256)] + [b"next"]
    for datagram in sent:
        there.send(datagram)
    assert taken(here, Burst(here)) == (True, sent)
    for datagram in [*sent[:FEW], bytes(LONGEST + 1)]:
        there.send(datagram)
    with pytest.raises(RemoteProtocolError, match=f"{LONGEST + 1} bytes"):
        taken(here, Burst(here))


def test_an_error_of_the_socket_is_the_callers(ends: Ends) -> None:
    """What came before it stays."""
    here, there = ends
    many, box = Burst(here), Inbox()
    for _ in range(FEW):
        there.send(b"kept")
    assert box.fill(here.recv_into, FLAGS, FEW) is False
    here.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        box.fill(here.recv_into, FLAGS, sys.maxsize, many)
    assert box.datagrams() == [b"kept"] * FEW


@pytest.mark.parametrize("available", [True, False])
def test_netlink_does_without_it(available: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the C library has no such call, all is received one by one."""
    monkeypatch.setattr(netlink, "AVAILABLE", available)
    with NetlinkSocket(NETLINK_ROUTE) as sock:
        assert (sock._burst is not None) is available
        dump, inbox = sock.dump(rtlink.RTM_GETLINK, rtrequest.dump_links()), Inbox()
        assert next(dump.fill(inbox)).sizes
