"""AllowedIPs to routes: what somebody pinned to a peer is routed through that peer's gateway (DESIGN 4).

Learned AllowedIPs give no route: they are an echo of one.
"""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from peerway.features.base import Feature
from peerway.model import prefix as px
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.route import RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, NextHop, Path


class PeersToRoutes(Feature):
    """
    Wants a route for each pinned prefix, and a host route on the link for each pinned gateway.
    """

    name: ClassVar[str] = "peers-to-routes"

    @override
    def routes(self, interface: Interface, prefix: Prefix) -> tuple[Path, ...]:
        policy = interface.policy
        if not policy.peers_to_routes or not interface.link.up:
            return ()
        peer = interface.pinned(prefix)
        if peer is None or (px.is_default(prefix) and not policy.default_route) or px.is_link_local(prefix):
            return ()
        hop = self._nexthop(interface, prefix, peer)
        if hop is None:
            return ()
        on_link = hop.gateway is None and px.family(prefix) == px.AF_INET
        scope = RT_SCOPE_LINK if on_link else RT_SCOPE_UNIVERSE
        return (Path(policy.table, policy.route_protocol, policy.metric, (hop,), scope=scope),)

    def _nexthop(self, interface: Interface, prefix: Prefix, peer: PublicKey) -> NextHop | None:
        if px.is_host(prefix):
            return NextHop(interface.ifindex)
        gateway = interface.gateways.best(peer, px.family(prefix))
        return None if gateway is None else NextHop(interface.ifindex, gateway)
