"""The entries of a trie's cells: packed, as nodes, and the whole trie from columns and back."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from peerway.model import columns as cl
from peerway.model import radix as rx
from peerway.model.aggregation import Solution
from peerway.model.columns import Codes, Column
from peerway.model.prefix import AF_INET, V6
from peerway.model.regions import Cell, Node, Place, attach, holds

WIDTH = {32: 5, 128: cl.WIDTH}  # bytes of a packed prefix, by bits of an address


def items(cell: Cell, size: int) -> Iterator[tuple[int, int]]:
    """
    The entries of a cell, sorted: prefix number, code.
    """
    raw, width = cell.numbers, WIDTH[size]
    number = int.from_bytes
    numbers = [number(raw[at : at + width], "big") for at in range(0, len(raw), width)]
    return zip(numbers, array("i", cell.codes), strict=True)


def fill(cell: Cell, size: int, entries: list[tuple[int, int]]) -> None:
    """
    Give a cell these sorted entries.
    """
    width = WIDTH[size]
    cell.numbers = b"".join([number.to_bytes(width, "big") for number, _ in entries])
    cell.codes = array("i", [code for _, code in entries]).tobytes()


def grown(cell: Cell, size: int, items: Iterable[tuple[int, int]]) -> Node:
    """
    Sorted entries of a cell as nodes.
    """
    path = [Node(cell.address, cell.length)]
    for number, code in items:
        address, length = number >> 8, number & 0xFF
        last: Node | None = None
        while not holds(path[-1], size, address, length):
            last = path.pop()
        if last is not None:
            shared = size - (last.address ^ address).bit_length()
            if shared > path[-1].length:
                fork = Node(address >> size - shared << size - shared, shared)
                attach(path[-1], size, fork)
                attach(fork, size, last)
                path.append(fork)
        if path[-1].length == length:
            path[-1].entry = code
        else:
            node = Node(address, length, code)
            attach(path[-1], size, node)
            path.append(node)
    return path[0]


def table(root: Node, size: int) -> tuple[Column, Codes]:
    """
    All entries of a trie, sorted.
    """
    numbers: list[bytes] = []
    codes: list[bytes] = []
    todo: list[Place | None] = [root]
    while todo:
        place = todo.pop()
        if isinstance(place, Cell):
            numbers.append(place.numbers)
            codes.append(place.codes)
        elif isinstance(place, Node):
            if place.entry:
                numbers.append((place.address << 8 | place.length).to_bytes(WIDTH[size], "big"))
                codes.append(array("i", [place.entry]).tobytes())
            todo += (place.right, place.left)
    return _unpacked(b"".join(numbers), WIDTH[size]), np.frombuffer(b"".join(codes), np.int32)


def planted(solution: Solution, most: int) -> Node:
    """
    The trie of a solution: nodes where there are more entries than `most`, cells where there are not.
    """
    trie, size = solution.trie, 32 if solution.trie.family == AF_INET else 128
    rank = np.concatenate(([0], np.cumsum(trie.entry != 0)))
    many = rank[trie.end] - rank[:-1] > most
    many[0] = True
    nodes = _nodes(solution, size, np.flatnonzero(many).astype(np.int32))
    few = np.flatnonzero(~many & many[trie.parent]).astype(np.int32)
    parents = trie.parent[few].tolist()
    for parent, cell in zip(parents, _cells(solution, size, few, rank), strict=True):
        attach(nodes[parent], size, cell)
    return nodes[0]


def _nodes(solution: Solution, size: int, index: rx.Index) -> dict[int, Node]:
    trie, made = solution.trie, dict[int, Node]()
    prefixes = rx.column(trie.address[:, index], trie.length[index])
    parts = trie.parent, trie.entry, solution.answer, solution.above, solution.sets
    rows = zip(*(part[index].tolist() for part in parts), strict=True)
    for i, number, row in zip(index.tolist(), _numbers(prefixes), rows, strict=True):
        parent, entry, answer, above, candidates = row
        node = made[i] = Node(number >> 8, number & 0xFF, entry)
        node.answer, node.above, node.dirty = answer, above, False
        node.candidates = solution.numbered.candidates(candidates)
        if i:
            attach(made[parent], size, node)
    return made


def _cells(solution: Solution, size: int, index: rx.Index, rank: rx.Ranks) -> Iterator[Cell]:
    """Each reaches up to its parent: it has what is between them, too."""
    trie, width = solution.trie, WIDTH[size]
    held = trie.entry != 0
    packed = _packed(rx.column(trie.address[:, held], trie.length[held])), trie.entry[held].tobytes()
    parent = trie.parent[index]
    length = trie.length[parent] + np.uint8(1)
    prefixes = rx.column(rx.cut(trie.address[:, index], length), length)
    parts = rank[index], rank[trie.end[index]], solution.answer[parent], solution.below[parent], solution.seen[index]
    rows = zip(*(part.tolist() for part in parts), strict=True)
    for number, (first, last, answer, above, candidates) in zip(_numbers(prefixes), rows, strict=True):
        numbers, codes = packed[0][first * width : last * width], packed[1][first * 4 : last * 4]
        cell = Cell(number >> 8, number & 0xFF, numbers, codes)
        cell.answer, cell.above, cell.dirty = answer, above, False
        cell.candidates = solution.numbered.candidates(candidates)
        yield cell


def _numbers(prefixes: Column) -> list[int]:
    return [prefix & ~V6 for prefix in cl.prefixes(prefixes)]


def _packed(prefixes: Column) -> bytes:
    if prefixes.dtype == cl.IPV4:
        return prefixes.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 3:].tobytes()
    return prefixes.tobytes()


def _unpacked(raw: bytes, width: int) -> Column:
    if width == cl.WIDTH:
        return np.frombuffer(raw, cl.IPV6)
    rows = np.zeros((len(raw) // width, 8), np.uint8)
    rows[:, 3:] = np.frombuffer(raw, np.uint8).reshape(-1, width)
    return rows.view(">u8").reshape(-1).astype(cl.IPV4)
