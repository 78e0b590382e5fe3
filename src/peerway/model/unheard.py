"""Routes that we add in bulk, of which the kernel need not tell us: to hear of each takes half as long as to add it.

What the kernel accepted is put into the stream of changes here, in the form that its notification would have had. Why
the table is then as if all had been heard:

- Such a route is plain (`is_plain`) and added with NLM_F_EXCL. So it was accepted where no other stood at its prefix,
  table and metric, and its notification would say ADDED, with exactly the path that we sent.
- What the model makes of a notification depends only on earlier ones of the same prefix, table and metric. Only order
  among these counts. Ours stand before all that is read after them, which is right for whatever happened later.
- What others did to the same prefix, table and metric before, and what is read after, is in the wrong order. It can
  have happened before only if it is read before the stream was once seen to its end, after ours were done; and it can
  have happened after, but was read too early, only if it is read while ours are under way. Whatever is read from the
  begin of ours until that end, and touches one of them, is disputed: only a dump tells what is true then. A dump does
  not end a dispute, for what waited is taken after it.
- What the kernel does in silence (a link goes down) asks for a dump anyway, and all that is done is in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.prefix import Prefix
from peerway.model.route import (
    KINDS,
    RT_SCOPE_UNIVERSE,
    RTN_UNICAST,
    Path,
    RouteChange,
    RouteChangeKind,
    RouteColumns,
    RouteGroup,
)

_ADDED = KINDS.index(RouteChangeKind.ADDED)


def is_plain(path: Path, family: int) -> bool:
    """
    Whether the kernel tells of such a route in the words in which it was added.
    """
    return (
        len(path.nexthops) == 1
        and path.nexthops[0].weight == 1
        and path.metric > 0  # IPv6 has another one for 0
        and path.type == RTN_UNICAST
        and path.tos == path.nexthop_id == 0
        and path.source is None
        and (family == px.AF_INET or path.scope == RT_SCOPE_UNIVERSE)
    )


@dataclass(slots=True, eq=False)
class Work:
    """
    Routes that are being added, or were since the stream was last seen to its end.
    """

    groups: Sequence[RouteGroup]
    done: bool = False


class Unheard:
    """
    Our part of the stream. One thread may `begin` and `end`, another one do the rest.
    """

    def __init__(self) -> None:
        self.work: list[Work] = []
        """What others' changes may dispute; mostly nothing."""
        self._abandoned = False
        self._untold: deque[RouteColumns] = deque()

    def begin(self, groups: Sequence[RouteGroup]) -> Work:
        """
        These are about to be added.
        """
        work = Work(groups)
        self.work.append(work)
        return work

    def end(self, work: Work, refused: Collection[Prefix]) -> None:
        """
        They were added, but for those that the kernel refused.
        """
        gone = cl.columns(refused)
        less = ((path, _less(column, gone)) for path, column in work.groups)
        accepted = [(path, column) for path, column in less if len(column)]
        for path, column in accepted:
            codes = np.zeros(len(column), np.int32)
            self._untold.append(RouteColumns(column, codes, (path,), codes + np.int32(_ADDED)))
        work.groups = accepted
        work.done = True  # after all is there to be taken

    def abandon(self, work: Work) -> None:
        """
        Nobody knows which of them were added.
        """
        self._abandoned = True
        work.done = True

    def take(self) -> tuple[list[RouteColumns], list[Work]]:
        """
        What was added and not told yet, for the place in the stream where its next part begins; and what is disputed no
        more when the stream is seen to its end after this call.
        """
        settled = [work for work in self.work if work.done]
        return [self._untold.popleft() for _ in range(len(self._untold))], settled

    def forget(self, settled: Iterable[Work]) -> None:
        """
        The stream was seen to its end since these were taken.
        """
        for work in settled:
            self.work.remove(work)

    def disputed(self, changes: Iterable[object]) -> bool:
        """
        Whether one of these changes of others touches what is ours, so that the order of the two is not known; or
        something was abandoned.
        """
        abandoned, self._abandoned = self._abandoned, False
        return abandoned or any(self._touches(change) for change in changes)

    def _touches(self, change: object) -> bool:
        match change:
            case RouteChange(_, prefix, path):
                return self._meets(path, cl.make(px.family(prefix), [prefix]))
            case RouteColumns(column, codes, paths):
                return any(self._meets(path, column[codes == code]) for code, path in enumerate(paths))
        return False

    def _meets(self, path: Path, column: Column) -> bool:
        for work in self.work:
            for ours, mine in work.groups:
                if (ours.table, ours.metric) == (path.table, path.metric) and mine.dtype == column.dtype:
                    _, found = cl.place(mine, column)
                    if found.any():
                        return True
        return False


def _less(column: Column, gone: Iterable[Column]) -> Column:
    for some in gone:
        if some.dtype == column.dtype:
            column = cl.without(column, some)
    return column
