"""What a routing peer can reach through us that announces whatever it likes: docs/SECURITY.md points here."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from peerway.model import prefix as px
from peerway.model.policy import Accept, PeerPolicy, Policy
from peerway.model.prefix import Prefix
from peerway.model.route import RouteChangeKind
from tests.harness.site import Site, gateway, key, via

A, B, C = (key(number) for number in (1, 2, 3))  # an honest peer with routes, the hostile one, and one with pins
HOST = px.parse("10.7.0.1")
PINNED = {px.parse("10.3.0.0/16"): C, HOST: C}
HONEST = [px.parse(net) for net in ("10.1.0.0/16", "2001:db8:1::/48")]
ENDPOINT = px.parse("192.0.2.0/24")
GATEWAYS = {gateway(peer): peer for peer in (A, B, C)}
TARGETS = [
    *PINNED,
    *HONEST,
    *GATEWAYS,
    ENDPOINT,
    *map(px.parse, ("192.0.2.1", "0.0.0.0/0", "::/0", "fe80::/64", "10.0.0.0/8", "10.1.128.0/17", "10.3.9.0/24")),
    *(px.parse(f"10.2.{number}.0/24") for number in range(6)),
]
KINDS = st.sampled_from([RouteChangeKind.ADDED, RouteChangeKind.APPENDED, RouteChangeKind.REPLACED])
ANNOUNCED = st.lists(st.tuples(st.sampled_from(TARGETS), st.sampled_from([1, 32, 4096]), KINDS), max_size=30)
OWN = (Accept.parse("10.2.0.0/16 le 24"),)


def attacked(announced: list[tuple[Prefix, int, RouteChangeKind]], policy: Policy) -> Site:
    """A site with honest routes and pins, after B has announced all this, in three bursts."""
    site = Site(policy=policy)
    site.device.map = dict(PINNED)
    for prefix in HONEST:
        site.table.user_add(prefix, via(A))

    async def live() -> None:
        await site.settle()
        third = len(announced) // 3 + 1
        for at in range(0, len(announced), third):
            for prefix, metric, kind in announced[at : at + third]:
                site.table.user_add(prefix, via(B, metric=metric), kind)
            await site.settle()

    asyncio.run(live())
    return site


def at_b(site: Site) -> set[Prefix]:
    """What B holds, but for the address that is its own."""
    return {prefix for prefix, peer in site.device.map.items() if peer == B} - {gateway(B)}


@settings(max_examples=50)
@given(ANNOUNCED)
def test_pins_gateways_and_peers_are_out_of_reach(announced: list[tuple[Prefix, int, RouteChangeKind]]) -> None:
    """By default no announcement takes a pinned prefix or a gateway, or makes or removes a peer."""
    site = attacked(announced, Policy())
    held = site.device.map
    assert {prefix: held.get(prefix) for prefix in [*PINNED, *GATEWAYS]} == {**PINNED, **GATEWAYS}
    assert set(site.device.peers) == {A, B, C}


@settings(max_examples=50)
@given(ANNOUNCED)
def test_no_route_comes_of_a_route(announced: list[tuple[Prefix, int, RouteChangeKind]]) -> None:
    """
    Whatever is announced, a default or the network of a peer's endpoint too, peerway adds routes for pinned prefixes
    alone, and deletes nobody's: the tunnel's own packets go where the routing daemon lets them go.
    """
    site = attacked(announced, Policy())
    assert {prefix for prefix, _ in site.table.added} <= PINNED.keys()
    assert site.table.deleted_foreign == []


@settings(max_examples=50)
@given(ANNOUNCED)
def test_an_accept_list_is_a_wall(announced: list[tuple[Prefix, int, RouteChangeKind]]) -> None:
    """With `accept`, a peer holds nothing outside its list, not even a default, and what others had stays with them."""
    site = attacked(announced, Policy(peers={B: PeerPolicy("b", OWN)}))
    assert all(any(entry.matches(prefix) for entry in OWN) for prefix in at_b(site))
    assert {site.device.map.get(prefix) for prefix in HONEST} == {A}


@settings(max_examples=50)
@given(ANNOUNCED, st.integers(1, 4))
def test_a_limit_is_a_wall(announced: list[tuple[Prefix, int, RouteChangeKind]], limit: int) -> None:
    """With `max_prefixes`, a peer never holds more, however many it announces, and the others' stay."""
    site = attacked(announced, Policy(max_prefixes=limit, peers={B: PeerPolicy("b", OWN)}))
    assert len(at_b(site)) <= limit
    assert sum(peer == A for peer in site.device.map.values()) == 1 + min(limit, len(HONEST))


def test_a_default_takes_only_what_nobody_else_has() -> None:
    """
    Without an accept list a default is believed: its peer may send from any address, except where another peer holds a
    longer prefix.
    """
    site = attacked([(px.parse("0.0.0.0/0"), 1, RouteChangeKind.ADDED)], Policy())
    assert at_b(site) == {px.parse("0.0.0.0/0")}
    assert {site.device.map.get(prefix) for prefix in HONEST} == {A}


def test_a_longer_prefix_is_believed_without_an_accept_list() -> None:
    """Half of an honest peer's network goes to who announces it, as in the kernel's table, until it is withdrawn."""
    site = attacked([(px.parse("10.1.128.0/17"), 32, RouteChangeKind.ADDED)], Policy())
    assert at_b(site) == {px.parse("10.1.128.0/17")}
    site.table.user_delete(px.parse("10.1.128.0/17"), via(B))
    asyncio.run(site.settle())
    assert at_b(site) == set()
