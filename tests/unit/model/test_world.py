"""The world: which routes matter, which are ours, and what must be decided again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerway.model import prefix as px
from peerway.model.link import Link
from peerway.model.route import NextHop, NexthopObject, Path
from peerway.model.table import Table
from tests.harness.columns import dumped, pairs
from tests.harness.site import OTHER, WG, gateway, via
from tests.harness.small import A, B, small_world

NET, NET6 = px.parse("10.0.0.0/8"), px.parse("2001:db8::/32")
OWN = Path(254, 87, 4096, (NextHop(WG, gateway(A)),))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (via(A), True),
        (Path(254, 12, 0, (NextHop(OTHER), NextHop(WG))), True),
        (Path(254, 12, 0, (NextHop(OTHER),)), False),
        (Path(254, 12, 0), False),
        (Path(254, 12, 0, nexthop_id=1), True),
        (replace(via(A), type=6), False),
        (Path(254, 12, 0, nexthop_id=1, type=6), False),
        (replace(via(A), table=255), False),
    ],
)
def test_relevant_is_what_leaves_through_an_interface_of_ours_or_may(path: Path, expected: bool) -> None:
    """Unicast routes out of a WireGuard interface count, and those on nexthop objects, which may be replaced."""
    assert small_world("wg0").is_relevant(path) is expected
    assert small_world("wg0").rib.relevant(path) is expected


def test_interfaces_are_found_by_name_and_listed_in_order() -> None:
    """Names are looked up as they are now, and listing is sorted by them."""
    made = small_world("wgb", "wga")
    assert [interface.name for interface in made.sorted_interfaces()] == ["wga", "wgb"]
    found = made.by_name("wgb")
    assert found is made.interfaces[WG]
    found.link = Link(WG, "wgz", "wireguard", up=True)
    assert made.by_name("wgb") is None
    assert made.by_name("wgz") is found


def test_routes_of_ours_have_our_protocol_and_leave_through_the_interface_alone() -> None:
    """A route of another protocol, out of another interface, or on an object, is not ours."""
    made = small_world("wg0", "wg1")
    elsewhere = replace(OWN, nexthops=(NextHop(WG + 1, gateway(A)),))
    both = replace(OWN, nexthops=(*OWN.nexthops, *elsewhere.nexthops), metric=1)
    on_object = Path(254, 87, 4096, nexthop_id=1)
    made.rib.load(dumped({NET: (OWN, via(A), elsewhere, both, on_object)}))
    assert made.own_routes(made.interfaces[WG], NET) == (OWN,)
    assert made.own_routes(made.interfaces[WG + 1], NET) == (elsewhere,)
    assert made.own_routes(made.interfaces[WG], NET6) == ()
    assert pairs(made.all_own_routes(made.interfaces[WG])) == [(NET, OWN)]
    assert pairs(made.all_own_routes(made.interfaces[WG + 1])) == [(NET, elsewhere)]


def test_prefixes_of_a_gateway_that_changed_are_decided_again() -> None:
    """Those routed through the address become dirty, by a nexthop object too; the others do not."""
    made = small_world("wg0")
    made.nexthops.load({1: NexthopObject(1, NextHop(WG, gateway(A)))})
    by_object = px.parse("10.9.0.0/16")
    made.rib.load(dumped({NET: via(A), by_object: Path(254, 12, 0, nexthop_id=1), NET6: via(B)}))
    interface = made.interfaces[WG]
    made.dirty_paths(interface, {gateway(A)})
    assert interface.dirty == {NET, by_object}


def test_everything_is_all_that_anybody_says_something_about() -> None:
    """Routes, what is held, what waits and derived addresses: all are decided again."""
    made = small_world("wg0")
    interface = made.interfaces[WG]
    made.rib.load(dumped({NET: via(A)}))
    interface.held = Table({NET6: A})
    waiting = px.parse("10.9.0.0/16")
    interface.ledger.displaced = Table({waiting: B})
    made.dirty_all(interface)
    assert interface.dirty == {NET, NET6, waiting, gateway(A), gateway(B)}
