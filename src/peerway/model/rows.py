"""Rows of one family: prefixes in order, and a small number, the code, for each. Code 0 is no row.

A sorted column carries the bulk; what came since stands in a small dictionary, and is folded in when it has grown to a
share of the whole, so that each row is moved a few times in its life, and never an object for long.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Codes, Column
from peerway.model.prefix import AF_INET, V6, Prefix

FRESH: Final = 1024  # fresh rows that are never worth folding
SHARE: Final = 8  # fold when an eighth is fresh, or gone
NO_CODES: Final[Codes] = np.empty(0, np.int32)


class Rows:
    """
    A map from the prefixes of one family to codes.
    """

    __slots__ = ("_codes", "_column", "_family", "_fresh", "_gone", "size")

    def __init__(self, family: int) -> None:
        self._family = family
        self._column = cl.none(family)
        self._codes = NO_CODES
        self._fresh: dict[Prefix, int] = {}
        self._gone = 0  # rows of the column with code 0
        self.size = 0

    # one row

    def _at(self, prefix: Prefix) -> int:
        """Where the prefix stands in the column; -1 if it does not."""
        column = self._column
        if not len(column):
            return -1
        wanted: np.uint64 | bytes
        if self._family == AF_INET:
            wanted = np.uint64(prefix)
        else:
            wanted = (prefix ^ V6).to_bytes(cl.WIDTH, "big").rstrip(b"\0")  # as numpy gives an element back
        at = int(column.searchsorted(wanted))
        return at if at < len(column) and column[at] == wanted else -1

    def get(self, prefix: Prefix) -> int:
        """
        The code of a prefix, 0 for none.
        """
        if self._fresh:
            code = self._fresh.get(prefix)
            if code is not None:
                return code
        at = self._at(prefix)
        return 0 if at < 0 else int(self._codes[at])

    def set(self, prefix: Prefix, code: int) -> int:
        """
        Give a prefix a code; 0 takes its row away. Returns the former code.
        """
        fresh = self._fresh
        at = -1 if prefix in fresh else self._at(prefix)
        if at >= 0:
            old = int(self._codes[at])
            self._codes[at] = code
            self._gone += (not code) - (not old)
        else:
            old = fresh.get(prefix, 0)
            if code:
                fresh[prefix] = code
            else:
                fresh.pop(prefix, None)
        self.size += bool(code) - bool(old)
        if len(fresh) > FRESH:
            self._fold_if_due()
        return old

    # many rows

    def find(self, wanted: Column) -> Codes:
        """
        The code of each wanted prefix, 0 for none.
        """
        if not self._fresh and cl.same(wanted, self._column):
            return self._codes.copy()
        at, found = cl.place(self._column, wanted)
        if not len(self._column):
            codes = np.zeros(len(wanted), np.int32)
        else:
            codes = np.where(found, self._codes[at], 0).astype(np.int32, copy=False)
        if self._fresh:
            missing = np.flatnonzero(~found)
            fresh = self._fresh
            codes[missing] = [fresh.get(prefix, 0) for prefix in cl.prefixes(wanted[missing])]
        return codes

    def put(self, wanted: Column, codes: Codes) -> None:
        """
        Give prefixes their codes, 0 to take them away. `wanted` is sorted and without doubles.
        """
        if not self.size and not self._fresh:
            self.replace(wanted, codes.copy())
            return
        at, found = cl.place(self._column, wanted)
        if found.any():
            old = self._codes[at[found]]
            new = codes[found]
            self._codes[at[found]] = new
            change = int(np.count_nonzero(new)) - int(np.count_nonzero(old))
            self.size += change
            self._gone -= change
        if not found.all():
            self._add(wanted[~found], codes[~found])
        self._fold_if_due()

    def _add(self, wanted: Column, codes: Codes) -> None:
        if len(wanted) > max(FRESH, len(self._column) // SHARE):
            if self._fresh:
                self.fold()
                self.put(wanted, codes)
            else:
                self._merge(wanted[codes != 0], codes[codes != 0])
            return
        fresh, before = self._fresh, len(self._fresh)
        fresh.update(zip(cl.prefixes(wanted), codes.tolist(), strict=True))
        for prefix in cl.prefixes(wanted[codes == 0]):
            del fresh[prefix]
        self.size += len(fresh) - before

    def replace(self, column: Column, codes: Codes) -> None:
        """
        Take these rows in the place of all. `column` is sorted and without doubles; `codes` are ours from now on.
        """
        self._fresh = {}
        self._column, self._codes = column, codes
        self.size = int(np.count_nonzero(codes))
        self._gone = len(codes) - self.size

    def rows(self) -> tuple[Column, Codes]:
        """
        All rows, in order. The codes are a copy only if something is missing: do not keep them.
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

    def _fold_if_due(self) -> None:
        if max(len(self._fresh), self._gone) > max(FRESH, len(self._column) // SHARE):
            self.fold()

    def fold(self) -> None:
        """
        Bring all rows into the column, and those that are gone out of it.
        """
        if self._gone:
            live = self._codes != 0
            self._column, self._codes, self._gone = self._column[live], self._codes[live], 0
        if self._fresh:
            fresh, self._fresh = self._fresh, {}
            order = sorted(fresh)
            self.size -= len(order)
            self._merge(cl.make(self._family, order), np.array([fresh[prefix] for prefix in order], np.int32))

    def _merge(self, column: Column, codes: Codes) -> None:
        """Bring in sorted rows of which none stands in the column."""
        self.size += len(column)
        if not len(self._column):
            self._column, self._codes = column, codes
            return
        at = self._column.searchsorted(column)
        self._column = np.insert(self._column, at, column)
        self._codes = np.insert(self._codes, at, codes)

    def recode(self, new: Codes) -> None:
        """
        Replace each code by `new[code]`.
        """
        self._codes = new[self._codes]
        self._fresh = {prefix: int(new[code]) for prefix, code in self._fresh.items()}
