"""A plan carried out: the ledger ahead and behind, refusals one by one, and a device that fails in the middle."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import pytest
from typing_extensions import override

from peerway.apply import Applier
from peerway.model import prefix as px
from peerway.model.decision import Standing
from peerway.model.events import AllowedIPAdded, AllowedIPRemoved, ClaimRefused, Event
from peerway.model.keys import PublicKey
from peerway.model.ledger import Memory, Op
from peerway.model.ownership import Origin, Verdict
from peerway.model.plan import Plan, plan
from peerway.model.ports import Refusal
from peerway.model.prefix import Prefix
from peerway.model.prefixset import PrefixSet
from peerway.model.route import NextHop, Path, RouteGroup
from peerway.model.sheaves import Sheaves
from peerway.model.table import Table as Map
from peerway.model.world import World
from peerway.protocols.ledgerfile import decode, header
from peerway.records import Records
from tests.harness.columns import deciding, flat, groups, pairs, recorded, single
from tests.harness.memory import Fate, MemoryDevice, MemoryStore, MemoryTable
from tests.harness.site import WG, gateway, key
from tests.harness.small import A, B, own, small_world

NETS = [px.parse(f"10.{number}.0.0/16") for number in range(4)]
NET = NETS[0]
HOST = px.parse("10.0.0.2")
K = TypeVar("K", bound=Hashable)


def own_route(peer: PublicKey) -> Path:
    return Path(254, 87, 4096, (NextHop(WG, gateway(peer)),))


class Table(MemoryTable):
    """A table that tells what was asked of it, and may not answer."""

    def __init__(self, fate: Fate) -> None:
        super().__init__(fate)
        self.asked: list[tuple[str, tuple[Prefix, ...]]] = []
        self.broken = False

    @override
    def add_routes(self, routes: Sequence[RouteGroup], *, append: bool = False) -> list[Refusal]:
        self._note("append" if append else "add", routes)
        return super().add_routes(routes, append=append)

    @override
    def delete_routes(self, routes: Sequence[RouteGroup]) -> list[Refusal]:
        self._note("delete", routes)
        return super().delete_routes(routes)

    def _note(self, verb: str, routes: Sequence[RouteGroup]) -> None:
        self.asked.append((verb, tuple(prefix for prefix, _ in pairs(routes))))
        if self.broken:
            raise OSError(errno.ENOBUFS, "No buffer space available")


class Bench:
    """An applier with all edges in memory."""

    def __init__(self) -> None:
        self.fate = Fate()
        self.table, self.store = Table(self.fate), MemoryStore(self.fate)
        self.device = MemoryDevice(self.fate, "wg0", WG, key(100))
        self.interface = small_world("wg0").interfaces[WG]
        self.device.peers = dict(self.interface.device.peers)
        self.records = Records(self.store, "boot")
        self.records.adopt(self.interface)
        self.events: list[Event] = []
        self.applier = Applier(self.table, self.records, self.events.append, lambda: 0.0)

    def has(self, held: dict[Prefix, PublicKey], *ours: Prefix) -> None:
        """The device has these, of which some are ours, on record."""
        self.device.map = dict(held)
        self.interface.held = Map(held)
        for prefix in ours:
            own(self.interface, prefix, held[prefix])
        self.records.rewrite(self.interface)

    def decided(self, verdicts: dict[Prefix, Verdict]) -> Plan:
        self.interface.dirty = PrefixSet(verdicts)
        return plan(self.interface, World().rib, deciding(verdicts.__getitem__), single)

    async def apply(self, todo: Plan) -> bool:
        answered = await self.applier.apply(self.interface, self.device, todo)
        self.interface.health.tried(todo.decided.values(), 0.0)
        return answered

    def reasons(self) -> dict[Prefix, str]:
        return {prefix: failure.reason for prefix, failure in self.interface.failures.items()}

    @property
    def memory(self) -> Memory:
        memory = Memory()
        memory.replay(decode(self.store.data[f"boot-{WG}"], f"boot-{WG}"))
        return memory


@pytest.fixture
def bench() -> Bench:
    return Bench()


LEARNED = {peer: Verdict(peer, Origin.LEARNED) for peer in (A, B)}


async def test_a_plan_is_done_and_on_record(bench: Bench) -> None:
    """Afterwards the device, what is held, the ledger and the store all say the same, and each change was told."""
    bench.has({NETS[1]: A, NETS[2]: A}, NETS[1], NETS[2])
    todo = bench.decided({NET: LEARNED[A], NETS[1]: LEARNED[B], NETS[2]: Verdict()})
    assert await bench.apply(todo)
    expected = {NET: A, NETS[1]: B}
    assert bench.device.map == bench.interface.held == bench.interface.ledger.ours == expected
    assert bench.memory.maybe == {prefix: {peer} for prefix, peer in expected.items()}
    assert bench.events == [
        AllowedIPAdded("wg0", A, NET),
        AllowedIPRemoved("wg0", A, NETS[1]),
        AllowedIPAdded("wg0", B, NETS[1]),
        AllowedIPRemoved("wg0", A, NETS[2]),
    ]
    assert not bench.interface.failures


async def test_what_is_ours_is_on_record_before_the_device_has_it(bench: Bench) -> None:
    """When the device does its first operation, the new candidate stands in the store beside the former."""
    bench.has({NET: A}, NET)
    seen: list[Mapping[Prefix, frozenset[PublicKey]]] = []
    bench.device._operate = lambda: seen.append(bench.memory.maybe)  # type: ignore[method-assign]
    await bench.apply(bench.decided({NET: LEARNED[B]}))
    assert seen == [{NET: {A, B}}]
    assert bench.memory.maybe == {NET: {B}}


async def test_a_refused_prefix_is_whose_it_was(bench: Bench) -> None:
    """One prefix that the device refuses stops no other, is told, and stays in the ledger as it was."""
    bench.has({NET: A}, NET)
    bench.device.refuse = {NET}
    assert await bench.apply(bench.decided({NET: LEARNED[B], NETS[1]: LEARNED[B]}))
    assert bench.interface.held == bench.device.map == {NET: A, NETS[1]: B}
    assert bench.interface.ledger.ours == {NET: A, NETS[1]: B}
    assert bench.reasons() == {NET: "refused by the test"}
    assert bench.memory.maybe == {NET: {A}, NETS[1]: {B}}
    assert ClaimRefused("wg0", B, NET, "refused by the test") in bench.events
    assert +bench.interface.counts == {A: 1, B: 1}


async def test_a_refused_removal_is_told_too(bench: Bench) -> None:
    """A prefix that cannot be taken away is still ours, so that it is tried again."""
    bench.has({NET: A}, NET)
    bench.device.refuse = {NET}
    await bench.apply(bench.decided({NET: Verdict()}))
    assert bench.interface.ledger.ours == {NET: A}
    assert bench.interface.failures.keys() == {NET}
    assert bench.events == [ClaimRefused("wg0", A, NET, "refused by the test")]


@pytest.mark.parametrize("done", range(4))
async def test_a_device_that_fails_in_the_middle_says_what_was_done(bench: Bench, done: int) -> None:
    """After an error the device is read again; ours is what it has by us, and all of the plan is tried again."""
    bench.has({NETS[2]: A}, NETS[2])
    todo = bench.decided({NET: LEARNED[A], NETS[1]: LEARNED[B], NETS[2]: LEARNED[B], NETS[3]: Verdict()})
    bench.device.fail_after = done
    answered = await bench.apply(todo)
    assert answered == (done == 3)
    assert bench.interface.held == bench.device.map == bench.interface.ledger.ours
    assert bench.memory.maybe == {prefix: {peer} for prefix, peer in bench.device.map.items()}
    assert bench.interface.failures.keys() == (set() if answered else set(NETS[:3]))
    assert ("apply" in bench.interface.errors) == (not answered)
    told = {event.prefix for event in bench.events if isinstance(event, AllowedIPAdded)}
    assert told == set(NETS[:done])


async def test_an_error_is_forgotten_with_the_next_success(bench: Bench) -> None:
    """The last error of an activity goes when it works again."""
    bench.device.fail_after = 0
    await bench.apply(bench.decided({NET: LEARNED[A]}))
    assert "the test let it fail" in bench.interface.errors["apply"]
    await bench.apply(bench.decided({NET: LEARNED[A]}))
    assert not bench.interface.errors


async def test_others_changes_during_a_failure_are_left_for_the_reading(bench: Bench) -> None:
    """Sorting out looks at the prefixes of the plan only: what somebody else changed is told by the next reading."""
    bench.device.map[NETS[3]] = B
    bench.device.fail_after = 0
    await bench.apply(bench.decided({NET: LEARNED[A]}))
    assert NETS[3] not in bench.interface.held
    assert flat(bench.interface.observe(Map(bench.device.map))) == [NETS[3]]


async def test_while_the_device_cannot_be_read_nothing_is_settled(bench: Bench) -> None:
    """A device that fails and cannot be read leaves the plan unsettled, until a reading lets it be settled."""
    bench.device.fail_after, bench.device.busy = 1, True
    assert not await bench.apply(bench.decided({NET: LEARNED[A], NETS[1]: LEARNED[B]}))
    assert bench.applier.unsettled.keys() == {WG}
    assert "cannot read the device" in bench.interface.errors["read"]
    assert bench.memory.maybe == {NET: {A}, NETS[1]: {B}}
    bench.interface.observe(Map(bench.device.map))
    bench.applier.settle(bench.interface)
    assert not bench.applier.unsettled
    assert bench.interface.ledger.ours == bench.device.map == {NET: A}
    assert bench.memory.maybe == {NET: {A}}


async def test_without_a_ledger_nothing_is_given(bench: Bench) -> None:
    """When the store is full ahead, the device is not touched, for nobody would know whose the prefix is."""

    def full(key: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.store.append = full  # type: ignore[method-assign]
    assert not await bench.apply(bench.decided({NET: LEARNED[A]}))
    assert not bench.device.deltas
    assert not bench.interface.ledger.ours
    assert "No space left" in bench.reasons()[NET]


async def test_a_full_store_behind_is_an_error_only(bench: Bench) -> None:
    """What cannot be written behind leaves too many candidates in the store, which is told, and heals."""
    bench.has({NET: A}, NET)
    todo = bench.decided({NET: Verdict()})

    def full(key: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.store.append = full  # type: ignore[method-assign]
    assert await bench.apply(todo)
    assert "No space left" in bench.interface.errors["ledger"]
    assert not bench.device.map
    del bench.store.append
    await bench.apply(bench.decided({NETS[1]: LEARNED[A]}))
    assert "ledger" not in bench.interface.errors


def sheaves(*items: tuple[Prefix, K]) -> Sheaves[K]:
    return [*groups(items)]


async def test_nothing_for_the_device_asks_nothing_of_it(bench: Bench) -> None:
    """A plan of entries and routes alone does not touch the device."""
    unwritten = recorded((Op.DROPPED, prefix, A) for prefix in NETS[:2])
    assert await bench.apply(Plan(unwritten, add_routes=sheaves((NET, own_route(A)))))
    assert not bench.device.deltas
    assert bench.table.all[NET] == [own_route(A)]


async def test_a_route_that_moves_is_made_before_the_former_is_broken(bench: Bench) -> None:
    """A new route alone is added; one in another's place is appended, and then the former goes."""
    bench.table.user_add(NET, own_route(A))
    await bench.apply(
        Plan(
            add_routes=sheaves((NET, own_route(B)), (NETS[1], own_route(A))), delete_routes=sheaves((NET, own_route(A)))
        )
    )
    assert bench.table.asked == [("add", (NETS[1],)), ("append", (NET,)), ("delete", (NET,))]
    assert (bench.table.all[NET], bench.table.all[NETS[1]]) == ([own_route(B)], [own_route(A)])


async def test_a_refused_route_is_a_failure_of_its_prefix(bench: Bench) -> None:
    """A route in whose place another stands is refused, told as that of its prefix, and nothing else stops."""
    bench.table.user_add(NET, Path(254, 4, 4096, (NextHop(3),)))
    assert await bench.apply(Plan(add_routes=sheaves((NET, own_route(A)), (NETS[1], own_route(A)))))
    assert bench.reasons() == {NET: "route: File exists"}
    assert bench.table.all[NETS[1]] == [own_route(A)]


async def test_routes_without_an_answer_are_failures(bench: Bench) -> None:
    """When the kernel does not answer, each prefix with a route in the plan is tried again."""
    bench.table.broken = True
    todo = Plan(add_routes=sheaves((NET, own_route(A))), delete_routes=sheaves((NETS[1], own_route(A))))
    assert await bench.apply(todo)
    assert bench.interface.failures.keys() == {NET, NETS[1]}
    assert "No buffer space" in bench.reasons()[NET]


@pytest.fixture
def in_pairs(monkeypatch: pytest.MonkeyPatch) -> list[Prefix]:
    """Two routes are many already."""
    monkeypatch.setattr("peerway.apply.PART", 2)
    monkeypatch.setattr("peerway.apply.BULK", 2)
    return [px.parse(f"10.9.{number}.0/24") for number in range(5)]


async def test_many_routes_are_made_some_at_a_time(bench: Bench, in_pairs: list[Prefix]) -> None:
    """They go in their order, in parts that are cut through groups; while they do others run, and all is heard."""
    threads: list[threading.Thread] = []
    add_routes = bench.table.add_routes

    def add(routes: Sequence[RouteGroup], *, append: bool = False) -> list[Refusal]:
        threads.append(threading.current_thread())
        return add_routes(routes, append=append)

    bench.table.add_routes = add  # type: ignore[method-assign]
    bench.applier.hear = lambda: heard.append(len(bench.table.asked))
    heard: list[int] = []
    turns: list[int] = []
    counting = asyncio.create_task(count_turns(turns))
    nets = [(net, own_route(peer)) for net, peer in zip(in_pairs, (A, A, A, B, B), strict=True)]
    await bench.apply(Plan(add_routes=sheaves(*nets)))
    assert bench.table.asked == [("add", tuple(in_pairs[at : at + 2])) for at in (0, 2, 4)]
    assert [thread is threading.main_thread() for thread in threads] == [False, False, True]
    assert len(heard) == 3
    assert heard[-1] == 3
    counting.cancel()
    assert len(turns) >= 2


async def count_turns(turns: list[int]) -> None:
    while True:
        turns.append(len(turns))
        await asyncio.sleep(0)


async def test_what_comes_after_a_part_without_answer_is_tried_again(bench: Bench, in_pairs: list[Prefix]) -> None:
    """When the kernel stops answering in the middle, all that was not done is a failure, and nothing of it is sent."""
    nets = in_pairs
    add_routes = bench.table.add_routes

    def add(routes: Sequence[RouteGroup], *, append: bool = False) -> list[Refusal]:
        bench.table.broken = bool(bench.table.asked)
        return add_routes(routes, append=append)

    bench.table.add_routes = add  # type: ignore[method-assign]
    await bench.apply(Plan(add_routes=sheaves(*((net, own_route(A)) for net in nets))))
    assert [routes for _, routes in bench.table.asked] == [tuple(nets[:2]), tuple(nets[2:4])]
    assert set(bench.interface.failures) == set(nets[2:])


async def test_routes_of_a_failed_plan_are_tried_again(bench: Bench) -> None:
    """If the device fails, the plan's routes are not made, and stand among the failures."""
    todo = bench.decided({NET: LEARNED[A]})
    todo.add_routes = sheaves((NETS[1], own_route(A)))
    todo.delete_routes = sheaves((NETS[2], own_route(A)))
    bench.device.fail_after = 0
    await bench.apply(todo)
    assert not bench.table.asked
    assert bench.interface.failures.keys() == {NET, NETS[1], NETS[2]}


async def test_a_pinned_host_that_comes_back_is_a_gateway_again(bench: Bench) -> None:
    """What a plan does to host-length prefixes is in the books, so that gateways follow."""
    bench.has({HOST: B}, HOST)
    bench.interface.ledger.displaced[HOST] = A
    await bench.apply(bench.decided({HOST: Verdict(A, Origin.PINNED)}))
    assert bench.interface.refresh_gateways() == {HOST}
    assert bench.interface.gateways.peer(HOST) == A


async def test_additions_are_asked_for_with_the_removals_in_one(bench: Bench) -> None:
    """The device gets one delta, and no prefix that moves is taken away."""
    bench.has({NET: A, NETS[1]: A}, NET, NETS[1])
    await bench.apply(bench.decided({NET: LEARNED[B], NETS[1]: Verdict(), NETS[2]: LEARNED[A]}))
    (delta,) = bench.device.deltas
    assert (pairs(delta.add), pairs(delta.remove)) == ([(NET, B), (NETS[2], A)], [(NETS[1], A)])


async def test_a_removal_takes_only_from_whom_it_names(bench: Bench) -> None:
    """What is held follows the device: a prefix that another peer has by then stays with that peer."""
    bench.has({NET: A, NETS[1]: B}, NET, NETS[1])
    former = Standing(A)
    give, take = sheaves((NET, B)), sheaves((NET, A), (NETS[1], A))
    await bench.apply(Plan(give=give, take=take, before=sheaves((NET, former), (NETS[1], former))))
    assert bench.interface.held == bench.device.map == {NET: B, NETS[1]: B}
    assert bench.events == [AllowedIPRemoved("wg0", A, NET), AllowedIPAdded("wg0", B, NET)]


async def test_a_ledger_that_grew_is_cut_after_the_plan(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories do not grow without end: after a plan that was done the store has the present truth alone."""
    await bench.apply(bench.decided({NET: LEARNED[A]}))
    grown = len(bench.store.data[f"boot-{WG}"])
    monkeypatch.setattr("peerway.records.SLACK", -4 * grown)
    await bench.apply(bench.decided({NET: Verdict()}))
    assert bench.store.data[f"boot-{WG}"] == header(f"boot-{WG}")


async def test_a_plan_with_a_displaced_pin_keeps_it_through_a_refusal(bench: Bench) -> None:
    """A pinned prefix that was about to yield is pinned as before when the device refuses the new owner."""
    bench.has({NET: A})
    bench.device.refuse = {NET}
    await bench.apply(bench.decided({NET: Verdict(B, Origin.LEARNED, displaced=A)}))
    assert bench.interface.held == {NET: A}
    assert not bench.interface.ledger.ours
    assert not bench.interface.ledger.displaced
    assert bench.interface.pinned(NET) == A
    assert not bench.memory.maybe
    assert not bench.memory.displaced


async def test_what_a_failure_did_to_a_host_is_in_the_books(bench: Bench) -> None:
    """A pinned host that came back before the device failed is a gateway again."""
    bench.has({HOST: B, NET: B}, HOST, NET)
    bench.interface.ledger.displaced[HOST] = A
    bench.device.fail_after = 1
    assert not await bench.apply(bench.decided({HOST: Verdict(A, Origin.PINNED), NET: Verdict()}))
    assert bench.device.map == {HOST: A, NET: B}
    bench.interface.refresh_gateways()
    assert bench.interface.gateways.peer(HOST) == A


async def test_a_full_store_stops_no_sorting_out(bench: Bench) -> None:
    """When device and store fail together, memory follows the device, and the store's error stands beside."""
    bench.has({NET: A}, NET)
    todo = bench.decided({NET: LEARNED[B]})

    def full(key: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.device.fail_after = 0
    bench.store.replace = full  # type: ignore[method-assign]
    assert not await bench.apply(todo)
    assert bench.interface.errors.keys() == {"apply", "ledger"}
    assert bench.interface.ledger.ours == {NET: A}
    assert bench.memory.maybe == {NET: {A, B}}  # too many, never too few
    assert not bench.applier.unsettled


async def test_a_long_history_is_tidied_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the ledger has grown long, what is written behind is its present truth."""
    monkeypatch.setattr("peerway.records.SLACK", 100)
    for _ in range(20):
        await bench.apply(bench.decided({NET: LEARNED[A]}))
        await bench.apply(bench.decided({NET: LEARNED[B]}))
    assert len(bench.store.data[f"boot-{WG}"]) < 1000
    assert bench.memory.maybe == {NET: {B}}
