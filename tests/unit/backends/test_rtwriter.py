"""Routes are written in their order, few or many, and each refusal names its route."""

from __future__ import annotations

import errno
import struct

import pytest
from typing_extensions import Buffer, override

from peerway.backends.netlink import NetlinkSocket
from peerway.backends.rtwriter import RouteWriter
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.ports import Refusal
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path
from peerway.protocols import netlink as nl
from peerway.protocols.rtroute import parse_route

PATHS = [Path(254, 87, metric, (NextHop(3),)) for metric in (1, 2, 3)]


class Kernel(NetlinkSocket):
    """Takes requests, and refuses those for some prefixes."""

    def __init__(self, refused: set[Prefix] | None = None, answers: int = 1024) -> None:
        self._seq, self.answers, self.refused = 0, answers, refused or set()
        self.told: list[tuple[Prefix, int]] = []
        self.sizes: list[int] = []
        self.waiting: list[bytes] = []

    @override
    def send(self, data: Buffer) -> None:
        messages = list(nl.messages(bytes(data)))
        self.sizes.append(len(messages))
        for message in messages:
            read = parse_route(bytes(message.payload))
            assert read is not None
            self.told.append((read.prefix, read.path.metric))
            bad = read.prefix in self.refused
            if bad or message.flags & nl.NLM_F_ACK:
                header = nl.HEADER.pack(16, message.type, message.flags, message.seq, 0)
                answer = struct.pack("=i", -errno.EEXIST if bad else 0) + header
                self.waiting.append(nl.message(nl.NLMSG_ERROR, nl.NLM_F_CAPPED, message.seq, answer))
        assert [message.flags & nl.NLM_F_ACK for message in messages[:-1]] == [0] * (len(messages) - 1)

    @override
    def receive(self) -> bytes:
        return self.waiting.pop(0)


def nets(first: int, count: int, family: int = 2) -> list[Prefix]:
    return [px.make(family, bytes((10, at >> 8, at & 255, 0)), 24) for at in range(first, first + count)]


@pytest.mark.parametrize("counts", [(1, 1, 1), (3, 100, 2), (40, 5, 4000), (2000, 0, 31)])
@pytest.mark.parametrize("answers", [10, 1024])
def test_routes_are_written_in_order_and_refusals_are_named(counts: tuple[int, ...], answers: int) -> None:
    """Groups of any size go in their order, never more at once than answers fit, and what is refused has its name."""
    routes, want, first = [], [], 0
    for path, count in zip(PATHS, counts, strict=True):
        column = nets(first, count)
        routes += [(path, cl.make(2, column)), (path, cl.make(10, nets(first, 2, 10)))]
        want += [(prefix, path.metric) for prefix in [*column, *nets(first, 2, 10)]]
        first += count
    bad = {prefix for prefix, _ in want[::3]}
    kernel = Kernel(bad, answers)
    refusals = RouteWriter(kernel, 24, 0x600, "adding").write(routes, exact=False)
    assert kernel.told == want
    assert max(kernel.sizes) <= answers
    assert refusals == [
        Refusal(prefix, errno.EEXIST, f"adding the route {px.text(prefix)}: File exists")
        for prefix, _ in want
        if prefix in bad
    ]
    assert RouteWriter(Kernel(bad, answers), 25, 0, "deleting", {errno.EEXIST}).write(routes, exact=False) == []
