"""Small universes of addresses for tables of prefixes: all answers can be compared, and tables meet often."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Codes, Column
from peerway.model.prefix import Prefix

Table = dict[Prefix, int]
Answers = tuple[int, ...]
Situation = tuple[str, int, Table, Table]
History = tuple[str, int, list[tuple[Table, Table]]]

PLACES = {  # where a small universe lies: at the end of the addresses, in the middle, across the words of IPv6
    "10.0.0.0/8": 8,
    "192.0.2.248/29": 3,
    "2001:db8::/61": 6,
    "2001:db8::8/125": 3,
    "::/0": 6,
    "0.0.0.0/0": 6,
}


def within(place: str, value: int, length: int) -> Prefix:
    """The prefix of `length` more bits in a place."""
    outer = px.parse(place)
    total = px.length(outer) + length
    number = px.number(outer) | value << px.bits(outer) - total
    return px.make(px.family(outer), number.to_bytes(px.bits(outer) // 8, "big"), total)


@st.composite
def places(draw: st.DrawFn, bits: int = 0) -> tuple[str, int]:
    """A place and how many bits of it are looked at."""
    place = draw(st.sampled_from(sorted(PLACES)))
    return place, min(bits or 8, px.bits(px.parse(place)) - px.length(px.parse(place)))


def tables(place: str, bits: int, owners: int = 4, most: int = 40) -> st.SearchStrategy[Table]:
    """Tables of a small universe; some owners are likelier than others, so that there is something to gain."""
    prefix = st.integers(0, bits).flatmap(lambda length: st.tuples(st.integers(0, (1 << length) - 1), st.just(length)))
    owner = st.integers(1, owners) | st.just(1)
    return st.dictionaries(prefix.map(lambda it: within(place, *it)), owner, max_size=most)


def columns(table: Mapping[Prefix, int], family: int) -> tuple[Column, Codes]:
    """A table in columns."""
    ordered = sorted(table)
    return cl.make(family, ordered), np.array([table[prefix] for prefix in ordered], np.int32)


def entries(part: tuple[Column, Codes]) -> Table:
    """Columns as a table."""
    return dict(zip(cl.prefixes(part[0]), part[1].tolist(), strict=True))


def answers(place: str, bits: int, *tables: Mapping[Prefix, int]) -> Answers:
    """
    The owner of each address of a place, of those that differ in its first bits, by its longest prefix; 0 for none.

    Where two tables have a prefix, the first one counts.
    """
    outer = px.parse(place)
    shift = px.bits(outer) - px.length(outer) - bits
    first = px.number(outer) >> shift
    found = [0] * (1 << bits)
    for prefix, owner in sorted(
        ((prefix, owner) for table in reversed(tables) for prefix, owner in table.items()),
        key=lambda entry: px.length(entry[0]),
    ):
        start = (px.number(prefix) >> shift) - first
        width = 1 << bits + px.length(outer) - px.length(prefix)
        found[start : start + width] = [owner] * width
    return tuple(found)


@st.composite
def situations(draw: st.DrawFn, bits: int = 0, owners: int = 4) -> tuple[str, int, Table, Table]:
    """A place, its bits, a table and fixed entries."""
    place, bits = draw(places(bits))
    return place, bits, draw(tables(place, bits, owners)), draw(tables(place, bits, owners, 4))


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, int, list[tuple[Table, Table]]]:
    """A place, its bits, and what becomes of prefixes and fixed entries, from the first table on."""
    place, bits, ours, fixed = draw(situations(draw(st.integers(2, 6))))
    step = st.tuples(changes(place, bits, 12), changes(place, bits, 3))
    return place, bits, [(ours, fixed), *draw(st.lists(step, max_size=8))]


def changes(place: str, bits: int, most: int) -> st.SearchStrategy[Table]:
    """Changes of a table; owner 0 takes a prefix away."""
    prefix = st.integers(0, bits).flatmap(lambda length: st.tuples(st.integers(0, (1 << length) - 1), st.just(length)))
    return st.dictionaries(prefix.map(lambda it: within(place, *it)), st.integers(0, 4), max_size=most)


def become(table: Table, change: Mapping[Prefix, int]) -> None:
    """Do the changes to a table."""
    for prefix, owner in change.items():
        table.pop(prefix, None)
        if owner:
            table[prefix] = owner
