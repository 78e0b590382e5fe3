"""`peerway verify`: everything is read anew and compared: kernel with memory, WireGuard with memory, all with wants."""

from __future__ import annotations

from collections.abc import Iterator

from peerway.control.api import Drift
from peerway.control.views import Views
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.columns import Column
from peerway.model.device import AllowedIPs
from peerway.model.interface import Interface
from peerway.model.ledger import Op
from peerway.model.ports import DeviceHandle, RoutingTable
from peerway.model.prefixset import PrefixSet
from peerway.model.route import RouteColumns
from peerway.model.situations import alike


async def verify(views: Views, table: RoutingTable, handles: dict[int, DeviceHandle], name: str | None) -> Drift:
    """
    What differs on one interface, or on all. Reads only; changes that arrive meanwhile may show as differences.
    """
    interfaces = views.interfaces(name)
    routes = table.routes(views.world.is_relevant)
    differences, checked = _routes(views, routes), sum(len(part.column) for part in routes)
    for interface in interfaces:
        reading = await handles[interface.ifindex].read()
        differences += _held(views, interface, reading.allowed_ips)
        differences += _wants(views, interface)
        checked += len(reading.allowed_ips)
    return Drift(differences, checked)


def _routes(views: Views, routes: list[RouteColumns]) -> list[str]:
    return [
        f"routes: {px.text(prefix)} in the kernel is not what peerway holds"
        for column in views.world.rib.differing(routes)
        for prefix in cl.each(column)
    ]


def _held(views: Views, interface: Interface, allowed_ips: AllowedIPs) -> Iterator[str]:
    for prefix in (prefix for column in interface.held.differing(allowed_ips) for prefix in cl.each(column)):
        seen, held = (
            "nobody" if key is None else views.peer_name(interface, key)
            for key in (allowed_ips.get(prefix), interface.held.get(prefix))
        )
        yield f"{interface.name}: {px.text(prefix)} is at {seen} in WireGuard, at {held} in peerway's memory"
    for record in interface.ledger.records():
        for owner, part in allowed_ips.groups(record.column) if record.op is Op.OURS else ():
            for prefix in cl.each(part) if owner != record.peer else ():
                name = views.peer_name(interface, record.peer)
                yield f"{interface.name}: the ledger has {px.text(prefix)} as given to {name}, WireGuard has not"


def _wants(views: Views, interface: Interface) -> Iterator[str]:
    everything = PrefixSet(interface.gateways.derived)
    for table in (views.world.rib.entries, interface.held, interface.ledger.displaced):
        everything.add_columns(table.columns())
    council, rib = views.council, views.world.rib
    for column in everything.drain():
        for part in alike(interface, rib, column, lambda prefix: council.claimants(interface, prefix)):
            yield from _wanted(views, interface, part)
    yield from _addresses(views, interface)


def _wanted(views: Views, interface: Interface, part: Column) -> Iterator[str]:
    """Prefixes that are alike: what one of them should have, all should."""
    first = cl.first(part)
    owner, held = views.council.verdict(interface, first).owner, interface.held.look(first)
    want_routes, have_routes = views.council.routes(interface, first), views.world.own_routes(interface, first)
    want, have = ("nobody" if key is None else views.peer_name(interface, key) for key in (owner, held))
    for prefix in cl.each(part) if owner != held else ():
        yield f"{interface.name}: {px.text(prefix)} should be at {want}, and is at {have}"
    for prefix in cl.each(part) if set(want_routes) != set(have_routes) else ():
        yield f"{interface.name}: peerway's own route to {px.text(prefix)} is not as it should be"


def _addresses(views: Views, interface: Interface) -> Iterator[str]:
    wanted = {address.address for address in views.council.addresses(interface)}
    there = {address.address for address in views.world.addresses if address.ifindex == interface.ifindex}
    for address in sorted(wanted - there):
        yield f"{interface.name}: the derived address {px.address_text(address)} is not assigned"
