"""The base of features: whoever overrides nothing wants nothing."""

from __future__ import annotations

from peerway.features.base import Feature
from peerway.model import prefix as px
from peerway.model.events import PeerAdded
from peerway.model.selection import NOTHING
from peerway.model.table import Table
from tests.harness.columns import dumped
from tests.harness.site import WG, gateway, key, via
from tests.harness.small import A, small_world


def test_a_feature_that_overrides_nothing_wants_nothing() -> None:
    """No addresses, no owner, no selection, no routes, and events pass it by."""
    world = small_world("wg0")
    world.rib.load(dumped({px.parse("10.0.0.0/8"): via(A)}))
    feature, interface = Feature(world), world.interfaces[WG]
    interface.held = Table({px.parse("10.1.0.0/16"): A})
    feature.hear(PeerAdded("wg0", key(1)))
    assert feature.addresses(interface) == frozenset()
    assert feature.derived(interface, gateway(A)) is None
    assert feature.selection(interface, px.parse("10.0.0.0/8")) is NOTHING
    assert feature.routes(interface, px.parse("10.1.0.0/16")) == ()
    assert feature.world is world
