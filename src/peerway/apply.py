"""A plan is carried out: memory ahead, AllowedIPs, routes, memory behind.

One prefix that is refused stops no other. After a failure in the middle only the device knows what was done, so it is
read again and each prefix is settled by what it says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from peerway.model import columns as cl
from peerway.model.device import AllowedIPsDelta, Group
from peerway.model.diff import allowed_ip_events
from peerway.model.events import ClaimRefused, Event
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.plan import Plan, settle
from peerway.model.ports import BULK, DeviceHandle, Refusal, RoutingTable
from peerway.model.prefix import Prefix
from peerway.model.route import RouteGroup
from peerway.model.sheaves import short_first, together
from peerway.model.table import Table
from peerway.records import Records

log = logging.getLogger(__name__)

PART: Final = 4096  # routes that are changed between two turns of the event loop


class Applier:
    """
    The hands of the engine.
    """

    def __init__(
        self, table: RoutingTable, records: Records, publish: Callable[[Event], None], clock: Callable[[], float]
    ) -> None:
        self.listening: Callable[[], bool] = lambda: True  # whether anybody wants AllowedIP events
        self.hear: Callable[[], None] = lambda: None  # takes in what long work makes the kernel tell
        self.unsettled: dict[int, Plan] = {}  # failed, by interface; nobody knows yet what of it was done
        self._table, self._records, self._publish, self._clock = table, records, publish, clock

    async def apply(self, interface: Interface, handle: DeviceHandle, todo: Plan) -> bool:
        """
        Carry out a plan. What was refused is noted in `interface.health`. Returns whether the device answered.
        """
        delta = todo.delta
        try:
            self._records.write(interface, todo.first_records)
            refusals = await _carry_out(handle, delta, in_turn=interface.policy.aggregate)
        except OSError as error:
            await self._sort_out(interface, handle, todo, error)
            return False
        interface.errors.pop("apply", None)
        self._take_result(interface, todo, delta, refusals)
        if todo.add_routes or todo.delete_routes:
            await self._change_routes(interface, todo)
        self._remember(interface, todo, whole=not refusals)
        return True

    def _remember(self, interface: Interface, todo: Plan, *, whole: bool) -> None:
        try:
            if whole:
                self._records.write(interface, todo.last_records)
                self._records.tidy(interface)
            else:
                self._records.rewrite(interface)
        except OSError as error:  # what stands in the store names too many prefixes, never too few
            interface.errors["ledger"] = f"cannot write the ledger: {error.strerror or error}"
            interface.health.failed("ledger", interface.errors["ledger"], self._clock())
        else:
            interface.errors.pop("ledger", None)
            interface.health.done("ledger")

    def rewrite(self, interface: Interface) -> None:
        """
        Write a ledger that could not be written.
        """
        self._remember(interface, Plan(), whole=False)

    def _take_result(
        self, interface: Interface, todo: Plan, delta: AllowedIPsDelta, refusals: Sequence[Refusal]
    ) -> None:
        held = interface.held
        refused = {refusal.prefix: refusal.reason for refusal in refusals}
        before = self._before(interface, todo)
        stays = [(prefix, held.look(prefix)) for prefix in refused] if refused else ()
        held.put_groups(delta.add)
        if delta.remove:
            held.put_groups(
                [(None, part) for peer, column in delta.remove for who, part in held.groups(column) if who == peer]
            )
        if refused:
            for prefix, owner in stays:
                if owner is None:
                    held.drop(prefix)
                else:
                    held[prefix] = owner
            refuse(interface, refusals, (*delta.remove, *delta.add))
            settle(interface, todo, cl.columns(refused))
            self._tell_refused(interface, delta, refused)
        if before:
            self._tell(interface, before)

    def _tell_refused(self, interface: Interface, delta: AllowedIPsDelta, refused: dict[Prefix, str]) -> None:
        for peer, column in (*delta.add, *delta.remove):
            for prefix in cl.each(column) if self.listening() else ():
                if prefix in refused:
                    self._publish(ClaimRefused(interface.name, peer, prefix, refused[prefix]))

    def _before(self, interface: Interface, todo: Plan) -> dict[Prefix, PublicKey | None]:
        """Who has the prefixes that are about to change, if anybody wants to know."""
        if not self.listening():
            return {}
        columns = together(todo.before)
        return {prefix: interface.held.look(prefix) for column in columns for prefix in cl.each(column)}

    def _tell(self, interface: Interface, before: dict[Prefix, PublicKey | None]) -> None:
        for event in allowed_ip_events(interface.name, before.get, interface.held.look, before):
            self._publish(event)

    async def _sort_out(self, interface: Interface, handle: DeviceHandle, todo: Plan, error: OSError) -> None:
        reason = f"cannot change AllowedIPs: {error.strerror or error}"
        interface.errors["apply"] = reason
        log.warning("%s: %s; the device is read again", interface.name, reason)
        for _, column in (*todo.add_routes, *todo.delete_routes, *todo.before):
            for peer, part in interface.held.groups(column):
                interface.health.refuse(part, reason, peer)
        for peer, column in (*todo.take, *todo.give):
            interface.health.refuse(column, reason, peer)
        self.unsettled[interface.ifindex] = todo
        try:
            reading = await handle.read()
        except OSError as again:
            interface.errors["read"] = f"cannot read the device: {again.strerror or again}"
            return
        before = self._before(interface, todo)
        for column in together(todo.before):  # what others changed elsewhere is told by the next reading
            interface.hold(column, reading.allowed_ips)
        self._tell(interface, before)
        self.settle(interface)

    def settle(self, interface: Interface) -> None:
        """
        After a failure, and a reading since: whose each prefix of the failed plan is. Until then the store names more
        candidates than there are, and nothing more is planned.
        """
        todo = self.unsettled.pop(interface.ifindex)
        settle(interface, todo, together(todo.before))
        self._remember(interface, todo, whole=False)

    async def _change_routes(self, interface: Interface, todo: Plan) -> None:
        """Make before break: a route with another next hop is appended before the former one goes."""
        replaced = {cl.family(column): column for column in together(todo.delete_routes)}
        fresh: list[RouteGroup] = []
        moved: list[RouteGroup] = []
        for path, column in todo.add_routes:
            new = cl.without(column, replaced.get(cl.family(column), column[:0]))
            fresh += [(path, new)] if len(new) else []
            moved += [(path, cl.without(column, new))] if len(new) < len(column) else []
        await self._routes(interface, fresh, self._table.add_routes)
        await self._routes(interface, moved, partial(self._table.add_routes, append=True))
        await self._routes(interface, [*todo.delete_routes], self._table.delete_routes)

    async def _routes(
        self, interface: Interface, groups: list[RouteGroup], act: Callable[[Sequence[RouteGroup]], list[Refusal]]
    ) -> None:
        """Some at a time, in a thread if they are many: while the kernel works, others have their turn."""
        parts = [*_parts(short_first(groups) if _is_many(groups) else groups)]
        for number, some in enumerate(parts):
            try:
                refusals = await self._act(act, some)
            except OSError as error:  # no answer: all are compared again
                for _, column in (group for rest in parts[number:] for group in rest):
                    for peer, same in interface.held.groups(column):
                        interface.health.refuse(same, f"route: {error.strerror or error}", peer)
                return
            refuse(interface, refusals, (), "route: ")
        if parts and _is_many(parts[0]):
            self.hear()  # what was added in bulk does not say that it is there to be heard

    async def _act(self, act: Callable[[Sequence[RouteGroup]], list[Refusal]], some: list[RouteGroup]) -> list[Refusal]:
        if not _is_many(some):
            return act(some)
        working = asyncio.get_running_loop().run_in_executor(None, act, some)
        try:
            self.hear()  # also what the part before made the kernel tell
        finally:
            await asyncio.wait([working])  # its sockets are its own until then
        return working.result()


def refuse(interface: Interface, refusals: Sequence[Refusal], asked: Iterable[Group], about: str = "") -> None:
    """
    Note refusals, those with one reason together. Each is about the peer that was asked for, or else who holds the
    prefix.
    """
    peers: Table[PublicKey] = Table()
    for asked_for, column in asked:
        peers.put(column, asked_for)
    prefixes: dict[str, list[Prefix]] = {}
    for refusal in refusals:
        prefixes.setdefault(refusal.reason, []).append(refusal.prefix)
    for reason, some in prefixes.items():
        for column in cl.columns(some):
            for peer, part in (peers or interface.held).groups(column):
                interface.health.refuse(part, about + reason, peer)


def _is_many(groups: Iterable[RouteGroup]) -> bool:
    return sum(len(column) for _, column in groups) >= BULK


def _parts(groups: Iterable[RouteGroup]) -> Iterator[list[RouteGroup]]:
    """
    Groups in parts of PART routes, cut where that is needed.
    """
    some: list[RouteGroup] = []
    room = PART
    for path, column in groups:
        while len(column):
            some.append((path, column[:room]))
            column, room = column[room:], room - len(some[-1][1])  # noqa: PLW2901 - what is left is the next part's
            if not room:
                yield some
                some, room = [], PART
    if some:
        yield some


async def _carry_out(handle: DeviceHandle, delta: AllowedIPsDelta, *, in_turn: bool) -> list[Refusal]:
    steps = delta.in_turn() if in_turn else [delta] if delta else []
    return [refusal for step in steps for refusal in await handle.apply(step)]
