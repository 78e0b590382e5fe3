"""The ledger: our memory of which AllowedIPs are ours, and which pinned ones are displaced by ours.

AllowedIPs carry no mark of origin, so this is all that tells our work from other people's. It is written ahead: before
a prefix is given to a peer, "ours at that peer" is on record; only after it was taken away again, the record goes. A
process killed at any instant leaves at most too many candidates, and the device tells which of them is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import assert_never

from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix


class Op(IntEnum):
    """
    What a record says about a prefix and a peer.
    """

    OURS = 1  # we give the prefix to the peer, or already have
    DROPPED = 2  # it is no longer ours at that peer
    DISPLACING = 3  # somebody pinned it to that peer, and we are about to take it for a route, or to give it back
    DISPLACED = 4  # the same, and it was done
    RETURNED = 5  # no longer displaced


Entry = tuple[Op, Prefix, PublicKey]


@dataclass(frozen=True, slots=True)
class Record:
    """
    One thing said about many prefixes at one peer.
    """

    op: Op
    peer: PublicKey
    prefixes: tuple[Prefix, ...]


@dataclass(slots=True)
class Memory:
    """
    What the records of a killed process say: for each prefix, every peer at which it may be ours; and which pinned
    ones are displaced, or were in between.
    """

    maybe: dict[Prefix, set[PublicKey]] = field(default_factory=dict)
    displaced: dict[Prefix, PublicKey] = field(default_factory=dict)
    displacing: dict[Prefix, PublicKey] = field(default_factory=dict)

    def replay(self, records: Iterable[Record]) -> None:
        """
        Take records in the order in which they were written.
        """
        for record in records:
            for prefix in record.prefixes:
                self._take(record.op, prefix, record.peer)

    def _take(self, op: Op, prefix: Prefix, peer: PublicKey) -> None:
        match op:
            case Op.OURS:
                self.maybe.setdefault(prefix, set()).add(peer)
            case Op.DROPPED:
                peers = self.maybe.get(prefix, set())
                peers.discard(peer)
                if not peers:
                    self.maybe.pop(prefix, None)
            case Op.DISPLACING:
                self.displaced.pop(prefix, None)
                self.displacing[prefix] = peer
            case Op.DISPLACED:
                self.displacing.pop(prefix, None)
                self.displaced[prefix] = peer
            case Op.RETURNED:
                self.displacing.pop(prefix, None)
                self.displaced.pop(prefix, None)
            case _:
                assert_never(op)


class Ledger:
    """
    The present truth of one interface: `ours` are the prefixes that we gave, `displaced` the pinned ones that wait.
    """

    def __init__(self) -> None:
        self.ours: dict[Prefix, PublicKey] = {}
        self.displaced: dict[Prefix, PublicKey] = {}

    def settle(self, memory: Memory, allowed_ips: Mapping[Prefix, PublicKey], peers: Iterable[PublicKey]) -> None:
        """
        Compare a memory with what the device holds: a prefix is ours only where both say so. A displaced pin counts
        while its peer exists and the prefix is ours or free; what somebody else holds by now is theirs. One that was
        in between counts only while it is displaced: the prefix is ours, or went with a peer that had it by us.
        """
        existing = set(peers)
        self.ours = {
            prefix: owner
            for prefix, candidates in memory.maybe.items()
            if (owner := allowed_ips.get(prefix)) is not None and owner in candidates
        }
        self.displaced = {
            prefix: peer
            for prefix, peer in memory.displaced.items()
            if peer in existing and (prefix in self.ours or prefix not in allowed_ips)
        }
        for prefix, peer in memory.displacing.items():
            mine = self.ours.get(prefix)
            went = prefix not in allowed_ips and not memory.maybe.get(prefix, existing) <= existing
            if peer in existing and (went or mine not in (None, peer)):
                self.displaced[prefix] = peer

    def records(self) -> list[Record]:
        """
        The shortest list of records that says all of this.
        """
        return records_of(
            [(Op.OURS, prefix, peer) for prefix, peer in self.ours.items()]
            + [(Op.DISPLACED, prefix, peer) for prefix, peer in self.displaced.items()]
        )


def records_of(entries: Iterable[Entry]) -> list[Record]:
    """
    Entries gathered by operation and peer, in the order of their first appearance.

    The order of two entries about one prefix is kept only between different operations or peers that first appear in
    that order, so write what must be ordered in separate calls.
    """
    gathered: dict[tuple[Op, PublicKey], list[Prefix]] = {}
    for op, prefix, peer in entries:
        gathered.setdefault((op, peer), []).append(prefix)
    return [Record(op, peer, tuple(prefixes)) for (op, peer), prefixes in gathered.items()]
