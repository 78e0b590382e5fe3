"""Devices, found and read: now and then, and at once when a tap says that somebody changed one.

Nothing notifies of handshakes, counters and endpoints, so devices are polled; a reading always carries all AllowedIPs,
so the costlier it is, the longer the time to the next one.
"""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import Callable, Container
from dataclasses import dataclass

from peerway.model import columns as cl
from peerway.model import events as ev
from peerway.model.device import Backend, Reading
from peerway.model.diff import allowed_ip_events, device_events
from peerway.model.interface import Interface
from peerway.model.policy import Policy
from peerway.model.ports import DeviceHandle, Devices, DeviceTap
from peerway.model.world import World

log = logging.getLogger(__name__)

FIND_AGAIN = (0.1, 1.0, 10.0)  # seconds after a hint: a socket has its file before its program listens at it
POLL_SHARE = 500  # a reading when nothing happens may cost one part in so many of the time between two of them
CARE_SHARE = 100  # and one before a change
ENTRY = 2.5e-7  # seconds that a reading takes for each AllowedIP, at least
MANY = 20_000  # prefixes of ours that make a device large
LARGE = 50_000  # prefixes in one piece of work, after which memory is worth a look


@dataclass(slots=True)
class Watched:
    """
    A device that is read from time to time. Times in seconds of the monotonic clock.
    """

    handle: DeviceHandle
    due: float = 0.0
    begun: float = 0.0  # the last reading
    cost: float = 0.0  # seconds; the lesser of the last two, for one of them may have waited for a busy program
    last_cost: float = math.inf
    told: bool = False  # that it cannot be read


class Readings:
    """
    The World's eye on devices. `started` and `stopped` are the interfaces that came and went since the engine looked.
    """

    def __init__(  # noqa: PLR0913 - the edges, each named once
        self,
        world: World,
        devices: Devices,
        tap: DeviceTap | None,
        *,
        policies: Callable[[str], Policy],
        publish: Callable[[ev.Event], None],
        clock: Callable[[], float],
        poll_interval: float,
    ) -> None:
        self.world = world
        self.listening: Callable[[], bool] = lambda: True  # whether anybody wants AllowedIP events
        self.watched: dict[int, Watched] = {}
        self.started: list[Interface] = []
        self.stopped: list[Interface] = []
        self.policies, self.poll_interval = policies, poll_interval
        self.dump_due = self.find_due = False
        self.moved = False  # whether `descriptors` are others by now
        self.large = False  # whether a reading was LARGE
        self._finds_at: list[float] = []
        self._devices, self._tap = devices, tap
        self._publish, self._clock = publish, clock

    def take_hints(self, news: Container[int] | None = None) -> None:
        """
        Read what the socket directory and the tap say, as far as `news` has their descriptors (None: both).
        """
        directory = self._devices.fileno()
        if directory is not None and (news is None or directory in news) and self._devices.read_hints():
            self.find_due = True
            self._finds_at = [self._clock() + after for after in FIND_AGAIN]
        while self._finds_at and self._finds_at[0] <= self._clock():
            self.find_due = True
            self._finds_at.pop(0)
        if self._tap is not None and (news is None or self._tap.fileno() in news):
            self._take_tap(self._tap)

    def _take_tap(self, tap: DeviceTap) -> None:
        hints: set[int | str] | None = None
        try:
            hints = tap.read_hints()
        except OSError as error:
            log.warning("the nlmon tap is lost (%s): changes of other programs are found by polling", error)
            self._tap, self.moved = None, True
        for ifindex, watched in self.watched.items():
            if hints is None or ifindex in hints or watched.handle.name in hints:
                watched.due = 0.0

    @property
    def deadline(self) -> float:
        """
        When the next reading is due, or the next look for devices; infinity without any.
        """
        due = self._finds_at[0] if self._finds_at else math.inf
        for watched in self.watched.values():
            due = min(due, watched.due)
        return due

    def descriptors(self) -> list[int]:
        """
        What is readable when there are hints.
        """
        tap = [self._tap.fileno()] if self._tap is not None else []
        directory = self._devices.fileno()
        return tap if directory is None else [*tap, directory]

    def all_due(self) -> None:
        """
        Read every device at the next occasion.
        """
        for watched in self.watched.values():
            watched.due = 0.0

    def foresee(self) -> None:
        """
        Much may have to be taken away after a loss of notifications: large devices begin to be read beside the dump.
        """
        for ifindex, watched in self.watched.items():
            interface = self.world.interfaces.get(ifindex)
            if interface is not None and len(interface.ledger.ours) >= MANY:
                watched.handle.foresee()

    async def read_due(self) -> None:
        """
        Read the devices whose time has come.
        """
        now = self._clock()
        for watched in [item for item in self.watched.values() if item.due <= now]:
            await self._read(watched)

    async def freshen(self, interface: Interface) -> None:
        """
        Before something is given: read a device again that a tap says was changed, or that no tap covers, if its share
        of time allows. What somebody pinned a moment ago would else be taken unseen, and nobody would know.
        """
        watched = self.watched[interface.ifindex]
        covered = self._tap is not None and watched.handle.backend is Backend.KERNEL
        if covered:
            self.take_hints()
        now = self._clock()
        if watched.due <= now or (not covered and now - watched.begun >= CARE_SHARE * self._cost(watched)):
            await self._read(watched)

    async def find(self) -> None:
        """
        Look which of the links are WireGuard devices.
        """
        self.find_due = False
        found = await self._devices.find(self.world.links.values())
        for ifindex in self.watched.keys() - found.keys():
            self._remove(ifindex)
        for ifindex, handle in found.items():
            known = self.watched.get(ifindex)
            if known is not None and known.handle is not handle:
                self._remove(ifindex)
                known = None
            if known is None:
                self.watched[ifindex] = Watched(handle)

    def _remove(self, ifindex: int) -> None:
        self.watched.pop(ifindex, None)
        interface = self.world.interfaces.pop(ifindex, None)
        if interface is not None:
            self.dump_due = True
            self.stopped.append(interface)
            self._publish(ev.InterfaceRemoved(interface.name, ifindex))

    async def _read(self, watched: Watched) -> None:
        begin = watched.begun = self._clock()
        handle = watched.handle
        interface = self.world.interfaces.get(handle.ifindex)
        try:
            reading = await handle.read()
        except OSError as error:
            gone = error.errno in (errno.ENODEV, errno.ECONNREFUSED, errno.ENOENT)
            self.find_due |= gone
            watched.due = self._clock() + self.poll_interval
            if interface is not None:
                interface.errors["read"] = f"cannot read the device: {error.strerror or error}"
            elif not gone and not watched.told:
                watched.told = True
                log.warning("a device that was never read cannot be read: %s", error.strerror or error)
            return
        if interface is None:
            self._add(handle, reading)
        else:
            interface.errors.pop("read", None)
            self._observe(interface, reading)
        self.large |= len(reading.allowed_ips) > LARGE
        cost = self._clock() - begin
        watched.cost, watched.last_cost = min(cost, watched.last_cost), cost
        watched.due = self._clock() + self._pause(watched)

    def _pause(self, watched: Watched) -> float:
        return max(self.poll_interval, POLL_SHARE * self._cost(watched))

    def _cost(self, watched: Watched) -> float:
        """What a reading would take now: the device may have got much since the last one."""
        interface = self.world.interfaces.get(watched.handle.ifindex)
        return max(watched.cost, ENTRY * len(interface.held) if interface else 0.0)

    def _add(self, handle: DeviceHandle, reading: Reading) -> None:
        link = self.world.links.get(handle.ifindex)
        if link is None:
            return
        interface = Interface(link, reading.device, self.policies(link.name), self.world.nexthops)
        interface.held = reading.allowed_ips
        self.world.interfaces[link.ifindex] = interface
        self.started.append(interface)
        self.dump_due = True
        self._publish(ev.InterfaceAdded(link.name, link.ifindex, handle.backend.value))
        for peer in sorted(reading.device.peers):
            self._publish(ev.PeerAdded(link.name, peer))

    def _observe(self, interface: Interface, reading: Reading) -> None:
        old, interface.device = interface.device, reading.device
        for event in device_events(old, reading.device):
            self._publish(event)
        before = interface.held
        differ = interface.observe(reading.allowed_ips)
        if differ and self.listening():
            prefixes = (prefix for column in differ for prefix in cl.each(column))
            for event in allowed_ip_events(interface.name, before.look, interface.held.look, prefixes):
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
        interface.dirty.add_columns(interface.held.having(peers))
        interface.dirty.add_columns(interface.ledger.displaced.having(peers))

    def resettle(self, interface: Interface) -> None:
        """
        Take the settings that an interface's name has now.
        """
        policy = self.policies(interface.name)
        if policy == interface.policy:
            return
        interface.set_policy(policy)
        self.world.dirty_all(interface)

    def set_policies(self, policies: Callable[[str], Policy], poll_interval: float) -> None:
        """
        Take new settings; only interfaces whose settings differ are decided again.
        """
        self.policies, self.poll_interval = policies, poll_interval
        for watched in self.watched.values():  # who asks for more readings does not wait out the former pause
            watched.due = min(watched.due, self._clock() + self._pause(watched))
        for interface in self.world.interfaces.values():
            self.resettle(interface)
