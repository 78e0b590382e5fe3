"""A plan is carried out: memory ahead, AllowedIPs, routes, memory behind.

One prefix that is refused stops no other. After a failure in the middle only the device knows what was done, so it is
read again and each prefix is settled by what it says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from peerway.model.diff import allowed_ip_events
from peerway.model.events import ClaimRefused, Event
from peerway.model.interface import Interface
from peerway.model.plan import Plan, settle
from peerway.model.ports import DeviceHandle, Refusal, RoutingTable
from peerway.records import Records

log = logging.getLogger(__name__)


class Applier:
    """
    The hands of the engine.
    """

    def __init__(self, table: RoutingTable, records: Records, publish: Callable[[Event], None]) -> None:
        self.unsettled: dict[int, Plan] = {}  # failed, by interface; nobody knows yet what of it was done
        self._table, self._records, self._publish = table, records, publish

    async def apply(self, interface: Interface, handle: DeviceHandle, todo: Plan) -> bool:
        """
        Carry out a plan. What was refused stands in `interface.failures`. Returns whether the device answered.
        """
        try:
            self._records.write(interface, todo.ahead)
            refusals = await handle.apply(todo.delta) if todo.delta else []
        except OSError as error:
            await self._sort_out(interface, handle, todo, error)
            return False
        interface.errors.pop("apply", None)
        self._take_result(interface, todo, refusals)
        self._change_routes(interface, todo)
        self._remember(interface, todo, whole=not refusals)
        return True

    def _remember(self, interface: Interface, todo: Plan, *, whole: bool) -> None:
        try:
            if not whole:
                self._records.rewrite(interface)
                return
            self._records.write(interface, todo.behind)
            self._records.tidy(interface)
        except OSError as error:  # what stands in the store names too many prefixes, never too few
            interface.errors["ledger"] = f"cannot write the ledger: {error.strerror or error}"
        else:
            interface.errors.pop("ledger", None)

    def _take_result(self, interface: Interface, todo: Plan, refusals: Iterable[Refusal]) -> None:
        refused = {refusal.prefix: refusal.reason for refusal in refusals}
        held = interface.held
        old = {prefix: held[prefix] for prefix in todo.before if prefix in held}
        for prefix, peer in todo.give:
            if prefix not in refused:
                held[prefix] = peer
        for prefix, peer in todo.take:
            if prefix not in refused and held.get(prefix) == peer:
                del held[prefix]
        for prefix, reason in refused.items():
            interface.failures[prefix] = reason
            settle(interface, todo, prefix)
        for prefix in todo.before:
            interface.note_host(prefix)
        for prefix, peer in [*todo.give, *todo.take] if refused else ():
            if prefix in refused:
                self._publish(ClaimRefused(interface.name, peer, prefix, refused[prefix]))
        for event in allowed_ip_events(interface.name, old, held, todo.before):
            self._publish(event)

    async def _sort_out(self, interface: Interface, handle: DeviceHandle, todo: Plan, error: OSError) -> None:
        reason = f"cannot change AllowedIPs: {error.strerror or error}"
        interface.errors["apply"] = reason
        log.warning("%s: %s; the device is read again", interface.name, reason)
        for prefix, _ in todo.add_routes + todo.delete_routes:
            interface.failures.setdefault(prefix, reason)
        for prefix in todo.before:
            interface.failures[prefix] = reason
        self.unsettled[interface.ifindex] = todo
        try:
            reading = await handle.read()
        except OSError as again:
            interface.errors["read"] = f"cannot read the device: {again.strerror or again}"
            return
        old = {prefix: interface.held[prefix] for prefix in todo.before if prefix in interface.held}
        for prefix in todo.before:  # others' changes elsewhere are left for the next reading, which tells them
            interface.hold(prefix, reading.allowed_ips.get(prefix))
        for event in allowed_ip_events(interface.name, old, interface.held, todo.before):
            self._publish(event)
        self.settle(interface)

    def settle(self, interface: Interface) -> None:
        """
        After a failure, and a reading since: whose each prefix of the failed plan is. Until then the store names more
        candidates than there are, and nothing more is planned.
        """
        todo = self.unsettled.pop(interface.ifindex)
        for prefix in todo.before:
            settle(interface, todo, prefix)
        self._remember(interface, todo, whole=False)

    def _change_routes(self, interface: Interface, todo: Plan) -> None:
        """Make before break: a route with another next hop is appended before the former one goes."""
        replaced = {prefix for prefix, _ in todo.delete_routes}
        fresh = [item for item in todo.add_routes if item[0] not in replaced]
        moved = [item for item in todo.add_routes if item[0] in replaced]
        refusals: list[Refusal] = []
        try:
            refusals += self._table.add_routes(fresh) if fresh else []
            refusals += self._table.add_routes(moved, append=True) if moved else []
            refusals += self._table.delete_routes(todo.delete_routes) if todo.delete_routes else []
        except OSError as error:  # no answer: all are compared again
            reason = error.strerror or str(error)
            refusals = [Refusal(p, error.errno or 0, reason) for p, _ in todo.add_routes + todo.delete_routes]
        for refusal in refusals:
            interface.failures[refusal.prefix] = f"route: {refusal.reason}"
