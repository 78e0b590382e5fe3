"""The trie in columns: what is above what, and nothing more than it takes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model import radix as rx
from peerway.model.prefix import AF_INET, AF_INET6, Prefix
from tests.harness.universe import Situation, columns, situations
from tests.harness.wg_strategies import PREFIXES

FAMILY = st.sampled_from([AF_INET, AF_INET6])


def trie(table: dict[Prefix, int], family: int) -> tuple[rx.Radix, list[Prefix]]:
    """The trie of a table, and its nodes as prefixes."""
    made = rx.radix(*columns(table, family))
    return made, cl.prefixes(rx.column(made.address, made.length))


@st.composite
def wide_tables(draw: st.DrawFn) -> tuple[dict[Prefix, int], int]:
    """A table all over the addresses, or of a small universe."""
    if draw(st.booleans()):
        place, _, table, _ = draw(situations())
        return table, px.family(px.parse(place))
    family = draw(FAMILY)
    return draw(st.dictionaries(PREFIXES.filter(lambda prefix: px.family(prefix) == family), st.just(1))), family


@given(wide_tables())
def test_a_parent_is_the_longest_node_around(case: tuple[dict[Prefix, int], int]) -> None:
    """Each node but the root, which is first, lies in its parent, on its side; no node is between them."""
    made, nodes = trie(*case)
    assert nodes == sorted(set(nodes))
    assert px.length(nodes[0]) == 0
    for node, parent in zip(nodes[1:], made.parent[1:].tolist(), strict=True):
        around = [other for other in nodes if other != node and px.contains(other, node)]
        assert nodes[parent] == max(around, key=px.length)
        side = px.number(node) >> px.bits(node) - px.length(nodes[parent]) - 1 & 1
        assert nodes[(made.right if side else made.left)[parent]] == node
    assert made.gap.tolist()[1:] == [
        px.length(node) - px.length(nodes[parent]) - 1
        for node, parent in zip(nodes[1:], made.parent[1:].tolist(), strict=True)
    ]


@given(wide_tables())
def test_nodes_are_entries_and_forks(case: tuple[dict[Prefix, int], int]) -> None:
    """Each entry has its node with its code; what is no entry, and not the root, has two halves in use."""
    table, _ = case
    made, nodes = trie(*case)
    assert {node: code for node, code in zip(nodes, made.entry.tolist(), strict=True) if code} == table
    for i, node in enumerate(nodes[1:], 1):
        assert node in table or (made.left[i] >= 0 and made.right[i] >= 0)


@given(situations())
def test_a_subtree_is_a_run_of_nodes(situation: Situation) -> None:
    """From a node to its end stand all nodes that lie in it, and levels have each node once, by length."""
    place, _, table, _ = situation
    made, nodes = trie(table, px.family(px.parse(place)))
    for i, node in enumerate(nodes):
        assert nodes[i : made.end[i]] == [other for other in nodes if px.contains(node, other)]
    levels = [sorted({px.length(nodes[i]) for i in level.tolist()}) for level in made.levels]
    assert levels == [[length] for length in sorted(set(map(px.length, nodes)))]
    assert sorted(np.concatenate(made.levels).tolist()) == list(range(len(nodes)))


def test_words_that_differ_in_each_bit() -> None:
    """The last address of one half and the first of the other share nothing, however long the word."""
    halves = [px.parse("7fff:ffff:ffff:ffff::/64"), px.parse("8000::/64")]
    made, nodes = trie(dict.fromkeys(halves, 1), AF_INET6)
    assert nodes == [px.DEFAULT_V6, *halves]
    assert made.parent.tolist()[1:] == [0, 0]


@given(st.lists(PREFIXES), FAMILY, st.data())
def test_words_and_back(prefixes: list[Prefix], family: int, data: st.DataObject) -> None:
    """A column survives; addresses are cut and bits turned over as numbers are."""
    mine = [prefix for prefix in prefixes if px.family(prefix) == family]
    column = cl.make(family, mine)
    words, lengths = rx.words(column), cl.lengths(column)
    assert cl.prefixes(rx.column(words, lengths)) == mine
    shorter = [data.draw(st.integers(0, px.length(prefix))) for prefix in mine]
    to = np.array(shorter, np.uint8)
    cut = cl.prefixes(rx.column(rx.cut(words, to), to))
    assert cut == [px.supernet(prefix, length) for prefix, length in zip(mine, shorter, strict=True)]
    bit = np.minimum(to, 31 if family == AF_INET else 127).astype(np.uint8)
    turned = [px.number(prefix) for prefix in cl.prefixes(rx.column(rx.flipped(words, bit), lengths))]
    size = 32 if family == AF_INET else 128
    assert turned == [px.number(p) ^ 1 << size - 1 - at for p, at in zip(mine, bit.tolist(), strict=True)]
    assert rx.side(words, bit).tolist() == [
        bool(px.number(p) >> size - 1 - at & 1) for p, at in zip(mine, bit.tolist(), strict=True)
    ]
