"""The ledger: our memory of which AllowedIPs are ours, and which pinned ones are displaced by ours.

AllowedIPs carry no mark of origin, so this is all that tells our work from other people's. It is written ahead: before
a prefix is given to a peer, "ours at that peer" is on record; only after it was taken away again, the record goes. A
process killed at any instant leaves at most too many candidates, and the device tells which of them is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple, assert_never

from peerway.model.columns import Column
from peerway.model.device import AllowedIPs
from peerway.model.keys import PublicKey
from peerway.model.table import Table


class Op(IntEnum):
    """
    What a record says about a prefix and a peer.
    """

    OURS = 1  # we give the prefix to the peer, or already have
    DROPPED = 2  # it is no longer ours at that peer
    DISPLACING = 3  # somebody pinned it to that peer, and we are about to take it for a route, or to give it back
    DISPLACED = 4  # the same, and it was done
    RETURNED = 5  # no longer displaced


class Record(NamedTuple):
    """
    One thing said about many prefixes of one family, sorted and without doubles, at one peer.
    """

    op: Op
    peer: PublicKey
    column: Column


Candidates = frozenset[PublicKey]


class Memory:
    """
    What the records of a killed process say: for each prefix, every peer at which it may be ours; and which pinned
    ones are displaced, or were in between.
    """

    def __init__(self) -> None:
        self.maybe: Table[Candidates] = Table()
        self.displaced: Table[PublicKey] = Table()
        self.displacing: Table[PublicKey] = Table()

    def replay(self, records: Iterable[Record]) -> None:
        """
        Take records in the order in which they were written.
        """
        for record in records:
            self._take(record.op, record.column, record.peer)

    def _take(self, op: Op, column: Column, peer: PublicKey) -> None:
        match op:
            case Op.OURS:
                self.maybe.put_groups([((some or Candidates()) | {peer}, at) for some, at in self.maybe.groups(column)])
            case Op.DROPPED:
                groups = [((some or Candidates()) - {peer}, at) for some, at in self.maybe.groups(column)]
                self.maybe.put_groups([(some or None, at) for some, at in groups])
            case Op.DISPLACING:
                self.displaced.put(column, None)
                self.displacing.put(column, peer)
            case Op.DISPLACED:
                self.displacing.put(column, None)
                self.displaced.put(column, peer)
            case Op.RETURNED:
                self.displacing.put(column, None)
                self.displaced.put(column, None)
            case _:
                assert_never(op)


class Ledger:
    """
    The present truth of one interface: `ours` are the prefixes that we gave, `displaced` the pinned ones that wait.
    """

    def __init__(self) -> None:
        self.ours: Table[PublicKey] = Table()
        self.displaced: Table[PublicKey] = Table()

    def settle(self, memory: Memory, allowed_ips: AllowedIPs, peers: Iterable[PublicKey]) -> None:
        """
        Compare a memory with what the device holds: a prefix is ours only where both say so. A displaced pin counts
        while its peer exists and the prefix is ours or free; what somebody else holds by now is theirs. One that was
        in between counts only while it is displaced: the prefix is ours, or went with a peer that had it by us.
        """
        existing = frozenset(peers)
        self.ours, self.displaced = Table(), Table()
        self.ours.put_groups(
            [
                (owner, part)
                for column in memory.maybe.columns()
                for candidates, some in memory.maybe.groups(column)
                for owner, part in allowed_ips.groups(some)
                if owner is not None and candidates is not None and owner in candidates
            ]
        )
        self.displaced.put_groups([*self._waiting(memory, allowed_ips, existing)])
        self.displaced.put_groups([*self._in_between(memory, allowed_ips, existing)])

    def _waiting(
        self, memory: Memory, allowed_ips: AllowedIPs, existing: Candidates
    ) -> Iterator[tuple[PublicKey, Column]]:
        for column in memory.displaced.columns():
            for peer, part in memory.displaced.groups(column):
                free = part[(self.ours.find(part) != 0) | (allowed_ips.find(part) == 0)]
                if peer in existing and len(free):
                    yield peer, free

    def _in_between(
        self, memory: Memory, allowed_ips: AllowedIPs, existing: Candidates
    ) -> Iterator[tuple[PublicKey, Column]]:
        for column in memory.displacing.columns():
            for peer, some in memory.displacing.groups(column):
                for mine, part in self.ours.groups(some):
                    for candidates, few in memory.maybe.groups(part):
                        went = few[allowed_ips.find(few) == 0] if not (candidates or existing) <= existing else few[:0]
                        found = few if mine not in (None, peer) else went
                        if peer in existing and len(found):
                            yield peer, found

    def records(self) -> list[Record]:
        """
        The shortest list of records that says all of this.
        """
        return [
            Record(op, peer, part)
            for op, table in ((Op.OURS, self.ours), (Op.DISPLACED, self.displaced))
            for column in table.columns()
            for peer, part in table.groups(column)
            if peer is not None
        ]
