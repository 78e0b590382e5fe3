"""The watcher: sees every change of links, addresses, nexthop objects, routes, devices, peers and AllowedIPs.

It brings the World up to date, marks what must be decided again, and tells each change as one event. A notification of
small state is only a hint; routes flow as deltas while their stream is unbroken. Any doubt means a new dump, which is
compared with what is held, and nothing is torn down meanwhile.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import assert_never

from peerway.model import events as ev
from peerway.model.device import Reading
from peerway.model.diff import allowed_ip_events, device_events, route_events
from peerway.model.interface import Interface
from peerway.model.link import Address, AddressChange, Link, LinkChange
from peerway.model.policy import Policy
from peerway.model.ports import DeviceHandle, Devices, DeviceTap, Gap, RoutingTable
from peerway.model.prefix import Prefix
from peerway.model.route import NexthopChange, Path, RouteChange
from peerway.model.world import World

log = logging.getLogger(__name__)

POLL_SHARE = 100  # a reading may cost one hundredth of the time between two of them
AUDIT_SHARE = 1000
AUDIT_INTERVAL = 60.0


@dataclass(slots=True)
class Watched:
    """
    A device that is read from time to time. Times in seconds of the monotonic clock.
    """

    handle: DeviceHandle
    due: float = 0.0


class Watcher:
    """
    The eyes of the engine.
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
        self.watched: dict[int, Watched] = {}
        self.poll_interval = poll_interval
        self.drifted = 0  # prefixes that an audit found to differ; must stay 0
        self.listening: Callable[[], bool] = lambda: True  # whether anybody wants route events
        self.started: list[Interface] = []  # interfaces that came since the engine last looked
        self.stopped: list[Interface] = []
        self.policies = policies
        self._table, self._devices, self._tap = table, devices, tap
        self._publish, self._clock = publish, clock
        self._find_due = self._dump_due = True
        self._audit_at = 0.0

    @property
    def deadline(self) -> float:
        """
        When the next reading or audit is due.
        """
        return min([watched.due for watched in self.watched.values()] + [self._audit_at])

    @property
    def restless(self) -> bool:
        """
        Whether something is known to be out of date already.
        """
        return self._find_due or self._dump_due or self.world.rib.uncertain

    def look_again(self) -> None:
        """
        Read everything anew at the next look.
        """
        self._find_due = self._dump_due = True
        for watched in self.watched.values():
            watched.due = 0.0

    def read_soon(self, ifindex: int, after: float = 0.0) -> None:
        """
        Read one device again, after so many seconds.
        """
        if ifindex in self.watched:
            self.watched[ifindex].due = min(self.watched[ifindex].due, self._clock() + after)

    async def look(self) -> None:
        """
        Take in all that is to be seen now.
        """
        self._take_changes(self._table.read_changes())
        self._take_hints()
        if self._find_due:
            await self._find()
        now = self._clock()
        for watched in [item for item in self.watched.values() if item.due <= now]:
            await self._read(watched)
        if self.world.rib.uncertain or self._dump_due:
            self._dump()
        elif self._clock() >= self._audit_at:
            self._audit()

    # hints and deltas

    def _take_changes(self, changes: Iterable[LinkChange | AddressChange | NexthopChange | RouteChange | Gap]) -> None:
        for change in changes:
            match change:
                case RouteChange():
                    self._take_route(change)
                case NexthopChange():
                    self._take_nexthops(self.world.nexthops.apply(change))
                    self._dump_due |= change.object is None  # its IPv4 routes go without a word
                case LinkChange():
                    self._take_link(change)
                case AddressChange():
                    self._take_address(change.address, present=change.present)
                case Gap():
                    log.warning("notifications were lost (%s): everything is read again", change.reason)
                    self._publish(ev.StreamBroken("", change.reason))
                    self.look_again()
                case _:
                    assert_never(change)

    def _take_hints(self) -> None:
        if self._devices.fileno() is not None:
            self._find_due |= self._devices.read_hints()
        if self._tap is None:
            return
        hints = self._tap.read_hints()
        for ifindex, watched in self.watched.items():
            if hints is None or ifindex in hints or watched.handle.name in hints:
                watched.due = 0.0

    def _take_route(self, change: RouteChange) -> None:
        rib = self.world.rib
        before = rib.paths(change.prefix)
        if not rib.apply(change):
            return
        for interface in self.world.interfaces.values():
            interface.dirty.add(change.prefix)
        self._tell_routes(change.prefix, before)

    def _tell_routes(self, prefix: Prefix, before: tuple[Path, ...]) -> None:
        if not self.listening():
            return
        after = self.world.rib.paths(prefix)
        for interface in self.world.interfaces.values():
            old, new = (tuple(p for p in paths if self._through(interface, p)) for paths in (before, after))
            for event in route_events(interface.name, prefix, old, new):
                self._publish(event)

    def _through(self, interface: Interface, path: Path) -> bool:
        return any(hop.ifindex == interface.ifindex for hop in self.world.nexthops.resolve(path))

    def _take_nexthops(self, changed: set[int]) -> None:
        if not changed:
            return
        paths = [path for path in self.world.rib.distinct_paths() if path.nexthop_id in changed]
        prefixes = self.world.rib.having(paths)
        for interface in self.world.interfaces.values():
            interface.reselect()
            interface.dirty |= prefixes

    def _take_link(self, change: LinkChange) -> None:
        old = self.world.links.get(change.ifindex)
        if change.link is None:
            self.world.links.pop(change.ifindex, None)
            self._find_due = True
            return
        link = self.world.links[change.ifindex] = change.link
        if old is None or old.name != link.name or old.kind != link.kind:
            self._find_due = True
        interface = self.world.interfaces.get(link.ifindex)
        if interface is not None:
            self._update_link(interface, link)

    def _update_link(self, interface: Interface, link: Link) -> None:
        old, interface.link = interface.link, link
        if old.name != link.name:
            self._publish(ev.InterfaceRenamed(link.name, old.name))
            self._set_policy(interface)
        if old.up != link.up:
            self._publish(ev.InterfaceUp(link.name) if link.up else ev.InterfaceDown(link.name))
            self._dump_due = True  # IPv4 routes of a link that goes down vanish without a word
            self.world.dirty_all(interface)
            interface.small_dirty = True

    def _take_address(self, address: Address, *, present: bool) -> None:
        if present == (address in self.world.addresses):
            return
        (self.world.addresses.add if present else self.world.addresses.discard)(address)
        interface = self.world.interfaces.get(address.ifindex)
        if interface is not None:
            interface.small_dirty = True
            self._publish((ev.AddressAdded if present else ev.AddressRemoved)(interface.name, address))

    # readings

    async def _find(self) -> None:
        self._find_due = False
        found = await self._devices.find(self.world.links.values() if self.world.links else self._first_links())
        for ifindex in self.watched.keys() - found.keys():
            self._remove(ifindex)
        for ifindex, handle in found.items():
            known = self.watched.get(ifindex)
            if known is not None and known.handle is not handle:
                self._remove(ifindex)
                known = None
            if known is None:
                self.watched[ifindex] = Watched(handle)

    def _first_links(self) -> Iterable[Link]:
        self.world.links = self._table.links()
        return self.world.links.values()

    def _remove(self, ifindex: int) -> None:
        self.watched.pop(ifindex, None)
        interface = self.world.interfaces.pop(ifindex, None)
        if interface is not None:
            self._dump_due = True
            self.stopped.append(interface)
            self._publish(ev.InterfaceRemoved(interface.name, ifindex))

    async def _read(self, watched: Watched) -> None:
        begin = self._clock()
        handle = watched.handle
        interface = self.world.interfaces.get(handle.ifindex)
        try:
            reading = await handle.read()
        except OSError as error:
            self._find_due |= error.errno in (errno.ENODEV, errno.ECONNREFUSED, errno.ENOENT)
            watched.due = self._clock() + self.poll_interval
            if interface is not None:
                interface.errors["read"] = f"cannot read the device: {error.strerror or error}"
            return
        watched.due = self._clock() + max(self.poll_interval, POLL_SHARE * (self._clock() - begin))
        if interface is None:
            self._add(handle, reading)
        else:
            interface.errors.pop("read", None)
            self._observe(interface, reading)

    def _add(self, handle: DeviceHandle, reading: Reading) -> None:
        link = self.world.links.get(handle.ifindex)
        if link is None:
            return
        interface = Interface(link, reading.device, self.policies(link.name), self.world.nexthops)
        interface.held = reading.allowed_ips
        self.world.interfaces[link.ifindex] = interface
        self.started.append(interface)
        self._dump_due = True
        self._publish(ev.InterfaceAdded(link.name, link.ifindex, handle.backend.value))
        for peer in sorted(reading.device.peers):
            self._publish(ev.PeerAdded(link.name, peer))

    def _observe(self, interface: Interface, reading: Reading) -> None:
        old, interface.device = interface.device, reading.device
        for event in device_events(old, reading.device):
            self._publish(event)
        before = interface.held
        differ = interface.observe(reading.allowed_ips)
        for event in allowed_ip_events(interface.name, before, reading.allowed_ips, differ) if differ else ():
            self._publish(event)
        if old.public_key != reading.device.public_key:
            interface.small_dirty = True
        if old.peers.keys() != reading.device.peers.keys():
            interface.forget_peers()
        self.refresh(interface)

    def refresh(self, interface: Interface) -> None:
        """
        Compute the gateways of an interface anew, and mark what depends on those that changed.
        """
        named_before = interface.gateways
        changed = interface.refresh_gateways()
        if not changed:
            return
        self.world.dirty_paths(interface, changed)
        peers = {peer for address in changed for g in (named_before, interface.gateways) for peer in g.named(address)}
        interface.dirty.update(prefix for prefix, peer in interface.held.items() if peer in peers)
        interface.dirty.update(prefix for prefix, peer in interface.ledger.displaced.items() if peer in peers)

    def _set_policy(self, interface: Interface) -> None:
        policy = self.policies(interface.name)
        if policy == interface.policy:
            return
        interface.policy = policy
        interface.small_dirty = True
        interface.refresh_gateways()
        interface.reselect()
        self.world.dirty_all(interface)

    def set_policies(self, policies: Callable[[str], Policy], poll_interval: float) -> None:
        """
        Take new settings; only interfaces whose settings differ are decided again.
        """
        self.policies, self.poll_interval = policies, poll_interval
        for interface in self.world.interfaces.values():
            self._set_policy(interface)

    # dumps

    def _dump(self) -> set[Prefix]:
        begin = self._clock()
        self._dump_due = False
        self._take_links(self._table.links())
        self._take_addresses(set(self._table.addresses()))
        self._take_nexthops(self.world.nexthops.load(self._table.nexthops()))
        rib = self.world.rib
        old = rib.entries
        differ = rib.load(self._table.routes(self.world.is_relevant))
        for interface in self.world.interfaces.values():
            interface.dirty |= differ
        for prefix in differ if self.listening() else ():
            entry = old.get(prefix, ())
            self._tell_routes(prefix, entry if isinstance(entry, tuple) else (entry,))
        self._audit_at = self._clock() + max(AUDIT_INTERVAL, AUDIT_SHARE * (self._clock() - begin))
        return differ

    def _take_links(self, links: dict[int, Link]) -> None:
        for ifindex in self.world.links.keys() - links.keys():
            self._take_link(LinkChange(ifindex, None))
        for ifindex, link in links.items():
            if self.world.links.get(ifindex) != link:
                self._take_link(LinkChange(ifindex, link))
        self._dump_due = False

    def _take_addresses(self, addresses: set[Address]) -> None:
        for address in self.world.addresses - addresses:
            self._take_address(address, present=False)
        for address in addresses - self.world.addresses:
            self._take_address(address, present=True)

    def _audit(self) -> None:
        """Compare again with what is; an unbroken stream leaves nothing to be found."""
        self._take_changes(self._table.read_changes())
        differ = self._dump()
        self._take_changes(self._table.read_changes())
        if differ:
            self.drifted += len(differ)
            log.warning("an audit found %d prefixes that no notification had told of", len(differ))
