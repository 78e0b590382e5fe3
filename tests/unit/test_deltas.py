"""Changes as they are told: each marks what must be decided again, and is one event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest
from hypothesis import given

from peerway.deltas import Deltas
from peerway.model import events as ev
from peerway.model import prefix as px
from peerway.model.interface import Interface
from peerway.model.link import Address, AddressChange, Link, LinkChange
from peerway.model.prefix import Prefix
from peerway.model.rib import Rib
from peerway.model.route import NextHop, NexthopChange, NexthopObject, Path, RouteChange, RouteChangeKind, RouteColumns
from peerway.model.world import World
from tests.harness.columns import burst, dumped, flat, however_few
from tests.harness.reference import OPERATIONS, Kernel, Operation, carry_out
from tests.harness.site import OTHER, WG, gateway, via
from tests.harness.small import A, B, small_world

NET, NET2 = px.parse("10.0.0.0/8"), px.parse("10.9.0.0/16")
LINK = Link(WG, "wg0", "wireguard", up=True)


class Bench:
    """Deltas over a small world, and what they told."""

    def __init__(self, *names: str) -> None:
        self.world: World = small_world(*(names or ("wg0",)))
        self.events: list[ev.Event] = []
        self.renamed: list[Interface] = []
        self.deltas = Deltas(self.world, self.events.append, self.renamed.append)
        self.deltas.dump_due = self.deltas.find_due = False

    @property
    def interface(self) -> Interface:
        return self.world.interfaces[WG]

    def due(self) -> tuple[bool, bool]:
        return self.deltas.find_due, self.deltas.dump_due


@pytest.fixture
def bench() -> Bench:
    return Bench()


@given(OPERATIONS)
def test_route_events_lead_from_one_table_to_the_next(operations: list[Operation]) -> None:
    """What was told, done in order, is the table as it is; every prefix that changed is decided again."""
    bench, kernel = Bench(), Kernel()
    told: dict[Prefix, list[Path]] = {}
    for operation in operations:
        bench.interface.dirty.clear()
        before = dict(bench.world.rib.entries)
        carry_out(kernel, [operation])
        for change in kernel.waiting:
            bench.deltas.take(change)
        kernel.waiting.clear()
        changed = {
            p for p in before.keys() | bench.world.rib.entries.keys() if before.get(p) != bench.world.rib.entries.get(p)
        }
        assert bench.interface.dirty == changed
    for event in bench.events:
        if isinstance(event, ev.RouteAdded):
            told.setdefault(event.prefix, []).append(event.path)
        else:
            assert isinstance(event, ev.RouteRemoved)
            told[event.prefix].remove(event.path)
    assert {prefix: set(paths) for prefix, paths in told.items() if paths} == {
        prefix: set(bench.world.rib.paths(prefix)) for prefix in bench.world.rib
    }


@given(OPERATIONS, OPERATIONS)
def test_a_dump_is_told_as_notifications_would_be(first: list[Operation], then: list[Operation]) -> None:
    """What differs in a dump is returned, decided again, and told as if each change had been heard."""
    bench, kernel = Bench(), Kernel()
    carry_out(kernel, first)
    bench.deltas.take_routes(dumped(kernel.dump()))
    before = {prefix: bench.world.rib.paths(prefix) for prefix in kernel.routes}
    bench.events.clear()
    bench.interface.dirty.clear()
    carry_out(kernel, then)
    differ = set(flat(bench.deltas.take_routes(dumped(kernel.dump()))))
    assert bench.interface.dirty == differ
    assert differ == {p for p in kernel.routes if before.get(p, ()) != bench.world.rib.paths(p)}
    for prefix in kernel.routes:
        old, new = set(before.get(prefix, ())), set(bench.world.rib.paths(prefix))
        told = {
            (type(e), e.path)
            for e in bench.events
            if isinstance(e, ev.RouteAdded | ev.RouteRemoved) and e.prefix == prefix
        }
        assert told == {(ev.RouteAdded, path) for path in new - old} | {(ev.RouteRemoved, path) for path in old - new}


@pytest.mark.parametrize("listening", [True, False])
@pytest.mark.parametrize("shape", [nullcontext, however_few])
@given(first=OPERATIONS, then=OPERATIONS)
def test_a_burst_is_taken_as_its_notifications_one_by_one(
    first: list[Operation], then: list[Operation], shape: Callable[[], AbstractContextManager[None]], listening: bool
) -> None:
    """The same routes, the same doubt, the same prefixes to decide; and the same events, if anybody listens."""
    apart, together, kernel = Bench(), Bench(), Kernel()
    for bench in (apart, together):
        bench.deltas.listening = lambda: listening
    carry_out(kernel, first)
    dump = dumped(kernel.dump())
    kernel.waiting.clear()
    carry_out(kernel, then)
    for bench in (apart, together):
        bench.deltas.take_routes(dump)
        bench.interface.dirty.clear()
        bench.events.clear()
    for change in kernel.waiting:
        apart.deltas.take(change)
    with shape():
        for part in burst(kernel.waiting):
            together.deltas.take(part)
    assert together.world.rib.entries == apart.world.rib.entries
    assert together.world.rib.uncertain == apart.world.rib.uncertain
    told = [event for event in apart.events if isinstance(event, ev.RouteAdded | ev.RouteRemoved)]
    assert together.events == sorted(told, key=lambda event: px.family(event.prefix))  # one burst for each family
    assert len(told) == len(apart.events)
    if listening:
        assert together.interface.dirty == apart.interface.dirty
    else:  # what came back to what it was need not be decided again
        differ = {p for p in {*kernel.routes} if together.world.rib.paths(p) != paths_in(dump, p)}
        assert together.interface.dirty == differ <= set(apart.interface.dirty)


def paths_in(dump: list[RouteColumns], prefix: Prefix) -> tuple[Path, ...]:
    """What a table that was filled by a dump has at a prefix."""
    fresh = Rib(lambda _: True)
    fresh.load(dump)
    return fresh.paths(prefix)


def test_a_route_is_told_at_the_interfaces_it_leaves_through() -> None:
    """Two interfaces: an event only where a next hop goes, the decision on both."""
    bench = Bench("wg0", "wg1")
    bench.deltas.take(RouteChange(RouteChangeKind.ADDED, NET, via(A)))
    assert bench.events == [ev.RouteAdded("wg0", NET, via(A))]
    assert bench.world.interfaces[WG + 1].dirty == {NET}
    bench.deltas.take(RouteChange(RouteChangeKind.REPLACED, NET, Path(254, 12, 32, (NextHop(WG + 1),))))
    assert bench.events[1:] == [
        ev.RouteRemoved("wg0", NET, via(A)),
        ev.RouteAdded("wg1", NET, Path(254, 12, 32, (NextHop(WG + 1),))),
    ]


def test_routes_are_not_told_while_nobody_listens(bench: Bench) -> None:
    """A full table makes no million of events for nobody; decisions are made all the same."""
    bench.deltas.listening = lambda: False
    bench.deltas.take(RouteChange(RouteChangeKind.ADDED, NET, via(A)))
    bench.deltas.take_routes(dumped({NET: via(B), NET2: via(A)}))
    assert not bench.events
    assert bench.interface.dirty == {NET, NET2}


def test_a_nexthop_object_moves_its_routes_only(bench: Bench) -> None:
    """Routes on the object, or on a group with it, are decided again by what it says now; others are not."""
    objects = [NexthopObject(1, NextHop(WG, gateway(A))), NexthopObject(9, None, ((1, 1),))]
    bench.deltas.take_nexthops({item.id: item for item in objects})
    one, group = Path(254, 12, 0, nexthop_id=1), Path(254, 12, 0, nexthop_id=9)
    bench.world.rib.load(dumped({NET: one, NET2: group, px.parse("10.1.0.0/16"): via(A)}))
    assert bench.interface.selector.named(one).peers == ((A, 1),)
    bench.interface.dirty.clear()
    bench.deltas.take(NexthopChange(1, NexthopObject(1, NextHop(WG, gateway(B)))))
    assert bench.interface.dirty == {NET, NET2}
    assert bench.interface.selector.named(one).peers == ((B, 1),)
    assert bench.due() == (False, False)
    selector = bench.interface.selector
    bench.deltas.take(NexthopChange(1, NexthopObject(1, NextHop(WG, gateway(B)))))
    assert bench.interface.selector is selector


def test_a_deleted_nexthop_object_leaves_a_doubt(bench: Bench) -> None:
    """The IPv4 routes of an object that goes vanish without a word: only a dump tells."""
    bench.deltas.take(NexthopChange(1, None))
    assert bench.due() == (False, True)


@pytest.mark.parametrize(
    ("link", "find", "dump"),
    [
        (LINK, False, False),
        (replace(LINK, mtu=1280), False, False),
        (replace(LINK, up=False), False, True),
        (replace(LINK, name="wg9"), True, False),
        (replace(LINK, kind="tun"), True, False),
        (Link(99, "new0", "wireguard", up=False), True, False),
    ],
)
def test_what_a_change_of_a_link_asks_for(bench: Bench, link: Link, find: bool, dump: bool) -> None:
    """New, renamed or of another kind: devices are looked for. Up or down: routes are dumped. Else neither."""
    bench.deltas.take(LinkChange(link.ifindex, link))
    assert bench.due() == (find, dump)
    assert bench.world.links[link.ifindex] == link


def test_a_link_that_is_gone_is_looked_for(bench: Bench) -> None:
    """The device may be gone with it; the interface stays until that is known."""
    bench.deltas.take(LinkChange(WG, None))
    bench.deltas.take(LinkChange(WG, None))
    assert WG not in bench.world.links
    assert WG in bench.world.interfaces
    assert bench.due() == (True, False)


def test_up_and_down_decide_everything_again(bench: Bench) -> None:
    """A link that goes down or comes up is told, and its prefixes and addresses are compared again."""
    bench.world.rib.load(dumped({NET: via(A)}))
    bench.interface.small_dirty = False
    bench.deltas.take(LinkChange(WG, replace(LINK, up=False)))
    assert bench.events == [ev.InterfaceDown("wg0")]
    assert NET in bench.interface.dirty
    assert bench.interface.small_dirty
    assert not bench.interface.link.up
    bench.deltas.take(LinkChange(WG, LINK))
    assert bench.events[1:] == [ev.InterfaceUp("wg0")]


def test_a_rename_is_told_once_and_asks_for_settings(bench: Bench) -> None:
    """The new name is told with the old one, and settings are looked up by it."""
    bench.deltas.take(LinkChange(WG, replace(LINK, name="wg9")))
    assert bench.events == [ev.InterfaceRenamed("wg9", "wg0")]
    assert bench.renamed == [bench.interface]
    assert not bench.interface.dirty


def test_links_that_are_not_ours_are_only_remembered(bench: Bench) -> None:
    """A change of eth0 marks and tells nothing."""
    bench.deltas.take(LinkChange(OTHER, Link(OTHER, "eth0", "", up=False)))
    assert not bench.events
    assert bench.due() == (False, False)


def test_addresses_come_and_go_once(bench: Bench) -> None:
    """An address is told when it is new and when it goes; again is no news; others' links are remembered only."""
    address, other = Address(WG, px.parse("10.0.0.1"), 24), Address(OTHER, px.parse("10.0.0.2"), 24)
    bench.interface.small_dirty = False
    for present in (True, True, False, False):
        bench.deltas.take(AddressChange(address, present))
    assert bench.events == [ev.AddressAdded("wg0", address), ev.AddressRemoved("wg0", address)]
    assert bench.interface.small_dirty
    bench.deltas.take(AddressChange(other, present=True))
    assert bench.world.addresses == {other}
    assert len(bench.events) == 2


def test_dumps_of_small_state_are_the_differences(bench: Bench) -> None:
    """Links and addresses that a dump no longer has go, new ones come, equal ones are no news."""
    old, new = Address(WG, px.parse("10.0.0.1"), 24), Address(WG, px.parse("10.0.0.2"), 24)
    bench.deltas.take_addresses([old])
    bench.deltas.take_addresses([new])
    assert bench.world.addresses == {new}
    assert bench.events == [ev.AddressAdded("wg0", old), ev.AddressRemoved("wg0", old), ev.AddressAdded("wg0", new)]
    bench.deltas.take_links(dict(bench.world.links))
    assert bench.due() == (False, False)
    bench.deltas.take_links({WG: replace(LINK, up=False)})
    assert bench.world.links.keys() == {WG}
    assert bench.events[-1] == ev.InterfaceDown("wg0")
    assert bench.due() == (True, True)


BY_OBJECT, BY_GROUP = Path(254, 12, 32, nexthop_id=5), Path(254, 12, 32, nexthop_id=9)
TO_A, TO_B = NexthopObject(5, NextHop(WG, gateway(A))), NexthopObject(5, NextHop(WG, gateway(B)))
AWAY = NexthopObject(5, NextHop(OTHER, gateway(A)))
GROUP = NexthopObject(9, None, ((5, 1),))


def on_objects() -> Bench:
    """A route on a nexthop object, and one on a group that has it; all told."""
    made = Bench()
    made.deltas.take_nexthops({5: TO_A, 9: GROUP})
    made.deltas.take_routes(dumped({NET: BY_OBJECT, NET2: BY_GROUP}))
    made.deltas.dump_due = False
    made.interface.dirty.clear()
    made.events.clear()
    return made


@pytest.mark.parametrize("by_dump", [False, True])
def test_routes_leave_and_come_with_their_object(by_dump: bool) -> None:
    """Routes on an object that goes to another link, and comes back, are told though nobody touched them."""
    bench = on_objects()
    for item in (AWAY, TO_B):
        if by_dump:
            bench.deltas.take_nexthops({5: item, 9: GROUP})
        else:
            bench.deltas.take(NexthopChange(5, item))
    pairs = [(NET, BY_OBJECT), (NET2, BY_GROUP)]
    assert len(bench.events) == 4
    assert set(bench.events[:2]) == {ev.RouteRemoved("wg0", *pair) for pair in pairs}
    assert set(bench.events[2:]) == {ev.RouteAdded("wg0", *pair) for pair in pairs}


def test_an_object_within_the_interface_tells_of_no_route() -> None:
    """Another gateway on the same link decides its routes again, but they still leave here; once more is no news."""
    bench = on_objects()
    bench.deltas.take(NexthopChange(5, TO_B))
    assert bench.interface.dirty == {NET, NET2}
    bench.interface.dirty.clear()
    bench.deltas.take(NexthopChange(5, TO_B))
    assert not bench.interface.dirty
    assert not bench.events


def test_routes_of_a_deleted_object_are_told_once() -> None:
    """A route that vanishes with its object is told when the object goes, and not again by the dump that follows."""
    bench = on_objects()
    bench.deltas.take(NexthopChange(5, None))
    assert bench.deltas.dump_due
    bench.deltas.take_nexthops({})
    bench.deltas.take_routes([])
    assert len(bench.events) == 2
    assert set(bench.events) == {ev.RouteRemoved("wg0", NET, BY_OBJECT), ev.RouteRemoved("wg0", NET2, BY_GROUP)}


def test_no_way_of_learning_tells_of_routes_while_nobody_listens() -> None:
    """Dumps and nexthop objects are as quiet as notifications, and decide as much."""
    bench = on_objects()
    bench.deltas.listening = lambda: False
    bench.deltas.take(NexthopChange(5, AWAY))
    assert flat(bench.deltas.take_routes(dumped({NET: via(A)}))) == [NET, NET2]
    assert bench.interface.dirty == {NET, NET2}
    assert not bench.events


def test_a_rename_and_a_new_state_in_one_are_two_events(bench: Bench) -> None:
    """A link that was renamed and set down between two looks is told as both, by its new name."""
    bench.deltas.take(LinkChange(WG, replace(LINK, name="wg9", up=False)))
    assert bench.events == [ev.InterfaceRenamed("wg9", "wg0"), ev.InterfaceDown("wg9")]


def test_an_address_in_other_hands_is_the_same_address(bench: Bench) -> None:
    """An address that is announced again with another origin takes the former's place; another length is another."""
    plain = Address(WG, px.parse("192.0.2.1"), 24)
    ours, longer = replace(plain, protocol=87), replace(plain, length=25)
    for address in (ours, longer):
        bench.deltas.take(AddressChange(address, present=True))
    bench.events.clear()
    bench.deltas.take(AddressChange(plain, present=True))
    assert bench.world.addresses == {plain, longer}
    assert bench.events == [ev.AddressRemoved("wg0", ours), ev.AddressAdded("wg0", plain)]
