"""A trie of one family that is kept for aggregation: nodes above, and below them cells that hold some entries packed.

The rule is in `candidates`; `aggregation` has the same in columns. Numbers in here are prefixes without the family bit.
"""

from __future__ import annotations

from typing import TypeAlias

from peerway.model.candidates import ALL, merge, only, pick, suits

Entries: TypeAlias = dict[int, int]  # by prefix number; the codes of fixed ones are negative in a table


class Place:
    """
    A region of addresses.

    `candidates` of the region; `above`: the owner that comes from above, -1 while none was told; `dirty`: it has to be
    told again.
    """

    __slots__ = ("above", "address", "candidates", "dirty", "length")

    def __init__(self, address: int, length: int) -> None:
        self.address = address
        self.length = length
        self.candidates = ALL
        self.above = -1
        self.dirty = True


class Node(Place):
    """
    A prefix with its own entry (0: none) or two halves in use; `answer` is the owner of what is in no longer prefix.
    """

    __slots__ = ("answer", "entry", "left", "right")

    def __init__(self, address: int, length: int, entry: int = 0) -> None:
        super().__init__(address, length)
        self.entry = entry
        self.answer = abs(entry)
        self.left: Place | None = None
        self.right: Place | None = None


class Cell(Place):
    """
    A half of a node, with few entries; `answer` is the owner that the table gives it from above.

    `tree`: the cell as nodes, while it is worked on.
    """

    __slots__ = ("answer", "codes", "numbers", "tree")

    def __init__(self, address: int, length: int, numbers: bytes = b"", codes: bytes = b"") -> None:
        super().__init__(address, length)
        self.numbers = numbers
        self.codes = codes
        self.answer = 0
        self.tree: Node | None = None


def judge(node: Node) -> None:
    """
    The candidates of a node, from its halves.
    """
    if node.entry < 0:
        node.candidates = ALL
    else:
        default = only(node.answer)
        left = default if node.left is None else _seen(node.left, node.length, default)
        right = default if node.right is None else _seen(node.right, node.length, default)
        node.candidates = merge(left, right)


def _seen(child: Place, length: int, default: int) -> int:
    """The candidates in the highest place below a node of that length: on the way up the other halves are its own."""
    match child.length - length:
        case 1:
            return child.candidates
        case 2:
            return merge(child.candidates, default)
        case _:
            return default


def entries(node: Node, size: int, owner: int, into: Entries) -> list[tuple[Place, int]]:
    """
    Write down the entries that a node needs in its place and down to its children, where `owner` comes from above.

    Returns its children, with the owner that comes to each. `size`: bits of an address.
    """
    answer = node.answer
    if node.entry < 0:
        owner = answer
    elif not suits(node.candidates, owner):
        owner = into[node.address << 8 | node.length] = pick(node.candidates, answer)
    shift = size - node.length - 1
    children = []
    for child, bit in ((node.left, 0), (node.right, 1)):
        if child is None:
            if owner != answer:
                into[(node.address | bit << shift) << 8 | node.length + 1] = answer
            continue
        comes = owner
        steps = child.length - node.length
        if steps > 1 and not suits(_seen(child, node.length, only(answer)), owner):
            into[(child.address >> shift << shift) << 8 | node.length + 1] = comes = answer
        if steps == 2 and comes != answer:
            into[(child.address ^ 1 << shift - 1) << 8 | child.length] = answer
        children.append((child, comes))
    return children


def spread(tree: Node, size: int, owner: int, into: Entries) -> None:
    """
    Write down the entries of a tree of nodes.
    """
    todo: list[tuple[Place, int]] = [(tree, owner)]
    while todo:
        node, comes = todo.pop()
        if isinstance(node, Node):
            todo += entries(node, size, comes, into)


def settle(tree: Node, answer: int) -> None:
    """
    Answers and candidates of a tree of nodes, where the table gives `answer` from above.
    """
    tree.answer = abs(tree.entry) or answer
    if isinstance(tree.left, Node):
        settle(tree.left, tree.answer)
    if isinstance(tree.right, Node):
        settle(tree.right, tree.answer)
    judge(tree)


def holds(place: Place, size: int, address: int, length: int) -> bool:
    """
    Whether a prefix lies in a place.
    """
    return length >= place.length and not (place.address ^ address) >> size - place.length


def attach(node: Node, size: int, child: Place) -> None:
    """
    Put a place below a node, on the side where it lies, in the place of what was there.
    """
    if child.address >> size - node.length - 1 & 1:
        node.right = child
    else:
        node.left = child
