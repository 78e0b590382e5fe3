"""One interface: what is kept up as things change is what would be counted anew."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.device import Backend, Device, Peer
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ledger import Op
from peerway.model.link import Link
from peerway.model.nexthops import Nexthops
from peerway.model.ownership import Origin, Verdict
from peerway.model.policy import Accept, PeerPolicy, Policy
from peerway.model.prefix import Prefix
from peerway.model.selection import Reason
from peerway.model.table import Table
from tests.harness.columns import entries, flat, groups, one
from tests.harness.site import WG, gateway, key, via
from tests.harness.small import disown, own

PEERS = [key(number) for number in range(1, 4)]
A, B, C = PEERS
NETS = [px.parse(text) for text in ("10.0.0.0/8", "10.9.0.0/16", "10.0.0.1/32", "fd00::1/128")]
NET = NETS[0]
PREFIXES = [*NETS, gateway(A), gateway(B)]
MAPS = st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(PEERS))
Held = dict[Prefix, PublicKey]


def device(*peers: PublicKey) -> Device:
    return Device("wg0", WG, Backend.KERNEL, key(100), peers={peer: Peer(peer) for peer in peers})


def interface(policy: Policy | None = None, *peers: PublicKey) -> Interface:
    link = Link(WG, "wg0", "wireguard", up=True)
    made = Interface(link, device(*(peers or PEERS)), policy or Policy(), Nexthops())
    made.refresh_gateways()
    made.dirty.clear()
    return made


def holding(held: Held, ours: Held, displaced: Held) -> Interface:
    """An interface that has some prefixes, of which some are ours, and for some of those somebody waits."""
    made = interface()
    made.held = Table(held)
    made.ledger.ours = Table({prefix: peer for prefix, peer in ours.items() if held.get(prefix) == peer})
    made.ledger.displaced = Table({p: peer for p, peer in displaced.items() if made.ledger.ours.get(p, peer) != peer})
    made.recount()
    return made


def consistent(made: Interface) -> None:
    """What is kept up equals what is counted anew."""
    counts = +made.counts
    made.recount()
    assert counts == +made.counts


@given(MAPS, MAPS, MAPS, MAPS)
def test_an_observation_takes_the_place_of_what_was_held(held: Held, ours: Held, displaced: Held, new: Held) -> None:
    """What differs is returned and decided again; ours stays only where the device still says so."""
    made = holding(held, ours, displaced)
    former, waiting = dict(made.ledger.ours), dict(made.ledger.displaced)
    differ = set(flat(made.observe(Table(new))))
    assert made.held == new
    assert differ == {prefix for prefix in PREFIXES if held.get(prefix) != new.get(prefix)}
    assert differ <= set(made.dirty)
    assert made.ledger.ours == {prefix: peer for prefix, peer in former.items() if new.get(prefix) == peer}
    lost = former.keys() - made.ledger.ours.keys()
    assert [(p, peer) for op, p, peer in sorted(entries(made.unwritten)) if op is Op.DROPPED] == [
        (p, former[p]) for p in sorted(lost)
    ]
    gone = {prefix for prefix in lost if prefix in new} & waiting.keys()
    assert waiting.keys() - made.ledger.displaced.keys() == gone
    assert {(p, peer) for op, p, peer in entries(made.unwritten) if op is Op.RETURNED} == {
        (p, waiting[p]) for p in gone
    }
    consistent(made)


def test_what_we_gave_without_an_answer_is_ours_when_it_is_seen() -> None:
    """A prefix that the ledger has as given, and that shows up at that very peer, is news, and stays ours."""
    made = holding({}, {}, {})
    own(made, NET, A)
    assert flat(made.observe(Table({NET: A}))) == [NET]
    assert made.ledger.ours == {NET: A}
    assert not made.unwritten
    consistent(made)


@given(MAPS)
def test_the_same_observation_is_no_news(held: Held) -> None:
    """An equal map changes nothing and marks nothing; its columns are those that are kept."""
    made, seen = holding(held, held, {}), Table(held)
    assert made.observe(seen) == []
    assert not made.dirty
    assert not made.unwritten
    assert all(one is other for one, other in zip(made.held.columns(), seen.columns(), strict=True))


@given(MAPS, MAPS, MAPS)
def test_each_prefix_is_ours_or_pinned(held: Held, ours: Held, displaced: Held) -> None:
    """Pinned is what others hold, and what waits for ours to go; learned is what is ours."""
    made = holding(held, ours, displaced)
    for prefix in PREFIXES:
        mine, waits = made.ledger.ours.get(prefix), made.ledger.displaced.get(prefix)
        other = None if prefix in made.ledger.ours else held.get(prefix)
        assert made.learned(prefix) == mine
        assert made.pinned(prefix) == (waits if waits is not None else other)
        assert (prefix in flat(made.pinned_prefixes())) == (made.pinned(prefix) is not None)


@given(MAPS, st.lists(st.tuples(st.sampled_from([*PEERS, None]), st.sampled_from(PREFIXES)), max_size=15))
def test_counts_follow_what_is_owned(held: Held, deeds: list[tuple[PublicKey | None, Prefix]]) -> None:
    """After any owning and disowning, the count of each peer is the number of its learned prefixes."""
    made = holding(held, held, {})
    for peer, prefix in deeds:
        if peer is None:
            disown(made, prefix)
        else:
            own(made, prefix, peer)
        learned = [p for net, p in made.ledger.ours.items() if net not in made.gateways.derived]
        assert +made.counts == Counter(learned)
        consistent(made)


@given(MAPS, MAPS, MAPS)
def test_hosts_of_others_are_gateways(held: Held, ours: Held, new: Held) -> None:
    """A host-length AllowedIP is a gateway exactly while somebody else holds it, and a change is returned."""
    made = holding(held, ours, {})
    made.refresh_gateways()
    before = {prefix: made.gateways.named(prefix) for prefix in PREFIXES}
    made.observe(Table(new))
    made.dirty.clear()
    changed = made.refresh_gateways()
    assert made.dirty == changed
    for prefix in PREFIXES:
        named = made.gateways.named(prefix)
        assert (prefix in changed) == (named != before[prefix])
        pinned = {new[prefix]} if prefix in new and prefix not in made.ledger.ours and px.is_host(prefix) else set()
        assert named == pinned | {peer for peer in PEERS if gateway(peer) == prefix}
    assert made.refresh_gateways() == set()


def test_new_prefixes_to_derive_under_make_new_gateways() -> None:
    """Another policy or peer changes the gateways, the selector, and what counts as learned."""
    made = interface(Policy(prefixes=()))
    own(made, gateway(A), A)
    assert made.counts[A] == 1
    before = made.selector
    made.policy = Policy()
    assert made.refresh_gateways() == {gateway(peer) for peer in PEERS}
    assert made.selector is not before
    assert made.selector.named(via(A)).peers == ((A, 1),)
    assert made.counts[A] == 0
    made.device = device(A, B)
    assert made.refresh_gateways() == {gateway(C)}


def test_gateways_that_stay_keep_what_was_decided() -> None:
    """As long as no address names another peer, the selector with all it remembers is kept."""
    made = interface()
    before = made.selector
    made.observe(Table({NET: A}))
    made.refresh_gateways()
    assert made.selector is before
    made.reselect()
    assert made.selector is not before


@pytest.mark.parametrize(("limit", "count", "again"), list(product((0, 1, 2), (0, 1, 2, 3), (True, False))))
def test_the_limit_lets_in_up_to_itself(limit: int, count: int, again: bool) -> None:
    """A peer may learn while it has fewer than `max_prefixes`, and keeps what it has; 0 is no limit."""
    made = interface(Policy(max_prefixes=limit))
    for number in range(count):
        own(made, px.parse(f"10.{number}.0.0/16"), A)
    asked = px.parse("10.0.0.0/16") if again and count else px.parse("10.200.0.0/16")
    expected = Reason.LIMIT if limit and count >= limit and not (again and count) else None
    assert made.admit(asked, A) is expected
    assert made.admit(asked, B) is None


def test_the_accept_list_is_asked_first() -> None:
    """What a peer's list does not have is refused, limit or not; a peer without a list may have everything."""
    made = interface(Policy(peers={A: PeerPolicy("a", (Accept.parse("10.0.0.0/8"),))}, max_prefixes=1))
    own(made, px.parse("192.0.2.0/24"), A)
    assert made.admit(px.parse("192.0.2.0/24"), A) is Reason.NOT_ACCEPTED
    assert made.admit(NET, A) is Reason.LIMIT
    assert made.admit(px.parse("192.0.2.0/24"), B) is None


def test_room_under_the_limit_is_offered_to_those_who_waited() -> None:
    """When a prefix of a peer goes, those that its limit kept out are decided again, and no others."""
    made = interface(Policy(max_prefixes=1))
    made.notes = over_limit(A, B)
    made.let_in(set())
    assert not made.dirty
    made.let_in({A})
    assert made.dirty == {NETS[1]}
    made.let_in({A, B})
    assert made.dirty == {NETS[1], NETS[2]}


def over_limit(one: PublicKey, other: PublicKey) -> Table[Verdict]:
    """What is on note when two prefixes wait for the limits of two peers, and one for an accept list."""
    refused = [((one, Reason.LIMIT),), ((other, Reason.LIMIT),), ((one, Reason.NOT_ACCEPTED),)]
    return Table({prefix: Verdict(refused=losers) for prefix, losers in zip(NETS[1:], refused, strict=True)})


def test_without_a_limit_nobody_waits() -> None:
    """Notes of a limit that is no more decide nothing again: a change of settings decides everything."""
    made = interface()
    made.notes = over_limit(A, B)
    made.let_in({A, B})
    assert not made.dirty


def test_a_prefix_that_somebody_took_away_makes_room() -> None:
    """When a learned prefix of a peer is moved or removed by others, who waited for its limit is decided again."""
    for new in ({}, {NET: B}):
        made = interface(Policy(max_prefixes=1))
        made.held = Table({NET: A})
        own(made, NET, A)
        made.notes = over_limit(A, B)
        made.observe(Table(new))
        assert made.dirty == {NET, NETS[1]}


def test_a_move_between_peers_makes_room_at_the_former() -> None:
    """Owning at another peer counts there, and no longer at the former."""
    made = interface(Policy(max_prefixes=1))
    own(made, NET, A)
    made.notes = over_limit(A, B)
    own(made, NET, B)
    assert +made.counts == {B: 1}
    assert made.dirty == {NETS[1]}


@pytest.mark.parametrize(("limit", "count"), list(product((0, 1, 2, 3), (0, 1, 2, 3))))
def test_room_is_for_as_many_as_the_limit_still_lets_in(limit: int, count: int) -> None:
    """So many prefixes share a verdict that gives them to a peer; one that is judged may be given in any case."""
    made = interface(Policy(max_prefixes=limit))
    for number in range(count):
        own(made, px.parse(f"10.{number}.0.0/16"), A)
    asked = made.standing(px.parse("10.200.0.0/16"))
    endless = made.room(asked, Verdict())
    learned = made.room(asked, Verdict(A, Origin.LEARNED))
    assert learned == (max(1, limit - count) if limit else endless)
    assert made.room(asked, Verdict(A, Origin.PINNED)) == endless >= 1 << 32
    if count:  # who has it already takes no room
        assert made.room(made.standing(px.parse("10.0.0.0/16")), Verdict(A, Origin.LEARNED)) == endless


@given(st.sets(st.sampled_from(PREFIXES)))
def test_many_are_counted_as_each_would_be(prefixes: set[Prefix]) -> None:
    """Owning columns counts what owning their prefixes counts, and disowning them takes it back."""
    together, apart = interface(), interface()
    for _, column in groups((prefix, None) for prefix in prefixes):
        together.own(column, A)
    for prefix in prefixes:
        apart.own(one(prefix), A)
    assert together.counts[A] == apart.counts[A] == len(prefixes - {gateway(peer) for peer in PEERS})
    for _, column in groups((prefix, None) for prefix in prefixes):
        together.disown(column, A)
    assert not together.counts[A]


def test_pins_of_peers_that_are_gone_no_longer_wait() -> None:
    """A displaced pin is dropped with its peer, on record, and its prefix is decided again."""
    made = interface(None, A, B)
    made.ledger.displaced = Table({NET: C, NETS[1]: B})
    assert flat(made.forget_peers()) == [NET]
    assert made.ledger.displaced == {NETS[1]: B}
    assert entries(made.unwritten) == [(Op.RETURNED, NET, C)]
    assert made.dirty == {NET}


@given(MAPS, st.sampled_from(PREFIXES), st.sampled_from([None, *PEERS]))
def test_one_prefix_is_held_as_the_device_has_it(held: Held, prefix: Prefix, peer: PublicKey | None) -> None:
    """Holding one prefix sets or takes away that one, and leaves the others."""
    made = holding(held, {}, {})
    made.hold(one(prefix), Table({} if peer is None else {prefix: peer}))
    rest = {net: who for net, who in held.items() if net != prefix}
    assert made.held == (rest if peer is None else {**rest, prefix: peer})


@given(MAPS, MAPS, st.sets(st.sampled_from(PREFIXES)))
def test_some_prefixes_are_held_as_a_reading_has_them(held: Held, read: Held, some: set[Prefix]) -> None:
    """Of a reading, the prefixes that are named are taken over, whoever has them; the others stay."""
    made = holding(held, {}, {})
    for _, column in groups((prefix, None) for prefix in some):
        made.hold(column, Table(read))
    stay = {prefix: peer for prefix, peer in held.items() if prefix not in some}
    assert made.held == stay | {prefix: peer for prefix, peer in read.items() if prefix in some}


def test_the_name_is_that_of_the_link() -> None:
    """A renamed link renames the interface; its index stays."""
    made = interface()
    made.link = Link(WG, "wg9", "wireguard", up=True)
    assert (made.name, made.ifindex) == ("wg9", WG)
