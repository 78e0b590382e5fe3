"""The plan: applied, nothing is left to do; and whenever the process dies in it, ours is known as ours and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from peerway.features.council import Council
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.device import Backend, Device, Peer
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ledger import Ledger, Memory, Op
from peerway.model.link import Link
from peerway.model.ownership import Origin, Verdict
from peerway.model.plan import Plan, plan, settle
from peerway.model.policy import Pinned, Policy
from peerway.model.prefix import Prefix
from peerway.model.prefixset import PrefixSet
from peerway.model.selection import Reason
from peerway.model.sheaves import together
from peerway.model.situations import alike
from peerway.model.table import Table
from peerway.model.world import World
from tests.harness.columns import Entry, deciding, dumped, entries, however_few, pairs, recorded, single
from tests.harness.site import WG, gateway, key, via

PEERS = [key(number) for number in range(1, 4)]
A, B, C = PEERS
NETS = [px.parse(text) for text in ("10.0.0.0/8", "10.9.0.0/16", "10.0.0.1/32", "2001:db8::/32")]
NET = NETS[0]
PREFIXES = [*NETS, *(gateway(peer) for peer in PEERS)]
PATHS = [via(*peers) for count in (1, 2) for peers in combinations(PEERS, count)]
Held = dict[Prefix, PublicKey]


@pytest.fixture(params=["single", "columns"], scope="module", autouse=True)
def shape(request: pytest.FixtureRequest) -> Iterator[str]:
    """Few prefixes are decided one by one; all that is said here holds for columns too."""
    if request.param == "single":
        yield "single"
    else:
        with however_few():
            yield "columns"


class Case:
    """A world with one interface, some of whose prefixes are ours, and what a plan makes of it."""

    def __init__(self, policy: Policy, held: Held, ours: set[Prefix], waiting: Held) -> None:
        self.world = World()
        device = Device("wg0", WG, Backend.KERNEL, key(100), peers={peer: Peer(peer) for peer in PEERS})
        link = Link(WG, "wg0", "wireguard", up=True)
        self.interface = Interface(link, device, policy, self.world.nexthops)
        self.world.interfaces[WG] = self.interface
        self.interface.held = Table(held)
        ledger = self.interface.ledger
        ledger.ours = Table({prefix: peer for prefix, peer in held.items() if prefix in ours})
        ledger.displaced = Table({p: peer for p, peer in waiting.items() if ledger.ours.get(p, peer) != peer})
        self.interface.recount()
        self.interface.refresh_gateways()
        self.council = Council(self.world)

    @override
    def __repr__(self) -> str:
        world, ledger = self.world, self.interface.ledger
        return f"{self.interface.policy}, {self.interface.held}, {ledger.ours}, {ledger.displaced}, {world.rib.entries}"

    def plan(self) -> Plan:
        """Everything decided again, as the engine does it."""
        self.world.dirty_all(self.interface)
        return plan(
            self.interface,
            self.world.rib,
            lambda prefix, standing: self.council.decide(self.interface, prefix, standing),
            self.alike,
        )

    def alike(self, column: Column) -> Iterator[Column]:
        """The parts of a column that are decided as one, as the engine cuts them."""
        return alike(
            self.interface, self.world.rib, column, lambda prefix: self.council.claimants(self.interface, prefix)
        )

    def apply(self, held: Held, todo: Plan) -> None:
        """The device and the kernel as the plan wants them."""
        self.interface.held = Table(held)
        self.interface.recount()
        self.apply_routes(todo)

    def apply_routes(self, todo: Plan) -> None:
        table = {prefix: list(self.world.rib.paths(prefix)) for prefix in {*PREFIXES, *self.world.rib}}
        for prefix, path in pairs(todo.add_routes):
            assert path not in table[prefix]
            table[prefix].append(path)
        for prefix, path in pairs(todo.delete_routes):
            table[prefix].remove(path)
        self.world.rib.load(dumped({prefix: tuple(paths) for prefix, paths in table.items()}))


@dataclass(frozen=True)
class Moment:
    """One instant while a plan is carried out: what the device has, and what of it is ours in truth."""

    held: Held
    mine: Held


def moments(case: Case, todo: Plan, held: Held, mine: Held) -> list[Moment]:
    """All instants, from before the first operation to after the last."""
    held, mine, meant = dict(held), dict(mine), dict(pairs(todo.ours))
    found = [Moment(dict(held), dict(mine))]
    for prefix, peer in pairs(todo.give):
        held[prefix] = peer
        mine.pop(prefix, None)
        if meant.get(prefix) == peer:
            mine[prefix] = peer
        found.append(Moment(dict(held), dict(mine)))
    for prefix, peer in pairs(todo.take):
        assert held[prefix] == mine[prefix] == peer
        del held[prefix], mine[prefix]
        found.append(Moment(dict(held), dict(mine)))
    return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any held map with any part of it ours, pins that wait, routes, and a policy."""
    policy = Policy(pinned=draw(st.sampled_from(Pinned)), max_prefixes=draw(st.sampled_from([0, 0, 1, 2])))
    held = draw(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(PEERS)))
    ours, waiting = (
        draw(st.sets(st.sampled_from(NETS))),
        draw(st.dictionaries(st.sampled_from(NETS), st.sampled_from(PEERS))),
    )
    waiting = {prefix: peer for prefix, peer in waiting.items() if prefix in held and prefix in ours}
    case = Case(policy, held, ours | {gateway(peer) for peer in PEERS if held.get(gateway(peer)) == peer}, waiting)
    own = via(A, protocol=87, metric=4096)
    routes = draw(st.dictionaries(st.sampled_from(NETS), st.sampled_from([*PATHS, own])))
    case.world.rib.load(dumped(routes))
    return case


def written(ledger: Ledger) -> Memory:
    memory = Memory()
    memory.replay(ledger.records())
    return memory


def replayed(memory: Memory, listed: list[Entry], times: int) -> Memory:
    """The memory after the first so many entries; a block is written at once, but is cut here anywhere."""
    memory.replay(recorded(listed[:times]))
    return memory


@given(cases())
def test_applied_nothing_is_left_to_do(case: Case) -> None:
    """Plan, apply, plan again is empty, once nothing is dirty, and the prefixes are where the verdicts say."""
    for _ in range(len(PREFIXES)):
        held, mine = dict(case.interface.held), dict(case.interface.ledger.ours)
        todo = case.plan()
        end = moments(case, todo, held, mine)[-1]
        case.apply(end.held, todo)
        assert case.interface.ledger.ours == end.mine
        if not case.interface.dirty:
            break
    assert not case.interface.dirty
    for prefix in PREFIXES:
        assert case.interface.held.get(prefix) == case.council.verdict(case.interface, prefix).owner
    assert not case.plan()


@given(cases())
def test_others_keep_what_is_theirs(case: Case) -> None:
    """A plan removes nothing that is not ours, and moves a pin only with `yields`, with a record that it waits."""
    held, mine = dict(case.interface.held), dict(case.interface.ledger.ours)
    todo = case.plan()
    assert all(mine.get(prefix) == peer for prefix, peer in pairs(todo.take))
    for prefix, peer in pairs(todo.give):
        if prefix in held and prefix not in mine and peer != held[prefix]:
            assert case.interface.policy.pinned is Pinned.YIELDS
            assert case.interface.ledger.displaced[prefix] == held[prefix]
            assert (Op.DISPLACING, prefix, held[prefix]) in entries(todo.first_records)
    for prefix, path in pairs(todo.delete_routes):
        assert path.protocol == 87
        assert path in case.world.rib.paths(prefix)


@given(cases(), st.data())
def test_a_death_at_any_instant_leaves_ours_known_as_ours(case: Case, data: st.DataObject) -> None:
    """Whatever was written and done when the process died: a new one takes for its own exactly what is."""
    held, mine, memory = dict(case.interface.held), dict(case.interface.ledger.ours), written(case.interface.ledger)
    waiting = dict(case.interface.ledger.displaced)
    todo = case.plan()
    instants = moments(case, todo, held, mine)
    done = data.draw(st.integers(0, len(instants) - 1))
    first, last = entries(todo.first_records), entries(todo.last_records)
    ahead = len(first) if done else data.draw(st.integers(0, len(first)))
    behind = data.draw(st.integers(0, len(last))) if done == len(instants) - 1 else 0
    replayed(replayed(memory, first, ahead), last, behind)
    fresh, now = Ledger(), instants[done]
    fresh.settle(memory, Table(now.held), PEERS)
    assert fresh.ours == now.mine
    for prefix, peer in waiting.items():  # who waited still does, or has it back
        assert fresh.displaced.get(prefix) == peer or now.held.get(prefix) == peer


@given(cases(), st.data())
def test_a_failure_at_any_instant_is_settled_by_the_device(case: Case, data: st.DataObject) -> None:
    """After a failure each prefix is whose it is by then, and a pin that lost its place waits."""
    held, mine = dict(case.interface.held), dict(case.interface.ledger.ours)
    waiting = dict(case.interface.ledger.displaced)
    todo = case.plan()
    instants = moments(case, todo, held, mine)
    now = instants[data.draw(st.integers(0, len(instants) - 1))]
    case.interface.held = Table(now.held)
    settle(case.interface, todo, together(todo.before))
    ledger = case.interface.ledger
    assert ledger.ours == now.mine
    for prefix in {*held, *waiting}:
        pinned = waiting.get(prefix, None if prefix in mine else held.get(prefix))
        if pinned is not None:
            assert case.interface.pinned(prefix) == pinned
    assert all(prefix in ledger.ours for prefix in ledger.displaced)
    counts = +case.interface.counts
    case.interface.recount()
    assert counts == +case.interface.counts


@given(cases())
def test_the_limit_holds_within_one_plan(case: Case) -> None:
    """However many prefixes are decided at once, no peer learns beyond its limit, and none waits with room left."""
    limit, before = case.interface.policy.max_prefixes, dict(case.interface.ledger.ours)
    todo = case.plan()
    while case.interface.dirty:
        case.apply(moments(case, todo, dict(case.interface.held), before)[-1].held, todo)
        before, todo = dict(case.interface.ledger.ours), case.plan()
    ledger = case.interface.ledger
    learned = {prefix: peer for prefix, peer in ledger.ours.items() if prefix in NETS}
    for peer in PEERS if limit else ():
        count = list(learned.values()).count(peer)
        kept = sum(before.get(prefix) == peer for prefix, owner in learned.items() if owner == peer)
        assert count <= max(limit, kept)
        refused = [p for p, note in case.interface.notes.items() if (peer, Reason.LIMIT) in note.refused]
        assert not refused or count >= limit


def decided(case: Case, prefix: Prefix, verdict: Verdict) -> Plan:
    """A plan for one prefix, of which this is the verdict."""
    case.interface.dirty = PrefixSet({prefix})
    return plan(case.interface, case.world.rib, deciding(lambda _: verdict), case.alike)


def test_a_move_is_one_gift() -> None:
    """A learned prefix that moves is given to the new peer, dropped behind at the former, and never taken."""
    case = Case(Policy(), {NET: A}, {NET}, {})
    todo = decided(case, NET, Verdict(B, Origin.LEARNED))
    assert entries(todo.first_records) == [(Op.OURS, NET, B)]
    assert (pairs(todo.give), pairs(todo.take)) == ([(NET, B)], [])
    assert entries(todo.last_records) == [(Op.DROPPED, NET, A)]
    assert (pairs(todo.delta.add), todo.delta.remove) == ([(NET, B)], ())


def test_a_pin_that_yields_is_on_record_before_and_after() -> None:
    """First `displacing` and `ours`, then the move, then `displaced`."""
    case = Case(Policy(pinned=Pinned.YIELDS), {NET: A}, set(), {})
    todo = decided(case, NET, Verdict(B, Origin.LEARNED, displaced=A))
    assert entries(todo.first_records) == [(Op.DISPLACING, NET, A), (Op.OURS, NET, B)]
    assert entries(todo.last_records) == [(Op.DISPLACED, NET, A)]
    assert not decided(case_after(case), NET, Verdict(B, Origin.LEARNED, displaced=A))


def case_after(case: Case) -> Case:
    """The device as the plan wanted it."""
    case.interface.held = Table({NET: B})
    return case


def test_a_pin_comes_back_with_one_gift() -> None:
    """When the route goes, the waiting peer is given the prefix: before, it is in between; behind, all is dropped."""
    case = Case(Policy(pinned=Pinned.YIELDS), {NET: B}, {NET}, {NET: A})
    todo = decided(case, NET, Verdict(A, Origin.PINNED))
    assert entries(todo.first_records) == [(Op.DISPLACING, NET, A)]
    assert (pairs(todo.give), pairs(todo.take)) == ([(NET, A)], [])
    assert entries(todo.last_records) == [(Op.DROPPED, NET, B), (Op.RETURNED, NET, A)]
    assert not case.interface.ledger.ours
    assert not case.interface.ledger.displaced


def test_what_others_did_is_written_with_the_next_plan() -> None:
    """Entries that an observation left are written ahead, once, and before what is planned."""
    case = Case(Policy(), {}, set(), {})
    case.interface.unwritten = recorded([(Op.DROPPED, NET, A)])
    todo = plan(case.interface, case.world.rib, deciding(lambda _: Verdict()), case.alike)
    assert entries(todo.first_records) == [(Op.DROPPED, NET, A)]
    assert todo
    assert not plan(case.interface, case.world.rib, deciding(lambda _: Verdict()), case.alike)
    case.interface.unwritten = recorded([(Op.DROPPED, NET, A)])
    todo = decided(case, NET, Verdict(A, Origin.LEARNED))
    assert entries(todo.first_records) == [(Op.DROPPED, NET, A), (Op.OURS, NET, A)]


def test_only_remarkable_verdicts_are_kept() -> None:
    """A verdict with losers stands in the notes until one without takes its place."""
    case = Case(Policy(), {}, set(), {})
    decided(case, NET, Verdict(shadowed=((A, Reason.METRIC),)))
    assert case.interface.notes.keys() == {NET}
    decided(case, NET, Verdict())
    assert not case.interface.notes


def test_routes_are_added_and_deleted_only_where_they_differ() -> None:
    """Routes that stand as wanted are left alone; the others are added and deleted."""
    case = Case(Policy(), {}, set(), {})
    stays, comes, goes = via(A), via(B), via(C)
    case.interface.dirty = PrefixSet({NET})
    todo = plan(
        case.interface, case.world.rib, deciding(lambda _: Verdict(), (stays, comes), (goes, stays)), case.alike
    )
    assert (pairs(todo.add_routes), pairs(todo.delete_routes)) == ([(NET, comes)], [(NET, goes)])
    case.interface.dirty = PrefixSet({NET})
    assert not plan(case.interface, case.world.rib, deciding(lambda _: Verdict(), (stays,), (stays,)), case.alike)


def test_each_dirty_prefix_is_judged_and_no_other() -> None:
    """The judge is asked for dirty prefixes in order, and for those that became dirty meanwhile; then none is."""
    case, asked = Case(Policy(), {}, set(), {}), []

    def judge(prefix: Prefix) -> Verdict:
        asked.append(prefix)
        if prefix == NETS[1]:
            case.interface.dirty.add(NETS[3])
        return Verdict()

    case.interface.dirty = PrefixSet({NETS[1], NETS[0]})
    plan(case.interface, case.world.rib, deciding(judge), single)
    assert asked == [NETS[0], NETS[1], NETS[3]]
    assert not case.interface.dirty


def test_what_was_decided_waits_for_the_next_plan() -> None:
    """A prefix that becomes dirty after it was decided is not decided on a ledger that went ahead of the device."""
    case, asked = Case(Policy(), {NET: A}, {NET}, {}), []

    def judge(prefix: Prefix) -> Verdict:
        asked.append(prefix)
        if prefix == NET:
            case.interface.dirty.update({NET, NETS[3]})
        return Verdict()

    case.interface.dirty = PrefixSet({NETS[1], NET})
    todo = plan(case.interface, case.world.rib, deciding(judge), single)
    assert asked == [NET, NETS[1], NETS[3]]
    assert pairs(todo.take) == [(NET, A)]
    assert case.interface.dirty == {NET}


def test_a_gift_to_a_peer_by_key() -> None:
    """A derived address that nobody has is given to its peer, as ours, without counting as learned."""
    case = Case(Policy(), {}, set(), {})
    todo = decided(case, gateway(A), Verdict(A, Origin.DERIVED))
    assert pairs(todo.give) == [(gateway(A), A)]
    assert case.interface.ledger.ours == {gateway(A): A}
    assert not +case.interface.counts


def test_of_many_alike_as_many_as_the_limit_lets_in() -> None:
    """A hundred routes by a peer that may learn seven: the first seven are given, the rest is refused, and waits."""
    case = Case(Policy(max_prefixes=7), {}, set(), {})
    nets = [px.parse(f"10.{number}.0.0/16") for number in range(100)]
    case.world.rib.load(dumped(dict.fromkeys(nets, via(A))))
    todo = case.plan()
    assert [prefix for prefix, peer in pairs(todo.give) if prefix in nets] == nets[:7]
    assert dict(+case.interface.counts) == {A: 7}
    assert {p for p, note in case.interface.notes.items() if note.refused == ((A, Reason.LIMIT),)} == set(nets[7:])
    held = dict(pairs(todo.give))
    case.apply(held, todo)
    case.world.rib.load(dumped(dict.fromkeys(nets[3:], via(A))))
    for _ in range(2):  # who was judged before there was room is judged again by the next plan
        todo = case.plan()
        held = {prefix: peer for prefix, peer in (held | dict(pairs(todo.give))).items() if prefix not in nets[:3]}
        case.apply(held, todo)
    assert [prefix for prefix in sorted(held) if prefix in nets] == nets[3:10]
    assert dict(+case.interface.counts) == {A: 7}
    assert not case.plan()
