"""Batches of requests, against this machine's own kernel, which answers reading requests of anybody."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from peerway.backends import netlinkbatch
from peerway.backends.netlink import NETLINK_ROUTE, NetlinkSocket
from peerway.backends.netlinkbatch import Request
from peerway.protocols import netlink as nl
from peerway.protocols.rtlink import RTM_GETLINK

MISSING = struct.pack("=BxHIII", 0, 0, 0x7FFFFFF0, 0, 0)
FIRST = struct.pack("=BxHIII", 0, 0, 1, 0, 0)


@pytest.fixture
def sock() -> Iterator[NetlinkSocket]:
    with NetlinkSocket(NETLINK_ROUTE) as opened:
        yield opened


def requests(count: int) -> list[Request]:
    return [(RTM_GETLINK, 0, MISSING if at % 2 else FIRST) for at in range(count)]


def test_each_request_has_its_own_result(sock: NetlinkSocket) -> None:
    """Refusals have the place of their request; one stops nobody else, and those that are fine are left out."""
    refused = netlinkbatch.send(sock, requests(40))
    assert refused == dict.fromkeys(range(1, 40, 2), (errno.ENODEV, "No such device"))
    assert netlinkbatch.send(sock, requests(40), fine={errno.ENODEV}) == {}
    assert netlinkbatch.send(sock, []) == {}


def test_no_refusal_is_lost_in_a_small_buffer(sock: NetlinkSocket) -> None:
    """A batch that is refused whole gives every refusal, however little the socket may hold."""
    sock.set_receive_buffer(4096)
    assert list(netlinkbatch.send(sock, [(RTM_GETLINK, 0, MISSING)] * 3000)) == list(range(3000))


@pytest.mark.parametrize("buffer", [4096, 1 << 20])
def test_packed_requests_have_their_results_too(sock: NetlinkSocket, buffer: int) -> None:
    """As many rows as one sending may have, all refused but every third: each refusal is told by its row, twice."""
    sock.set_receive_buffer(buffer)
    one = nl.message(RTM_GETLINK, nl.NLM_F_REQUEST, 0, MISSING + nl.attribute_u32(29, 0) * 2)
    rows = np.tile(np.frombuffer(one, np.uint32), (max(1, netlinkbatch.limit(sock) // len(one)), 1))
    rows[::3, 5] = 1  # the loopback
    before = rows.copy()
    for _ in range(2):
        refused = netlinkbatch.send_rows(sock, rows)
        assert list(refused) == [at for at in range(len(rows)) if at % 3]
        assert set(refused.values()) == ({(errno.ENODEV, "No such device")} if refused else set())
        assert netlinkbatch.send_rows(sock, rows, fine={errno.ENODEV}) == {}
    rows[:, 2] = 0
    assert (rows == before).all()
