"""Aggregation of a whole table: the smallest AllowedIPs with the same answer for every address. All in columns.

The rule is in `candidates`. Sets of nodes are numbered here: an owner's code is the set of that owner alone (0: of no
peer), the next number is ALL, then come sets of several owners.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from peerway.model import candidates as cd
from peerway.model import columns as cl
from peerway.model import radix as rx
from peerway.model.columns import Codes, Column, Mask
from peerway.model.radix import Index, Radix


def aggregated(
    prefixes: Column, owners: Codes, fixed: Column | None = None, fixed_owners: Codes | None = None
) -> tuple[Column, Codes]:
    """
    The smallest entries that, beside the fixed ones, give each address the owner that `prefixes` would give it.

    All columns are of one family, sorted, without doubles; owners are codes from 1. A fixed entry stands whatever we
    do; where a prefix is in both, it is fixed. The result is sorted and has no prefix that is fixed.
    """
    if fixed is not None and fixed_owners is not None:
        prefixes, owners = beside(prefixes, owners, fixed, fixed_owners)
    return solve(rx.radix(prefixes, owners)).entries()


def beside(prefixes: Column, owners: Codes, fixed: Column, fixed_owners: Codes) -> tuple[Column, Codes]:
    """
    One table of ours and fixed entries; the codes of fixed ones are negative.
    """
    return overlaid(prefixes, owners, fixed, -fixed_owners)


def overlaid(prefixes: Column, codes: Codes, over: Column, over_codes: Codes) -> tuple[Column, Codes]:
    """
    A table with others' codes in place of its own, where they have any; their 0 takes a prefix away.
    """
    if not len(over):
        return prefixes, codes
    both = cl.merged(prefixes, over)
    joined = np.zeros(len(both), np.int32)
    joined[cl.place(both, prefixes)[0]] = codes
    joined[cl.place(both, over)[0]] = over_codes
    return both[joined != 0], joined[joined != 0]


def difference(before: Column, codes: Codes, after: Column, after_codes: Codes) -> tuple[Column, Codes]:
    """
    What makes one table of the other: the new codes, 0 where a prefix goes, by `turn`.
    """
    both = cl.merged(before, after)
    was, becomes = np.zeros((2, len(both)), np.int32)
    was[cl.place(both, before)[0]] = codes
    becomes[cl.place(both, after)[0]] = after_codes
    differ = was != becomes
    both, becomes = both[differ], becomes[differ]
    length = cl.lengths(both).astype(np.int16)
    by = np.argsort(np.where(becomes == 0, length + np.int16(turn(0, 0)), turn(0, 1) - length), kind="stable")
    return both[by], becomes[by]


def turn(length: int, owner: int) -> int:
    """
    When a change is made: entries come and move first, longer ones before shorter ones, then others go, shorter ones
    before longer ones. So each address has its old owner up to some change and its new one after it, never another.
    """
    return 128 - length if owner else 129 + length


class Sets:
    """
    Numbered candidate sets, and what they say of many nodes at once: each different question is asked once.
    """

    def __init__(self, owners: int) -> None:
        """Owners' codes are below `owners`."""
        self.every = owners
        self._sets = [1 << owner for owner in range(owners)] + [cd.ALL]
        self._numbers = {candidates: number for number, candidates in enumerate(self._sets)}
        self._merged: dict[int, int] = {}

    def candidates(self, number: int) -> int:
        """
        The set of a number.
        """
        return self._sets[number]

    def merge(self, left: Codes, right: Codes) -> Codes:
        """
        The sets of regions of two halves each.
        """
        result = left.copy()
        differ = np.flatnonzero(left != right)
        result[differ] = _asked(self._merge, left[differ], right[differ])
        return result

    def suits(self, sets: Codes, owners: Codes) -> Mask:
        """
        Where an owner that comes from above is enough.
        """
        result = (sets == owners) | (sets == self.every)
        several = np.flatnonzero(sets > self.every)
        result[several] = _asked(self._suits, sets[several], owners[several])
        return cast("Mask", result)

    def pick(self, sets: Codes, answers: Codes) -> Codes:
        """
        The owners of entries.
        """
        result = sets.copy()
        several = np.flatnonzero(sets > self.every)
        result[several] = _asked(self._pick, sets[several], answers[several])
        return result

    def _merge(self, left: int, right: int) -> int:
        pair = left << 32 | right
        number = self._merged.get(pair)
        if number is None:
            union = cd.merge(self._sets[left], self._sets[right])
            number = self._numbers.setdefault(union, len(self._sets))
            if number == len(self._sets):
                self._sets.append(union)
            self._merged[pair] = number
        return number

    def _suits(self, number: int, owner: int) -> int:
        return cd.suits(self._sets[number], owner)

    def _pick(self, number: int, answer: int) -> int:
        return cd.pick(self._sets[number], answer)


def _asked(question: Callable[[int, int], int], one: Codes, other: Codes) -> Codes:
    pairs = one.astype(np.int64) << 32 | other
    different, back = np.unique(pairs, return_inverse=True)
    low = 0xFFFFFFFF
    answers = [question(pair >> 32, pair & low) for pair in different.tolist()]
    return np.array(answers, np.int32)[back]


@dataclass(frozen=True, slots=True)
class Solution:
    """
    What aggregation makes of each node of a trie.

    `answer`: the owner by the table as it is; `sets`: the node's candidates; `seen`: those of the highest place between
    the node and its parent; `above`: the owner that comes from above;
    `below`: the owner that goes on to its halves. `on_top`, `own` and `beside`: the entry in the highest place
    between the node and its parent, in the node's place, and in the other half of the node's upper neighbour, 0 for
    none.
    """

    trie: Radix
    numbered: Sets
    answer: Codes
    sets: Codes
    seen: Codes
    above: Codes
    below: Codes
    on_top: Codes
    own: Codes
    beside: Codes

    def entries(self) -> tuple[Column, Codes]:
        """
        The entries, sorted.
        """
        trie, parts = self.trie, []
        top = np.flatnonzero(self.on_top)
        length = trie.length[trie.parent[top]] + np.uint8(1)
        parts.append((rx.cut(trie.address[:, top], length), length, self.on_top[top]))
        own = np.flatnonzero(self.own)
        parts.append((trie.address[:, own], trie.length[own], self.own[own]))
        beside = np.flatnonzero(self.beside)
        length = trie.length[beside]
        parts.append((rx.flipped(trie.address[:, beside], length - np.uint8(1)), length, self.beside[beside]))
        other = self.below != self.answer
        for is_right, children in enumerate((trie.left, trie.right)):
            empty = np.flatnonzero(other & (children < 0))
            address, length = trie.address[:, empty], trie.length[empty]
            address = rx.flipped(address, length) if is_right else address
            parts.append((address, length + np.uint8(1), self.answer[empty]))
        address = np.concatenate([part[0] for part in parts], axis=1)
        length = np.concatenate([part[1] for part in parts])
        by = rx.order(address, length)
        return rx.column(address[:, by], length[by]), np.concatenate([part[2] for part in parts])[by]


def solve(trie: Radix) -> Solution:
    """
    Candidates from the longest prefixes up, then entries from the root down.
    """
    answer = answers(trie)
    numbered = Sets(int(answer.max(initial=0)) + 1)
    sets, seen = _candidates(trie, answer, numbered)
    above, below, on_top, own, beside = np.zeros((5, len(answer)), np.int32)
    fixed = trie.entry < 0
    for nodes in trie.levels:
        gap, expected = trie.gap[nodes], answer[trie.parent[nodes]]
        owner = below[trie.parent[nodes]] if trie.length[nodes[0]] else np.zeros(1, np.int32)
        top = (gap > 0) & ~numbered.suits(seen[nodes], owner)
        on_top[nodes[top]] = owner[top] = expected[top]
        beside[nodes] = np.where((gap == 1) & (owner != expected), expected, 0)
        above[nodes] = owner
        needs = np.flatnonzero(~numbered.suits(sets[nodes], owner))
        own[nodes[needs]] = owner[needs] = numbered.pick(sets[nodes[needs]], answer[nodes[needs]])
        below[nodes] = np.where(fixed[nodes], answer[nodes], owner)
    return Solution(trie, numbered, answer, sets, seen, above, below, on_top, own, beside)


def answers(trie: Radix) -> Codes:
    """
    The owner of each node's addresses that no longer prefix has.
    """
    answer = np.abs(trie.entry)
    for nodes in trie.levels[1:]:
        silent = nodes[answer[nodes] == 0]
        answer[silent] = answer[trie.parent[silent]]
    return answer


def _candidates(trie: Radix, answer: Codes, numbered: Sets) -> tuple[Codes, Codes]:
    """
    The candidates of each node, and those that its parent sees, in the highest place below it.
    """
    sets = np.where(trie.entry < 0, np.int32(numbered.every), answer)  # what stays for leaves and fixed entries
    seen = answer[trie.parent]  # what is seen through two nodes or more
    inner = (trie.entry >= 0) & ((trie.left >= 0) | (trie.right >= 0))
    for nodes in reversed(trie.levels):
        here = nodes[inner[nodes]]
        if len(here):
            sets[here] = numbered.merge(_half(trie.left, here, seen, answer), _half(trie.right, here, seen, answer))
        gap = trie.gap[nodes]
        near, next_ = nodes[gap == 0], nodes[gap == 1]
        seen[near] = sets[near]
        seen[next_] = numbered.merge(sets[next_], answer[trie.parent[next_]])
    return sets, seen


def _half(children: Index, nodes: Index, seen: Codes, answer: Codes) -> Codes:
    child = children[nodes]
    return cast("Codes", np.where(child < 0, answer[nodes], seen[child]))
