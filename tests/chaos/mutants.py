"""Safety rules, turned off one at a time: each must make the chaos lab fail within 200 histories.

python -m tests.chaos.mutants [--histories K] [--seed N] [NAME ...] prints how many histories each one took.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from peerway import apply as applying
from peerway.backends.device import BaseDevice
from peerway.backends.removals import Removals
from peerway.backends.rtnetlink import Rtnetlink
from peerway.backends.rtwriter import RouteWriter
from peerway.deltas import Deltas
from peerway.features import council
from peerway.lab.namespace import Namespace, sweep
from peerway.lab.signals import raising_at_the_end
from peerway.model import ownership
from peerway.model.columns import Column
from peerway.model.device import AllowedIPsDelta
from peerway.model.health import Health
from peerway.model.interface import Interface
from peerway.model.ledger import Op, Record
from peerway.model.plan import Plan
from peerway.model.policy import Pinned
from peerway.model.ports import Gap
from peerway.model.route import Path
from peerway.model.world import World
from peerway.protocols import netlink as nl
from peerway.protocols import rtroute
from peerway.watcher import Watcher
from tests.chaos import history
from tests.chaos.faults import put
from tests.chaos.run import HistoryError, Runner

MOST: Final = 200
WAITING: Final = (Op.DISPLACING, Op.DISPLACED)


def a_move_takes_first() -> None:
    """A prefix is taken from its former peer before it is given to the next."""
    apply = BaseDevice.apply

    async def taking(self: BaseDevice, delta: AllowedIPsDelta) -> Any:
        held = (await self.read()).allowed_ips
        taken = [(owner, part) for _, column in delta.add for owner, part in held.groups(column) if owner is not None]
        await apply(self, AllowedIPsDelta(remove=tuple(taken)))
        return await apply(self, delta)

    put(BaseDevice, "apply", taking)


def records() -> tuple[Callable[[Plan], list[Record]], Callable[[Plan], list[Record]]]:
    """What a plan puts on record first and last."""
    return vars(Plan)["first_records"].fget, vars(Plan)["last_records"].fget


def the_ledger_comes_behind() -> None:
    """What is given goes on record after it was given."""
    first, last = records()
    put(Plan, "first_records", property(lambda _todo: []))
    put(Plan, "last_records", property(lambda todo: [*first(todo), *last(todo)]))


def the_former_owner_is_forgotten_ahead() -> None:
    """That a prefix is no longer at its former peer goes on record before it has left."""
    first, last = records()
    put(Plan, "first_records", property(lambda todo: [*first(todo), *last(todo)]))


def displaced_pins_are_not_on_record() -> None:
    """Which pinned prefix waits is known to this process only."""
    first, last = records()
    put(Plan, "first_records", property(lambda todo: [record for record in first(todo) if record.op not in WAITING]))
    put(Plan, "last_records", property(lambda todo: [record for record in last(todo) if record.op not in WAITING]))


def a_gap_is_no_doubt() -> None:
    """After lost notifications one goes on as if nothing was."""
    take = Watcher._take
    put(Watcher, "_take", lambda self, changes: take(self, [c for c in changes if not isinstance(c, Gap)]))


def a_link_that_goes_down_is_no_doubt() -> None:
    """When a link goes down its routes are not dumped."""
    update = Deltas._update_link

    def trusting(self: Deltas, *words: Any) -> None:
        due = self.dump_due
        update(self, *words)
        self.dump_due = due

    put(Deltas, "_update_link", trusting)


def a_gateway_can_be_learned() -> None:
    """A route takes a gateway's address from its peer."""
    decide = ownership.decide

    def deciding(claims: Any, admit: Any, policy: Pinned) -> Any:
        if claims.selection.peers:
            claims = replace(claims, is_gateway=False, derived=None)
        return decide(claims, admit, policy)

    put(council, "decide", deciding)


def removals_do_not_look() -> None:
    """A throwaway peer takes a prefix from whoever has it by now."""

    def blindly(self: Removals, _holders: Any, _is_fresh: Any) -> Iterator[Column]:
        for family, (column, whose) in enumerate(self._left):
            self._left[family] = column[:0], whose[:0]
            if len(column):
                yield column

    put(Removals, "held", blindly)

    async def cannot(self: BaseDevice, chunks: Any, refusals: Any) -> Any:
        return chunks

    put(BaseDevice, "_take_all", cannot)


def what_others_moved_stays_ours() -> None:
    """A prefix of ours that somebody moved is moved back."""

    def possessive(self: Interface, allowed_ips: Any) -> Any:
        differ = self.held.differing(allowed_ips)
        self.held = allowed_ips
        self.dirty.add_columns(differ)
        return differ

    put(Interface, "observe", possessive)


def pinned_yields_always() -> None:
    """Routes have pinned prefixes, whatever the settings say."""
    decide = ownership.decide
    put(council, "decide", lambda claims, admit, _policy: decide(claims, admit, Pinned.YIELDS))


def every_route_of_our_metric_is_ours() -> None:
    """Routes are known by their metric, not by their protocol."""

    def is_own(self: World, interface: Interface, path: Path) -> bool:
        through = bool(path.nexthops) and all(hop.ifindex == interface.ifindex for hop in path.nexthops)
        return through and path.metric == interface.policy.metric

    put(World, "is_own", is_own)


def our_routes_replace_others() -> None:
    """A route of ours takes the place of whichever stands there."""

    def replacing(self: Rtnetlink, routes: Any, *, append: bool = False) -> Any:
        flags = nl.NLM_F_CREATE | nl.NLM_F_REPLACE
        return RouteWriter(self._ask, rtroute.RTM_NEWROUTE, flags, "adding").write(routes, exact=False)

    put(Rtnetlink, "add_routes", replacing)


def what_was_refused_is_given_up() -> None:
    """There is no second attempt."""
    put(Health, "due", lambda _self, _now: [])
    put(Health, "_reckon", lambda self: setattr(self, "deadline", math.inf))


def after_a_failure_nobody_looks() -> None:
    """A plan that failed in the middle is taken for done."""
    put(applying, "settle", lambda *_: None)


MUTANTS: Final[dict[str, Callable[[], None]]] = {
    mutate.__name__: mutate
    for mutate in (
        a_move_takes_first,
        the_ledger_comes_behind,
        the_former_owner_is_forgotten_ahead,
        displaced_pins_are_not_on_record,
        a_gap_is_no_doubt,
        a_link_that_goes_down_is_no_doubt,
        a_gateway_can_be_learned,
        removals_do_not_look,
        what_others_moved_stays_ours,
        pinned_yields_always,
        every_route_of_our_metric_is_ours,
        our_routes_replace_others,
        what_was_refused_is_given_up,
        after_a_failure_nobody_looks,
    )
}


def hunt(name: str, seeds: Iterable[int]) -> tuple[int, str]:
    """How many histories a mutant survived before one failed, and how that failed; raises LookupError if none did."""
    with Namespace("mutant") as namespace:
        runner = Runner(namespace, MUTANTS[name])
        for number, seed in enumerate(seeds, 1):
            try:
                runner.play(seed)
            except HistoryError as error:
                return number, f"seed {seed}: {error.__cause__}".splitlines()[0]
    raise LookupError(f"{name}: no history failed")


def main(words: list[str]) -> int:
    """Hunt all mutants, or those that are named."""
    parser = argparse.ArgumentParser(prog="tests.chaos.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MUTANTS, []], metavar="NAME")
    parser.add_argument("--histories", type=int, default=MOST)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=8.0, help="seconds for a state to become right")
    asked = parser.parse_args(words)
    sweep()
    put(history, "PATIENCE", asked.patience)
    survivors = 0
    with raising_at_the_end():
        for name in asked.names or MUTANTS:
            begin = time.monotonic()
            try:
                number, how = hunt(name, range(asked.seed, asked.seed + asked.histories))
                print(
                    f"{name}: seen after {number} histories, {time.monotonic() - begin:.0f} s: {how[:150]}", flush=True
                )
            except LookupError:
                survivors += 1
                print(f"{name}: NOT SEEN in {asked.histories} histories", flush=True)
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
