"""The plan: what is wanted, compared with what is, gives the shortest list of changes. Pure; only dirty prefixes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from peerway.model import columns as cl
from peerway.model.columns import Column
from peerway.model.decision import Decision, Standing
from peerway.model.device import AllowedIPsDelta
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ledger import Op, Record
from peerway.model.moves import Moves, moves
from peerway.model.ownership import Origin, Verdict
from peerway.model.prefix import Prefix
from peerway.model.rib import Rib
from peerway.model.route import Path
from peerway.model.sheaves import Sheaves, tied
from peerway.model.table import Table

FEW: Final = 16  # prefixes that are not worth sorting out
Decide = Callable[[Prefix, Standing], Decision]
Alike = Callable[[Column], Iterator[Column]]


@dataclass(slots=True)
class Plan:
    """
    Changes of one interface, in the order in which they are made: `ahead` into the ledger, `give` and `take` of
    AllowedIPs, routes, `behind` into the ledger.

    `before` remembers the ledger of each prefix that is given or taken, and `ours` to whom we mean to give it, so that
    a failure can be sorted out. `decided` are all prefixes that were looked at.
    """

    unwritten: list[Record] = field(default_factory=list)
    ahead: Sheaves[tuple[Op, PublicKey]] = field(default_factory=list)
    give: Sheaves[PublicKey] = field(default_factory=list)
    take: Sheaves[PublicKey] = field(default_factory=list)
    behind: Sheaves[tuple[Op, PublicKey]] = field(default_factory=list)
    add_routes: Sheaves[Path] = field(default_factory=list)
    delete_routes: Sheaves[Path] = field(default_factory=list)
    before: Sheaves[Standing] = field(default_factory=list)
    ours: Sheaves[PublicKey] = field(default_factory=list)
    decided: dict[int, Column] = field(default_factory=dict)

    def tie(self) -> None:
        """
        Make one part of all that goes to, or comes from, the same.
        """
        self.ahead, self.behind = tied(self.ahead), tied(self.behind)
        self.give, self.take = tied(self.give), tied(self.take)
        self.add_routes, self.delete_routes = tied(self.add_routes), tied(self.delete_routes)
        self.before, self.ours = tied(self.before), tied(self.ours)

    @property
    def delta(self) -> AllowedIPsDelta:
        """
        The changes to AllowedIPs.
        """
        return AllowedIPsDelta(tuple(self.give), tuple(self.take))

    @property
    def first_records(self) -> list[Record]:
        """
        What goes into the ledger before anything is done.
        """
        return self.unwritten + [Record(op, peer, column) for (op, peer), column in self.ahead]

    @property
    def last_records(self) -> list[Record]:
        """
        What goes into the ledger when all is done.
        """
        return [Record(op, peer, column) for (op, peer), column in self.behind]

    def __bool__(self) -> bool:
        return bool(
            self.unwritten
            or self.ahead
            or self.give
            or self.take
            or self.behind
            or self.add_routes
            or self.delete_routes
        )


def plan(interface: Interface, rib: Rib, decide: Decide, alike: Alike) -> Plan:
    """
    Decide the dirty prefixes of an interface again and say what has to change. `alike` cuts prefixes into parts that
    share a verdict. A prefix that becomes dirty after it was decided stays so: until the plan is applied, what is held
    does not go with the ledger.

    The ledger's memory (`ours`, counts) takes the plan at once, so that limits hold within a batch; what is written
    and what the device has follow when the plan is applied.
    """
    result = Plan()
    result.unwritten, interface.unwritten = interface.unwritten, []
    left: list[Column] = []
    while batch := interface.dirty.drain():  # a prefix that gives up its place lets others in
        work = _Work(interface, result)
        for column in batch:
            fresh = undecided(result.decided, column, left)
            if len(fresh) > FEW and interface.policy.by_situation:
                sorted_out = moves(interface, rib, fresh, decide)
                work.move(sorted_out)
                fresh = sorted_out.rest
            for part in alike(fresh) if len(fresh) > 1 else (fresh,):
                while len(part):
                    prefix = cl.first(part)
                    standing = interface.standing(prefix)
                    decision = decide(prefix, standing)
                    room = len(part) if interface.aggregated else interface.room(standing, decision.verdict)
                    if room >= len(part):
                        work.take_up(part, standing, decision)
                        break
                    work.take_up(part[:room], standing, decision)
                    part = part[room:]  # noqa: PLW2901 - what is left is judged again
        work.finish()
    if left:
        interface.dirty.add_columns(left)
    if sum(map(len, result.decided.values())) > 1:
        result.tie()
    return result


def undecided(decided: dict[int, Column], column: Column, left: list[Column]) -> Column:
    """
    What of a column was not decided yet, by family, and is from now on; the rest is left.
    """
    family = cl.family(column)
    known = decided.get(family)
    if known is None:
        decided[family] = column
        return column
    fresh = cl.without(column, known)
    left.append(cl.without(column, fresh))
    decided[family] = cl.merged(known, fresh)
    return fresh


class _Work:
    """
    One pass over dirty prefixes. What it makes of the ledger is taken at its end, all at once.
    """

    def __init__(self, interface: Interface, result: Plan) -> None:
        self._interface, self._result = interface, result
        self._ours: list[tuple[PublicKey | None, Column]] = []
        self._displaced: list[tuple[PublicKey | None, Column]] = []
        self._notes: list[tuple[Verdict | None, Column]] = []
        self._freed: set[PublicKey] = set()

    def finish(self) -> None:
        """
        Bring the ledger's memory and the notes up to date; who waited for a place is decided again.
        """
        interface = self._interface
        if self._notes:
            interface.notes.put_groups(self._notes)
        if self._ours:
            interface.ledger.ours.put_groups(self._ours)
        if self._displaced:
            interface.ledger.displaced.put_groups(self._displaced)
        if self._freed:
            interface.let_in(self._freed)

    def move(self, sorted_out: Moves) -> None:
        """
        Do what is plain: prefixes of ours go from peer to peer, or from a peer to nobody.
        """
        interface, result = self._interface, self._result
        if interface.notes:
            self._notes += [(None, sorted_out.stay), (None, sorted_out.go)]
        for owner, column in sorted_out.targets(interface):
            self._ours.append((owner, column))
            if owner is not None:
                interface.own(column, owner)
                result.ahead.append(((Op.OURS, owner), column))
                result.give.append((owner, column))
                result.ours.append((owner, column))
        for mine, given, column in sorted_out.sources(interface):
            interface.disown(column, mine)
            result.before.append((Standing(mine, None, mine), column))
            result.behind.append(((Op.DROPPED, mine), column))
            if not given:
                result.take.append((mine, column))

    def take_up(self, column: Column, former: Standing, decision: Decision) -> None:
        """
        Do to a part what was decided about one of its prefixes.
        """
        verdict, want, have = decision
        if want != have:
            self._routes(column, want, have)
        if verdict.remarkable:
            self._notes.append((verdict, column))
        elif self._interface.notes:
            self._notes.append((None, column))
        match verdict.origin:
            case None:
                if former.mine is not None:
                    self._result.before.append((former, column))
                    self._result.take.append((former.mine, column))
                    self._let_go(column, former.mine)
            case Origin.PINNED:
                self._give_back(column, verdict, former)
            case Origin.LEARNED | Origin.DERIVED:
                self._give(column, verdict, former)
            case _:
                assert_never(verdict.origin)

    def _routes(self, column: Column, want: tuple[Path, ...], have: tuple[Path, ...]) -> None:
        for path in want:
            if path not in have:
                self._result.add_routes.append((path, column))
        for path in have:
            if path not in want:
                self._result.delete_routes.append((path, column))

    def _let_go(self, column: Column, mine: PublicKey) -> None:
        self._result.behind.append(((Op.DROPPED, mine), column))
        self._interface.disown(column, mine)
        self._freed.add(mine)
        self._ours.append((None, column))

    def _give(self, column: Column, verdict: Verdict, former: Standing) -> None:
        """The owner has the prefix by us; a pinned one that has to wait is written down first."""
        owner, displaced, result = verdict.owner, verdict.displaced, self._result
        if owner is None:
            return
        if displaced is not None and former.displaced != displaced:
            self._displaced.append((displaced, column))
            result.ahead.append(((Op.DISPLACING, displaced), column))
            result.behind.append(((Op.DISPLACED, displaced), column))
        if former.held == owner == former.mine:
            return
        result.before.append((former, column))
        result.ahead.append(((Op.OURS, owner), column))
        result.give.append((owner, column))
        result.ours.append((owner, column))
        if former.mine is not None:
            self._interface.disown(column, former.mine)
            if former.mine != owner:
                result.behind.append(((Op.DROPPED, former.mine), column))
                self._freed.add(former.mine)
        self._interface.own(column, owner)
        self._ours.append((owner, column))

    def _give_back(self, column: Column, verdict: Verdict, former: Standing) -> None:
        """A pinned owner has the prefix; where it was displaced, it gets it back."""
        owner, result = verdict.owner, self._result
        if owner is None:
            return
        if former.held != owner:
            result.before.append((former, column))
            result.give.append((owner, column))
        if former.mine is not None:
            self._let_go(column, former.mine)
        if former.displaced is not None:
            if former.mine is not None:  # else nobody has it, and so it says: it waits
                result.ahead.append(((Op.DISPLACING, former.displaced), column))
            result.behind.append(((Op.RETURNED, former.displaced), column))
            self._displaced.append((None, column))


def settle(interface: Interface, todo: Plan, columns: Sequence[Column]) -> None:
    """
    After a failure: whose these prefixes of the plan are, by what `held` says now and by what the ledger said before
    and meant to.
    """
    before: Table[Standing] = Table()
    meant: Table[PublicKey] = Table()
    before.put_groups(todo.before)
    meant.put_groups(todo.ours)
    for column in columns:
        for former, some in before.groups(column):
            for wanted, part in meant.groups(some):
                for owner, alike in interface.held.groups(part):
                    if former is not None:
                        _settle(interface, alike, former, wanted, owner)


def _settle(
    interface: Interface, column: Column, former: Standing, wanted: PublicKey | None, owner: PublicKey | None
) -> None:
    """Prefixes that are alike: what the ledger said, to whom they were meant to go, and who has them."""
    ledger = interface.ledger
    candidates = {peer for peer in (former.mine, wanted) if peer is not None}
    mine = owner if owner is not None and owner in candidates else None
    for now, part in [*ledger.ours.groups(column)]:
        if now is not None:
            interface.disown(part, now)
            interface.let_in({now})
        if mine is not None:
            interface.own(part, mine)
        ledger.ours.put(part, mine)
    for now, part in [*ledger.displaced.groups(column)]:
        waiting = now if now is not None else former.displaced
        ledger.displaced.put(part, waiting if owner is None or owner in candidates else None)
