"""Before the plan of an interface with `aggregate: true`: who is given what, and which AllowedIPs stand for it.

The rules decide each dirty prefix as everywhere. What they give is then exchanged for the fewest entries with the same
answers, and the prefixes whose entry differs are dirty as well. The plan compares these entries with the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from peerway.model import columns as cl
from peerway.model.aggregated import Aggregated, Parts, covering
from peerway.model.columns import Column
from peerway.model.decision import Standing
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ownership import Origin, Verdict
from peerway.model.plan import undecided
from peerway.model.prefix import Prefix
from peerway.model.prefixset import PrefixSet

Judge = Callable[[Prefix], Verdict]
Alike = Callable[[Column], Iterator[Column]]
Claimants = Callable[[Prefix], Iterable[PublicKey]]


def aggregate(
    interface: Interface, state: Aggregated, judge: Judge, alike: Alike, claimants: Claimants
) -> list[Column]:
    """
    Decide the dirty prefixes of an interface, and leave those dirty that the plan has to compare. Returns prefixes
    that became dirty again after they were decided: they are for the next round.
    """
    touched, left = PrefixSet(), list[Column]()
    decided: dict[int, Column] = {}
    while batch := interface.dirty.drain():
        if not state.recalled:
            _recall(interface, state, batch, alike, claimants)
        work = _Work(interface, state)
        for column in batch:
            fresh = undecided(decided, column, left)
            touched.add_columns([fresh])
            for part in alike(fresh):
                while len(part):
                    verdict = judge(cl.first(part))
                    part = work.take_up(part, verdict)  # noqa: PLW2901 - what is left is judged again
        touched.add_columns(work.finish())
    interface.dirty = touched
    return left


def _recall(interface: Interface, state: Aggregated, batch: list[Column], alike: Alike, claimants: Claimants) -> None:
    """
    Of several peers the present owner stays. After a start, and when aggregation is turned on, that is whoever our
    AllowedIPs give the prefix to.
    """
    state.recalled = True
    if not interface.ledger.ours:
        return
    for column in batch:
        for part in alike(column):
            peers = set(claimants(cl.first(part)))
            for owner, some in covering(part, interface.ledger.ours) if len(peers) > 1 else ():
                if owner in peers:
                    state.recall([(owner, some)])
    interface.recount()


class _Work:
    """
    One pass over dirty prefixes.
    """

    def __init__(self, interface: Interface, state: Aggregated) -> None:
        self._interface, self._state = interface, state
        self._given: Parts = []
        self._fixed: Parts = []
        self._notes: list[tuple[Verdict | None, Column]] = []
        self._freed: set[PublicKey] = set()

    def take_up(self, part: Column, verdict: Verdict) -> Column:
        """
        Take the verdict for as many prefixes that are alike as it holds for. Returns the rest.
        """
        interface, former = self._interface, self._state.given.look(cl.first(part))
        some = part[: interface.room(Standing(former), verdict)]
        is_plain = verdict.origin is Origin.LEARNED and verdict.displaced is None
        learner = verdict.owner if verdict.origin is Origin.LEARNED else None
        self._given.append((learner, some))
        self._fixed.append((None if is_plain else verdict.owner, some))
        self._notes.append((verdict if verdict.remarkable else None, some))
        if former != learner:
            if former is not None:
                interface.count(some, former, -1)
                self._freed.add(former)
            if learner is not None:
                interface.count(some, learner, 1)
        return part[len(some) :]

    def finish(self) -> list[Column]:
        """
        Bring what is given up to date, and let in who waited for a place. Returns the prefixes whose entry differs.
        """
        interface = self._interface
        if interface.notes or any(note is not None for note, _ in self._notes):
            interface.notes.put_groups(self._notes)
        differ = self._state.change(self._given, self._fixed)
        interface.let_in(self._freed)
        return differ
