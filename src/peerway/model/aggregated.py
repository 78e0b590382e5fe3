"""What routes give on an interface with `aggregate: true`, and the fewer AllowedIPs that stand for it.

`given` is what `ledger.ours` is elsewhere: prefix to peer, as the rules decide. `entries` is what WireGuard gets in its
place. What others have put there, gateways, and prefixes for which a pinned one waits stand as they are (`fixed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from peerway.model import columns as cl
from peerway.model import radix as rx
from peerway.model.aggregate import Aggregate
from peerway.model.aggregation import aggregated, answers, difference
from peerway.model.columns import Codes, Column
from peerway.model.keys import PublicKey
from peerway.model.ownership import Origin, Verdict
from peerway.model.prefix import Prefix
from peerway.model.table import Table, grouped

Parts = list[tuple[PublicKey | None, Column]]
"""Prefixes by the peer that has them from now on; None for nobody."""

MANY: Final = 5000
"""From so many changes on the whole table is computed again, in columns."""


class Aggregated:
    """
    The state of one interface. `recalled` tells whether `given` goes on from what a former process left.
    """

    def __init__(self) -> None:
        self.given: Table[PublicKey] = Table()
        self.entries: Table[PublicKey] = Table()
        self.recalled = False
        self._fixed: Table[PublicKey] = Table()
        self._peers: list[PublicKey] = []
        self._codes: dict[PublicKey, int] = {}
        self._tries = {family: Aggregate(family) for family in cl.FAMILIES}
        self._behind = False  # whether `given` has what the tries were not told

    def recall(self, parts: Parts) -> None:
        """
        Take what a former process, or the time before aggregation, gave; entries follow with the next change.
        """
        self.given.put_groups(parts)
        self._behind = True

    def change(self, given: Parts, fixed: Parts) -> list[Column]:
        """
        Take what becomes of prefixes; those that stay as they are may be among them. Returns the prefixes whose entry
        differs.
        """
        differ = []
        for family, trie in self._tries.items():
            mine, theirs = _news(self.given, given, family), _news(self._fixed, fixed, family)
            self.given.put_groups(mine)
            self._fixed.put_groups(theirs)
            count = sum(len(column) for _, column in (*mine, *theirs))
            if count > MANY or self._behind:
                changed, codes = trie.replace(*self._table(self.given, family), *self._table(self._fixed, family))
            elif count:
                told = trie.update(self._mapping(mine), self._mapping(theirs))
                ordered = sorted(told)
                changed, codes = cl.make(family, ordered), np.array([told[prefix] for prefix in ordered], np.int32)
            else:
                continue
            differ.append(self._take(changed, codes))
        self._behind = False
        return [column for column in differ if len(column)]

    def _take(self, changed: Column, codes: Codes) -> Column:
        order = np.argsort(changed, kind="stable")
        changed, codes = changed[order], codes[order]
        parts = grouped(changed, codes)
        self.entries.put_groups([(self._peers[code - 1] if code else None, part) for code, part in parts])
        return changed

    def stands(self, prefix: Prefix, verdict: Verdict) -> Verdict:
        """
        The verdict on a prefix, with the entry that stands at it in the place of what was given.
        """
        if verdict.origin not in (None, Origin.LEARNED) or verdict.displaced is not None:
            return verdict
        owner = self.entries.look(prefix)
        return replace(verdict, owner=owner, origin=None if owner is None else Origin.LEARNED)

    def audit(self) -> Callable[[], list[Column]]:
        """
        What finds, perhaps in another thread and later, the entries that were not those that the whole table, as it is
        now, has when it is computed anew. There are none if all is right.
        """
        tables = [
            [self._table(table, family) for table in (self.entries, self.given, self._fixed)] for family in cl.FAMILIES
        ]

        def astray() -> list[Column]:
            found = [difference(*entries, *aggregated(*given, *fixed))[0] for entries, given, fixed in tables]
            return [np.sort(column) for column in found if len(column)]

        return astray

    def _code(self, peer: PublicKey) -> int:
        code = self._codes.get(peer)
        if code is None:
            self._peers.append(peer)
            code = self._codes[peer] = len(self._peers)
        return code

    def _mapping(self, parts: Parts) -> dict[Prefix, int]:
        return {
            prefix: 0 if peer is None else self._code(peer) for peer, column in parts for prefix in cl.prefixes(column)
        }

    def _table(self, table: Table[PublicKey], family: int) -> tuple[Column, Codes]:
        rows = table.family(cl.none(family))
        column, codes = rows.rows()
        own = [0, *(self._code(table.value(code)) for code in range(1, table.codes))]
        return column, np.array(own, np.int32)[codes]


def _news(table: Table[PublicKey], parts: Iterable[tuple[PublicKey | None, Column]], family: int) -> Parts:
    """Those of some changes that change anything."""
    found: Parts = []
    for peer, column in parts:
        if cl.family(column) == family and len(column):
            fresh = column[table.find(column) != (0 if peer is None else table.known(peer) or -1)]
            found += [(peer, fresh)] if len(fresh) else []
    return found


def covering(column: Column, table: Table[PublicKey]) -> list[tuple[PublicKey | None, Column]]:
    """
    Sorted prefixes by the peer that has the longest prefix of a table around each, itself included.
    """
    held, codes = table.family(column).rows()
    both = cl.merged(held, column)
    own = np.zeros(len(both), np.int32)
    own[cl.place(both, held)[0]] = codes
    trie = rx.radix(both, own)
    at, _ = cl.place(rx.column(trie.address, trie.length), column)
    found = grouped(column, answers(trie)[at])
    return [(table.value(code) if code else None, part) for code, part in found]
