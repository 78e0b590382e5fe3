"""What stands for what is given: kept up by changes, it is what the whole table gives anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import aggregated as module
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.aggregated import Aggregated, Parts, covering
from peerway.model.keys import PublicKey
from peerway.model.ownership import Origin, Verdict
from peerway.model.prefix import Prefix
from peerway.model.table import Table
from tests.harness.columns import one
from tests.harness.site import key
from tests.harness.universe import answers, changes, within

A, B, C = PEERS = key(1), key(2), key(3)
PLACE, BITS = "10.9.8.0/28", 4
STEPS = st.lists(st.tuples(changes(PLACE, BITS, 8), changes(PLACE, BITS, 2)), max_size=6)
NET, HALF, OTHER = (px.parse(text) for text in ("10.0.0.0/23", "10.0.0.0/24", "10.0.1.0/24"))


def parts(change: dict[Prefix, int]) -> Parts:
    """Numbers as peers, 0 as nobody."""
    return [(key(owner) if owner else None, one(prefix)) for prefix, owner in change.items()]


def numbers(table: Table[PublicKey]) -> dict[Prefix, int]:
    return {prefix: bytes(peer)[0] for prefix, peer in table.items()}


@given(STEPS, st.booleans())
def test_after_any_changes_the_answers_are_those_of_what_is_given(
    steps: list[tuple[dict[Prefix, int], dict[Prefix, int]]], many: bool
) -> None:
    """In columns or one by one: each address keeps its answer beside the fixed ones, and an audit finds nothing."""
    state = Aggregated()
    fixed: dict[Prefix, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MANY", -1 if many else 10**6)
        for ours, others in steps:
            before = numbers(state.entries)
            differ = {p for column in state.change(parts(ours), parts(others)) for p in cl.prefixes(column)}
            fixed = {prefix: owner for prefix, owner in {**fixed, **others}.items() if owner}
            after = numbers(state.entries)
            assert {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)} <= differ
            given_to = numbers(state.given)
            assert answers(PLACE, BITS, fixed, after) == answers(PLACE, BITS, fixed, given_to)
            assert after.keys().isdisjoint(fixed)
            assert state.audit()() == []


def test_what_is_recalled_is_in_the_entries_of_the_next_change() -> None:
    """What a former process gave was never told as a change."""
    state = Aggregated()
    state.recall([(A, one(HALF))])
    state.change([(A, one(OTHER))], [])
    assert state.entries == {NET: A}


def test_an_audit_sees_what_is_not_as_it_should_be() -> None:
    """An entry that is missing, and one that nothing asks for; as they were when it was asked for."""
    state = Aggregated()
    state.change([(A, one(HALF)), (A, one(OTHER))], [])
    del state.entries[NET]
    state.entries[HALF] = B
    late = state.audit()
    state.entries[NET] = A
    assert [cl.prefixes(column) for column in late()] == [sorted([NET, HALF])]


def test_an_entry_stands_in_the_place_of_what_was_given() -> None:
    """The absorbed prefix has none, the one that was made has one; pinned, derived, yielded ones stand as decided."""
    state = Aggregated()
    state.change([(A, one(HALF)), (A, one(OTHER))], [])
    learned = Verdict(A, Origin.LEARNED)
    assert state.stands(HALF, learned) == Verdict()
    assert state.stands(NET, Verdict()) == Verdict(A, Origin.LEARNED)
    for verdict in (Verdict(B, Origin.PINNED), Verdict(B, Origin.DERIVED), Verdict(B, Origin.LEARNED, displaced=C)):
        assert state.stands(HALF, verdict) is verdict


@given(changes(PLACE, BITS, 10), st.lists(st.tuples(st.integers(0, BITS), st.integers(0, 15)), max_size=10))
def test_the_longest_prefix_around_is_found(held: dict[Prefix, int], wanted: list[tuple[int, int]]) -> None:
    """For each prefix of a column, in either family, the answer that a look at all of them gives."""
    table = Table({prefix: key(owner) for prefix, owner in held.items() if owner})
    asked = {within(PLACE, number & (1 << length) - 1, length) for length, number in wanted}
    for column in cl.columns(asked):
        found = {p: peer for peer, some in covering(column, table) for p in cl.prefixes(some)}
        for prefix in asked:
            around = [p for p in table if px.contains(p, prefix)]
            assert found[prefix] == (table[max(around, key=px.length)] if around else None)


def test_it_is_found_for_ipv6_too() -> None:
    """Seventeen bytes wide."""
    table = Table({px.parse("2001:db8::/32"): A, px.parse("2001:db8:1::/48"): B})
    column = np.sort(cl.make(px.AF_INET6, [px.parse("2001:db8:1:2::/64"), px.parse("2001:db8:2::/48")]))
    found = {px.text(p): peer for peer, some in covering(column, table) for p in cl.prefixes(some)}
    assert found == {"2001:db8:1:2::/64": B, "2001:db8:2::/48": A}
