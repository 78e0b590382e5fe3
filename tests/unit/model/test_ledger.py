"""The ledger: what a killed process wrote, compared with the device, claims nothing of anybody else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.ledger import Entry, Ledger, Memory, Op, Record, records_of
from peerway.model.prefix import Prefix
from tests.harness.site import key

PEERS = [key(number) for number in range(1, 5)]
A, B, C, D = PEERS
NETS = [px.parse(text) for text in ("10.0.0.0/8", "10.9.0.0/16", "2001:db8::/32")]
NET = NETS[0]

ENTRIES = st.lists(st.tuples(st.sampled_from(Op), st.sampled_from(NETS), st.sampled_from(PEERS)), max_size=20)
MAPS = st.dictionaries(st.sampled_from(NETS), st.sampled_from(PEERS))
Held = dict[Prefix, PublicKey]


def replayed(entries: list[Entry]) -> Memory:
    """A memory of entries, each written on its own."""
    memory = Memory()
    for entry in entries:
        memory.replay(records_of([entry]))
    return memory


def settled(entries: list[Entry], held: Held, peers: list[PublicKey] = PEERS) -> Ledger:
    ledger = Ledger()
    ledger.settle(replayed(entries), held, peers)
    return ledger


def candidates(entries: list[Entry], prefix: Prefix) -> set[PublicKey]:
    """At whom a prefix may be ours, by hand: who got it and did not lose it afterwards."""
    found: set[PublicKey] = set()
    for op, about, peer in entries:
        if about == prefix and op is Op.OURS:
            found.add(peer)
        elif about == prefix and op is Op.DROPPED:
            found.discard(peer)
    return found


@given(ENTRIES, MAPS)
def test_ours_is_only_what_memory_and_device_agree_on(entries: list[Entry], held: Held) -> None:
    """A prefix is ours exactly where it was given to the peer that has it, and not dropped since."""
    ledger = settled(entries, held)
    expected = {prefix: peer for prefix, peer in held.items() if peer in candidates(entries, prefix)}
    assert ledger.ours == expected


@given(ENTRIES, MAPS, st.lists(st.sampled_from(PEERS), unique=True))
def test_a_displaced_pin_is_of_a_living_peer_and_in_nobodys_way(
    entries: list[Entry], held: Held, peers: list[PublicKey]
) -> None:
    """What waits belongs to a peer that exists, on record, at a prefix that is ours or free."""
    ledger = settled(entries, held, peers)
    for prefix, peer in ledger.displaced.items():
        assert peer in peers
        assert prefix in ledger.ours or prefix not in held
        assert {(Op.DISPLACED, prefix, peer), (Op.DISPLACING, prefix, peer)} & set(entries)


@given(MAPS, MAPS)
def test_the_records_say_all_of_a_ledger(ours: Held, displaced: Held) -> None:
    """A ledger that is written whole and read again is the same, if the device agrees."""
    ledger = Ledger()
    ledger.ours = ours
    ledger.displaced = {prefix: peer for prefix, peer in displaced.items() if prefix in ours}
    memory = Memory()
    memory.replay(ledger.records())
    again = Ledger()
    again.settle(memory, ours, PEERS)
    assert (again.ours, again.displaced) == (ledger.ours, ledger.displaced)


@given(ENTRIES)
def test_records_gather_and_lose_nothing(entries: list[Entry]) -> None:
    """Gathering keeps each entry, makes one record for each operation and peer, and keeps their first order."""
    records = records_of(entries)
    spread = [(record.op, prefix, record.peer) for record in records for prefix in record.prefixes]
    assert sorted(spread) == sorted(entries)
    assert [(record.op, record.peer) for record in records] == list(
        dict.fromkeys((op, peer) for op, _, peer in entries)
    )


@given(ENTRIES, st.data())
def test_a_death_leaves_no_prefix_of_ours_unknown(entries: list[Entry], data: st.DataObject) -> None:
    """Written ahead: whichever of two peers a prefix is at when the process dies between, it is known as ours."""
    former, new = data.draw(st.permutations(PEERS))[:2]
    entries = [*entries, (Op.OURS, NET, former), (Op.OURS, NET, new)]
    for owner in (former, new):
        assert settled(entries, {NET: owner}).ours == {NET: owner}


def test_what_somebody_else_moved_is_theirs() -> None:
    """A prefix of ours that is at another peer now is not ours, and what waited for it does not come back."""
    ledger = settled([(Op.DISPLACED, NET, C), (Op.OURS, NET, A)], {NET: B})
    assert not ledger.ours
    assert not ledger.displaced


def test_what_somebody_took_away_lets_the_pin_come_back() -> None:
    """A displaced pin whose place is free still waits, so that it is put back."""
    assert settled([(Op.DISPLACED, NET, C), (Op.OURS, NET, A)], {}).displaced == {NET: C}


def test_a_displacement_that_was_only_begun_counts_if_it_came_to_it() -> None:
    """`displacing` counts once the prefix is ours at another peer; before, the pin is where it was."""
    begun: list[Entry] = [(Op.DISPLACING, NET, C), (Op.OURS, NET, A)]
    assert settled(begun, {NET: A}).displaced == {NET: C}
    assert not settled(begun, {NET: C}).displaced
    assert not settled(begun, {}).displaced
    assert not settled([*begun, (Op.OURS, NET, C)], {NET: C}).displaced
    assert not settled(begun, {NET: A}, [A, B]).displaced


def test_a_displacement_that_was_done_replaces_the_one_begun() -> None:
    """The second record about a displacement settles the first, and a return settles both."""
    memory = replayed([(Op.DISPLACING, NET, C), (Op.DISPLACED, NET, C)])
    assert (memory.displacing, memory.displaced) == ({}, {NET: C})
    memory.replay([Record(Op.DISPLACING, D, (NET,)), Record(Op.RETURNED, C, (NET,))])
    assert (memory.displacing, memory.displaced) == ({}, {})


def test_a_drop_of_what_was_never_given_is_nothing() -> None:
    """Dropping twice, or the unknown, leaves an empty memory."""
    memory = replayed([(Op.DROPPED, NET, A), (Op.OURS, NET, A), (Op.DROPPED, NET, A), (Op.DROPPED, NET, A)])
    assert not memory.maybe
