"""The routing table's edge: what it makes of a stream with faults, and that it reads this machine without privilege."""

from __future__ import annotations

import errno

import pytest
from typing_extensions import override

from peerway.backends.netlink import Dump, NetlinkSocket
from peerway.backends.rtnetlink import DUMP_TRIES, Rtnetlink
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.ports import Gap, RoutingTable
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, NexthopChange, Path, RouteChange, RouteChangeKind, RouteColumns
from peerway.protocols import netlink as nl
from peerway.protocols import rtfilter
from tests.harness.routes import payload_of

NET = px.parse("10.1.0.0/16")
HOPS = (NextHop(3, px.parse_address("fe80::1")),)
PATH = Path(254, 4, 0, HOPS)


class Script(NetlinkSocket):
    """A socket at which these datagrams and errors wait."""

    def __init__(self, *waiting: bytes | OSError) -> None:
        self.waiting = list(waiting)
        self.filters: list[object] = []
        self._receive_into = self.take
        self._burst = None
        self._buffer = memoryview(bytearray(1 << 16))

    def take(self, buffer: memoryview, size: int, flags: int) -> int:  # noqa: ARG002 - as socket.recv_into
        if not self.waiting:
            raise BlockingIOError
        first = self.waiting.pop(0)
        if isinstance(first, OSError):
            raise first
        buffer[: len(first)] = first
        return len(first)

    @override
    def filter(self, program: tuple[int, bytes] | None) -> None:
        self.filters.append(program)

    @override
    def close(self) -> None:
        self.waiting.clear()


def table(*waiting: bytes | OSError) -> Rtnetlink:
    made = Rtnetlink()
    made._hear.close()
    made._hear = Script(*waiting)
    return made


def new(path: Path, flags: int = 0x600, kind: int = 24) -> bytes:
    return nl.message(kind, flags, 0, payload_of(NET, path))


def test_it_is_what_the_engine_needs() -> None:
    """It has the shape of a RoutingTable, and reads links, addresses, routes and nexthop objects without privilege."""
    with Rtnetlink() as opened:
        edge: RoutingTable = opened
        assert edge.fileno() > 0
        assert edge.links()[1].name == "lo"
        assert all(address.ifindex for address in edge.addresses())
        assert isinstance(edge.nexthops(), dict)
        tables = {path.table for columns in edge.routes(lambda path: path.table == 254) for path in columns.paths}
        assert tables <= {254}
        assert edge.lookup(px.parse_address("127.0.0.1")) is None
        assert edge.read_changes() is not None


def test_changes_come_in_order_however_they_are_packed() -> None:
    """One message to a datagram or many, routes among others: the order is the kernel's."""
    moved = Path(254, 4, 7, HOPS)
    gone = nl.message(105, 0, 0, bytes(8) + nl.attribute_u32(1, 9))
    changes = table(new(PATH), gone + new(moved, 0x100), new(moved, 0, 25)).read_changes()
    assert changes == [
        RouteChange(RouteChangeKind.ADDED, NET, PATH),
        NexthopChange(9, None),
        RouteChange(RouteChangeKind.REPLACED, NET, moved),
        RouteChange(RouteChangeKind.DELETED, NET, moved),
    ]


def test_a_loss_is_a_gap_behind_all_that_waited() -> None:
    """After ENOBUFS nothing that waits is believed: it goes with its socket, and the list ends with one Gap."""
    lost = OSError(errno.ENOBUFS, "")
    edge = table(new(PATH), lost, new(PATH), lost, new(PATH))
    deaf = edge._hear
    first, second = edge.read_changes()
    assert first == RouteChange(RouteChangeKind.ADDED, NET, PATH)
    assert isinstance(second, Gap)
    assert edge._hear is not deaf
    assert NET not in {change.prefix for change in edge.read_changes() if isinstance(change, RouteChange)}
    edge.close()


@pytest.mark.parametrize("bad", [b"\0", b"", new(PATH)[:-3], nl.message(16, 0, 0, b"1"), nl.message(24, 0, 0, b"\2")])
def test_a_message_that_cannot_be_read_is_a_gap(bad: bytes) -> None:
    """Malformed bytes say their reason where they stood, and the stream goes on; an empty datagram says nothing."""
    changes = table(bad, new(PATH)).read_changes()
    assert changes[-1] == RouteChange(RouteChangeKind.ADDED, NET, PATH)
    assert [isinstance(change, Gap) for change in changes[:-1]] == [True] * bool(bad)


def test_other_errors_of_the_socket_are_told() -> None:
    """Only ENOBUFS is a loss; any other error is the caller's."""
    with pytest.raises(OSError, match="broken"):
        table(OSError(errno.EIO, "broken")).read_changes()


def test_the_kernels_own_routes_are_left_out() -> None:
    """Table local, and local, broadcast, anycast and multicast routes, say nothing of routing."""
    own = [Path(255, 2, 0, HOPS)] + [Path(254, 2, 0, HOPS, type=kind) for kind in (2, 3, 4, 5)]
    assert table(*(new(path) for path in own), *(new(path, 0, 25) for path in own)).read_changes() == []


def test_a_route_that_takes_anothers_place_is_always_told() -> None:
    """A replacement of any type is told, for the route in whose place it stands was perhaps a unicast one."""
    for kind in (2, 6, 7):
        path = Path(254, 4, 0, type=kind)
        assert table(new(path, 0x100)).read_changes() == [RouteChange(RouteChangeKind.REPLACED, NET, path)]
    assert table(new(Path(255, 4, 0, type=2), 0x100)).read_changes() == []


def test_a_long_stream_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the limit is read at once, and nothing is lost at the seam."""
    monkeypatch.setattr("peerway.backends.rtnetlink.READ_LIMIT", 3)
    edge = table(*[new(PATH)] * 7)
    assert [len(edge.read_changes()) for _ in range(4)] == [3, 3, 1, 0]


def told(found: list[RouteColumns]) -> list[tuple[Prefix, Path]]:
    return [
        (prefix, columns.paths[code])
        for columns in found
        for prefix, code in zip(cl.prefixes(columns.column), columns.codes.tolist(), strict=True)
    ]


def test_a_burst_is_read_as_columns_in_as_many_parts_as_the_inbox_needs() -> None:
    """More than fits in the inbox at once comes whole, in order, and its paths are the objects that a dump gives."""
    nets = [px.Prefix(at << 16 | 24) for at in range(30_000)]
    edge = table(*(nl.message(24, 0x600, 0, payload_of(net, PATH)) for net in nets))
    changes = edge.read_changes()
    columns = [change for change in changes if isinstance(change, RouteColumns)]
    assert len(changes) == len(columns) > 1
    assert told(columns) == [(net, PATH) for net in nets]
    assert {id(path) for one in columns for path in one.paths} == {id(edge._decoder.intern(PATH))}


def test_a_filter_is_set_when_the_interfaces_change() -> None:
    """One for the interfaces that are named, for all if none or too many are, and nothing when nothing changes."""
    edge = table()
    hear = edge._hear
    assert isinstance(hear, Script)
    for interfaces in ([3], (3,), {3, 4}, range(1, 66), []):
        edge.listen_to(interfaces)
    silent = edge._hands.port
    assert hear.filters == [rtfilter.of(chosen, silent) for chosen in ([3], [3, 4], [], [])]


class Answers(Script):
    """A socket that answers each dump of routes with the next of these pairs: flags, and whether a route is there."""

    def __init__(self, *answers: tuple[int, bool]) -> None:
        super().__init__()
        self.dumps = list(answers)
        self.asked = 0

    @override
    def dump(self, kind: int, payload: bytes = b"", *, doing: str = "") -> Dump:
        self.asked += 1
        flags, there = self.dumps.pop(0)
        self.waiting = [(new(PATH, flags) if there else b"") + nl.message(nl.NLMSG_DONE, flags, 0, bytes(4))]
        return Dump(self, 0, doing)


def test_an_interrupted_dump_is_made_again() -> None:
    """What another change cut short is read again, a whole one is not."""
    edge = table()
    edge._ask.close()
    edge._ask = ask = Answers((nl.NLM_F_DUMP_INTR, False), (0, True), (0, False))
    assert told(edge.routes(lambda _: True)) == [(NET, PATH)]
    assert ask.asked == 3


@pytest.mark.parametrize("what", ["links", "addresses", "nexthops"])
def test_an_interrupted_dump_of_small_things_is_made_again(what: str) -> None:
    """Links, addresses and nexthop objects are read again too."""
    edge = table()
    edge._ask.close()
    edge._ask = ask = Answers((nl.NLM_F_DUMP_INTR, False), (0, False))
    getattr(edge, what)()
    assert ask.asked == 2


def test_a_dump_that_is_always_interrupted_is_taken_in_the_end() -> None:
    """Changes without end do not keep us from an answer: after a few tries the last one counts."""
    edge = table()
    edge._ask.close()
    edge._ask = ask = Answers(*[(nl.NLM_F_DUMP_INTR, True)] * 2 * DUMP_TRIES)
    assert told(edge.routes(lambda _: True)) == [(NET, PATH)] * 2  # one of each family
    assert ask.asked == 2 * DUMP_TRIES
