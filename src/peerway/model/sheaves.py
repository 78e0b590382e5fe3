"""Sheaves: columns gathered under names, part after part, and tied together at the end."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from operator import itemgetter
from typing import Final, TypeVar

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Column
from peerway.model.table import grouped

K = TypeVar("K", bound=Hashable)

FEW: Final = 32  # names

Sheaves = list[tuple[K, Column]]
"""Prefixes by name: each part sorted and of one family; a prefix comes once under a name."""


def tied(parts: Sheaves[K]) -> Sheaves[K]:
    """
    One part for each name and family, in the order in which they came first. The same list if it is so already.
    """
    if len(parts) < 2:
        return parts
    sheaves: dict[tuple[K, int], list[Column]] = {}
    for name, column in parts:
        sheaves.setdefault((name, cl.family(column)), []).append(column)
    return [(name, some[0] if len(some) == 1 else np.sort(np.concatenate(some))) for (name, _), some in sheaves.items()]


def together(parts: Iterable[tuple[K, Column]]) -> Sequence[Column]:
    """
    All prefixes, sorted, one column for each family that has any.
    """
    found = []
    columns = [column for _, column in parts]
    for dtype in (cl.IPV4, cl.IPV6):
        some = [column for column in columns if column.dtype == dtype]
        if some:
            found.append(some[0] if len(some) == 1 else cl.unique(np.sort(np.concatenate(some))))
    return found


def short_first(parts: Iterable[tuple[K, Column]]) -> Sheaves[K]:
    """
    The same prefixes, each part of IPv4 cut by length, shorter ones first: Linux (fib_trie.c) takes them so in less
    time than in the order of addresses. Of a few names shorter ones of all come first; of many each name stays
    together, for Linux looks for a route's next hops in a chain of all that it has (fib_find_info), the latest first.
    """
    found: list[tuple[int, K, Column]] = []
    for name, column in parts:
        if column.dtype == cl.IPV4:
            found += [(length, name, some) for length, some in grouped(column, cl.lengths(column).astype(np.int32))]
        else:
            found.append((0, name, column))
    if len({name for _, name, _ in found}) <= FEW:
        found.sort(key=itemgetter(0))
    return [(name, column) for _, name, column in found]
