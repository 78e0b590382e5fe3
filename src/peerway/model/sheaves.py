"""Sheaves: columns gathered under names, part after part, and tied together at the end."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Column

K = TypeVar("K", bound=Hashable)

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
