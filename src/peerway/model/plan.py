"""The plan: what is wanted, compared with what is, gives the shortest list of changes. Pure; only dirty prefixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from peerway.model.device import AllowedIPsDelta
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ledger import Entry, Op
from peerway.model.ownership import Origin, Verdict
from peerway.model.prefix import Prefix
from peerway.model.route import Path
from peerway.model.selection import Reason

Judge = Callable[[Prefix], Verdict]
Routes = Callable[[Prefix], tuple[Path, ...]]


@dataclass(frozen=True, slots=True)
class Former:
    """
    What the ledger said of a prefix before the plan: at whom it was ours, and who was displaced.
    """

    mine: PublicKey | None
    displaced: PublicKey | None


@dataclass(slots=True)
class Plan:
    """
    Changes of one interface, in the order in which they are made: `ahead` into the ledger, `give` and `take` of
    AllowedIPs, routes, `behind` into the ledger.

    `before` remembers the ledger of each prefix that is given or taken, and `ours` to whom we mean to give it, so that
    a failure can be sorted out.
    """

    ahead: list[Entry] = field(default_factory=list)
    give: list[tuple[Prefix, PublicKey]] = field(default_factory=list)
    take: list[tuple[Prefix, PublicKey]] = field(default_factory=list)
    behind: list[Entry] = field(default_factory=list)
    add_routes: list[tuple[Prefix, Path]] = field(default_factory=list)
    delete_routes: list[tuple[Prefix, Path]] = field(default_factory=list)
    before: dict[Prefix, Former] = field(default_factory=dict)
    ours: dict[Prefix, PublicKey] = field(default_factory=dict)

    @property
    def delta(self) -> AllowedIPsDelta:
        """
        The changes to AllowedIPs.
        """
        return AllowedIPsDelta(tuple(self.give), tuple(self.take))

    def __bool__(self) -> bool:
        return bool(self.ahead or self.give or self.take or self.behind or self.add_routes or self.delete_routes)


def plan(interface: Interface, judge: Judge, wanted_routes: Routes, own_routes: Routes) -> Plan:
    """
    Decide the dirty prefixes of an interface again and say what has to change. A prefix that becomes dirty after it
    was decided stays so: until the plan is applied, what is held does not go with the ledger.

    The ledger's memory (`ours`, counts) takes the plan at once, so that limits hold within a batch; what is written
    and what the device has follow when the plan is applied.
    """
    result = Plan()
    result.ahead, interface.unwritten = interface.unwritten, []
    decided: set[Prefix] = set()
    while batch := sorted(interface.dirty - decided):  # a prefix that gives up its place lets others in
        interface.dirty &= decided
        decided.update(batch)
        for prefix in batch:
            verdict = judge(prefix)
            _note(interface, prefix, verdict)
            want, have = wanted_routes(prefix), own_routes(prefix)  # before: the ledger is about to take the plan
            _allowed_ip(interface, prefix, verdict, result)
            if want != have:
                result.add_routes += [(prefix, path) for path in want if path not in have]
                result.delete_routes += [(prefix, path) for path in have if path not in want]
    return result


def _note(interface: Interface, prefix: Prefix, verdict: Verdict) -> None:
    if verdict.remarkable:
        interface.notes[prefix] = verdict
    else:
        interface.notes.pop(prefix, None)
    for peer, reason in verdict.refused:
        if reason is Reason.LIMIT:
            interface.over_limit.setdefault(peer, set()).add(prefix)


def _allowed_ip(interface: Interface, prefix: Prefix, verdict: Verdict, result: Plan) -> None:
    ledger = interface.ledger
    mine = ledger.ours.get(prefix)
    former = Former(mine, ledger.displaced.get(prefix))
    match verdict.origin:
        case None:
            if mine is not None:
                result.before.setdefault(prefix, former)
                result.take.append((prefix, mine))
                result.behind.append((Op.DROPPED, prefix, mine))
                interface.disown(prefix)
        case Origin.PINNED:
            _give_back(interface, prefix, verdict, former, result)
        case Origin.LEARNED | Origin.DERIVED:
            _give(interface, prefix, verdict, former, result)
        case _:
            assert_never(verdict.origin)


def _give(interface: Interface, prefix: Prefix, verdict: Verdict, former: Former, result: Plan) -> None:
    """The owner has the prefix by us; a pinned one that has to wait is written down first."""
    owner, displaced = verdict.owner, verdict.displaced
    if owner is None:
        return
    if displaced is not None and former.displaced != displaced:
        interface.ledger.displaced[prefix] = displaced
        result.ahead.append((Op.DISPLACING, prefix, displaced))
        result.behind.append((Op.DISPLACED, prefix, displaced))
    if interface.held.get(prefix) == owner == former.mine:
        return
    result.before.setdefault(prefix, former)
    result.ahead.append((Op.OURS, prefix, owner))
    result.give.append((prefix, owner))
    result.ours[prefix] = owner
    if former.mine is not None and former.mine != owner:
        result.behind.append((Op.DROPPED, prefix, former.mine))
    interface.own(prefix, owner)


def _give_back(interface: Interface, prefix: Prefix, verdict: Verdict, former: Former, result: Plan) -> None:
    """A pinned owner has the prefix; where it was displaced, it gets it back."""
    owner = verdict.owner
    if owner is None:
        return
    if interface.held.get(prefix) != owner:
        result.before.setdefault(prefix, former)
        result.give.append((prefix, owner))
    if former.mine is not None:
        result.behind.append((Op.DROPPED, prefix, former.mine))
        interface.disown(prefix)
    if former.displaced is not None:
        if former.mine is not None:  # else nobody has it, and so it says: it waits
            result.ahead.append((Op.DISPLACING, prefix, former.displaced))
        result.behind.append((Op.RETURNED, prefix, former.displaced))
        del interface.ledger.displaced[prefix]


def settle(interface: Interface, todo: Plan, prefix: Prefix) -> None:
    """
    After a failure: whose the prefix is, by what `held` says now and by what the ledger said before and meant to.
    """
    former = todo.before[prefix]
    candidates = {peer for peer in (former.mine, todo.ours.get(prefix)) if peer is not None}
    displaced = interface.ledger.displaced.get(prefix, former.displaced)
    owner = interface.held.get(prefix)
    if owner is not None and owner in candidates:
        interface.own(prefix, owner)
    else:
        interface.disown(prefix)
    if displaced is not None and (owner is None or owner in candidates):
        interface.ledger.displaced[prefix] = displaced
    else:
        interface.ledger.displaced.pop(prefix, None)
