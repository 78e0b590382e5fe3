"""The ledger: what a killed process wrote, compared with the device, claims nothing of anybody else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.ledger import Ledger, Memory, Op, Record
from peerway.model.prefix import Prefix
from peerway.model.table import Table
from tests.harness.columns import Entry, entries, recorded
from tests.harness.site import key

PEERS = [key(number) for number in range(1, 5)]
A, B, C, D = PEERS
NETS = [px.parse(text) for text in ("10.0.0.0/8", "10.9.0.0/16", "2001:db8::/32")]
NET = NETS[0]

ENTRIES = st.lists(st.tuples(st.sampled_from(Op), st.sampled_from(NETS), st.sampled_from(PEERS)), max_size=20)
GATHERED = st.lists(
    st.tuples(
        st.sampled_from(Op),
        st.sampled_from(PEERS),
        st.lists(st.sampled_from(NETS), min_size=1, max_size=3, unique=True),
    ),
    max_size=12,
)
MAPS = st.dictionaries(st.sampled_from(NETS), st.sampled_from(PEERS))
Held = dict[Prefix, PublicKey]


def replayed(listed: list[Entry]) -> Memory:
    """A memory of entries, each written on its own."""
    memory = Memory()
    memory.replay(recorded(listed))
    return memory


def settled(listed: list[Entry], held: Held, peers: list[PublicKey] = PEERS) -> Ledger:
    ledger = Ledger()
    ledger.settle(replayed(listed), Table(held), peers)
    return ledger


def candidates(listed: list[Entry], prefix: Prefix) -> set[PublicKey]:
    """At whom a prefix may be ours, by hand: who got it and did not lose it afterwards."""
    found: set[PublicKey] = set()
    for op, about, peer in listed:
        if about == prefix and op is Op.OURS:
            found.add(peer)
        elif about == prefix and op is Op.DROPPED:
            found.discard(peer)
    return found


@given(ENTRIES, MAPS)
def test_ours_is_only_what_memory_and_device_agree_on(listed: list[Entry], held: Held) -> None:
    """A prefix is ours exactly where it was given to the peer that has it, and not dropped since."""
    ledger = settled(listed, held)
    expected = {prefix: peer for prefix, peer in held.items() if peer in candidates(listed, prefix)}
    assert ledger.ours == expected


@given(ENTRIES, MAPS, st.lists(st.sampled_from(PEERS), unique=True))
def test_a_displaced_pin_is_of_a_living_peer_and_in_nobodys_way(
    listed: list[Entry], held: Held, peers: list[PublicKey]
) -> None:
    """What waits belongs to a peer that exists, on record, at a prefix that is ours or free."""
    ledger = settled(listed, held, peers)
    for prefix, peer in ledger.displaced.items():
        assert peer in peers
        assert prefix in ledger.ours or prefix not in held
        assert {(Op.DISPLACED, prefix, peer), (Op.DISPLACING, prefix, peer)} & set(listed)


@given(MAPS, MAPS)
def test_the_records_say_all_of_a_ledger(ours: Held, displaced: Held) -> None:
    """A ledger that is written whole and read again is the same, if the device agrees."""
    ledger = Ledger()
    ledger.ours = Table(ours)
    ledger.displaced = Table({prefix: peer for prefix, peer in displaced.items() if prefix in ours})
    memory = Memory()
    memory.replay(ledger.records())
    again = Ledger()
    again.settle(memory, Table(ours), PEERS)
    assert (again.ours, again.displaced) == (ledger.ours, ledger.displaced)
    said = {(Op.OURS, *item) for item in ledger.ours.items()} | {
        (Op.DISPLACED, *item) for item in ledger.displaced.items()
    }
    assert sorted(entries(ledger.records())) == sorted(said)


@given(GATHERED)
def test_a_record_of_many_prefixes_says_the_same_of_each(gathered: list[tuple[Op, PublicKey, list[Prefix]]]) -> None:
    """Records of columns, replayed, are the memory of their entries one by one."""
    together, apart = Memory(), Memory()
    together.replay(Record(op, peer, column) for op, peer, some in gathered for column in cl.columns(some))
    apart.replay(recorded((op, prefix, peer) for op, peer, some in gathered for prefix in some))
    assert together.maybe == apart.maybe
    assert (together.displaced, together.displacing) == (apart.displaced, apart.displacing)


@given(GATHERED, MAPS, st.lists(st.sampled_from(PEERS), unique=True))
def test_each_prefix_is_settled_on_its_own(
    gathered: list[tuple[Op, PublicKey, list[Prefix]]], held: Held, peers: list[PublicKey]
) -> None:
    """What a prefix is settled to does not depend on what is known of the others."""
    listed = [(op, prefix, peer) for op, peer, some in gathered for prefix in some]
    ledger = settled(listed, held, peers)
    for net in NETS:
        alone = settled(
            [entry for entry in listed if entry[1] == net], {p: o for p, o in held.items() if p == net}, peers
        )
        assert ledger.ours.get(net) == alone.ours.get(net)
        assert ledger.displaced.get(net) == alone.displaced.get(net)


@given(ENTRIES, st.data())
def test_a_death_leaves_no_prefix_of_ours_unknown(listed: list[Entry], data: st.DataObject) -> None:
    """Written ahead: whichever of two peers a prefix is at when the process dies between, it is known as ours."""
    former, new = data.draw(st.permutations(PEERS))[:2]
    listed = [*listed, (Op.OURS, NET, former), (Op.OURS, NET, new)]
    for owner in (former, new):
        assert settled(listed, {NET: owner}).ours == {NET: owner}


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
    assert (dict(memory.displacing), dict(memory.displaced)) == ({}, {NET: C})
    memory.replay(recorded([(Op.DISPLACING, NET, D), (Op.RETURNED, NET, C)]))
    assert (dict(memory.displacing), dict(memory.displaced)) == ({}, {})


def test_a_drop_of_what_was_never_given_is_nothing() -> None:
    """Dropping twice, or the unknown, leaves an empty memory."""
    memory = replayed([(Op.DROPPED, NET, A), (Op.OURS, NET, A), (Op.DROPPED, NET, A), (Op.DROPPED, NET, A)])
    assert not memory.maybe
