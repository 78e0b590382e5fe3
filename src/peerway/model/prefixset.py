"""A set of prefixes, few or many: what must be decided again. Few are objects, many are columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from typing_extensions import override

from peerway.model import columns as cl
from peerway.model.columns import Column
from peerway.model.prefix import Prefix


class PrefixSet:
    """
    Prefixes to be taken up by someone.
    """

    __slots__ = ("_few", "_many")

    def __init__(self, prefixes: Iterable[Prefix] = ()) -> None:
        self._few: set[Prefix] = set(prefixes)
        self._many: list[Column] = []

    def add(self, prefix: Prefix) -> None:
        """
        Put in one prefix.
        """
        self._few.add(prefix)

    def update(self, *others: Iterable[Prefix]) -> None:
        """
        Put in prefixes one by one.
        """
        self._few.update(*others)

    def add_columns(self, columns: Iterable[Column]) -> None:
        """
        Put in sorted columns.
        """
        self._many.extend(column for column in columns if len(column))

    def __bool__(self) -> bool:
        return bool(self._few or self._many)

    def drain(self) -> list[Column]:
        """
        Take all out, as one sorted column for each family that has any.
        """
        few, many = self._few, self._many
        if not (few or many):
            return []
        self._few, self._many = set(), []
        if len(few) == 1 and not many:
            return [cl.one(*few)]
        parts = cl.columns(few) + many if few else many
        drained = []
        for dtype in (cl.IPV4, cl.IPV6):
            mine = [part for part in parts if part.dtype == dtype]
            if mine:
                drained.append(cl.union(mine))
        return drained

    def clear(self) -> None:
        """
        Take all out.
        """
        self._few, self._many = set(), []

    def __len__(self) -> int:
        return sum(map(len, self._whole()))

    def __iter__(self) -> Iterator[Prefix]:
        for column in self._whole():
            yield from cl.each(column)

    def __contains__(self, prefix: Prefix) -> bool:
        return prefix in self._few or any(prefix in cl.prefixes(column) for column in self._many)

    @override
    def __eq__(self, other: object) -> bool:
        return set(self) == set(other) if isinstance(other, PrefixSet | set | frozenset) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _whole(self) -> list[Column]:
        columns = self.drain()
        self.add_columns(columns)
        return columns

    @override
    def __repr__(self) -> str:
        return f"PrefixSet({sorted(self)!r})"
