"""All that the engine holds: links, addresses, nexthop objects, routes and the WireGuard interfaces."""

from __future__ import annotations

from collections.abc import Iterator

from peerway.model.interface import Interface
from peerway.model.link import Address, Link
from peerway.model.nexthops import Nexthops
from peerway.model.prefix import Prefix
from peerway.model.rib import Rib
from peerway.model.route import RT_TABLE_LOCAL, RTN_UNICAST, Path, RouteGroup
from peerway.model.siblings import paths_of


class World:
    """
    One network namespace, as last seen.
    """

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self.addresses: set[Address] = set()
        self.nexthops = Nexthops()
        self.interfaces: dict[int, Interface] = {}
        self.rib = Rib(self.is_relevant)

    def is_relevant(self, path: Path) -> bool:
        """
        Whether a path leaves through one of our interfaces, now or by its nexthop object's next replacement.
        """
        if path.type != RTN_UNICAST or path.table == RT_TABLE_LOCAL:
            return False
        if path.nexthop_id:
            return True
        interfaces = self.interfaces
        return any(hop.ifindex in interfaces for hop in path.nexthops)

    def by_name(self, name: str) -> Interface | None:
        """
        The WireGuard interface of this name.
        """
        return next((interface for interface in self.interfaces.values() if interface.name == name), None)

    def sorted_interfaces(self) -> Iterator[Interface]:
        """
        The WireGuard interfaces, by name.
        """
        yield from sorted(self.interfaces.values(), key=lambda interface: interface.name)

    def own_routes(self, interface: Interface, prefix: Prefix) -> tuple[Path, ...]:
        """
        The routes of a prefix through the interface that carry our protocol number.
        """
        return tuple(path for path in self.rib.paths(prefix) if self.is_own(interface, path))

    def all_own_routes(self, interface: Interface) -> Iterator[RouteGroup]:
        """
        Every route through the interface that carries our protocol number.
        """
        for entry in self.rib.entries.counts():
            for path in paths_of(entry):
                if self.is_own(interface, path):
                    for column in self.rib.entries.having([entry]):
                        yield path, column

    def is_own(self, interface: Interface, path: Path) -> bool:
        """
        Whether a path leaves through the interface and carries our protocol number.
        """
        return (
            path.protocol == interface.policy.route_protocol
            and bool(path.nexthops)
            and all(hop.ifindex == interface.ifindex for hop in path.nexthops)
        )

    def dirty_paths(self, interface: Interface, changed: set[Prefix]) -> None:
        """
        Mark the prefixes whose routes go to one of these gateways: what the gateway names has changed.
        """
        affected = [
            path
            for path in self.rib.distinct_paths()
            if any(hop.gateway in changed for hop in self.nexthops.resolve(path))
        ]
        interface.dirty.add_columns(self.rib.having(affected))

    def dirty_all(self, interface: Interface) -> None:
        """
        Mark everything that has to do with the interface.
        """
        for table in (self.rib.entries, interface.held, interface.ledger.displaced):
            interface.dirty.add_columns(table.columns())
        interface.dirty.update(interface.gateways.derived)
