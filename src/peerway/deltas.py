"""Changes as the kernel tells them, taken into the World: routes as deltas, links and addresses as they are now.

Each marks what must be decided again, and is told as one event. What the kernel keeps to itself is known here too:
which changes leave a doubt that only a dump ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import assert_never

from peerway.model import columns as cl
from peerway.model import events as ev
from peerway.model.columns import Column
from peerway.model.diff import route_events
from peerway.model.interface import Interface
from peerway.model.link import Address, AddressChange, Link, LinkChange
from peerway.model.nexthops import Nexthops
from peerway.model.ports import Change
from peerway.model.prefix import Prefix
from peerway.model.route import KINDS, NexthopChange, NexthopObject, Path, RouteChange, RouteColumns
from peerway.model.world import World


class Deltas:
    """
    The World's ear. `dump_due`: routes may have changed without a word; `find_due`: devices may have.
    """

    def __init__(self, world: World, publish: Callable[[ev.Event], None], renamed: Callable[[Interface], None]) -> None:
        """
        `renamed` is called with an interface that has another name, so perhaps other settings.
        """
        self.world = world
        self.listening: Callable[[], bool] = lambda: True  # whether anybody wants route events
        self.dump_due = self.find_due = True
        self._publish, self._renamed = publish, renamed

    def take(self, change: Change) -> None:
        """
        Take one notification.
        """
        match change:
            case RouteChange():
                self._take_route(change)
            case RouteColumns():
                self._take_burst(change)
            case NexthopChange():
                former = self._nexthops_now()
                self._take_nexthops(former, self.world.nexthops.apply(change))
                self.dump_due |= change.object is None  # its IPv4 routes go without a word
            case LinkChange():
                self._take_link(change)
            case AddressChange():
                self._take_address(change.address, present=change.present)
            case _:
                assert_never(change)

    def _take_route(self, change: RouteChange) -> None:
        rib, prefix = self.world.rib, change.prefix
        before = rib.paths(prefix) if self.listening() else None
        if not rib.apply(change):
            return
        for interface in self.world.interfaces.values():
            interface.dirty.add(prefix)
        if before is not None:
            self._tell_routes(prefix, before)

    def _take_burst(self, burst: RouteColumns) -> None:
        if self.listening() and burst.kinds is not None:  # each is told, with what was before it
            rows = zip(burst.kinds.tolist(), cl.each(burst.column), burst.codes.tolist(), strict=True)
            for kind, prefix, code in rows:
                self._take_route(RouteChange(KINDS[kind], prefix, burst.paths[code]))
            return
        differ = self.world.rib.apply_many(burst)
        for interface in self.world.interfaces.values():
            interface.dirty.add_columns([differ])

    def _tell_routes(self, prefix: Prefix, before: tuple[Path, ...]) -> None:
        after = self.world.rib.paths(prefix)
        for interface in self.world.interfaces.values():
            old, new = (tuple(p for p in paths if self._through(interface, p)) for paths in (before, after))
            for event in route_events(interface.name, prefix, old, new):
                self._publish(event)

    def _through(self, interface: Interface, path: Path) -> bool:
        return _leads(self.world.nexthops, interface, path)

    def _nexthops_now(self) -> Nexthops:
        former = Nexthops()
        former.objects = dict(self.world.nexthops.objects)
        return former

    def _take_nexthops(self, former: Nexthops, changed: set[int]) -> None:
        if not changed:
            return
        paths = self.world.rib.through_objects(changed)
        prefixes = self.world.rib.having(paths)
        for interface in self.world.interfaces.values():
            interface.reselect()
            interface.dirty.add_columns(prefixes)
            if self.listening():
                self._tell_objects(interface, former, paths)

    def _tell_objects(self, interface: Interface, former: Nexthops, paths: list[Path]) -> None:
        """Routes whose object goes to another link, or is gone, change nothing but where they leave."""
        for path in paths:
            before, after = _leads(former, interface, path), self._through(interface, path)
            if before != after:
                for prefix in (prefix for column in self.world.rib.having([path]) for prefix in cl.each(column)):
                    self._publish((ev.RouteAdded if after else ev.RouteRemoved)(interface.name, prefix, path))

    def _take_link(self, change: LinkChange) -> None:
        old = self.world.links.get(change.ifindex)
        if change.link is None:
            self.world.links.pop(change.ifindex, None)
            self.find_due = True
            return
        link = self.world.links[change.ifindex] = change.link
        if old is None or old.name != link.name or old.kind != link.kind:
            self.find_due = True
        interface = self.world.interfaces.get(link.ifindex)
        if interface is not None:
            self._update_link(interface, link)

    def _update_link(self, interface: Interface, link: Link) -> None:
        old, interface.link = interface.link, link
        if old.name != link.name:
            self._publish(ev.InterfaceRenamed(link.name, old.name))
            self._renamed(interface)
        if old.up != link.up:
            self._publish(ev.InterfaceUp(link.name) if link.up else ev.InterfaceDown(link.name))
            self.dump_due = True  # IPv4 routes of a link that goes down vanish without a word
            self.world.dirty_all(interface)
            interface.small_dirty = True

    def _take_address(self, address: Address, *, present: bool) -> None:
        if present == (address in self.world.addresses):
            return
        interface = self.world.interfaces.get(address.ifindex)
        if interface is not None and present:
            self._forget_former(address)
        (self.world.addresses.add if present else self.world.addresses.discard)(address)
        if interface is not None:
            interface.small_dirty = True
            self._publish((ev.AddressAdded if present else ev.AddressRemoved)(interface.name, address))

    def _forget_former(self, address: Address) -> None:
        """An address that is announced again with another IFA_PROTO is the same one, in other hands."""
        for other in [item for item in self.world.addresses if replace(item, protocol=address.protocol) == address]:
            self._take_address(other, present=False)

    # whole dumps

    def take_links(self, links: dict[int, Link]) -> None:
        """
        Take a dump of all links.
        """
        for ifindex in self.world.links.keys() - links.keys():
            self._take_link(LinkChange(ifindex, None))
        for ifindex, link in links.items():
            if self.world.links.get(ifindex) != link:
                self._take_link(LinkChange(ifindex, link))

    def take_addresses(self, addresses: Iterable[Address]) -> None:
        """
        Take a dump of all addresses.
        """
        now = set(addresses)
        for address in self.world.addresses - now:
            self._take_address(address, present=False)
        for address in now - self.world.addresses:
            self._take_address(address, present=True)

    def take_nexthops(self, objects: dict[int, NexthopObject]) -> None:
        """
        Take a dump of all nexthop objects.
        """
        former = self._nexthops_now()
        self._take_nexthops(former, self.world.nexthops.load(objects))

    def take_routes(self, routes: Iterable[RouteColumns]) -> list[Column]:
        """
        Take a dump of the relevant routes. Returns the prefixes that differ from what was held.
        """
        rib = self.world.rib
        old: dict[Prefix, tuple[Path, ...]] = {}
        differ = rib.load(routes, old.__setitem__ if self.listening() else None)
        for interface in self.world.interfaces.values():
            interface.dirty.add_columns(differ)
        for prefix in sorted(old):
            self._tell_routes(prefix, old[prefix])
        return differ


def _leads(nexthops: Nexthops, interface: Interface, path: Path) -> bool:
    """
    Whether a path leaves through an interface while nexthop objects are these.
    """
    return any(hop.ifindex == interface.ifindex for hop in nexthops.resolve(path))
