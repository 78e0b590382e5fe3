"""The watcher: sees every change of links, addresses, nexthop objects, routes, devices, peers and AllowedIPs.

It brings the World up to date, marks what must be decided again, and tells each change as one event. A notification of
small state is only a hint; routes flow as deltas while their stream is unbroken. Any doubt means a new dump, which is
compared with what is held, and nothing is torn down meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable

import numpy as np

from peerway.deltas import Deltas
from peerway.model import columns as cl
from peerway.model import events as ev
from peerway.model.columns import Column
from peerway.model.link import LinkChange
from peerway.model.policy import Policy
from peerway.model.ports import Change, Devices, DeviceTap, Gap, RoutingTable
from peerway.model.route import NexthopChange, RouteChange, RouteColumns
from peerway.model.world import World
from peerway.readings import LARGE, Readings

log = logging.getLogger(__name__)

AUDIT_SHARE = 1000  # an audit may cost one thousandth of the time between two of them
AUDIT_INTERVAL = 60.0


class Watcher:
    """
    The eyes and ears of the engine.
    """

    def __init__(  # noqa: PLR0913 - the edges, each named once
        self,
        world: World,
        table: RoutingTable,
        devices: Devices,
        tap: DeviceTap | None,
        *,
        policies: Callable[[str], Policy],
        publish: Callable[[ev.Event], None],
        clock: Callable[[], float],
        poll_interval: float,
    ) -> None:
        self.world = world
        self.readings = Readings(
            world, devices, tap, policies=policies, publish=publish, clock=clock, poll_interval=poll_interval
        )
        self.deltas = Deltas(world, publish, self.readings.resettle)
        self.drifted = 0  # prefixes that an audit found to differ; must stay 0
        self._large = False
        self._table, self._publish, self._clock = table, publish, clock
        self._audit_at = 0.0
        self._first = True
        self._moved = True

    @property
    def large(self) -> bool:
        """
        Whether a reading or a dump was LARGE since this was last set to False.
        """
        return self._large or self.readings.large

    @large.setter
    def large(self, value: bool) -> None:
        self._large = self.readings.large = value

    @property
    def deadline(self) -> float:
        """
        When the next reading or audit is due.
        """
        return min(self.readings.deadline, self._audit_at)

    def descriptors(self) -> list[int]:
        """
        What is readable when there is something to look at.
        """
        self._moved = self.readings.moved = False
        return [self._table.fileno(), *self.readings.descriptors()]

    @property
    def moved(self) -> bool:
        """
        Whether `descriptors` may be other files than when they were asked for.
        """
        return self._moved or self.readings.moved

    @property
    def restless(self) -> bool:
        """
        Whether something is known to be out of date already.
        """
        return self._find_due or self._dump_due

    @property
    def _find_due(self) -> bool:
        return self.deltas.find_due or self.readings.find_due

    @property
    def _dump_due(self) -> bool:
        return self.deltas.dump_due or self.readings.dump_due or self.world.rib.uncertain

    def look_again(self) -> None:
        """
        Read everything anew at the next look.
        """
        self.deltas.find_due = self.deltas.dump_due = self._moved = True
        self.readings.all_due()

    def read_soon(self, ifindex: int) -> None:
        """
        Read one device again at the next look.
        """
        if ifindex in self.readings.watched:
            self.readings.watched[ifindex].due = self._clock()

    def set_policies(self, policies: Callable[[str], Policy], poll_interval: float) -> None:
        """
        Take new settings; only interfaces whose settings differ are decided again.
        """
        self.readings.set_policies(policies, poll_interval)

    async def look(self, news: Container[int] | None = None) -> None:
        """
        Take in all that is to be seen now. `news` are the descriptors at which something waits, None if that is not
        known; notifications are read in any case.
        """
        if self._first:  # notifications that wait already tell of some links, not of all
            self._first = False
            self.deltas.take_links(self._table.links())
        self._take(self._table.read_changes())
        readings = self.readings
        readings.take_hints(news)
        if self._find_due:
            self.deltas.find_due = False
            await readings.find()
        if readings.deadline <= self._clock():
            await readings.read_due()
        if self._dump_due:
            self._dump()
        elif self._clock() >= self._audit_at:
            self._audit()

    def hear(self) -> None:
        """
        Take in the notifications that wait, in the middle of long work that makes many.
        """
        self._take(self._table.read_changes())

    def _take(self, changes: Iterable[Change | Gap]) -> None:
        for change in changes:
            if isinstance(change, Gap) and not change.lost:
                log.info("%s: the routes are read again", change.reason)
                self.deltas.dump_due = True
            elif isinstance(change, Gap):
                log.warning("notifications were lost (%s): everything is read again", change.reason)
                self._publish(ev.StreamBroken("", change.reason))
                self.deltas.find_due = self.deltas.dump_due = self._moved = True  # devices have another stream
                self.readings.foresee()
                self._doubt_our_own()
            else:
                self.deltas.take(change)

    def _doubt_our_own(self) -> None:
        """What we set and did not hear of yet may be gone again; a dump shows no difference then."""
        for interface in self.world.interfaces.values():
            interface.small_dirty = True
            interface.dirty.add_columns(interface.pinned_prefixes())

    def _dump(self) -> list[Column]:
        begin = self._clock()
        self._table.listen_to(self.world.interfaces)
        self.deltas.take_links(self._table.links())
        self.deltas.take_addresses(self._table.addresses())
        self.deltas.take_nexthops(self._table.nexthops())
        differ = self.deltas.take_routes(self._table.routes(self.world.is_relevant))
        self._large |= len(self.world.rib) > LARGE
        self.deltas.dump_due = self.readings.dump_due = False
        self._audit_at = self._clock() + max(AUDIT_INTERVAL, AUDIT_SHARE * (self._clock() - begin))
        return differ

    def _audit(self) -> None:
        """Compare again with what is; an unbroken stream leaves nothing to be found."""
        self._take(self._table.read_changes())
        doubt = self._dump_due  # by what came since the look began
        differ = self._dump()
        waiting = self._table.read_changes()  # changes during the dump are told; with links and objects, silent ones
        self._take(waiting)
        told = cl.columns(change.prefix for change in waiting if isinstance(change, RouteChange))
        told += [cl.unique(np.sort(change.column)) for change in waiting if isinstance(change, RouteColumns)]
        for known in told:
            differ = [cl.without(some, known) if some.dtype == known.dtype else some for some in differ]
        found = sum(map(len, differ))
        if found and not doubt and not any(isinstance(change, LinkChange | NexthopChange | Gap) for change in waiting):
            self.drifted += found
            log.warning("an audit found %d prefixes that no notification had told of", found)
