"""Aggregation: the same answer for every address, by the fewest entries that can give it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import aggregate
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.aggregation import aggregated
from peerway.model.prefix import AF_INET, AF_INET6
from tests.harness.universe import (
    Answers,
    History,
    Situation,
    Table,
    answers,
    become,
    columns,
    entries,
    histories,
    situations,
    within,
)


def shortest(place: str, ours: Table, fixed: Table) -> Table:
    """The aggregated table."""
    family = px.family(px.parse(place))
    short = aggregated(*columns(ours, family), *columns(fixed, family))
    assert cl.unique(short[0]) is short[0], "sorted, without doubles"
    return entries(short)


@given(situations())
def test_every_address_has_the_owner_that_it_had(situation: Situation) -> None:
    """Beside the fixed entries the aggregated ones give each address what the table as it is would give it."""
    place, bits, ours, fixed = situation
    short = shortest(place, ours, fixed)
    assert not short.keys() & fixed.keys()
    assert answers(place, bits, fixed, short) == answers(place, bits, fixed, ours)


def fewest(bits: int, owners: int, fixed: Mapping[tuple[int, int], int]) -> dict[Answers, int]:
    """
    For each answer that entries can give, how few it takes: all tables there are, half by half. No thought of sets.
    """

    @cache
    def all_tables(value: int, length: int, above: int) -> dict[Answers, int]:
        own = fixed.get((value, length))
        found: dict[Answers, int] = {}
        for entry in [own] if own else range(owners + 1):
            cost, below = int(not own and entry > 0), entry or above
            if length == bits:
                candidates: list[tuple[Answers, int]] = [((below,), cost)]
            else:
                halves = [all_tables(2 * value + half, length + 1, below) for half in (0, 1)]
                candidates = [
                    (left + right, cost + one + other)
                    for left, one in halves[0].items()
                    for right, other in halves[1].items()
                ]
            for answer, total in candidates:
                found[answer] = min(total, found.get(answer, total))
        return found

    return all_tables(0, 0, 0)


@given(situations(bits=3, owners=2))
def test_no_smaller_set_exists(situation: Situation) -> None:
    """In a universe of eight addresses no other set of entries with the same answers is smaller: all are tried."""
    place, bits, ours, fixed = situation
    base = px.length(px.parse(place))

    def inner(prefix: px.Prefix) -> tuple[int, int]:
        length = px.length(prefix) - base
        return px.number(prefix) >> px.bits(prefix) - px.length(prefix) & (1 << length) - 1, length

    least = fewest(bits, 2, {inner(prefix): owner for prefix, owner in fixed.items()})
    assert len(shortest(place, ours, fixed)) == least[answers(place, bits, fixed, ours)]


def test_all_tables_of_four_addresses() -> None:
    """Each of the 2187 tables of two owners over four addresses becomes as small as the smallest with its answers."""
    place = "198.51.100.4/30"
    nodes = [within(place, value, length) for length in range(3) for value in range(1 << length)]
    smallest: dict[Answers, int] = {}
    all_tables = []
    for owners in itertools.product(range(3), repeat=len(nodes)):
        table = {node: owner for node, owner in zip(nodes, owners, strict=True) if owner}
        given_answers = answers(place, 2, table)
        smallest[given_answers] = min(len(table), smallest.get(given_answers, len(table)))
        all_tables.append((table, given_answers))
    for table, given_answers in all_tables:
        short = shortest(place, table, {})
        assert (answers(place, 2, short), len(short)) == (given_answers, smallest[given_answers])


def test_a_hole_stays() -> None:
    """Two of four parts are one entry together; nothing goes over the part that nobody has."""
    parts = {px.parse(f"10.0.{part}.0/24"): 1 for part in (0, 1, 2)}
    assert shortest("10.0.0.0/8", parts, {}) == {px.parse("10.0.0.0/23"): 1, px.parse("10.0.2.0/24"): 1}


def test_a_fixed_entry_shields() -> None:
    """What comes from above does not reach below somebody else's entry, so an entry may cover it."""
    parts = {px.parse(f"10.0.{part}.0/24"): 1 for part in (0, 1, 2)}
    assert shortest("10.0.0.0/8", parts, {px.parse("10.0.3.0/24"): 2}) == {px.parse("10.0.0.0/22"): 1}


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_nothing_gives_nothing(family: int) -> None:
    """An empty table needs no entries."""
    empty = cl.none(family), np.empty(0, np.int32)
    assert [len(part) for part in aggregated(*empty, *empty)] == [0, 0]


SIZES = st.sampled_from([(1, 0), (4, 0), (24, 0), (4, 10**9)])  # of cells; the last one does all in columns


@given(histories(), SIZES)
def test_kept_up_is_made_anew(history: History, sizes: tuple[int, int]) -> None:
    """After each of many changes the entries are those that the whole table gives, whatever size cells have."""
    place, bits, ((ours, fixed), *steps) = history
    family = px.family(px.parse(place))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("MOST", "MANY", "FEW"), (*sizes, 0), strict=True):
            patch.setattr(aggregate, name, value)
        kept = aggregate.Aggregate(family)
        short = entries(kept.load(*columns(ours, family), *columns(fixed, family)))
        for change, fixed_change in steps:
            become(ours, change)
            become(fixed, fixed_change)
            difference = kept.update(change, fixed_change)
            assert all(short.get(prefix, 0) != owner for prefix, owner in difference.items()), "no change for nothing"
            become(short, difference)
            assert short == shortest(place, ours, fixed)
            table = kept.table()
            assert (entries(table[:2]), entries(table[2:])) == (ours, fixed)
        assert answers(place, bits, fixed, short) == answers(place, bits, fixed, ours)


@given(histories(), SIZES)
def test_nobody_is_in_between(history: History, sizes: tuple[int, int]) -> None:
    """Change by change, in the order given, each address goes from its old owner to its new one, once."""
    place, bits, ((ours, fixed), *steps) = history
    family = px.family(px.parse(place))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("MOST", "MANY", "FEW"), (*sizes, 0), strict=True):
            patch.setattr(aggregate, name, value)
        kept = aggregate.Aggregate(family)
        short = entries(kept.load(*columns(ours, family), *columns(fixed, family)))
        for change, _ in steps:
            old = now = answers(place, bits, fixed, short)
            become(ours, change)
            new = answers(place, bits, fixed, ours)
            for prefix, owner in kept.update(change).items():
                become(short, {prefix: owner})
                last, now = now, answers(place, bits, fixed, short)
                for was, before, after, shall in zip(old, last, now, new, strict=True):
                    assert after == shall or after == before == was


def test_what_is_not_there_is_taken_away_beside_a_node() -> None:
    """Nothing happens to a prefix that is not there, and the change that comes with it is made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregate, "MOST", 1)
        patch.setattr(aggregate, "MANY", 0)
        kept = aggregate.Aggregate(AF_INET)
        node, half, absent = map(px.parse, ("10.1.0.0/16", "10.1.0.0/17", "10.0.0.0/16"))
        kept.load(*columns({node: 1, half: 2}, AF_INET), *columns({}, AF_INET))
        assert kept.update({absent: 0, node: 3}) == {node: 3}
        assert entries(kept.table()[:2]) == {node: 3, half: 2}


def test_an_entry_that_becomes_fixed_is_no_longer_ours() -> None:
    """It is told as gone, stays out while it is fixed, and comes back afterwards."""
    kept, prefix = aggregate.Aggregate(AF_INET), px.parse("10.1.0.0/16")
    assert kept.update({prefix: 1}) == {prefix: 1}
    assert kept.update({}, {prefix: 2}) == {prefix: 0}
    assert kept.update({prefix: 3}) == {}
    assert kept.update({}, {prefix: 0}) == {prefix: 3}
