"""`peerway verify`: everything is read anew and compared: kernel with memory, WireGuard with memory, all with wants."""

from __future__ import annotations

from collections.abc import Iterator

from peerway.control.api import Drift
from peerway.control.views import Views
from peerway.model import prefix as px
from peerway.model.device import AllowedIPs
from peerway.model.interface import Interface
from peerway.model.ports import DeviceHandle, RoutingTable
from peerway.model.rib import Table


async def verify(views: Views, table: RoutingTable, handles: dict[int, DeviceHandle], name: str | None) -> Drift:
    """
    What differs on one interface, or on all. Reads only; changes that arrive meanwhile may show as differences.
    """
    interfaces = views.interfaces(name)
    routes = table.routes(views.world.is_relevant)
    differences, checked = _routes(views, routes), len(routes)
    for interface in interfaces:
        reading = await handles[interface.ifindex].read()
        differences += _held(views, interface, reading.allowed_ips)
        differences += _wants(views, interface)
        checked += len(reading.allowed_ips)
    return Drift(differences, checked)


def _routes(views: Views, routes: Table) -> list[str]:
    differ = sorted(views.world.rib.differing(routes))
    return [f"routes: {px.text(prefix)} in the kernel is not what peerway holds" for prefix in differ]


def _held(views: Views, interface: Interface, allowed_ips: AllowedIPs) -> Iterator[str]:
    differ = (p for p in interface.held.keys() | allowed_ips.keys() if interface.held.get(p) != allowed_ips.get(p))
    for prefix in sorted(differ):
        seen, held = (
            "nobody" if key is None else views.peer_name(interface, key)
            for key in (allowed_ips.get(prefix), interface.held.get(prefix))
        )
        yield f"{interface.name}: {px.text(prefix)} is at {seen} in WireGuard, at {held} in peerway's memory"
    for prefix, peer in sorted(interface.ledger.ours.items()):
        if allowed_ips.get(prefix) != peer:
            name = views.peer_name(interface, peer)
            yield f"{interface.name}: the ledger has {px.text(prefix)} as given to {name}, WireGuard has not"


def _wants(views: Views, interface: Interface) -> Iterator[str]:
    prefixes = views.world.rib.entries.keys() | interface.held.keys() | interface.ledger.displaced.keys()
    for prefix in sorted(prefixes | interface.gateways.derived.keys()):
        owner, held = views.council.verdict(interface, prefix).owner, interface.held.get(prefix)
        if owner != held:
            want, have = ("nobody" if key is None else views.peer_name(interface, key) for key in (owner, held))
            yield f"{interface.name}: {px.text(prefix)} should be at {want}, and is at {have}"
        want_routes = views.council.routes(interface, prefix)
        have_routes = views.world.own_routes(interface, prefix)
        if set(want_routes) != set(have_routes):
            yield f"{interface.name}: peerway's own route to {px.text(prefix)} is not as it should be"
    wanted = {address.address for address in views.council.addresses(interface)}
    there = {address.address for address in views.world.addresses if address.ifindex == interface.ifindex}
    for address in sorted(wanted - there):
        yield f"{interface.name}: the derived address {px.address_text(address)} is not assigned"
