"""Cells: a trie that is kept packed is the table that it was made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerway.model import cells as ce
from peerway.model import prefix as px
from peerway.model.aggregation import aggregated, beside, solve
from peerway.model.prefix import V6, Prefix
from peerway.model.radix import radix
from peerway.model.regions import Cell, Node, Place, holds, settle, spread
from tests.harness.universe import Situation, columns, entries, situations


def places(root: Node) -> list[Place]:
    """All places of a trie."""
    found: list[Place] = [root]
    for place in found:
        if isinstance(place, Node):
            found += [child for child in (place.left, place.right) if child is not None]
    return found


@given(situations(), st.sampled_from([1, 4, 24]))
def test_planted_and_back(situation: Situation, most: int) -> None:
    """A table comes out of its trie as it went in; no cell has more entries than it may, and each is in its cell."""
    place, _, ours, fixed = situation
    family = px.family(px.parse(place))
    size = px.bits(px.parse(place))
    both = beside(*columns(ours, family), *columns(fixed, family))
    root = ce.planted(solve(radix(*both)), most)
    assert entries(ce.table(root, size)) == entries(both)
    for cell in places(root):
        if isinstance(cell, Cell):
            inside = list(ce.items(cell, size))
            assert 0 < len(inside) <= most
            assert all(holds(cell, size, number >> 8, number & 0xFF) for number, _ in inside)


@given(situations())
def test_nodes_and_columns_say_the_same(situation: Situation) -> None:
    """A cell of the whole table, as nodes, needs the entries that columns find."""
    place, _, ours, fixed = situation
    family, size = px.family(px.parse(place)), px.bits(px.parse(place))
    both = entries(beside(*columns(ours, family), *columns(fixed, family)))
    cell, flag, found = Cell(0, 0), V6 if size == 128 else 0, dict[int, int]()
    ce.fill(cell, size, sorted((prefix ^ flag, code) for prefix, code in both.items()))
    tree = ce.grown(cell, size, ce.items(cell, size))
    settle(tree, 0)
    spread(tree, size, 0, found)
    short = entries(aggregated(*columns(ours, family), *columns(fixed, family)))
    assert {Prefix(flag | number): owner for number, owner in found.items()} == short
    nodes = {place.address << 8 | place.length: place.entry for place in places(tree) if isinstance(place, Node)}
    assert {Prefix(flag | number): entry for number, entry in nodes.items() if entry} == both
