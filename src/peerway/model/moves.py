"""Moves: prefixes that are ours, and whose routes name one peer, whoever has them at present.

The usual change of a large table. Between hundreds of peers each prefix has a situation of its own, from one peer to
another; but whom it leaves matters to the bookkeeping alone, so the routes are decided about once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from peerway.model import columns as cl
from peerway.model.columns import Codes, Column, Mask
from peerway.model.decision import Decision, Standing
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.rib import Rib
from peerway.model.situations import kinds
from peerway.model.table import grouped


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """
    Prefixes of one family that are ours: `stay` are where they should be, `go` change their owner; `rest` are to be
    decided in the usual way. `mine` and `target` are codes of `ledger.ours`, a row for each of `go`; 0 is nobody.
    """

    rest: Column
    stay: Column
    go: Column
    mine: Codes
    target: Codes

    def targets(self, interface: Interface) -> Iterator[tuple[PublicKey | None, Column]]:
        """
        The prefixes that go, by the peer that gets them; None for those that nobody gets.
        """
        for code, part in grouped(self.go, self.target):
            yield (interface.ledger.ours.value(code) if code else None), part

    def sources(self, interface: Interface) -> Iterator[tuple[PublicKey, bool, Column]]:
        """
        The prefixes that go, by the peer that has them, and whether somebody gets them.
        """
        for given in (True, False):
            some = (self.target != 0) == given
            for code, part in grouped(cl.chosen(self.go, some), self.mine[some]):
                yield interface.ledger.ours.value(code), given, part


def moves(interface: Interface, rib: Rib, column: Column, decide: Callable[[Prefix, Standing], Decision]) -> Moves:
    """
    Sort out the plain moves of a sorted column. Only for a policy whose verdicts follow from the situation.
    """
    mine, held, entries = (table.find(column) for table in (interface.ledger.ours, interface.held, rib.entries))
    plain = _settled(interface, column, mine, held)
    target = np.full(rib.entries.codes, -1, np.int32)  # by entry; -1: decided in the usual way
    for entry, some in grouped(cl.chosen(column, plain), entries[plain]):
        prefix = cl.first(some)
        decision = decide(prefix, interface.standing(prefix))
        target[entry] = _target(interface, decision)
    aim = target[entries]
    plain &= aim >= 0
    go = plain & (aim != mine)
    return Moves(column[~plain], column[plain & ~go], cl.chosen(column, go), mine[go], aim[go])


def _settled(interface: Interface, column: Column, mine: Codes, held: Codes) -> Mask:
    """What is ours on the device too, displaces nobody, and is no special prefix."""
    ours = interface.ledger.ours
    same = np.zeros(ours.codes, np.int32)
    for code in range(1, ours.codes):
        same[code] = interface.held.known(ours.value(code)) or -1
    plain: Mask = (mine != 0) & (same[mine] == held) & (kinds(column) == 0)
    if interface.ledger.displaced:
        plain &= interface.ledger.displaced.find(column) == 0
    return plain


def _target(interface: Interface, decision: Decision) -> int:
    """
    Who gets what has these routes: a code, 0 for nobody. -1 where it depends on who has it: with several claims there
    are losers, and a verdict with losers is remarkable.
    """
    verdict, want, have = decision
    if verdict.remarkable or want != have:
        return -1
    return 0 if verdict.owner is None else interface.ledger.ours.code(verdict.owner)
