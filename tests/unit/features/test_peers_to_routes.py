"""AllowedIPs to routes: what is pinned is routed by its peer's gateway, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerway.features.peers_to_routes import PeersToRoutes
from peerway.model import prefix as px
from peerway.model.interface import Interface
from peerway.model.policy import Policy, RouteSync
from peerway.model.prefix import Prefix
from peerway.model.route import RT_SCOPE_LINK, NextHop, Path
from peerway.model.table import Table
from peerway.model.world import World
from tests.harness.site import WG, gateway
from tests.harness.small import A, B, own, small_world

NET, NET6 = px.parse("10.0.0.0/8"), px.parse("2001:db8::/32")
HOST, HOST6 = px.parse("10.0.0.2"), px.parse("fd00::2")


def pinned(*prefixes: Prefix, policy: Policy | None = None) -> tuple[World, Interface]:
    """An interface whose peer A has these prefixes by somebody else's hand."""
    world = small_world("wg0", policy=policy)
    interface = world.interfaces[WG]
    interface.observe(Table(dict.fromkeys(prefixes, A)))
    interface.refresh_gateways()
    return world, interface


def routes(prefix: Prefix, *others: Prefix, policy: Policy | None = None) -> tuple[Path, ...]:
    world, interface = pinned(prefix, *others, policy=policy)
    return PeersToRoutes(world).routes(interface, prefix)


@pytest.mark.parametrize("prefix", [NET, NET6])
def test_a_pinned_prefix_is_routed_by_its_peers_gateway(prefix: Prefix) -> None:
    """One route with our protocol, table and metric; IPv4 goes by the IPv6 gateway where there is no other."""
    assert routes(prefix) == (Path(254, 87, 4096, (NextHop(WG, gateway(A)),)),)


def test_the_settings_are_in_the_route() -> None:
    """Table, metric and protocol are those of the policy."""
    policy = Policy(table=100, metric=5, route_protocol=99)
    assert routes(NET, policy=policy) == (Path(100, 99, 5, (NextHop(WG, gateway(A)),)),)


def test_ipv4_goes_by_an_ipv4_gateway_if_there_is_one() -> None:
    """A pinned IPv4 host is a gateway, and is preferred for IPv4; IPv6 keeps to its own."""
    assert routes(NET, HOST)[0].nexthops == (NextHop(WG, HOST),)
    assert routes(NET6, HOST)[0].nexthops == (NextHop(WG, gateway(A)),)


def test_a_pinned_gateway_is_on_the_link() -> None:
    """A host is routed without a gateway; IPv4 says so with the link's scope, IPv6 has only one scope."""
    assert routes(HOST) == (Path(254, 87, 4096, (NextHop(WG),), scope=RT_SCOPE_LINK),)
    assert routes(HOST6) == (Path(254, 87, 4096, (NextHop(WG),)),)


@pytest.mark.parametrize("prefix", [px.DEFAULT_V4, px.DEFAULT_V6])
def test_a_default_needs_to_be_asked_for(prefix: Prefix) -> None:
    """A pinned /0 is left alone, unless `default_route` says that it is meant."""
    assert routes(prefix) == ()
    assert len(routes(prefix, policy=Policy(default_route=True))) == 1


@pytest.mark.parametrize("prefix", [px.parse("fe80::/64"), px.parse("fe80::7")])
def test_link_local_prefixes_are_not_routed(prefix: Prefix) -> None:
    """The kernel has fe80::/64 on the link already."""
    assert routes(prefix) == ()


@pytest.mark.parametrize("route_sync", list(RouteSync))
def test_the_direction_can_be_off(route_sync: RouteSync) -> None:
    """Without `peers-to-routes` there is no route of ours."""
    assert bool(routes(NET, policy=Policy(route_sync=route_sync))) == Policy(route_sync=route_sync).peers_to_routes


def test_a_learned_prefix_is_not_echoed() -> None:
    """What a route gave is ours and gives no route; a pin that waits behind it keeps its own."""
    world, interface = pinned(NET)
    own(interface, NET, A)
    assert PeersToRoutes(world).routes(interface, NET) == ()
    interface.ledger.displaced[NET] = B
    assert PeersToRoutes(world).routes(interface, NET)[0].nexthops == (NextHop(WG, gateway(B)),)


def test_a_link_that_is_down_has_no_routes() -> None:
    """The kernel would refuse them; they come with the link."""
    world, interface = pinned(NET)
    interface.link = replace(interface.link, up=False)
    assert PeersToRoutes(world).routes(interface, NET) == ()


def test_a_peer_without_a_gateway_has_no_routes() -> None:
    """Where no address names the peer alone, its prefixes cannot be routed; its hosts can."""
    world, interface = pinned(NET, policy=Policy(prefixes=()))
    assert PeersToRoutes(world).routes(interface, NET) == ()
    world, interface = pinned(NET6, HOST, policy=Policy(prefixes=()))
    assert PeersToRoutes(world).routes(interface, NET6) == ()
    assert len(PeersToRoutes(world).routes(interface, HOST)) == 1


def test_what_nobody_holds_has_no_route() -> None:
    """A prefix that is at nobody gives nothing."""
    world, interface = pinned()
    assert PeersToRoutes(world).routes(interface, NET) == ()
