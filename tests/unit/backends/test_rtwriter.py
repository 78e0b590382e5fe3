"""Routes are written in their order, few or many, and each refusal names its route."""

from __future__ import annotations

import errno
import struct

import pytest
from typing_extensions import Buffer, override

from peerway.backends.netlink import NetlinkSocket
from peerway.backends.rtwriter import RouteHands, RouteWriter
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.ports import BULK, Refusal
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

    def broken(self) -> bytes:
        raise OSError(errno.ETIMEDOUT, "nobody answers")


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
    assert refusals == [Refusal(prefix, errno.EEXIST, "adding it: File exists") for prefix, _ in want if prefix in bad]
    assert RouteWriter(Kernel(bad, answers), 25, 0, "deleting", {errno.EEXIST}).write(routes, exact=False) == []


def hands(refused: set[Prefix] | None = None) -> tuple[RouteHands, Kernel, Kernel, Kernel]:
    """Hands, and what stands behind their sockets: for few, for many, and for many unheard."""
    made = RouteHands(Kernel(refused))
    made.close()
    few, many, silent = (Kernel(refused) for _ in range(3))
    made._ask, made._many, made._silent = few, many, silent
    return made, few, many, silent


def test_few_and_many_routes_have_their_own_sockets() -> None:
    """So that a thread may send many while others ask; deletions and what is appended is heard like others' changes."""
    made, few, many, silent = hands()
    made.add([(PATHS[0], cl.make(2, nets(0, BULK - 1)))], append=False)
    made.delete([(PATHS[0], cl.make(2, nets(0, BULK - 1)))])
    assert (len(few.told), many.told, silent.told) == (2 * BULK - 2, [], [])
    made.add([(PATHS[0], cl.make(2, nets(0, BULK)))], append=True)
    made.delete([(PATHS[0], cl.make(2, nets(0, 100))), (PATHS[1], cl.make(2, nets(100, BULK - 100)))])
    assert (len(few.told), len(many.told), silent.told) == (2 * BULK - 2, 2 * BULK, [])
    assert made.unheard.take() == ([], [])
    made.add([(PATHS[0], cl.make(2, nets(0, BULK)))], append=False)
    assert (len(many.told), len(silent.told)) == (2 * BULK, BULK)


def test_what_is_added_unheard_is_told_but_for_what_was_refused() -> None:
    """Many plain routes are told by us; with one that is not plain among them all are heard."""
    refused = nets(3, 2)
    made, _, many, silent = hands({*refused})
    column = cl.make(2, nets(0, BULK))
    assert [refusal.prefix for refusal in made.add([(PATHS[0], column)], append=False)] == refused
    ((told,), (work,)) = made.unheard.take()
    assert cl.prefixes(told.column) == [prefix for prefix in nets(0, BULK) if prefix not in refused]
    made.unheard.forget([work])
    made.add([(PATHS[0], column), (Path(254, 87, 0, (NextHop(3),)), cl.make(2, nets(BULK, 1)))], append=False)
    assert made.unheard.take() == ([], [])
    assert (len(silent.told), len(many.told)) == (BULK, BULK + 1)


def test_what_is_added_without_an_answer_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that fails in the middle leaves a doubt about what was added."""
    made, *_ = hands()
    monkeypatch.setattr(Kernel, "receive", Kernel.broken)
    with pytest.raises(OSError, match="nobody answers"):
        made.add([(PATHS[0], cl.make(2, nets(0, BULK)))], append=False)
    assert made.unheard.disputed([])
