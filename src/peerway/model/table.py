"""A table: one value for each of up to millions of prefixes, of which there are few different ones.

It is a mapping for whoever asks for one prefix, and columns for whoever decides about many: a value is interned, and a
row holds its code. Code 0 means no row.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, MutableMapping
from typing import Final, Generic, TypeVar, cast

import numpy as np
from typing_extensions import override

from peerway.model import columns as cl
from peerway.model.columns import Codes, Column
from peerway.model.prefix import AF_INET, AF_INET6, V6, Prefix
from peerway.model.rows import Rows

V = TypeVar("V", bound=Hashable)
W = TypeVar("W", bound=Hashable)

SPARE: Final = 1 << 16  # values that may be known and unused


class Table(MutableMapping[Prefix, V], Generic[V]):
    """
    Values by prefix. Iteration is in the order of prefixes.
    """

    __slots__ = ("_by_id", "_codes", "_used", "_values", "ipv4", "ipv6")

    def __init__(self, items: Mapping[Prefix, V] | Iterable[tuple[Prefix, V]] = ()) -> None:
        self.ipv4 = Rows(AF_INET)
        self.ipv6 = Rows(AF_INET6)
        self._values: list[V] = [cast("V", None)]
        self._codes: dict[V, int] = {}
        self._by_id: dict[int, int] = {}  # of values that are held here, so that their identity stays theirs
        self._used = 0
        self.update(items)

    # codes

    def code(self, value: V) -> int:
        """
        The code of a value, which is made if there is none.
        """
        code = self._by_id.get(id(value))
        if code is None:
            code = self._codes.get(value)
            if code is None:
                code = self._learn(value)
        return code

    def known(self, value: V) -> int:
        """
        The code of a value, 0 if no row ever had it.
        """
        return self._codes.get(value, 0)

    def value(self, code: int) -> V:
        """
        The value of a code other than 0.
        """
        return self._values[code]

    def values_known(self) -> list[V]:
        """
        The values that rows have, and some that rows had: quicker than `counts`.
        """
        return self._values[1:]

    @property
    def codes(self) -> int:
        """
        How many codes there are; each is smaller.
        """
        return len(self._values)

    def _learn(self, value: V) -> int:
        code = self._codes[value] = self._by_id[id(value)] = len(self._values)
        self._values.append(value)
        return code

    def tidy(self) -> None:
        """
        Forget values that no row has, if they have become many. Codes that somebody kept are void then.
        """
        if len(self._values) <= 2 * self._used + SPARE:
            return
        used = np.zeros(len(self._values), np.bool_)
        for rows in self.families:
            used[rows.rows()[1]] = True
        used[0] = True
        new = np.cumsum(used, dtype=np.int32) - np.int32(1)
        for rows in self.families:
            rows.recode(new)
        self._values = [value for value, use in zip(self._values, used.tolist(), strict=True) if use]
        self._codes = {value: code for code, value in enumerate(self._values) if code}
        self._by_id = {id(value): code for code, value in enumerate(self._values) if code}
        self._used = len(self._values)

    # columns

    @property
    def families(self) -> tuple[Rows, Rows]:
        """
        The rows of both families.
        """
        return self.ipv4, self.ipv6

    def family(self, column: Column) -> Rows:
        """
        The rows of a column's family.
        """
        return self.ipv4 if column.dtype == cl.IPV4 else self.ipv6

    def find(self, column: Column) -> Codes:
        """
        The code of each prefix, 0 for none.
        """
        return self.family(column).find(column)

    def put(self, column: Column, value: V | None) -> None:
        """
        Give one value to many prefixes, sorted and without doubles; None takes their rows away.
        """
        if len(column) == 1:
            self._set(cl.first(column), 0 if value is None else self.code(value))
        elif len(column):
            code = 0 if value is None else self.code(value)
            self.family(column).put(column, np.full(len(column), code, np.int32))

    def put_groups(self, groups: Iterable[tuple[V | None, Column]]) -> None:
        """
        Give each group of prefixes its value, None takes their rows away. No prefix stands in two groups.
        """
        groups = [*groups]
        if len(groups) < 2:
            for value, column in groups:
                self.put(column, value)
            return
        parts: tuple[list[tuple[int, Column]], list[tuple[int, Column]]] = ([], [])
        for value, column in groups:
            if len(column):
                parts[column.dtype == cl.IPV6].append((0 if value is None else self.code(value), column))
        for rows, some in zip(self.families, parts, strict=True):
            if some:
                column = np.concatenate([column for _, column in some])
                codes = np.repeat([code for code, _ in some], [len(part) for _, part in some]).astype(np.int32)
                order = np.argsort(column, kind="stable")
                rows.put(column[order], codes[order])

    def where(self, codes: Iterable[int]) -> list[Column]:
        """
        The prefixes whose row has one of these codes.
        """
        chosen = np.zeros(len(self._values), np.bool_)
        chosen[[code for code in codes if code]] = True
        if not chosen.any():
            return []
        found = [cl.pick(column, chosen[held]) for column, held in (rows.rows() for rows in self.families)]
        return [column for column in found if len(column)]

    def share(self, other: Table[W]) -> None:
        """
        Keep one column for both tables where the prefixes of a family are the same.
        """
        for mine, theirs in zip(self.families, other.families, strict=True):
            mine.share(theirs)

    def counts(self) -> dict[V, int]:
        """
        How many rows each value has.
        """
        total = np.zeros(len(self._values), np.int64)
        for rows in self.families:
            total += np.bincount(rows.rows()[1], minlength=len(self._values))
        return {self._values[code]: int(total[code]) for code in np.flatnonzero(total).tolist() if code}

    def having(self, values: Iterable[V]) -> list[Column]:
        """
        The prefixes whose row has one of these values.
        """
        return self.where(map(self.known, values))

    def columns(self) -> list[Column]:
        """
        All prefixes, in order, one column for each family that has any.
        """
        return [column for column, _ in (rows.rows() for rows in self.families) if len(column)]

    def groups(self, column: Column) -> Iterator[tuple[V | None, Column]]:
        """
        Sorted prefixes by what they have here, None for nothing.
        """
        for code, part in grouped(column, self.find(column)):
            yield (self._values[code] if code else None), part

    def differing(self, other: Table[V]) -> list[Column]:
        """
        The prefixes whose value is another in `other`, or that only one of both has.
        """
        translated = np.zeros(len(other._values), np.int32)
        for code, value in enumerate(other._values):
            translated[code] = (self._codes.get(value) or -code) if code else 0
        found = []
        for mine, theirs in zip(self.families, other.families, strict=True):
            column, codes = theirs.rows()
            differ = mine.differing(column, translated[codes])
            if len(differ):
                found.append(differ)
        return found

    # the mapping

    def _set(self, prefix: Prefix, code: int) -> int:
        return (self.ipv6 if prefix >= V6 else self.ipv4).set(prefix, code)

    @override
    def __getitem__(self, prefix: Prefix) -> V:
        code = self.code_at(prefix)
        if not code:
            raise KeyError(prefix)
        return self._values[code]

    @override
    def __contains__(self, prefix: object) -> bool:
        return bool(self.code_at(cast("Prefix", prefix)))

    def code_at(self, prefix: Prefix) -> int:
        """
        The code of a prefix, 0 for none.
        """
        return (self.ipv6 if prefix >= V6 else self.ipv4).get(prefix)

    def look(self, prefix: Prefix) -> V | None:
        """
        The value of a prefix, None for none; quicker than `get`.
        """
        code = (self.ipv6 if prefix >= V6 else self.ipv4).get(prefix)
        return self._values[code] if code else None

    @override
    def __setitem__(self, prefix: Prefix, value: V) -> None:
        self._set(prefix, self.code(value))

    @override
    def __delitem__(self, prefix: Prefix) -> None:
        if not self._set(prefix, 0):
            raise KeyError(prefix)

    def drop(self, prefix: Prefix) -> V | None:
        """
        Take a row away. Returns its value, None if there was none.
        """
        code = self._set(prefix, 0)
        return self._values[code] if code else None

    @override
    def __len__(self) -> int:
        return self.ipv4.size + self.ipv6.size

    def __bool__(self) -> bool:
        return bool(self.ipv4.size or self.ipv6.size)

    @override
    def __iter__(self) -> Iterator[Prefix]:
        for rows in self.families:
            yield from cl.each(rows.rows()[0])

    @override
    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    @override
    def __repr__(self) -> str:
        return f"Table({dict(self)!r})"


def grouped(column: Column, codes: Codes) -> Iterator[tuple[int, Column]]:
    """
    A column cut by code, each part in the order of the whole.
    """
    if not len(column):
        return
    low, high = int(codes.min()), int(codes.max())
    if low == high:
        yield low, column
        return
    narrow = codes.astype(np.uint16) if low >= 0 and high < 1 << 16 else codes  # sorted by counting
    order = np.argsort(narrow, kind="stable")
    in_order = codes[order]
    cuts = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
    for part in np.split(order, cuts):
        yield int(codes[part[0]]), column[part]
