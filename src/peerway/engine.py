"""The engine: observe, decide, plan, apply, and again. One task, so that nothing is seen half done.

All that is readable is taken in, decided and applied in one batch: a single change goes through at once, and under load
the batches grow by themselves. There are no fixed delays.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Container, Iterator
from functools import partial

from peerway.apply import Applier
from peerway.features.addresses import disturbs
from peerway.features.council import Council
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.aggregating import aggregate
from peerway.model.columns import Column
from peerway.model.events import Event
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.link import Address
from peerway.model.plan import Plan, plan
from peerway.model.policy import OnStop
from peerway.model.ports import RoutingTable
from peerway.model.prefix import Prefix
from peerway.model.situations import alike
from peerway.model.world import World
from peerway.readings import LARGE
from peerway.records import Records
from peerway.watcher import Watcher

log = logging.getLogger(__name__)


class Engine:
    """
    Keeps routes and AllowedIPs in step on all interfaces of one network namespace.
    """

    def __init__(  # noqa: PLR0913 - the edges, each named once
        self,
        world: World,
        table: RoutingTable,
        watcher: Watcher,
        records: Records,
        *,
        publish: Callable[[Event], None],
        clock: Callable[[], float],
    ) -> None:
        self.world = world
        self.watcher = watcher
        self.council = Council(world)
        self.wake: Callable[[], None] = lambda: None  # ends the wait for the next round
        self.trim: Callable[[], None] = lambda: None  # gives memory back that was taken for a moment
        self._table, self._records, self._clock = table, records, clock
        self._applier = Applier(table, records, publish, clock)
        self._applier.hear = watcher.hear
        self._first = True
        self._large = False  # whether a plan took much memory
        self._rounds: list[asyncio.Future[None]] = []

    @property
    def deadline(self) -> float:
        """
        When there is something to do without being woken.
        """
        if self.watcher.restless:
            return 0.0
        for interface in self.world.interfaces.values():
            if interface.small_dirty or self._is_waiting(interface):
                return 0.0
        due = self.watcher.deadline
        for interface in self.world.interfaces.values():
            if interface.health.deadline < due and interface.ifindex not in self._applier.unsettled:
                due = interface.health.deadline
        return due

    def _is_waiting(self, interface: Interface) -> bool:
        return bool(interface.dirty) and interface.ifindex not in self._applier.unsettled

    def listen(self, listening: Callable[[], bool]) -> None:
        """
        Events of single prefixes are made only while somebody listens.
        """
        self.watcher.deltas.listening = self.watcher.readings.listening = self._applier.listening = listening

    async def sync(self) -> None:
        """
        Read everything again, try again what failed, and return when it is applied.
        """
        self.watcher.look_again()
        for interface in self.world.interfaces.values():
            interface.health.hurry()
        await self.settled()

    async def settled(self) -> None:
        """
        Return after a whole round from now on: what the kernel had announced by now is applied.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rounds.append(done)
        self.wake()
        await done

    async def step(self, news: Container[int] | None = None) -> None:
        """
        One round: take in what is to be seen, and bring every interface to what is wanted. `news` are the descriptors
        at which something waits, None if that is not known. Raises OSError when the kernel does not answer; who waits
        for a round waits for the next one then.
        """
        rounds, self._rounds = self._rounds, []
        try:
            await self._round(news)
        except BaseException:
            self._rounds = [*rounds, *self._rounds]
            raise
        if rounds:
            self._end(rounds)

    async def _round(self, news: Container[int] | None) -> None:
        await self.watcher.look(news)
        readings = self.watcher.readings
        if readings.started or readings.stopped or self._first:
            self._welcome()
        for interface in list(self.world.interfaces.values()):
            if interface.health.deadline < math.inf:
                self._retry(interface)
            if interface.small_dirty:
                interface.small_dirty = False
                self._bring_addresses(interface)
            if interface.ifindex in self._applier.unsettled and "read" not in interface.errors:
                self._applier.settle(interface)
            if self._is_waiting(interface):
                await self._bring(interface)
        if self._large or self.watcher.large:
            self._save_memory()

    def _end(self, rounds: list[asyncio.Future[None]]) -> None:
        if any(map(self._is_waiting, self.world.interfaces.values())):  # what a plan left to the next one
            self._rounds = [*rounds, *self._rounds]
            return
        for done in rounds:
            if not done.done():
                done.set_result(None)

    def _welcome(self) -> None:
        for interface in self.watcher.readings.stopped:
            self._records.forget(interface.ifindex)
            self._applier.unsettled.pop(interface.ifindex, None)
        for interface in self.watcher.readings.started:
            self._records.adopt(interface)
            if "ledger" in interface.errors:
                interface.health.failed("ledger", interface.errors["ledger"], self._clock())
            interface.refresh_gateways()
            self.world.dirty_all(interface)
            log.info(
                "%s: %s device, %d peers", interface.name, interface.device.backend.value, len(interface.device.peers)
            )
        if self._first:
            self._first = False
            self._records.forget_others(self.world.links)  # a device that cannot be read now is no device that is gone
        self.watcher.readings.started.clear()
        self.watcher.readings.stopped.clear()

    def _retry(self, interface: Interface) -> None:
        health, now = interface.health, self._clock()
        if health.deadline > now or interface.ifindex in self._applier.unsettled:
            return
        interface.dirty.add_columns(health.due(now))
        interface.small_dirty |= health.is_due("address", now)
        if health.is_due("ledger", now):
            self._applier.rewrite(interface)

    # addresses

    def _bring_addresses(self, interface: Interface) -> None:
        wanted = self.council.addresses(interface)
        present = {address for address in self.world.addresses if address.ifindex == interface.ifindex}
        error = self._change_addresses(interface, wanted, present)
        if error is not None:
            interface.errors["address"] = f"cannot set the derived addresses: {error.strerror or error}"
            interface.health.failed("address", interface.errors["address"], self._clock())
        else:
            interface.errors.pop("address", None)
            interface.health.done("address")

    def _change_addresses(
        self, interface: Interface, wanted: frozenset[Address], present: set[Address]
    ) -> OSError | None:
        """One address that is refused stops no other. Returns the last error."""
        failed: OSError | None = None
        for change in self._address_changes(interface, wanted, present):
            try:
                change()
            except OSError as error:
                failed = error
        return failed

    def _address_changes(
        self, interface: Interface, wanted: frozenset[Address], present: set[Address]
    ) -> Iterator[Callable[[], None]]:
        disturbing = [address for address in present if disturbs(address, wanted)]
        if disturbing or (not interface.link.up and any(px.is_link_local(address.address) for address in wanted)):
            yield partial(self._table.stop_kernel_link_local, interface.ifindex)
        there = {address.address for address in present}
        yield from (partial(self._table.add_address, it) for it in sorted(wanted) if it.address not in there)
        ours = {address for address in present if address.protocol == interface.policy.route_protocol}
        keep = {address.address for address in wanted}
        gone = {address for address in ours if address.address not in keep} | set(disturbing)
        yield from (partial(self._table.delete_address, address) for address in sorted(gone))

    # AllowedIPs and routes

    async def _bring(self, interface: Interface) -> None:
        council = self.council
        await self.watcher.readings.freshen(interface)

        def claimants(prefix: Prefix) -> tuple[PublicKey, ...]:
            return council.claimants(interface, prefix)

        def parts(column: Column) -> Iterator[Column]:
            return alike(interface, self.world.rib, column, claimants)

        left: list[Column] = []
        if interface.aggregated:
            left = aggregate(
                interface, interface.aggregated, lambda prefix: council.verdict(interface, prefix), parts, claimants
            )
        todo = plan(interface, self.world.rib, partial(council.decide, interface), parts)
        interface.dirty.add_columns(left)
        if todo and not await self._applier.apply(
            interface, self.watcher.readings.watched[interface.ifindex].handle, todo
        ):
            self.watcher.read_soon(interface.ifindex)
        interface.health.tried(todo.decided.values(), self._clock())
        if sum(map(len, todo.decided.values())) > LARGE:
            self._large = True

    def _save_memory(self) -> None:
        """After a large plan, reading or dump, when nothing of it is needed any more."""
        self._large = self.watcher.large = False
        for interface in self.world.interfaces.values():
            interface.ledger.ours.share(interface.held)
            self.world.rib.entries.share(interface.ledger.ours)
            if interface.aggregated:
                interface.aggregated.given.share(self.world.rib.entries)
        cl.forget()
        self.trim()

    # the end

    async def stop(self) -> None:
        """
        Leave the data plane as it is, or, where `on_stop: flush` says so, take away all that is ours.
        """
        for interface in list(self.world.interfaces.values()):
            if interface.policy.on_stop is OnStop.FLUSH:
                await self._flush(interface)

    async def _flush(self, interface: Interface) -> None:
        todo = Plan()
        ours, displaced = interface.ledger.ours, interface.ledger.displaced
        for whole in ours.columns():
            for peer, some in ours.groups(whole):
                for waiting, part in displaced.groups(some):
                    if waiting is not None:
                        todo.give.append((waiting, part))
                    elif peer is not None:
                        todo.take.append((peer, part))
        todo.tie()
        own = [*self.world.all_own_routes(interface)]
        protocol = interface.policy.route_protocol
        try:
            await self.watcher.readings.watched[interface.ifindex].handle.apply(todo.delta)
            self._table.delete_routes(own)
            for address in self.world.addresses:
                if address.ifindex == interface.ifindex and address.protocol == protocol:
                    self._table.delete_address(address)
            self._records.forget(interface.ifindex)
        except OSError as error:
            log.warning("%s: cannot take away all that is ours: %s", interface.name, error.strerror or error)
