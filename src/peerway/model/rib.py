"""The routes that matter, as the kernel holds them: by prefix, in the kernel's order, kept up by notifications.

What the kernel does not say (facts: fib_table_insert, inet6_rt_notify) is handled with care: a replaced IPv4 route is
not named, so where several routes share prefix, table, tos and metric, a replacement leaves doubt, and only a new
dump ends it (`uncertain`). So does an IPv6 multipath route of several protocols. All else is followed exactly, but
for what stands beside routes that are not `relevant`: a replacement may have been of one of those.

What a notification makes of an entry does not depend on the prefix. So it is worked out once for each kind of step, and
remembered: one change is a look-up, and a burst a look-up for each kind of step in it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Final, cast

import numpy as np

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Codes, Column
from peerway.model.prefix import Prefix
from peerway.model.route import KINDS, Path, RouteChange, RouteColumns
from peerway.model.rows import Rows
from peerway.model.siblings import Entry, Steps, in_order, paths_of
from peerway.model.table import Table

FEW: Final = 32  # what is left of a burst that goes step by step
REMEMBERED: Final = 1 << 16


class Rib:
    """
    Routes by prefix. One path stands for itself, several are a tuple in the kernel's order.
    """

    def __init__(self, relevant: Callable[[Path], bool]) -> None:
        """
        `relevant` tells whether a path is worth keeping: it leaves through an interface of ours, or may.
        """
        self.relevant = relevant
        self.entries: Table[Entry] = Table()
        self.uncertain = False
        self.generation = 0  # of the codes of entries: each dump may give them anew
        self._steps = Steps(relevant)
        self._known: dict[tuple[int, int, int], tuple[int, bool]] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self.entries)

    def paths(self, prefix: Prefix) -> tuple[Path, ...]:
        """
        The paths of a prefix, in the kernel's order.
        """
        return paths_of(self.entries.look(prefix))

    def distinct_paths(self) -> set[Path]:
        """
        Each path that any prefix has: a few hundred, even for a full table.
        """
        return {path for entry in self.entries.counts() for path in paths_of(entry)}

    def through_objects(self, ids: Container[int]) -> list[Path]:
        """
        The paths that name one of these nexthop objects; there may be some that no prefix has any more.
        """
        known = {path for entry in self.entries.values_known() for path in paths_of(entry)}
        return [path for path in known if path.nexthop_id in ids]

    def having(self, paths: Iterable[Path]) -> list[Column]:
        """
        The prefixes that have one of these paths.
        """
        wanted = set(paths)
        if not wanted:
            return []
        known = self.entries.values_known()
        return self.entries.having(entry for entry in known if not wanted.isdisjoint(paths_of(entry)))

    # a dump

    def load(
        self, dump: Iterable[RouteColumns], before: Callable[[Prefix, tuple[Path, ...]], None] | None = None
    ) -> list[Column]:
        """
        Take a dump in the place of what is held. Returns the prefixes that differ; `before` is told what they had.
        """
        self._known.clear()  # what is relevant may be something else by now
        self.entries.tidy()
        self.generation += 1
        found: list[Column] = []
        for rows, column, codes in self._read(dump):
            differ = rows.differing(column, codes)
            if before is not None:
                for entry, part in self.entries.groups(differ):
                    for prefix in cl.each(part):
                        before(prefix, paths_of(entry))
            if len(differ):
                rows.replace(column, codes)
                found.append(differ)
        self.uncertain = False
        return found

    def differing(self, dump: Iterable[RouteColumns]) -> list[Column]:
        """
        The prefixes of which a dump says something else than what is held.
        """
        found = [rows.differing(column, codes) for rows, column, codes in self._read(dump)]
        return [column for column in found if len(column)]

    def _read(self, dump: Iterable[RouteColumns]) -> Iterator[tuple[Rows, Column, Codes]]:
        """For each family what is held, and what a dump has instead."""
        parts = {cl.family(part.column): part for part in dump if len(part.column)}
        for family, rows in zip(cl.FAMILIES, self.entries.families, strict=True):
            yield rows, *(self._assembled(parts[family]) if family in parts else (cl.none(family), _NONE))

    def _assembled(self, dump: RouteColumns) -> tuple[Column, Codes]:
        """Sorted rows, those of one prefix made one."""
        own = np.array([self.entries.code(path) for path in dump.paths], np.int32)
        column, codes = dump.column, own[dump.codes]
        if bool((column[1:] > column[:-1]).all()):
            return column, codes
        order = np.argsort(column, kind="stable")
        column, codes = column[order], codes[order]
        begins = np.concatenate(([True], column[1:] != column[:-1]))
        if begins.all():
            return column, codes
        starts = np.flatnonzero(begins)
        together = np.diff(starts, append=len(column))
        result = codes[starts]
        for count in np.unique(together[together > 1]).tolist():
            at = np.flatnonzero(together == count)
            several, which = np.unique(codes[starts[at][:, None] + np.arange(count)], axis=0, return_inverse=True)
            made = [self._together(row) for row in several.tolist()]
            result[at] = np.array(made, np.int32)[which.reshape(-1)]
        return column[starts], result

    def _together(self, codes: Sequence[int]) -> int:
        return self.entries.code(in_order(tuple(path for code in codes for path in paths_of(self.entries.value(code)))))

    # notifications

    def apply(self, change: RouteChange) -> bool:
        """
        Take one notification. Returns whether the prefix differs now.
        """
        kind, prefix, path = change
        entries, v6 = self.entries, prefix >= px.V6
        rows = entries.ipv6 if v6 else entries.ipv4
        before = rows.get(prefix)
        after = self._step(before, KINDS.index(kind), entries.code(path), v6=v6)
        if after == before:
            return False
        rows.set(prefix, after)
        return True

    def apply_many(self, burst: RouteColumns) -> Column:
        """
        Take many notifications of one family, in their order. Returns the prefixes that differ now.
        """
        if burst.kinds is None:
            raise ValueError("a burst of notifications has kinds")
        rows, v6 = self.entries.family(burst.column), burst.column.dtype == cl.IPV6
        order = np.argsort(burst.column, kind="stable")
        column = burst.column[order]
        begins = np.concatenate(([True], column[1:] != column[:-1]))
        starts = np.flatnonzero(begins)
        which = np.cumsum(begins) - 1  # of the prefixes, for each row
        turn = np.arange(len(column)) - starts[which]  # how many of the same prefix came before
        prefixes = column[starts]
        before = rows.find(prefixes)
        paths = np.array([self.entries.code(path) for path in burst.paths], np.int64)
        steps = paths[burst.codes[order]] * len(KINDS) + burst.kinds[order]
        after = self._follow(before.copy(), which, turn, steps, v6=v6)
        differ = after != before
        rows.put(prefixes[differ], after[differ])
        return cast("Column", prefixes[differ])

    def _follow(self, state: Codes, which: Codes, turn: Codes, steps: Codes, *, v6: bool) -> Codes:
        """Turn by turn: the first notification of each prefix, the second of each that has two, and so on."""
        by_turn = np.argsort(turn, kind="stable")
        bounds = np.searchsorted(turn[by_turn], np.arange(int(turn[by_turn[-1]]) + 2))
        for now in range(len(bounds) - 1):
            rest = by_turn[bounds[now] :]
            if len(rest) < FEW or bounds[now + 1] - bounds[now] < FEW:
                for row in rest.tolist():
                    path, kind = divmod(int(steps[row]), len(KINDS))
                    state[which[row]] = self._step(int(state[which[row]]), kind, path, v6=v6)
                break
            mine = by_turn[bounds[now] : bounds[now + 1]]
            at = which[mine]
            wide = int(steps.max()) + 1
            kinds, place = np.unique(state[at].astype(np.int64) * wide + steps[mine], return_inverse=True)
            made = []
            for number in kinds.tolist():
                entry, step = divmod(number, wide)
                path, kind = divmod(step, len(KINDS))
                made.append(self._step(entry, kind, path, v6=v6))
            state[at] = np.array(made, np.int32)[place]
        return state

    def _step(self, before: int, kind: int, path: int, *, v6: bool) -> int:
        """What one notification makes of an entry, in codes."""
        name = before, kind + (len(KINDS) if v6 else 0), path
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            entries = self.entries
            changed = entries.value(path)
            assert isinstance(changed, Path)  # noqa: S101 - it was put in as one
            after, doubt = self._steps.after(paths_of(entries.value(before)), KINDS[kind], changed, v6=v6)
            code = 0 if not after else entries.code(after[0] if len(after) == 1 else after)
            known = self._known[name] = code, doubt
        self.uncertain |= known[1]
        return known[0]


_NONE: Final[Codes] = np.empty(0, np.int32)
