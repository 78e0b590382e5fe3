"""`peerway why` in memory: each way that a packet can go, and each place where it can end, is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerway.backends.names import Names
from peerway.control.api import Json, UnusableError
from peerway.control.explain import covering, explain
from peerway.control.views import Views
from peerway.model import prefix as px
from peerway.model.device import AllowedIPs, Peer
from peerway.model.link import Link
from peerway.model.policy import Accept, PeerPolicy, Pinned, Policy
from peerway.model.route import NextHop, NexthopObject, Path, RouteChangeKind
from peerway.model.table import Table
from tests.harness.site import OTHER, WG, Site, gateway, key, via


def why(site: Site, target: str) -> Json:
    return explain(Views(site.world, site.engine.council, Names()), site.table, target)


def told(site: Site, target: str) -> str:
    return "\n".join(why(site, target)["steps"])


async def test_a_refusal_is_told_for_the_address_of_a_packet() -> None:
    """A route whose prefix the peer may not have ends the packet, and the reason is the accept list."""
    peers = {key(1): PeerPolicy("berlin", accept=(Accept(px.parse("10.0.0.0/8"), 8, 24),))}
    site = Site(policy=Policy(peers=peers))
    site.table.user_add(px.parse("192.168.7.0/24"), via(key(1)))
    await site.settle()
    answer = why(site, "192.168.7.1")
    assert not answer["reachable"]
    assert "berlin may not have 192.168.7.0/24: the peer's accept list does not have the prefix." in answer["steps"]


async def test_the_reason_is_told_where_a_shorter_prefix_of_another_peer_takes_the_packet() -> None:
    """The longer route is refused, so the packet goes to the owner of the shorter one: both are said."""
    peers = {key(1): PeerPolicy("berlin", accept=())}
    site = Site(policy=Policy(peers=peers))
    site.table.user_add(px.parse("10.0.0.0/8"), via(key(2)))
    site.table.user_add(px.parse("10.9.0.0/24"), via(key(1)))
    await site.settle()
    words = told(site, "10.9.0.1")
    assert "who has 10.0.0.0/8" in words
    assert "the routing table and WireGuard disagree" in words
    assert "berlin may not have 10.9.0.0/24" in words


async def test_a_gateway_that_names_nobody_is_told() -> None:
    """An unknown gateway ends the packet with its address."""
    site = Site()
    site.table.user_add(px.parse("10.9.0.0/24"), via(key(9)))
    await site.settle()
    words = told(site, "10.9.0.1")
    assert "names no peer of wg0" in words
    assert "ENOKEY" in words


async def test_a_whole_way_ends_at_an_endpoint() -> None:
    """Route, gateway, owner and endpoint are named, and the limit of the other direction."""
    site = Site()
    site.device.peers[key(1)] = Peer(key(1), endpoint="192.0.2.1:51820")
    site.table.user_add(px.parse("10.9.0.0/24"), via(key(1)))
    await site.settle()
    answer = why(site, "10.9.0.1")
    assert answer["reachable"]
    assert (answer["owner"], answer["endpoint"]) == (str(key(1)), "192.0.2.1:51820")
    assert "paths must be symmetric" in answer["steps"][-1]


async def test_without_a_route_the_packet_ends() -> None:
    """No route is the first thing that is told, and the answer is no."""
    answer = why(Site(), "10.9.0.1")
    assert answer["steps"] == ["The kernel has no route to 10.9.0.1: the packet ends here."]
    assert not answer["reachable"]


def test_the_longest_prefix_covers() -> None:
    """As WireGuard picks it: the longest of those that contain the address."""
    held: AllowedIPs = Table({px.parse("10.0.0.0/8"): key(1), px.parse("10.9.0.0/16"): key(2)})
    assert covering(held, px.parse_address("10.9.1.1")) == px.parse("10.9.0.0/16")
    assert covering(held, px.parse_address("10.8.1.1")) == px.parse("10.0.0.0/8")
    assert covering(held, px.parse_address("2001:db8::1")) is None


A, B, C = key(1), key(2), key(3)
NET = px.parse("10.9.0.0/24")
KEYS = {"version", "target", "reachable", "steps", "route", "gateway", "interface", "owner", "endpoint"}


def reached(site: Site) -> None:
    """Each peer has an endpoint."""
    site.device.peers = {peer: Peer(peer, endpoint="192.0.2.1:51820") for peer in site.device.peers}


@pytest.mark.parametrize("target", ["10.9.0.1", "10.9.0.0/24", "192.0.2.9", "2001:db8::1", "default"])
async def test_each_answer_has_all_keys(target: str) -> None:
    """Whether the packet arrives or not: the same keys, and at least one sentence."""
    site = Site()
    site.table.user_add(NET, via(A))
    await site.settle()
    answer = why(site, target)
    assert answer.keys() == KEYS
    assert (answer["version"], answer["target"]) == (1, target)
    assert answer["steps"]
    assert all(step.endswith(".") for step in answer["steps"])


async def test_what_is_no_address_is_refused_with_the_cure() -> None:
    """A name, or an address with something behind it, is told as what it is not."""
    for target in ("berlin", "10.9.0.1/33", ""):
        with pytest.raises(UnusableError, match="`peerway why` takes an address or a prefix"):
            why(Site(), target)


async def test_a_route_elsewhere_is_none_of_ours() -> None:
    """The link is named, and to whom WireGuard would give it if it came that way."""
    site = Site()
    site.table.user_add(NET, Path(254, 4, 0, (NextHop(OTHER, px.parse("192.0.2.1")),)))
    site.device.map[px.parse("10.0.0.0/8")] = A
    await site.settle()
    site.table.user_delete(px.parse("10.0.0.0/8"), site.table.all[px.parse("10.0.0.0/8")][0])
    answer = why(site, "10.9.0.1")
    assert "(static, table main) out of eth0, which is no WireGuard interface" in answer["steps"][0]
    assert answer["steps"][1].startswith(f"wg0 would give it to {A.short}, who has 10.0.0.0/8")
    assert (answer["interface"], answer["reachable"]) == (None, False)
    assert answer["route"]["prefix"] == "10.9.0.0/24"


async def test_a_route_to_nowhere_is_told() -> None:
    """A route on an object that leads nowhere goes out of nowhere."""
    site = Site()
    site.table.set_nexthop(NexthopObject(1))
    site.table.user_add(NET, Path(254, 4, 0, nexthop_id=1))
    await site.settle()
    assert "out of nowhere" in why(site, "10.9.0.1")["steps"][0]


async def test_without_a_gateway_no_peer_is_named() -> None:
    """A route on the link alone says so, and that nobody has the prefix."""
    site = Site()
    site.table.user_add(NET, Path(254, 4, 0, (NextHop(WG),)))
    await site.settle()
    answer = why(site, "10.9.0.1")
    assert "by 10.9.0.0/24 without a gateway dev wg0 (static, table main)" in answer["steps"][0]
    assert "A route to 10.9.0.0/24 gives nothing: the route has no gateway, so it names no peer." in answer["steps"]
    assert answer["gateway"] is None


async def test_a_gateway_of_two_peers_names_nobody() -> None:
    """An ambiguous gateway is counted, and is why the route gives nothing."""
    site = Site()
    site.device.map[gateway(B)] = A
    site.table.user_add(NET, via(B))
    await site.settle()
    words = told(site, "10.9.0.1")
    assert f"The gateway {px.address_text(gateway(B))} names 2 peers, so it names nobody." in words
    assert "names two peers, so it names nobody" in words
    assert "ENOKEY" in words


async def test_an_owner_without_an_endpoint_cannot_be_reached() -> None:
    """All is right but that nobody knows where the peer is."""
    site = Site()
    site.table.user_add(NET, via(A))
    await site.settle()
    answer = why(site, "10.9.0.1")
    assert (answer["owner"], answer["endpoint"], answer["reachable"]) == (str(A), None, False)
    assert any("has no endpoint yet" in step for step in answer["steps"])


async def test_a_link_that_is_down_sends_nothing() -> None:
    """The endpoint is known, and the packet does not leave."""
    site = Site()
    reached(site)
    site.table.user_add(NET, via(A))
    await site.settle()
    site.interface.link = replace(site.interface.link, up=False)
    answer = why(site, "10.9.0.1")
    assert (answer["endpoint"], answer["reachable"]) == ("192.0.2.1:51820", False)
    assert "wg0 is down: nothing is sent." in answer["steps"]


@pytest.mark.parametrize(
    ("seen", "words"),
    [(0, "there was no handshake yet"), (1_795_341_600 * 10**9, "the latest handshake was at 2026-11-22T10:00:00Z")],
)
async def test_the_last_step_is_the_handshake(seen: int, words: str) -> None:
    """A packet that leaves may still get no answer: when the peer was last heard is told."""
    site = Site()
    site.device.peers[A] = Peer(A, "192.0.2.1:51820", seen)
    site.table.user_add(NET, via(A))
    await site.settle()
    assert f"The packet leaves for 192.0.2.1:51820; {words}." in why(site, "10.9.0.1")["steps"]


async def test_a_pin_that_takes_the_packet_from_the_route_is_told() -> None:
    """The owner is not the peer that the route names: both are named, and whose claim lost, and why."""
    site = Site(policy=Policy(peers={A: PeerPolicy("berlin"), B: PeerPolicy("paris")}))
    site.device.map[NET] = A
    site.table.user_add(NET, via(B))
    await site.settle()
    words = told(site, "10.9.0.1")
    assert "WireGuard gives it to berlin, who has 10.9.0.0/24 in its AllowedIPs (pinned)." in words
    assert "This is not the peer that the route names (paris): the routing table and WireGuard disagree." in words
    assert "paris also claims 10.9.0.0/24: the prefix is pinned to another peer." in words


async def test_a_pin_that_waits_is_told() -> None:
    """With `yields` the peer that has to wait is named, and when it has the prefix again."""
    site = Site(policy=Policy(pinned=Pinned.YIELDS))
    site.device.map[NET] = A
    await site.settle()
    site.table.user_add(NET, via(B), RouteChangeKind.PREPENDED)
    await site.settle()
    assert f"10.9.0.0/24 goes back to {A.short} when the route goes." in told(site, "10.9.0.1")


async def test_several_next_hops_go_to_the_one_owner() -> None:
    """Whichever the kernel picks, WireGuard sends to the owner; its gateway is told, and there is no disagreement."""
    site = Site()
    reached(site)
    heavy = Path(254, 12, 32, (NextHop(WG, gateway(A)), NextHop(WG, gateway(B), 5), NextHop(OTHER)))
    site.table.user_add(NET, heavy)
    await site.settle()
    answer = why(site, "10.9.0.1")
    assert (answer["owner"], answer["gateway"]) == (str(B), px.address_text(gateway(B)))
    words = "\n".join(answer["steps"])
    assert "The route has 3 next hops; WireGuard gives the prefix to one peer only." in words
    assert f"{A.short} also claims 10.9.0.0/24: multipath" in words
    assert "disagree" not in words
    assert answer["reachable"]


async def test_a_route_that_does_not_count_says_why() -> None:
    """A table or protocol that is not read is the reason, with the protocol's name; our own routes need none."""
    site = Site(policy=Policy(protocols=frozenset({12})))
    site.table.user_add(NET, via(A, protocol=4))
    site.device.map[px.parse("10.8.0.0/16")] = B
    await site.settle()
    sentence = "A route to 10.9.0.0/24 (static) does not count on wg0: its routing protocol is not in `protocols`."
    assert sentence in why(site, "10.9.0.1")["steps"]
    assert "does not count" not in told(site, "10.8.0.1")


async def test_the_last_failure_is_told() -> None:
    """A prefix that WireGuard refused says so."""
    site = Site()
    site.device.refuse = {NET}
    site.table.user_add(NET, via(A))
    await site.settle()
    assert "The last attempt at 10.9.0.0/24 failed: refused by the test." in why(site, "10.9.0.1")["steps"]


async def test_without_a_route_the_notes_of_the_prefix_are_told() -> None:
    """A prefix that lost its route still says what is held and refused for it."""
    site = Site()
    site.table.set_link(Link(WG, "wg0", "wireguard", up=True))
    site.device.map[NET] = A
    await site.settle()
    for path in list(site.table.all[NET]):
        site.table.user_delete(NET, path)
    steps = why(site, "10.9.0.1")["steps"]
    assert steps[0] == "The kernel has no route to 10.9.0.1: the packet ends here."
    assert steps[1] == f"wg0 would give it to {A.short}, who has 10.9.0.0/24 in its AllowedIPs."


async def test_what_stands_for_a_route_is_explained() -> None:
    """Where several routes are one AllowedIP, it is named, and the route that it stands for."""
    site = Site(policy=Policy(aggregate=True))
    reached(site)
    for text in ("10.9.0.0/24", "10.9.1.0/24"):
        site.table.user_add(px.parse(text), via(A))
    await site.settle()
    answer = why(site, "10.9.1.7")
    assert answer["reachable"]
    assert any("has 10.9.0.0/23 in its AllowedIPs (aggregated)" in step for step in answer["steps"])
    assert "It stands for 10.9.1.0/24, which has the same peer: this interface aggregates." in answer["steps"]
