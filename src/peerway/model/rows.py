"""Rows of one family: prefixes in order, and a small number, the code, for each. Code 0 is no row.

A sorted column carries the bulk; what came since stands in a young one, and single rows first in a small dictionary.
The young column is folded in when it has grown to a share of the whole, so that each row is moved a few times in its
life, and is an object never for long. The bulk's codes are as narrow as the largest of them allows: a byte or two for
each row of a full table, which has a few hundred different values.
"""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from peerway.model import columns as cl
from peerway.model.columns import Codes, Column
from peerway.model.prefix import V6, Prefix

FRESH: Final = 1024  # fresh rows that are never worth folding
SHARE: Final = 8  # fold when an eighth is fresh, or gone
NO_CODES: Final[Codes] = np.empty(0, np.int32)
Packed = npt.NDArray[np.unsignedinteger[Any]]
"""Codes as narrow as they can be."""


class _Last:
    """
    The prefix that was found last, as an element of a column, and where it stood. Tables that belong together have the
    same rows, so it often stands there in the next one too, and is not searched for again.
    """

    __slots__ = ("at", "element", "prefix")

    def __init__(self) -> None:
        self.prefix, self.at = -1, 0
        self.element: int | bytes = 0


_LAST: Final = _Last()


def _place(column: Column, prefix: Prefix) -> int:
    """Where the prefix stands in a column of its family; -1 if it does not."""
    last = _LAST
    if last.prefix == prefix and last.at < len(column) and column.item(last.at) == last.element:
        return last.at
    element: int | bytes
    if prefix < V6:
        element = prefix
        at = int(column.searchsorted(np.uint64(prefix)))
    else:
        element = (prefix ^ V6).to_bytes(cl.WIDTH, "big").rstrip(b"\0")  # as numpy gives an element back
        at = int(column.searchsorted(element))
    if at == len(column) or column.item(at) != element:
        return -1
    last.prefix, last.at, last.element = prefix, at, element
    return at


class Rows:
    """
    A map from the prefixes of one family to codes.
    """

    __slots__ = ("_codes", "_column", "_family", "_fresh", "_gone", "_most", "_young", "_young_codes", "size")

    def __init__(self, family: int) -> None:
        self._family = family
        self._column = self._young = cl.none(family)
        self._codes: Packed
        self._keep(NO_CODES)
        self._young_codes = NO_CODES
        self._fresh: dict[Prefix, int] = {}
        self._gone = 0  # rows of both columns with code 0
        self.size = 0

    def _keep(self, codes: Codes | Packed) -> None:
        """Hold the codes of the whole column, packed."""
        self._codes = codes.astype(np.min_scalar_type(int(codes.max(initial=0))))
        self._most = int(np.iinfo(self._codes.dtype).max)  # what fits

    def _make_room(self, most: int) -> None:
        """Let a code of this size fit."""
        if most > self._most:
            self._codes = self._codes.astype(np.min_scalar_type(most))
            self._most = int(np.iinfo(self._codes.dtype).max)

    # one row

    def get(self, prefix: Prefix) -> int:
        """
        The code of a prefix, 0 for none.
        """
        if prefix in self._fresh:
            return self._fresh[prefix]
        codes: Packed | Codes = self._codes
        at = _place(self._column, prefix)
        if at < 0:
            codes = self._young_codes
            at = _place(self._young, prefix) if len(codes) else -1
        code: int = codes.item(at) if at >= 0 else 0
        return code

    def set(self, prefix: Prefix, code: int) -> int:
        """
        Give a prefix a code; 0 takes its row away. Returns the former code.
        """
        fresh = self._fresh
        if code > self._most:
            self._make_room(code)
        if prefix not in fresh:
            codes: Packed | Codes = self._codes
            at = _place(self._column, prefix)
            if at < 0:
                codes = self._young_codes
                at = _place(self._young, prefix) if len(codes) else -1
            if at >= 0:
                old: int = codes.item(at)
                codes[at] = code
                if not (old and code):
                    self._gone += (not code) - (not old)
                    self.size += bool(code) - bool(old)
                return old
        old = fresh.get(prefix, 0)
        if code:
            fresh[prefix] = code
        else:
            fresh.pop(prefix, None)
        self.size += bool(code) - bool(old)
        if len(fresh) > FRESH:
            self._ripen()
        return old

    # many rows

    def find(self, wanted: Column) -> Codes:
        """
        The code of each wanted prefix, 0 for none.
        """
        self._ripen()
        if not len(self._young) and cl.same(wanted, self._column):
            return self._codes.astype(np.int32)
        codes = np.zeros(len(wanted), np.int32)
        for column, held in ((self._column, self._codes), (self._young, self._young_codes)):
            if len(column):
                at, found = cl.place(column, wanted)
                np.copyto(codes, held[at], where=found)
        return codes

    def put(self, wanted: Column, codes: Codes) -> None:
        """
        Give prefixes their codes, 0 to take them away. `wanted` is sorted and without doubles.
        """
        self._ripen()
        if not self.size:
            self.replace(wanted, codes)
            return
        self._make_room(int(codes.max(initial=0)))
        missing = np.ones(len(wanted), np.bool_)
        for column, held in ((self._column, self._codes), (self._young, self._young_codes)):
            if not len(column):
                continue
            at, found = cl.place(column, wanted)
            if found.any():
                at, new = at[found], codes[found]
                change = int(np.count_nonzero(new)) - int(np.count_nonzero(held[at]))
                held[at] = new
                self.size += change
                self._gone -= change
                missing &= ~found
        missing &= codes != 0
        if missing.any():
            self._add(wanted[missing], codes[missing])
        self._fold_if_due()

    def _add(self, column: Column, codes: Codes) -> None:
        """Bring in sorted rows of which none stands here."""
        self.size += len(column)
        if len(self._young):
            at = self._young.searchsorted(column)
            column = np.insert(self._young, at, column)
            codes = np.insert(self._young_codes, at, codes)
        self._young, self._young_codes = column, codes

    def replace(self, column: Column, codes: Codes) -> None:
        """
        Take these rows in the place of all. `column` is sorted and without doubles.
        """
        self._fresh = {}
        self._young, self._young_codes = cl.none(self._family), NO_CODES
        self._column = column
        self._keep(codes)
        self.size = int(np.count_nonzero(codes))
        self._gone = len(codes) - self.size

    def rows(self) -> tuple[Column, Packed]:
        """
        All rows, in order. The codes are our own: do not keep them.
        """
        self.fold()
        return self._column, self._codes

    def differing(self, column: Column, codes: Codes) -> Column:
        """
        The prefixes whose code is another in these sorted rows, or that only one side has.
        """
        held, own = self.rows()
        if cl.same(held, column):
            return cast("Column", column[own != codes])
        differ: Column = column[self.find(column) != codes]
        if self.size == len(column) and not len(differ):
            return differ
        return cl.merged(differ, cl.without(held, column))

    def share(self, other: Rows) -> None:
        """
        Keep one column for both where the prefixes are the same.
        """
        other.fold()
        self.fold()
        if cl.same(self._column, other._column):
            self._column = other._column

    # upkeep

    def _ripen(self) -> None:
        """Bring single rows into the young column."""
        if self._fresh:
            fresh, self._fresh = self._fresh, {}
            order = sorted(fresh)
            self.size -= len(order)
            self._add(cl.make(self._family, order), np.array([fresh[prefix] for prefix in order], np.int32))
            self._fold_if_due()

    def _fold_if_due(self) -> None:
        if max(len(self._young), self._gone) > max(FRESH, len(self._column) // SHARE):
            self.fold()

    def fold(self) -> None:
        """
        Bring all rows into one column, and those that are gone out of it.
        """
        self._ripen()
        if len(self._young):
            young, codes = self._young, self._young_codes
            self._young, self._young_codes = cl.none(self._family), NO_CODES
            if len(self._column):
                at = self._column.searchsorted(young)
                self._column, self._codes = np.insert(self._column, at, young), np.insert(self._codes, at, codes)
            else:
                self._column = young
                self._keep(codes)
        if self._gone:
            live = self._codes != 0
            self._column, self._codes, self._gone = self._column[live], self._codes[live], 0

    def recode(self, new: Codes) -> None:
        """
        Replace each code by `new[code]`.
        """
        self.fold()
        self._keep(new[self._codes])
