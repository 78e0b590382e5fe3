"""`peerway why` in memory: each way that a packet can go, and each place where it can end, is told."""

from __future__ import annotations

from peerway.backends.names import Names
from peerway.control.api import Json
from peerway.control.explain import covering, explain
from peerway.control.views import Views
from peerway.model import prefix as px
from peerway.model.device import AllowedIPs, Peer
from peerway.model.policy import Accept, PeerPolicy, Policy
from tests.harness.site import Site, key, via


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
    held: AllowedIPs = {px.parse("10.0.0.0/8"): key(1), px.parse("10.9.0.0/16"): key(2)}
    assert covering(held, px.parse_address("10.9.1.1")) == px.parse("10.9.0.0/16")
    assert covering(held, px.parse_address("10.8.1.1")) == px.parse("10.0.0.0/8")
    assert covering(held, px.parse_address("2001:db8::1")) is None
