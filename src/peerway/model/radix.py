"""A table of prefixes as a binary trie without chains, in columns: inner nodes and entries in preorder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from peerway.model import columns as cl
from peerway.model.columns import Codes, Column
from peerway.model.prefix import AF_INET, AF_INET6

Words = npt.NDArray[np.uint64]  # (words, prefixes): addresses, one or two words each, from the left
Lengths = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int32]
Ranks = npt.NDArray[np.int64]
Which = npt.NDArray[Any]  # a mask or an index

FULL: Final = (1 << 64) - 1
MASK: Final = np.array([FULL ^ (FULL >> n) for n in range(65)], np.uint64)
BIT: Final = np.array([1 << (63 - n) for n in range(64)], np.uint64)


def words(column: Column) -> Words:
    """
    The addresses of a column.
    """
    if column.dtype == cl.IPV4:
        return (column >> np.uint64(8) << np.uint64(32))[None]
    return np.ascontiguousarray(cl.octets(column)[:, :16]).view(">u8").T.astype(np.uint64)


def column(address: Words, length: Lengths) -> Column:
    """
    Addresses and lengths as a column.
    """
    if len(address) == 1:
        return cast("Column", address[0] >> np.uint64(24) | length)
    rows = np.empty((len(length), cl.WIDTH), np.uint8)
    rows[:, :16] = np.ascontiguousarray(address.T).astype(">u8").view(np.uint8)
    rows[:, 16] = length
    return rows.view(cl.IPV6).reshape(-1)


def cut(address: Words, length: Lengths) -> Words:
    """
    Addresses with the bits after `length` cleared.
    """
    if len(address) == 1:
        return address & MASK[length][None]
    return cast("Words", address & np.stack((MASK[np.minimum(length, 64)], MASK[np.maximum(length, 64) - 64])))


def flipped(address: Words, bit: Lengths) -> Words:
    """
    Addresses with one bit turned over, counted from the left.
    """
    if len(address) == 1:
        return address ^ BIT[bit][None]
    which = BIT[bit & 63]
    return cast("Words", address ^ np.stack((np.where(bit < 64, which, 0), np.where(bit < 64, 0, which))))


def side(address: Words, bit: Lengths) -> cl.Mask:
    """
    Whether one bit is set, counted from the left.
    """
    word = address[0] if len(address) == 1 else np.where(bit < 64, address[0], address[1])
    return cast("cl.Mask", word & BIT[bit & 63] != 0)


def common(address: Words, length: Lengths) -> Lengths:
    """
    How many bits each prefix but the first shares with the one before it.
    """
    differ = address[:, 1:] ^ address[:, :-1]
    bits = np.uint8(64) - _bit_length(differ[0])
    if len(address) == 2:
        bits = np.where(differ[0] != 0, bits, np.uint8(128) - _bit_length(differ[1]))
    return cast("Lengths", np.minimum(np.minimum(bits, length[1:]), length[:-1]))


def _bit_length(numbers: npt.NDArray[np.uint64]) -> Lengths:
    top = numbers & ~(numbers >> np.uint64(1))  # the second bit is clear, so that the float is not rounded up
    return np.frexp(top.astype(np.float64))[1].astype(np.uint8)


def order(address: Words, length: Lengths) -> npt.NDArray[np.intp]:
    """
    What sorts prefixes into preorder; equal ones keep their order.
    """
    if len(address) == 1:
        return np.argsort(address[0] | length, kind="stable")
    return np.lexsort((length, address[1], address[0]))


@dataclass(frozen=True, slots=False)
class Radix:
    """
    The nodes in preorder, the first of which is the root of length 0.

    `entry`: the code of the node's own entry, 0 for none. `parent`, `left`, `right`: indices, -1 for none.
    """

    address: Words
    length: Lengths
    entry: Codes
    parent: Index
    left: Index
    right: Index

    @property
    def family(self) -> int:
        """
        AF_INET or AF_INET6.
        """
        return AF_INET if len(self.address) == 1 else AF_INET6

    @cached_property
    def gap(self) -> npt.NDArray[np.int16]:
        """
        How many nodes of the full trie lie between a node and its parent.
        """
        gap = self.length.astype(np.int16) - self.length[self.parent] - np.int16(1)
        gap[0] = 0
        return gap

    @cached_property
    def levels(self) -> list[Index]:
        """
        The nodes of each length, shorter first, without lengths that nobody has.
        """
        by_length = np.argsort(self.length, kind="stable").astype(np.int32)
        return np.split(by_length, np.flatnonzero(np.diff(self.length[by_length])) + 1)

    @cached_property
    def end(self) -> Index:
        """
        The first node after each node's subtree.
        """
        end = np.arange(1, len(self.length) + 1, dtype=np.int32)
        for nodes in reversed(self.levels):
            last = np.where(self.right[nodes] >= 0, self.right[nodes], self.left[nodes])
            inner = last >= 0
            end[nodes[inner]] = end[last[inner]]
        return end


def radix(prefixes: Column, codes: Codes) -> Radix:
    """
    The trie of sorted prefixes without doubles.
    """
    address, length, entry = words(prefixes), cl.lengths(prefixes), codes
    if not len(length) or length[0]:
        address = np.concatenate((np.zeros((len(address), 1), np.uint64), address), axis=1)
        length = np.concatenate((np.zeros(1, np.uint8), length))
        entry = np.concatenate((np.zeros(1, np.int32), entry))
    shared = common(address, length)
    fork = np.flatnonzero(shared < length[:-1])
    shared = shared[fork]
    address = np.concatenate((address, cut(address[:, fork + 1], shared)), axis=1)
    length = np.concatenate((length, shared))
    entry = np.concatenate((entry, np.zeros(len(fork), np.int32)))
    by = order(address, length)
    address, length = address[:, by], length[by]
    new = np.ones(len(by), np.bool_)
    new[1:] = (length[1:] != length[:-1]) | (address[:, 1:] != address[:, :-1]).any(axis=0)
    address, length, entry = address[:, new], length[new], entry[by[new]]
    return _joined(address, length, entry)


def _joined(address: Words, length: Lengths, entry: Codes) -> Radix:
    """A node's parent is the one before it, or the last one before it of the length that both share."""
    size = len(length)
    shared = common(address, length)
    parent = np.arange(-1, size - 1, dtype=np.int32)
    fork = np.flatnonzero(shared < length[:-1])
    by_length = np.argsort(length, kind="stable")
    ranks = length[by_length].astype(np.int64) * size + by_length
    parent[fork + 1] = by_length[ranks.searchsorted(shared[fork].astype(np.int64) * size + fork) - 1]
    left, right = np.full((2, size), -1, np.int32)
    node = np.arange(1, size, dtype=np.int32)
    above = parent[1:]
    is_right = side(address[:, 1:], length[above])
    left[above[~is_right]] = node[~is_right]
    right[above[is_right]] = node[is_right]
    return Radix(address, length, entry, parent, left, right)
