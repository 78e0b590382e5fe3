"""Routes to AllowedIPs: the selection over the routes of a prefix, while that direction is on."""

from __future__ import annotations

import pytest

from peerway.features.routes_to_peers import RoutesToPeers
from peerway.model import prefix as px
from peerway.model.policy import Policy, RouteSync
from peerway.model.selection import NOTHING
from tests.harness.columns import dumped
from tests.harness.site import WG, via
from tests.harness.small import A, B, small_world

NET = px.parse("10.0.0.0/8")


@pytest.mark.parametrize("route_sync", list(RouteSync))
def test_a_route_names_its_peer_while_the_direction_is_on(route_sync: RouteSync) -> None:
    """The selection is over all routes of the prefix; without `routes-to-peers` there is none."""
    world = small_world("wg0", policy=Policy(route_sync=route_sync))
    world.rib.load(dumped({NET: (via(A, metric=64), via(B, metric=32))}))
    selection = RoutesToPeers(world).selection(world.interfaces[WG], NET)
    if world.interfaces[WG].policy.routes_to_peers:
        assert (selection.path, selection.peers, selection.behind) == (via(B, metric=32), ((B, 1),), (A,))
    else:
        assert selection is NOTHING


def test_without_a_route_nothing_is_selected() -> None:
    """A prefix that nobody routes names nobody."""
    world = small_world("wg0")
    assert RoutesToPeers(world).selection(world.interfaces[WG], NET) is NOTHING
