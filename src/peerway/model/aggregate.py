"""Aggregation kept up: a table, and what each change of it does to the smallest AllowedIPs with the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from peerway.model import cells as ce
from peerway.model import columns as cl
from peerway.model import regions as rg
from peerway.model.aggregation import beside, difference, overlaid, solve, turn
from peerway.model.columns import Codes, Column
from peerway.model.prefix import AF_INET, V6, Prefix
from peerway.model.radix import radix
from peerway.model.regions import Cell, Entries, Node, Place

MOST: Final = 24  # entries of a cell: fewer cost memory, more cost time for each change
MANY: Final = 48  # a change costs about as much as this many entries in columns do,
FEW: Final = 3000  # which cost as much as this many more to begin with


class Change(NamedTuple):
    """
    What becomes of one prefix, of ours or of the fixed ones; owner 0 takes it away.
    """

    number: int
    fixed: bool
    owner: int


class Aggregate:
    """
    The table of one family and its fixed entries, and how they are aggregated.

    It holds the table alone, packed: what comes out is a function of it, node by node, so a change works out both what
    stood and what shall stand where it can differ, and says the difference. The result is always the smallest, the
    same that `aggregated` gives for the table as it has become.
    """

    def __init__(self, family: int) -> None:
        """An empty table."""
        self._family = family
        self._size, self._flag = (32, 0) if family == AF_INET else (128, V6)
        self._hidden: Entries = {}  # ours in the place of fixed ones
        self._root = Node(0, 0)
        none = cl.none(family), np.zeros(0, np.int32)
        self.load(*none, *none)

    def load(self, prefixes: Column, owners: Codes, fixed: Column, fixed_owners: Codes) -> tuple[Column, Codes]:
        """
        Take this table, in place of what there was. Columns, and what is returned, as of `aggregated`.
        """
        hides = cl.place(fixed, prefixes)[1]
        hidden = cl.prefixes(prefixes[hides]), owners[hides].tolist()
        self._hidden = {prefix ^ self._flag: owner for prefix, owner in zip(*hidden, strict=True)}
        solution = solve(radix(*beside(prefixes, owners, fixed, fixed_owners)))
        self._root = ce.planted(solution, MOST)
        self._entries = len(prefixes) + len(fixed)
        return solution.entries()

    def replace(self, prefixes: Column, owners: Codes, fixed: Column, fixed_owners: Codes) -> tuple[Column, Codes]:
        """
        Take this table, as `load` does. Returns the changes of the aggregated entries, as `update` does.
        """
        before = solve(radix(*ce.table(self._root, self._size))).entries()
        return difference(*before, *self.load(prefixes, owners, fixed, fixed_owners))

    def update(self, ours: Mapping[Prefix, int], fixed: Mapping[Prefix, int] | None = None) -> dict[Prefix, int]:
        """
        Change entries of the table and fixed ones (owner 0 takes one away).

        Returns the changes of the aggregated ones in the order in which they have to be made (`turn`). A prefix that
        is fixed from now on, where an entry of ours stood, is among them with 0: it is no longer ours to take away.
        """
        fixed = fixed or {}
        if (len(ours) + len(fixed)) * MANY > self._entries + FEW:
            return self._update_all(ours, fixed)
        changes = [Change(prefix ^ self._flag, fixed=False, owner=owner) for prefix, owner in ours.items()]
        changes += [Change(prefix ^ self._flag, fixed=True, owner=owner) for prefix, owner in fixed.items()]
        before: Entries = {}
        after: Entries = {}
        self._refresh_node(self._root, 0, sorted(changes), before)
        self._tell(self._root, 0, before, after)
        result = [(number, owner) for number, owner in after.items() if before.get(number) != owner]
        result += [(number, 0) for number in before if number not in after]
        result.sort(key=lambda change: turn(change[0] & 0xFF, change[1]))
        return {Prefix(self._flag | number): owner for number, owner in result}

    def table(self) -> tuple[Column, Codes, Column, Codes]:
        """
        The table and the fixed entries, as `load` takes them.
        """
        held, codes = ce.table(self._root, self._size)
        fixed = codes < 0
        hidden = self._columns({Prefix(number | self._flag): owner for number, owner in self._hidden.items()})
        return *overlaid(held[~fixed], codes[~fixed], *hidden), held[fixed], -codes[fixed]

    def _update_all(self, ours: Mapping[Prefix, int], fixed: Mapping[Prefix, int]) -> dict[Prefix, int]:
        """So many changes are cheaper all at once, in columns."""
        prefixes, owners, others, other_owners = self.table()
        prefixes, owners = overlaid(prefixes, owners, *self._columns(ours))
        others, other_owners = overlaid(others, other_owners, *self._columns(fixed))
        changed, codes = self.replace(prefixes, owners, others, other_owners)
        return dict(zip(cl.prefixes(changed), codes.tolist(), strict=True))

    def _columns(self, table: Mapping[Prefix, int]) -> tuple[Column, Codes]:
        ordered = sorted(table)
        return cl.make(self._family, ordered), np.array([table[prefix] for prefix in ordered], np.int32)

    # from the changed places up: what the table says, and candidates

    def _refresh(self, place: Place, answer: int, changes: list[Change], before: Entries) -> Place:
        if isinstance(place, Node):
            self._refresh_node(place, answer, changes, before)
            return place
        assert isinstance(place, Cell)  # noqa: S101 - there is no third
        return self._refresh_cell(place, answer, changes, before)

    def _refresh_node(self, node: Node, answer: int, changes: list[Change], before: Entries) -> None:
        if not changes and node.answer == (abs(node.entry) or answer):
            return
        if node.above >= 0 and not node.dirty:
            rg.entries(node, self._size, node.above, before)
        node.dirty = True
        number = node.address << 8 | node.length
        mine = 0
        while mine < len(changes) and changes[mine].number == number:
            node.entry = self._changed(node.entry, changes[mine])
            mine += 1
        node.answer = abs(node.entry) or answer
        shift = self._size - node.length + 7  # the highest bit of the halves
        right = next((i for i in range(mine, len(changes)) if changes[i].number >> shift & 1), len(changes))
        node.left = self._half(node, node.left, changes[mine:right], before)
        node.right = self._half(node, node.right, changes[right:], before)
        rg.judge(node)

    def _half(self, node: Node, child: Place | None, changes: list[Change], before: Entries) -> Place | None:
        """A child after changes in its half, some of which may lie beside it."""
        if child is None:
            first = next((change for change in changes if change.owner), None)
            if first is None:
                return None
            shift = self._size - node.length - 1
            child = Cell(first.number >> 8 >> shift << shift, node.length + 1)
        elif isinstance(child, Node):
            child = self._room(child, changes)
            changes = [change for change in changes if rg.holds(child, self._size, *divmod(change.number, 256))]
        return self._refresh(child, node.answer, changes, before)

    def _room(self, child: Node, changes: list[Change]) -> Node:
        """The child, or a new node above it that has room for what lies beside it."""
        size, shared = self._size, child.length
        for change in changes:
            if change.owner:
                differ = (child.address ^ change.number >> 8).bit_length()
                shared = min(shared, change.number & 0xFF, size - differ)
        if shared == child.length:
            return child
        fork = Node(child.address >> size - shared << size - shared, shared)
        rg.attach(fork, size, child)
        return fork

    def _refresh_cell(self, cell: Cell, answer: int, changes: list[Change], before: Entries) -> Place:
        if not changes and cell.answer == answer:
            return cell
        items = dict(ce.items(cell, self._size))
        if cell.above >= 0:
            tree = ce.grown(cell, self._size, items.items())
            rg.settle(tree, cell.answer)
            rg.spread(tree, self._size, cell.above, before)
        for change in changes:
            items[change.number] = self._changed(items.get(change.number, 0), change)
        kept = sorted(item for item in items.items() if item[1])
        return self._settled(cell, kept, answer)

    def _settled(self, cell: Cell, items: list[tuple[int, int]], answer: int) -> Place:
        """A cell with these entries; a node of two cells where they are too many."""
        tree = ce.grown(cell, self._size, items)
        if len(items) > MOST:
            return self._split(tree, items, answer)
        ce.fill(cell, self._size, items)
        rg.settle(tree, answer)
        cell.answer, cell.candidates, cell.tree, cell.dirty = answer, tree.candidates, tree, True
        return cell

    def _split(self, tree: Node, items: list[tuple[int, int]], answer: int) -> Node:
        child = tree.left or tree.right
        if not tree.entry and isinstance(child, Node) and (tree.left is None or tree.right is None):
            tree = child
        node = Node(tree.address, tree.length, tree.entry)
        node.answer = abs(node.entry) or answer
        shift = self._size - node.length - 1
        rest = items[1:] if node.entry else items
        for bit in (0, 1):
            half = [item for item in rest if item[0] >> 8 + shift & 1 == bit]
            if half:
                cell = Cell(node.address | bit << shift, node.length + 1)
                rg.attach(node, self._size, self._settled(cell, half, node.answer))
        rg.judge(node)
        return node

    def _changed(self, entry: int, change: Change) -> int:
        """The entry of a prefix after a change. Ours waits where a fixed one stands."""
        number, fixed, owner = change
        if not fixed:
            if entry >= 0:
                return owner
            if owner:
                self._hidden[number] = owner
            else:
                self._hidden.pop(number, None)
            return entry
        if owner:
            if entry > 0:
                self._hidden[number] = entry
            return -owner
        return self._hidden.pop(number, 0) if entry < 0 else entry

    # from the root down: who comes from above

    def _tell(self, place: Place, owner: int, before: Entries, after: Entries) -> None:
        if not place.dirty and place.above == owner:
            return
        if isinstance(place, Node):
            if not place.dirty:
                rg.entries(place, self._size, place.above, before)
            for child, comes in rg.entries(place, self._size, owner, after):
                self._tell(child, comes, before, after)
        elif isinstance(place, Cell):
            tree = place.tree
            if tree is None:
                tree = ce.grown(place, self._size, ce.items(place, self._size))
                rg.settle(tree, place.answer)
                rg.spread(tree, self._size, place.above, before)
            rg.spread(tree, self._size, owner, after)
            place.tree = None
        place.above, place.dirty = owner, False
