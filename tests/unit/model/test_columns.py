"""Columns say of many prefixes what is said of each."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.policy import Accept, PeerPolicy
from peerway.model.prefix import AF_INET, Prefix
from tests.harness.wg_strategies import PREFIXES


@st.composite
def families(draw: st.DrawFn) -> list[Prefix]:
    """Prefixes of which many lie in each other."""
    found = draw(st.lists(PREFIXES, min_size=1, max_size=6))
    for _ in range(draw(st.integers(0, 12))):
        base = draw(st.sampled_from(found))
        length = draw(st.integers(0, px.bits(base)))
        address = px.number(base) ^ (draw(st.integers(0, 1)) << draw(st.integers(0, px.bits(base) - 1)))
        found.append(px.make(px.family(base), address.to_bytes(px.bits(base) // 8, "big"), length))
    return found


@given(families())
def test_inside_is_what_contains_says_of_each(prefixes: list[Prefix]) -> None:
    """Of either family, and of a column of the other one."""
    for outer in prefixes:
        for column in cl.columns(prefixes):
            expected = [px.contains(outer, prefix) for prefix in cl.prefixes(column)]
            assert cl.inside(column, outer).tolist() == expected


@given(PREFIXES)
def test_the_first_and_the_last_address_are_inside(outer: Prefix) -> None:
    """A prefix has its edges, and not the addresses beside them."""
    bits, first = px.bits(outer), px.number(outer)
    last = first | ((1 << (bits - px.length(outer))) - 1)
    beside = [number for number in (first - 1, last + 1) if 0 <= number < 1 << bits]
    edges, others = (
        [px.host(px.family(outer), n.to_bytes(bits // 8, "big")) for n in some] for some in ([first, last], beside)
    )
    assert cl.inside(cl.make(px.family(outer), edges), outer).all()
    assert not cl.inside(cl.make(px.family(outer), others), outer).any()


@st.composite
def lists(draw: st.DrawFn) -> tuple[list[Prefix], tuple[Accept, ...]]:
    """Prefixes, and an accept list that has to do with them."""
    prefixes = draw(families())
    found = []
    for base in draw(st.lists(st.sampled_from(prefixes), max_size=3)):
        bounds = sorted(draw(st.tuples(*[st.integers(px.length(base), px.bits(base))] * 2)))
        found.append(Accept(base, *bounds))
    return prefixes, tuple(found)


@given(lists())
def test_a_list_accepts_of_a_column_what_it_accepts_of_each(case: tuple[list[Prefix], tuple[Accept, ...]]) -> None:
    """Each entry, and all together; an empty list accepts nothing, and none at all accepts everything."""
    prefixes, entries = case
    policy = PeerPolicy("", entries)
    for column in cl.columns(prefixes):
        each = cl.prefixes(column)
        for entry in entries:
            assert entry.matching(column).tolist() == [entry.matches(prefix) for prefix in each]
        assert policy.accepting(column).tolist() == [policy.accepts(prefix) for prefix in each]
        assert not PeerPolicy("", ()).accepting(column).any()
        assert PeerPolicy().accepting(column).all()


@given(families())
def test_prefixes_keep_their_order_as_columns(prefixes: list[Prefix]) -> None:
    """`make` keeps an order, `columns` sorts, and both give the prefixes back; the first is the first."""
    for family in cl.FAMILIES:
        some = [prefix for prefix in prefixes if px.family(prefix) == family]
        column = cl.make(family, some)
        assert cl.prefixes(column) == list(cl.each(column)) == some
        assert cl.family(column) == family
        assert cl.prefixes(cl.unique(column[column.argsort()])) == sorted(set(some))
        if some:
            assert cl.first(column) == some[0]
            assert [cl.prefixes(found) for found in cl.columns(some)] == [sorted(set(some))]
    assert [len(cl.none(family)) for family in cl.FAMILIES] == [0, 0]


@given(families(), st.data())
def test_places_are_found(prefixes: list[Prefix], data: st.DataObject) -> None:
    """A wanted prefix is found exactly where it stands, also in a column that is empty."""
    for wanted in cl.columns(prefixes):
        held = wanted[data.draw(st.lists(st.booleans(), min_size=len(wanted), max_size=len(wanted)))]
        at, found = cl.place(held, wanted)
        there = set(cl.prefixes(held))
        assert found.tolist() == [prefix in there for prefix in cl.prefixes(wanted)]
        assert cl.prefixes(held[at[found]]) == [prefix for prefix in cl.prefixes(wanted) if prefix in there]
        assert cl.place(wanted, wanted)[1].all()


@given(families(), families(), st.booleans(), st.booleans())
def test_places_do_not_depend_on_how_they_are_sought(
    one: list[Prefix], other: list[Prefix], both: bool, in_order: bool
) -> None:
    """By merging or by searching; what is wanted may be in any order."""
    for wanted in cl.columns(other):
        for held in cl.columns([*one, *other] if both else one):
            asked = wanted if in_order else wanted[::-1]
            places = []
            for dense in (0, 1 << 30) if held.dtype == wanted.dtype else ():
                cl.forget()
                with patch.object(cl, "DENSE", dense):
                    at, found = cl.place(held, asked)
                places.append((at[found].tolist(), found.tolist()))
            assert places[1:] == places[:1] * (held.dtype == wanted.dtype)


def test_places_that_are_remembered_are_those_that_are_found() -> None:
    """What was picked, or asked before of any column, is answered at once and as a search would."""
    held, other = cl.make(AF_INET, [*range(0, 40_000, 2)]), cl.make(AF_INET, [*range(1, 40_001, 2)])
    mask = np.arange(len(held)) % 3 == 0
    part = cl.pick(held, mask)
    for _ in range(2):
        at, found = cl.place(held, part)
        assert found.all()
        assert (held[at] == part).all()
        assert not cl.place(other, part)[1].any()
    with patch.object(cl, "_place", side_effect=AssertionError("it was known")):
        cl.place(other, part)
        cl.place(held, part)
    cl.forget()
    assert (cl.place(held, part)[0] == np.flatnonzero(mask)).all()
    assert cl.pick(held, np.ones(len(held), np.bool_)) is held
