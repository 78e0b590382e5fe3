"""`peerway why`: one packet's way, in sentences: kernel route, gateway, owner, endpoint, or where it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from peerway.control.api import Json, UnusableError
from peerway.control.views import VERSION, Views
from peerway.control.words import path_json, problem_text, timestamp
from peerway.model import prefix as px
from peerway.model.device import AllowedIPs
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.policy import Pinned
from peerway.model.ports import RoutingTable
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, Path


@dataclass(slots=True)
class Way:
    """
    The answer as it grows: sentences, and the facts behind them.
    """

    target: str
    steps: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(
        default_factory=lambda: dict.fromkeys(("route", "gateway", "interface", "owner", "endpoint"))
    )
    reachable: bool = False

    def json(self) -> Json:
        """
        As `peerway why --json` prints it.
        """
        return {
            "version": VERSION,
            "target": self.target,
            "reachable": self.reachable,
            "steps": self.steps,
        } | self.facts


def covering(allowed_ips: AllowedIPs, address: Prefix) -> Prefix | None:
    """
    The longest prefix among AllowedIPs that contains an address or prefix, as WireGuard picks it.
    """
    for length in range(px.length(address), -1, -1):
        candidate = px.supernet(address, length)
        if candidate in allowed_ips:
            return candidate
    return None


def explain(views: Views, table: RoutingTable, target: str) -> Json:
    """
    Follow one packet to an address, or to the first address of a prefix. Raises UnusableError.
    """
    try:
        prefix = px.parse(target) if "/" in target or target == "default" else px.parse_address(target)
    except ValueError as error:
        raise UnusableError(f"{error}; `peerway why` takes an address or a prefix") from None
    way = Way(target)
    found = table.lookup(px.host(px.family(prefix), px.packed(prefix)))
    if found is None:
        way.steps.append(f"The kernel has no route to {target}: the packet ends here.")
        _notes_everywhere(views, way, prefix)
        return way.json()
    _follow(views, way, prefix, *found)
    return way.json()


def _follow(views: Views, way: Way, prefix: Prefix, matched: Prefix, path: Path) -> None:
    hops = views.world.nexthops.resolve(path)
    way.facts["route"] = {"prefix": px.text(matched)} | path_json(path, views.names)
    through = [hop for hop in hops if hop.ifindex in views.world.interfaces]
    words = f"{views.names.protocol_name(path.protocol)}, table {views.names.table_name(path.table)}"
    if not through:
        names = [views.world.links[hop.ifindex].name for hop in hops if hop.ifindex in views.world.links]
        way.steps.append(
            f"The kernel routes {way.target} by {px.text(matched)} ({words}) out of {', '.join(names) or 'nowhere'}, "
            "which is no WireGuard interface: peerway has no part in it."
        )
        _notes_everywhere(views, way, prefix)
        return
    hop = _hop(views, prefix, through)
    interface = views.world.interfaces[hop.ifindex]
    way.facts["interface"] = interface.name
    via = "without a gateway" if hop.gateway is None else f"via {px.address_text(hop.gateway)}"
    metric = f", metric {path.metric}" if path.metric else ""
    way.steps.append(
        f"The kernel routes {way.target} by {px.text(matched)} {via} dev {interface.name} ({words}{metric})."
    )
    if len(hops) > 1:
        way.steps.append(f"The route has {len(hops)} next hops; WireGuard gives the prefix to one peer only.")
    named = None
    if hop.gateway is not None:
        way.facts["gateway"] = px.address_text(hop.gateway)
        named = _gateway(views, way, interface, hop.gateway)
    _owner(views, way, interface, prefix, matched=matched, named=named)


def _hop(views: Views, prefix: Prefix, hops: list[NextHop]) -> NextHop:
    """Of several next hops the one that names the owner: whichever the kernel picks, WireGuard sends there."""
    for hop in hops:
        interface = views.world.interfaces[hop.ifindex]
        allowed = covering(interface.held, prefix)
        owner = None if allowed is None else interface.held[allowed]
        if owner is not None and hop.gateway is not None and interface.gateways.peer(hop.gateway) == owner:
            return hop
    return hops[0]


def _gateway(views: Views, way: Way, interface: Interface, gateway: Prefix) -> PublicKey | None:
    text, names = px.address_text(gateway), interface.gateways.named(gateway)
    peer = interface.gateways.peer(gateway)
    if peer is not None:
        way.steps.append(f"The gateway {text} names the peer {views.peer_name(interface, peer)} ({peer}).")
    elif names:
        way.steps.append(f"The gateway {text} names {len(names)} peers, so it names nobody.")
    else:
        way.steps.append(f"The gateway {text} names no peer of {interface.name}.")
    return peer


def _owner(  # noqa: PLR0913 - one packet: its interface, target, route and the peer that the route names
    views: Views, way: Way, interface: Interface, prefix: Prefix, *, matched: Prefix, named: PublicKey | None
) -> None:
    allowed = covering(interface.held, prefix)
    if allowed is None:
        way.steps.append(
            f"No peer of {interface.name} has {way.target} in its AllowedIPs: WireGuard drops the packet (ENOKEY)."
        )
        _reasons(views, way, interface, matched)
        return
    owner = interface.held[allowed]
    name = views.peer_name(interface, owner)
    origin = views.route(interface, allowed)["origin"]
    way.facts["owner"] = str(owner)
    way.steps.append(f"WireGuard gives it to {name}, who has {px.text(allowed)} in its AllowedIPs ({origin}).")
    state = interface.aggregated
    if state and allowed != matched and state.given.look(matched) == owner:
        way.steps.append(f"It stands for {px.text(matched)}, which has the same peer: this interface aggregates.")
    if named is not None and named != owner:
        way.steps.append(
            f"This is not the peer that the route names ({views.peer_name(interface, named)}): "
            "the routing table and WireGuard disagree."
        )
    for about in dict.fromkeys((matched, allowed)):
        _reasons(views, way, interface, about)
    _endpoint(way, interface, owner, name)
    if not px.is_host(allowed):
        way.steps.append(
            f"In the other direction WireGuard accepts packets from {px.text(allowed)} from {name} only, "
            "and drops them from any other peer: paths must be symmetric."
        )


def _endpoint(way: Way, interface: Interface, owner: PublicKey, name: str) -> None:
    peer = interface.device.peers.get(owner)
    if peer is None or not peer.endpoint:
        way.steps.append(f"{name} has no endpoint yet: WireGuard cannot send to it until it has heard from it.")
        return
    way.facts["endpoint"] = peer.endpoint
    if not interface.link.up:
        way.steps.append(f"{interface.name} is down: nothing is sent.")
        return
    seen = timestamp(peer.latest_handshake)
    when = f"the latest handshake was at {seen}" if seen else "there was no handshake yet"
    way.steps.append(f"The packet leaves for {peer.endpoint}; {when}.")
    way.reachable = True


def _reasons(views: Views, way: Way, interface: Interface, prefix: Prefix) -> None:
    """What the verdict on the prefix, and on the ones that cover it, has to say."""
    verdict = interface.notes.get(prefix)
    text = px.text(prefix)
    if verdict is not None:
        for peer, reason in verdict.shadowed:
            way.steps.append(f"{views.peer_name(interface, peer)} also claims {text}: {reason.value}.")
        for peer, reason in verdict.refused:
            way.steps.append(f"{views.peer_name(interface, peer)} may not have {text}: {reason.value}.")
        way.steps += [f"A route to {text} gives nothing: {problem_text(problem)}." for problem in verdict.problems]
        if verdict.displaced is not None and interface.policy.pinned is Pinned.YIELDS:
            way.steps.append(
                f"{text} goes back to {views.peer_name(interface, verdict.displaced)} when the route goes."
            )
    for path in views.world.rib.paths(prefix):
        skipped = interface.selector.named(path).skipped
        if skipped is not None and path.protocol != interface.policy.route_protocol:
            protocol = views.names.protocol_name(path.protocol)
            way.steps.append(f"A route to {text} ({protocol}) does not count on {interface.name}: {skipped.value}.")
    if prefix in interface.failures:
        way.steps.append(f"The last attempt at {text} failed: {interface.failures[prefix].reason}.")


def _notes_everywhere(views: Views, way: Way, prefix: Prefix) -> None:
    for interface in views.world.sorted_interfaces():
        allowed = covering(interface.held, prefix)
        if allowed is not None:
            name = views.peer_name(interface, interface.held[allowed])
            way.steps.append(f"{interface.name} would give it to {name}, who has {px.text(allowed)} in its AllowedIPs.")
        if prefix in interface.notes:
            _reasons(views, way, interface, prefix)
