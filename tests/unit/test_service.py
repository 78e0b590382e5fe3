"""The daemon's answers, over an engine and a kernel in memory."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from peerway.backends.names import Names
from peerway.control.api import Json, RouteRequest, UnknownError, UnusableError
from peerway.model import prefix as px
from peerway.model.device import Peer
from peerway.model.events import Event, PeerAdded
from peerway.model.keys import PublicKey
from peerway.model.link import Link
from peerway.model.policy import PeerPolicy, Policy
from peerway.model.ports import Refusal
from peerway.model.route import NextHop, Path
from peerway.service import Bulletin, Service
from tests.harness.memory import MemoryDevice
from tests.harness.site import OTHER, WG, Site, gateway, key, via

Answer = TypeVar("Answer")

A, B, C = key(1), key(2), key(3)
NET, NET6 = px.parse("10.9.0.0/24"), px.parse("2001:db8::/32")
VIA_A = px.address_text(gateway(A))
POLICY = Policy(peers={A: PeerPolicy("berlin"), B: PeerPolicy("paris")})


class Desk:
    """A site with a service before it, and an engine that runs while somebody waits for an answer."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.site = Site(policy=policy)
        self.bulletin = Bulletin()
        self.reload: Callable[[], None] = lambda: None
        names = Names(tables={"main": 254, "blue": 42})
        site = self.site
        self.service = Service(site.engine, site.table, self.bulletin, names, self._reload)

    async def _reload(self) -> None:
        self.reload()

    async def ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        woken, answered = asyncio.Event(), False
        self.site.engine.wake = woken.set

        async def asking() -> Answer:
            nonlocal answered
            try:
                return await question
            finally:
                answered = True
                woken.set()

        async def working() -> None:
            while not answered:
                await woken.wait()
                woken.clear()
                await self.site.settle(poll=False)

        answer, _ = await asyncio.gather(asking(), working())
        return answer

    async def add(self, prefix: str = "10.9.0.0/24", peer: str = "berlin", **more: Any) -> str:
        return str((await self.ask(self.service.add_route(RouteRequest(prefix, peer, **more))))["route"])

    async def delete(self, prefix: str = "10.9.0.0/24", peer: str = "berlin", **more: Any) -> str:
        return str((await self.ask(self.service.delete_route(RouteRequest(prefix, peer, **more))))["route"])

    async def second_interface(self, *peers: PublicKey) -> MemoryDevice:
        other = MemoryDevice(self.site.fate, "wg1", 8, key(101))
        other.peers = {peer: Peer(peer) for peer in peers}
        self.site.devices.present[8] = other
        self.site.table.set_link(Link(8, "wg1", "wireguard", up=True))
        await self.site.settle()
        return other


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.site.settle()
    return desk


# the bulletin


def test_every_listener_hears_every_event_in_order() -> None:
    """Events go to all who listen, from when they began to, until they leave."""
    bulletin = Bulletin()
    one, two = list[Event](), list[Event]()
    bulletin.publish(PeerAdded("wg0", C))  # nobody hears it
    leave = bulletin.listen(one.append)
    bulletin.publish(PeerAdded("wg0", A))
    bulletin.listen(two.append)
    bulletin.publish(PeerAdded("wg0", B))
    leave()
    leave()
    bulletin.publish(PeerAdded("wg0", C))
    assert one == [PeerAdded("wg0", A), PeerAdded("wg0", B)]
    assert two == [PeerAdded("wg0", B), PeerAdded("wg0", C)]


def test_events_are_worth_making_while_somebody_listens() -> None:
    """Two listeners that do the same are two; when both left, there is none."""
    bulletin = Bulletin()
    heard: list[Event] = []
    leaves = [bulletin.listen(heard.append), bulletin.listen(heard.append)]
    assert bulletin.has_listeners
    for leave in leaves:
        assert bulletin.has_listeners
        leave()
    assert not bulletin.has_listeners


# what is asked and told


async def test_events_are_told_as_json(desk: Desk) -> None:
    """An event has its time, its name and its fields as text."""
    heard: list[Callable[[], Json]] = []
    leave = desk.service.listen(heard.append)
    desk.bulletin.publish(PeerAdded("wg0", A))
    (first,) = heard
    told = first()
    assert told.pop("time").endswith("Z")
    assert told == {"event": "peer-added", "interface": "wg0", "peer": str(A)}
    leave()
    assert not desk.bulletin.has_listeners


async def test_status_tells_of_interfaces_and_peers(desk: Desk) -> None:
    """All, one interface, or one peer by the name that the configuration gives it."""
    desk.site.table.user_add(NET, via(A))
    await desk.site.settle()
    (interface,) = desk.service.status(None, None)["interfaces"]
    assert (interface["name"], interface["state"], len(interface["peers"])) == ("wg0", "in-sync", 3)
    assert {what: count for what, count in interface["counts"].items() if count} == {"learned": 1, "derived": 3}
    (interface,) = desk.service.status("wg0", "berlin")["interfaces"]
    assert [(peer["name"], peer["learned"], peer["gateways"]) for peer in interface["peers"]] == [
        ("berlin", 1, [VIA_A])
    ]
    with pytest.raises(UnknownError, match="no WireGuard interface is called 'wg9'; there is: wg0"):
        desk.service.status("wg9", None)
    with pytest.raises(UnknownError, match="wg0 has no peer 'rome'"):
        desk.service.status(None, "rome")


async def test_routes_are_told_one_by_one(desk: Desk) -> None:
    """Each prefix has its owner, origin and gateway; an unknown interface is an error."""
    desk.site.table.user_add(NET, via(A))
    await desk.site.settle()
    entries = {entry["prefix"]: entry for entry in map(json.loads, desk.service.routes("wg0"))}
    assert len(entries) == 4
    entry = entries["10.9.0.0/24"]
    assert (entry["owner_name"], entry["origin"], entry["gateway"]) == ("berlin", "learned", VIA_A)
    with pytest.raises(UnknownError, match="'wg9'"):
        list(desk.service.routes("wg9"))


async def test_why_follows_a_packet(desk: Desk) -> None:
    """The way of a packet is that of the kernel's table; what is no address is an error."""
    desk.site.table.user_add(NET, via(A))
    await desk.site.settle()
    answer = await desk.service.why("10.9.0.1")
    assert (answer["owner"], answer["gateway"]) == (str(A), VIA_A)
    with pytest.raises(UnusableError, match="takes an address or a prefix"):
        await desk.service.why("berlin")


async def test_verify_waits_for_what_is_under_way(desk: Desk) -> None:
    """What the kernel had announced before is no difference; what it never announced is one."""
    desk.site.table.user_add(NET, via(A))
    assert (await desk.ask(desk.service.verify(None))).differences == []
    desk.site.device.map[NET] = B
    assert len((await desk.ask(desk.service.verify("wg0"))).differences) == 2


async def test_sync_heals_what_nobody_told_of(desk: Desk) -> None:
    """After it returns, routes and devices were read again and the difference is done."""
    desk.site.table.all[NET] = [via(A)]
    await desk.ask(desk.service.sync(None))
    assert desk.site.device.map[NET] == A
    del desk.site.device.map[NET]
    await desk.ask(desk.service.sync("wg0"))
    assert desk.site.device.map[NET] == A
    with pytest.raises(UnknownError, match="'wg9'"):
        await desk.ask(desk.service.sync("wg9"))


async def test_reload_applies_the_new_settings_before_it_answers(desk: Desk) -> None:
    """The settings are read, and what follows from them is done."""
    desk.site.table.user_add(NET, via(A, table=42))
    await desk.site.settle()
    assert NET not in desk.site.device.map

    def other_tables() -> None:
        desk.site.watcher.set_policies(lambda _: Policy(tables=(42,)), 1.0)

    desk.reload = other_tables
    await desk.ask(desk.service.reload())
    assert desk.site.device.map[NET] == A


async def test_a_broken_reload_changes_nothing(desk: Desk) -> None:
    """What is wrong with the file is the answer, and nothing is read again."""

    def broken() -> None:
        raise UnusableError("the old settings stay:\nline 1")

    desk.reload = broken
    desk.site.table.all[NET] = [via(A)]
    with pytest.raises(UnusableError, match="the old settings stay:\nline 1"):
        await desk.ask(desk.service.reload())
    assert NET not in desk.site.device.map


# routes by a peer's name


async def test_a_route_is_added_through_a_peer_and_deleted_again(desk: Desk) -> None:
    """The answer is the kernel's route as ip(8) writes it, and comes when WireGuard has the prefix."""
    text = f"10.9.0.0/24 via inet6 {VIA_A} dev wg0 proto static table main"
    assert await desk.add() == text
    assert desk.site.table.all[NET] == [Path(254, 4, 0, (NextHop(WG, gateway(A)),))]
    assert desk.site.device.map[NET] == A
    assert await desk.delete() == text
    assert desk.site.table.all[NET] == []
    assert NET not in desk.site.device.map


async def test_table_metric_and_key_are_taken_as_given(desk: Desk) -> None:
    """Names and numbers of tables do, and so does the beginning of a public key."""
    desk.site.policy = Policy(tables=(42,))
    desk.site.watcher.set_policies(lambda _: desk.site.policy, 1.0)
    expected = f"10.9.0.0/24 via inet6 {px.address_text(gateway(C))} dev wg0 proto static table blue metric 7"
    assert await desk.add(peer=C.short, table="blue", metric=7, interface="wg0") == expected
    assert desk.site.table.all[NET] == [Path(42, 4, 7, (NextHop(WG, gateway(C)),))]
    assert await desk.delete(peer=str(C), table="42", metric=7) == expected


async def test_without_a_table_it_is_the_first_that_is_read() -> None:
    """A route that peerway does not read would give nothing."""
    desk = Desk(Policy(tables=(42, 254), peers=POLICY.peers))
    await desk.site.settle()
    assert (await desk.add()).endswith("table blue")
    assert desk.site.device.map[NET] == A


async def test_a_gateway_of_the_same_family_is_preferred(desk: Desk) -> None:
    """IPv4 by an IPv4 gateway is written without its family."""
    desk.site.device.map[px.parse("10.0.0.1/32")] = A
    await desk.site.settle()
    assert await desk.add() == "10.9.0.0/24 via 10.0.0.1 dev wg0 proto static table main"


@pytest.mark.parametrize("metric", [None, 0])
async def test_ipv6_has_the_kernels_default_metric(desk: Desk, metric: int | None) -> None:
    """The kernel makes 1024 of a metric that is missing or 0, so the same request finds the route again."""
    text = f"2001:db8::/32 via {VIA_A} dev wg0 proto static table main metric 1024"
    assert await desk.add("2001:db8::/32", metric=metric) == text
    assert desk.site.table.all[NET6][0].metric == 1024
    assert await desk.delete("2001:db8::/32", metric=metric) == text


async def test_a_standing_route_is_not_added_twice(desk: Desk) -> None:
    """The same route is told as standing already, and is left as it is."""
    text = await desk.add()
    with pytest.raises(UnusableError) as caught:
        await desk.add()
    assert str(caught.value) == f"the route stands already: {text}"
    assert len(desk.site.table.all[NET]) == 1


@pytest.mark.parametrize("hop", [NextHop(WG, gateway(B)), NextHop(OTHER, px.parse("192.0.2.1"))])
async def test_another_route_in_the_same_place_is_told_apart(desk: Desk, hop: NextHop) -> None:
    """Where a route to elsewhere has the table and metric, that one is said to stand, and it stays."""
    foreign = Path(254, 12, 0, (hop,))
    desk.site.table.user_add(NET, foreign)
    with pytest.raises(UnusableError, match=r"another route stands in the place of 10.9.0.0/24 via inet6 fe80::"):
        await desk.add()
    assert desk.site.table.all[NET] == [foreign]


async def test_what_the_kernel_refuses_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's reason is in the error, with the route that it is about."""
    refusals = [Refusal(NET, errno.EINVAL, "Nexthop has invalid gateway")]
    await desk.add("10.10.0.0/16")
    monkeypatch.setattr(desk.site.table, "add_routes", lambda _: refusals)
    monkeypatch.setattr(desk.site.table, "delete_routes", lambda _: refusals)
    with pytest.raises(OSError, match=r"the kernel refused 10.9.0.0/24 via .*: Nexthop has invalid gateway") as caught:
        await desk.add()
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError, match="the kernel refused: Nexthop has invalid gateway"):
        await desk.delete("10.10.0.0/16")


@pytest.mark.parametrize("more", [{"metric": 5}, {"table": "blue"}, {"peer": "paris"}, {"prefix": "10.9.0.0/25"}])
async def test_only_exactly_that_route_is_deleted(desk: Desk, more: dict[str, Any]) -> None:
    """A route with another metric, table, peer or prefix is not there, and the one that is stays."""
    await desk.add()
    with pytest.raises(UnknownError, match=r"there is no route 10.9.0.0/2. via inet6 fe80::.* dev wg0 proto static"):
        await desk.delete(**more)
    assert len(desk.site.table.all[NET]) == 1


async def test_a_route_of_another_program_is_not_deleted(desk: Desk) -> None:
    """The protocol is part of the route: what a routing daemon installed is its own."""
    desk.site.table.user_add(NET, via(A, protocol=12, metric=0))
    with pytest.raises(UnknownError, match="there is no route"):
        await desk.delete()
    assert desk.site.table.all[NET]


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"peer": "rome"}, UnknownError, "no interface has a peer 'rome': `peerway status` lists them"),
        ({"interface": "wg9"}, UnknownError, "no WireGuard interface is called 'wg9'"),
        ({"prefix": "10.9.0.1/24"}, UnusableError, "10.9.0.1/24"),
        ({"prefix": "10.9.0.0/33"}, UnusableError, "10.9.0.0/33"),
        ({"prefix": "berlin"}, UnusableError, "berlin"),
        ({"table": "green"}, UnusableError, "no table has this name"),
        ({"table": "0"}, UnusableError, "not the number of a table"),
        ({"metric": -1}, UnusableError, "metric -1 is not a number from 0 to 4294967295"),
        ({"metric": 1 << 32}, UnusableError, "metric 4294967296 is not a number"),
    ],
)
async def test_a_request_that_means_nothing_is_refused(
    desk: Desk, more: dict[str, Any], error: type[Exception], words: str
) -> None:
    """What is wrong is named, and nothing is added or deleted."""
    for change in (desk.add, desk.delete):
        with pytest.raises(error, match=words):
            await change(**more)
    assert desk.site.table.added == []


async def test_the_beginning_of_several_keys_means_nobody(desk: Desk) -> None:
    """Where a text begins several keys of an interface, more of it is asked for."""
    site = desk.site
    for number in (1, 2):
        peer = PublicKey(bytes([77] * 31 + [number]))
        site.device.peers[peer] = Peer(peer)
    await site.settle()
    with pytest.raises(UnusableError, match=f"'{peer.short}' means 2 peers of wg0: give more of the key"):
        await desk.add(peer=peer.short)


async def test_a_peer_of_two_interfaces_needs_one_to_be_named(desk: Desk) -> None:
    """`dev` tells which; without it both are named in the error."""
    other = await desk.second_interface(A)
    with pytest.raises(UnusableError, match="'berlin' is a peer of wg0, wg1: say which with `dev`"):
        await desk.add()
    assert " dev wg1 " in await desk.add(interface="wg1")
    assert (other.map.get(NET), desk.site.device.map.get(NET)) == (A, None)
    assert " dev wg0 " in await desk.add(peer="paris", metric=9)


async def test_a_peer_without_a_gateway_cannot_be_routed_to() -> None:
    """Where no address names the peer alone, there is no next hop for a route."""
    desk = Desk(Policy(prefixes=(), peers=POLICY.peers))
    await desk.site.settle()
    with pytest.raises(UnusableError, match="'berlin' has no gateway"):
        await desk.add()
