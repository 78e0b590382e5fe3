"""The council: all features' answers together, asked only of those who have one."""

from __future__ import annotations

import pytest
from typing_extensions import override

from peerway.features.base import Feature
from peerway.features.council import FEATURES, Council
from peerway.model import prefix as px
from peerway.model.decision import Standing
from peerway.model.events import Event, PeerAdded
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.link import Address
from peerway.model.ownership import Claims, Origin
from peerway.model.policy import Accept, PeerPolicy, Pinned, Policy
from peerway.model.prefix import Prefix
from peerway.model.route import NextHop, NexthopObject, Path
from peerway.model.selection import NOTHING, Reason, Selection
from peerway.model.table import Table
from tests.harness.columns import dumped
from tests.harness.scene import NETS, Scene
from tests.harness.site import WG, gateway, key, via
from tests.harness.small import A, B, own, small_world

NET, HOST = px.parse("10.0.0.0/8"), px.parse("10.0.0.2")
EXTRA = Path(254, 87, 1, (NextHop(WG),))
TOLD: list[Event] = []


class Wishful(Feature):
    """Wants one of everything, for NET."""

    @override
    def hear(self, event: Event) -> None:
        TOLD.append(event)

    @override
    def addresses(self, interface: Interface) -> frozenset[Address]:
        return frozenset({Address(WG, HOST, 24, 87)})

    @override
    def derived(self, interface: Interface, prefix: Prefix) -> PublicKey | None:
        return B if prefix == HOST else None

    @override
    def selection(self, interface: Interface, prefix: Prefix) -> Selection:
        return Selection(via(B), ((B, 1),)) if prefix == NET else NOTHING

    @override
    def routes(self, interface: Interface, prefix: Prefix) -> tuple[Path, ...]:
        return (EXTRA,)


def test_the_claims_of_a_prefix_are_gathered() -> None:
    """Who is derived, who is pinned, who learned it and whom routes name: each from where it is known."""
    world = small_world("wg0", policy=Policy(pinned=Pinned.YIELDS))
    council, interface = Council(world), world.interfaces[WG]
    world.rib.load(dumped({NET: via(A), gateway(A): via(B)}))
    interface.observe(Table({NET: B, HOST: B}))
    interface.refresh_gateways()
    selection = interface.selector.select((via(A),))
    assert council.claims(interface, NET) == Claims(False, None, B, None, selection)
    assert council.claims(interface, HOST) == Claims(True, None, B, None, NOTHING)
    assert council.claims(interface, gateway(A)).derived == A
    assert council.claims(interface, gateway(A)).is_gateway
    interface.ledger.displaced[NET] = B
    own(interface, NET, A)
    assert council.claims(interface, NET) == Claims(False, None, B, A, selection)
    assert council.verdict(interface, NET).origin is Origin.LEARNED
    assert council.verdict(interface, NET).displaced == B


def test_a_verdict_asks_whether_the_peer_may() -> None:
    """Accept lists and limits of the interface are in the verdict."""
    world = small_world("wg0", policy=Policy(peers={A: PeerPolicy("a", (Accept.parse("192.0.2.0/24"),))}))
    world.rib.load(dumped({NET: via(A)}))
    verdict = Council(world).verdict(world.interfaces[WG], NET)
    assert (verdict.owner, verdict.refused) == (None, ((A, Reason.NOT_ACCEPTED),))


def test_the_wishes_of_all_features_are_put_together() -> None:
    """Addresses are united, routes follow each other, and the first feature that names an owner is heard."""
    world = small_world("wg0")
    interface = world.interfaces[WG]
    interface.observe(Table({NET: A, HOST: A}))
    interface.refresh_gateways()
    council = Council(world, (*FEATURES, Wishful))
    own = {address.address for address in council.addresses(interface)}
    assert own == {gateway(key(100)), HOST}
    assert council.routes(interface, NET) == (*Council(world).routes(interface, NET), EXTRA)
    assert council.claims(interface, HOST).derived == B
    assert council.claims(interface, NET).selection.peers == ((B, 1),)
    world.rib.load(dumped({NET: via(A)}))
    assert council.claims(interface, NET).selection.peers == ((A, 1),)


def test_a_prefix_that_is_no_gateway_is_not_derived() -> None:
    """Only an address that names somebody is asked for its derived owner."""
    world = small_world("wg0", policy=Policy(prefixes=()))
    council = Council(world, (Wishful,))
    assert council.claims(world.interfaces[WG], HOST) == Claims()


def test_events_reach_those_who_listen() -> None:
    """A feature that overrides `hear` is told, the others are not asked."""
    TOLD.clear()
    council = Council(small_world("wg0"), (*FEATURES, Wishful))
    council.hear(PeerAdded("wg0", A))
    assert [PeerAdded("wg0", A)] == TOLD
    assert [type(feature) for feature in council._hearing] == [Wishful]


def test_what_is_remembered_is_what_is_decided_anew() -> None:
    """A decision by situation is the one that the rules give at that moment, through any change of the situation."""
    for seed in range(60):
        scene = Scene(seed)
        council, interface = scene.council, scene.interface
        for _ in range(3):
            for prefix in NETS:
                decision = council.decide(interface, prefix, interface.standing(prefix))
                own = scene.world.own_routes(interface, prefix)
                anew = council.verdict(interface, prefix), council.routes(interface, prefix), own
                assert tuple(decision) == anew
            scene.shuffle()


def test_what_is_remembered_goes_with_what_it_depended_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a replaced nexthop object nor a code that stands for another entry by now brings an old decision back."""
    world = small_world("wg0")
    interface, council = world.by_name("wg0"), Council(world)
    assert interface is not None
    path = Path(254, 12, 32, nexthop_id=1)
    world.rib.load(dumped({NET: path}))
    for peer in (A, B):
        world.nexthops.load({1: NexthopObject(1, NextHop(WG, gateway(peer)))})
        interface.reselect()
        assert council.decide(interface, NET, Standing()).verdict.owner == peer
    monkeypatch.setattr("peerway.model.table.SPARE", -10)  # what is unused is forgotten with each dump
    for peer in (B, A, B):
        world.rib.load([])
        world.rib.load(dumped({NET: via(peer)}))
        assert council.decide(interface, NET, Standing()).verdict.owner == peer
