"""Sheaves: columns gathered under a name each, a part at a time, and tied together at the end."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Column

K = TypeVar("K", bound=Hashable)


class Sheaves(Generic[K]):
    """
    For each name its prefixes, in the order in which the names came first. A prefix comes once under a name.
    """

    __slots__ = ("_parts",)

    def __init__(self, items: Iterable[tuple[K, Column]] = ()) -> None:
        self._parts: dict[tuple[K, int], list[Column]] = {}
        for name, column in items:
            self.add(name, column)

    def add(self, name: K, column: Column) -> None:
        """
        Put prefixes, sorted and of one family, under a name.
        """
        self._parts.setdefault((name, cl.family(column)), []).append(column)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __iter__(self) -> Iterator[tuple[K, Column]]:
        for (name, _), parts in self._parts.items():
            yield name, parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))

    def __len__(self) -> int:
        return sum(len(part) for parts in self._parts.values() for part in parts)

    def columns(self) -> list[Column]:
        """
        All prefixes, sorted, one column for each family that has any.
        """
        found = []
        for family in cl.FAMILIES:
            parts = [part for (_, of), parts in self._parts.items() if of == family for part in parts]
            if parts:
                found.append(cl.unique(np.sort(np.concatenate(parts))) if len(parts) > 1 else parts[0])
        return found
