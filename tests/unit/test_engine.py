"""The engine over a kernel in memory: each rule of route sync, small."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import pytest

from peerway.model import prefix as px
from peerway.model.device import Peer
from peerway.model.events import AllowedIPAdded, ClaimRefused, PeerAdded, RouteAdded
from peerway.model.link import Address, Link
from peerway.model.policy import Accept, OnStop, PeerPolicy, Pinned, Policy, RouteSync
from peerway.model.route import NextHop, NexthopObject, Path, RouteChangeKind
from peerway.model.selection import Reason
from tests.harness.columns import pairs
from tests.harness.memory import Killed
from tests.harness.site import OTHER, WG, Site, gateway, key, via

A, B, C = key(1), key(2), key(3)
NET = px.parse("10.9.0.0/24")


def full(_key: str, _data: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
async def site() -> Site:
    site = Site()
    await site.settle()
    return site


async def test_a_route_gives_its_prefix_to_the_peer_that_the_gateway_names(site: Site) -> None:
    """A route by a peer's derived address makes an AllowedIP of that peer."""
    site.table.user_add(NET, via(B))
    await site.settle(poll=False)
    assert site.device.map[NET] == B


async def test_a_withdrawn_route_takes_the_prefix_away(site: Site) -> None:
    """The AllowedIP goes with its route."""
    site.table.user_add(NET, via(B))
    await site.settle(poll=False)
    site.table.user_delete(NET, via(B))
    await site.settle(poll=False)
    assert NET not in site.device.map
    assert not site.table.added  # not for an instant did it look like a pinned one


async def test_a_move_is_one_addition(site: Site) -> None:
    """A route that moves gives the prefix to the new peer in one operation, without a removal."""
    site.table.user_add(NET, via(A))
    await site.settle(poll=False)
    site.device.deltas.clear()
    site.table.user_add(NET, via(B), RouteChangeKind.REPLACED)
    await site.settle(poll=False)
    assert [(pairs(delta.add), delta.remove) for delta in site.device.deltas] == [([(NET, B)], ())]


async def test_the_lowest_metric_wins_and_the_next_takes_over(site: Site) -> None:
    """Among routes of one prefix the lowest metric counts; when it goes, the next one does."""
    site.table.user_add(NET, via(A, metric=10))
    site.table.user_add(NET, via(B, metric=5))
    await site.settle(poll=False)
    assert site.device.map[NET] == B
    site.table.user_delete(NET, via(B, metric=5))
    await site.settle(poll=False)
    assert site.device.map[NET] == A


async def test_the_order_of_tables_goes_before_the_metric() -> None:
    """A route in an earlier listed table wins over a lower metric in a later one."""
    site = Site(policy=Policy(tables=(42, 254)))
    site.table.user_add(NET, via(A, metric=1))
    site.table.user_add(NET, via(B, metric=100, table=42))
    await site.settle()
    assert site.device.map[NET] == B


async def test_the_first_of_equal_routes_wins(site: Site) -> None:
    """Of IPv4 routes with equal metric the kernel uses the first: append changes nothing, prepend does."""
    site.table.user_add(NET, via(A))
    site.table.user_add(NET, via(B), RouteChangeKind.APPENDED)
    await site.settle(poll=False)
    assert site.device.map[NET] == A
    site.table.user_add(NET, via(C), RouteChangeKind.PREPENDED)
    await site.settle(poll=False)
    assert site.device.map[NET] == C
    site.table.user_delete(NET, via(C))
    site.table.user_delete(NET, via(A))
    await site.settle(poll=False)
    assert site.device.map[NET] == B


async def test_the_present_owner_stays_among_several_peers(site: Site) -> None:
    """Multipath gives the prefix to the owner that has it, else to the highest weight, else to the lowest key."""
    heavy = Path(254, 12, 32, (NextHop(WG, gateway(A), 1), NextHop(WG, gateway(C), 5)))
    site.table.user_add(NET, heavy)
    await site.settle(poll=False)
    assert site.device.map[NET] == C
    site.table.user_add(NET, via(A, B, C), RouteChangeKind.REPLACED)
    await site.settle(poll=False)
    assert site.device.map[NET] == C
    site.table.user_add(NET, via(B, A), RouteChangeKind.REPLACED)
    await site.settle(poll=False)
    assert site.device.map[NET] == A
    entry = site.engine.council.verdict(site.interface, NET)
    assert [peer for peer, _ in entry.shadowed] == [B]


async def test_a_nexthop_object_that_is_replaced_moves_its_routes(site: Site) -> None:
    """Routes on a nexthop object follow it, also through a group, without a word about the routes."""
    site.table.set_nexthop(NexthopObject(1, NextHop(WG, gateway(A))))
    site.table.set_nexthop(NexthopObject(9, None, ((1, 1),)))
    site.table.user_add(NET, Path(254, 12, 32, nexthop_id=1))
    other = px.parse("10.10.0.0/16")
    site.table.user_add(other, Path(254, 12, 32, nexthop_id=9))
    await site.settle(poll=False)
    assert (site.device.map[NET], site.device.map[other]) == (A, A)
    site.table.set_nexthop(NexthopObject(1, NextHop(WG, gateway(B))))
    await site.settle(poll=False)
    assert (site.device.map[NET], site.device.map[other]) == (B, B)
    site.table.delete_nexthop(1)
    await site.settle(poll=False)
    assert NET not in site.device.map
    assert other not in site.device.map


async def test_a_route_before_its_peer_counts_when_the_peer_comes(site: Site) -> None:
    """A route whose gateway names nobody is reported, and gives its prefix when the peer appears."""
    late = key(9)
    site.table.user_add(NET, via(late))
    await site.settle(poll=False)
    assert NET not in site.device.map
    assert site.interface.notes[NET].problems
    site.device.peers[late] = Peer(late)
    await site.settle()
    assert site.device.map[NET] == late


async def test_a_removed_peer_with_live_routes_leaves_nothing_behind(site: Site) -> None:
    """When a peer goes, its routes name nobody; when it comes back, it has its prefixes again."""
    site.table.user_add(NET, via(B))
    await site.settle(poll=False)
    site.device.remove_peer(B)
    await site.settle()
    assert NET not in site.interface.held
    assert site.interface.counts[B] == 0
    site.device.peers[B] = Peer(B)
    await site.settle()
    assert site.device.map[NET] == B


async def test_pinned_wins_and_the_route_is_shadowed(site: Site) -> None:
    """By default a pinned AllowedIP keeps its prefix, and the route's peer is told as shadowed."""
    site.device.map[NET] = A
    await site.settle()
    site.table.user_add(NET, via(B))
    await site.settle(poll=False)
    assert site.device.map[NET] == A
    assert [peer for peer, _ in site.interface.notes[NET].shadowed] == [B]
    del site.device.map[NET]
    await site.settle()
    assert site.device.map[NET] == B


async def test_what_was_pinned_a_moment_ago_is_not_taken(site: Site) -> None:
    """A prefix pinned between two readings, and routed to another peer at once, stays with its pinned owner."""
    site.now += 0.1
    site.device.map[NET] = A
    site.table.user_add(NET, via(B))
    await site.settle(poll=False)
    assert site.device.map[NET] == A


async def test_pinned_yields_and_comes_back() -> None:
    """With `pinned: yields` a route takes the prefix, and the pinned owner has it again when the route goes."""
    site = Site(policy=Policy(pinned=Pinned.YIELDS))
    site.device.map[NET] = A
    site.table.user_add(NET, via(B))
    await site.settle()
    assert site.device.map[NET] == B
    site.table.user_delete(NET, via(B))
    await site.settle(poll=False)
    assert site.device.map[NET] == A
    assert NET not in site.interface.ledger.ours
    assert NET not in site.interface.ledger.displaced


async def test_no_route_takes_a_gateway() -> None:
    """The address that names a peer stays at the peer, pinned or derived, also with `pinned: yields`."""
    site = Site(policy=Policy(pinned=Pinned.YIELDS))
    host = px.parse("10.0.0.2/32")
    site.device.map[host] = A
    site.table.user_add(host, via(B))
    site.table.user_add(gateway(A), via(B))
    await site.settle()
    assert site.device.map[host] == A
    assert site.device.map[gateway(A)] == A


async def test_two_peers_with_one_gateway_name_nobody(site: Site) -> None:
    """An address that two peers have as gateway names neither of them."""
    site.device.map[gateway(B)] = A
    await site.settle()
    site.table.user_add(NET, via(B))
    await site.settle(poll=False)
    assert NET not in site.device.map
    assert site.device.map[gateway(B)] == A
    assert site.interface.notes[NET].problems


async def test_a_pinned_host_is_a_gateway(site: Site) -> None:
    """A host-length AllowedIP that somebody pinned names its peer as next hop."""
    site.device.map[px.parse("10.0.0.2/32")] = C
    site.table.user_add(NET, Path(254, 4, 0, (NextHop(WG, px.parse("10.0.0.2/32")),)))
    await site.settle()
    assert site.device.map[NET] == C


async def test_a_learned_host_is_no_gateway(site: Site) -> None:
    """A host route that we made an AllowedIP does not make its address a next hop: no echo."""
    host = px.parse("10.0.0.2/32")
    site.table.user_add(host, via(C))
    site.table.user_add(NET, Path(254, 4, 0, (NextHop(WG, host),)))
    await site.settle()
    assert site.device.map[host] == C
    assert NET not in site.device.map


async def test_pinned_prefixes_are_routed_through_their_peer(site: Site) -> None:
    """Each pinned AllowedIP has a route of ours by the peer's gateway, a pinned gateway one on the link."""
    host = px.parse("10.0.0.2/32")
    site.device.map |= {NET: A, host: A, px.DEFAULT_V4: B}
    await site.settle()
    assert site.table.all[NET] == [Path(254, 87, 4096, (NextHop(WG, host),))]
    assert site.table.all[host] == [Path(254, 87, 4096, (NextHop(WG),), scope=253)]
    assert not site.table.all.get(px.DEFAULT_V4)
    site.device.map[NET] = B
    await site.settle()
    assert site.table.all[NET] == [Path(254, 87, 4096, (NextHop(WG, gateway(B)),))]
    del site.device.map[NET]
    await site.settle()
    assert not site.table.all[NET]


async def test_a_pinned_default_is_routed_on_request() -> None:
    """`default_route: true` gives a pinned /0 its route."""
    site = Site(policy=Policy(default_route=True))
    site.device.map[px.DEFAULT_V4] = B
    await site.settle()
    assert site.table.all[px.DEFAULT_V4] == [Path(254, 87, 4096, (NextHop(WG, gateway(B)),))]


async def test_learned_prefixes_give_no_route(site: Site) -> None:
    """What a route gave is not routed again by us, and our own routes give no AllowedIP."""
    site.table.user_add(NET, via(A))
    await site.settle(poll=False)
    assert site.table.all[NET] == [via(A)]
    site.device.map[px.parse("10.1.0.0/16")] = B
    await site.settle()
    site.device.map.pop(px.parse("10.1.0.0/16"))
    await site.settle()
    assert px.parse("10.1.0.0/16") not in site.device.map


async def test_a_route_of_somebody_else_in_our_place_stays(site: Site) -> None:
    """Where a foreign route has our table and metric, ours is refused and reported; the foreign one stays."""
    foreign = Path(254, 4, 4096, (NextHop(OTHER, px.parse("192.0.2.1")),))
    site.table.user_add(NET, foreign)
    site.device.map[NET] = A
    await site.settle()
    assert site.table.all[NET] == [foreign]
    assert "exists" in site.interface.failures[NET].reason.lower()
    site.table.user_delete(NET, foreign)
    await site.settle()
    assert site.table.all[NET] == [Path(254, 87, 4096, (NextHop(WG, gateway(A)),))]
    assert not site.interface.failures


async def test_excluded_tables_and_protocols_do_not_count() -> None:
    """A route in a table or of a protocol that is not listed gives nothing."""
    site = Site(policy=Policy(tables=(254,), protocols=frozenset({12})))
    site.table.user_add(NET, via(A, table=100))
    other = px.parse("10.10.0.0/16")
    site.table.user_add(other, via(A, protocol=4))
    await site.settle()
    assert NET not in site.device.map
    assert other not in site.device.map


async def test_the_limit_refuses_and_lets_in_when_there_is_room() -> None:
    """Over `max_prefixes` nothing is learned, what was there stays, and the next comes in when one goes."""
    site = Site(policy=Policy(max_prefixes=2))
    nets = [px.parse(f"10.{number}.0.0/16") for number in range(3)]
    for net in nets:
        site.table.user_add(net, via(A))
        await site.settle(poll=False)
    assert [net in site.device.map for net in nets] == [True, True, False]
    assert site.interface.notes[nets[2]].refused
    site.table.user_delete(nets[0], via(A))
    await site.settle(poll=False)
    assert [net in site.device.map for net in nets] == [False, True, True]


async def test_what_a_refused_peer_would_take_stays_where_it_was() -> None:
    """A route that moves a prefix to a peer that may not have it leaves it with the former peer."""
    policy = Policy(peers={B: PeerPolicy("b", (Accept.parse("10.0.0.0/8 le 16"),))})
    site = Site(policy=policy)
    site.table.user_add(NET, via(A))
    await site.settle()
    site.table.user_add(NET, via(B), RouteChangeKind.REPLACED)
    await site.settle(poll=False)
    assert site.device.map[NET] == A
    assert [peer for peer, _ in site.interface.notes[NET].refused] == [B]
    site.table.user_delete(NET, via(B))
    await site.settle(poll=False)
    assert NET not in site.device.map


async def test_a_shorter_prefix_never_hides_a_longer_one(site: Site) -> None:
    """Equal and contained are not the same: a longer prefix of the same peer is kept, for another may lie between."""
    site.table.user_add(px.parse("10.0.0.0/8"), via(A))
    site.table.user_add(px.parse("10.9.0.0/16"), via(B))
    site.table.user_add(NET, via(A))
    await site.settle(poll=False)
    assert [site.owner(p) for p in ("10.0.0.0/8", "10.9.0.0/16", "10.9.0.0/24")] == [A, B, A]


async def test_a_foreign_change_of_our_prefix_makes_it_pinned(site: Site) -> None:
    """A prefix that somebody moves to another peer is theirs from then on."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.device.map[NET] = C
    await site.settle()
    assert site.device.map[NET] == C
    site.table.user_delete(NET, via(A))
    await site.settle()
    assert site.device.map[NET] == C


async def test_a_prefix_that_somebody_took_away_is_given_again(site: Site) -> None:
    """While its route stands, a learned AllowedIP that another program removed comes back."""
    site.table.user_add(NET, via(A))
    await site.settle()
    del site.device.map[NET]
    await site.settle()
    assert site.device.map[NET] == A


async def test_link_down_takes_what_its_routes_gave(site: Site) -> None:
    """IPv4 routes vanish silently with their link; the AllowedIPs follow, and our routes come back with it."""
    pinned = px.parse("10.1.0.0/16")
    site.device.map[pinned] = B
    site.table.user_add(NET, via(A))
    await site.settle()
    site.table.set_link(Link(WG, "wg0", "wireguard", up=False))
    await site.settle(poll=False)
    assert NET not in site.device.map
    assert site.device.map[pinned] == B
    site.table.set_link(Link(WG, "wg0", "wireguard", up=True))
    await site.settle(poll=False)
    assert site.table.all[pinned] == [Path(254, 87, 4096, (NextHop(WG, gateway(B)),))]


async def test_lost_notifications_are_made_up_for_by_a_dump(site: Site) -> None:
    """After a gap everything is read again, and only what differs is changed."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.device.deltas.clear()
    site.table.user_add(px.parse("10.10.0.0/16"), via(B))
    site.table.lose_notifications()
    await site.settle(poll=False)
    assert site.owner("10.10.0.0/16") == B
    assert [len(delta.add) + len(delta.remove) for delta in site.device.deltas] == [1]


async def test_one_refused_prefix_stops_no_other_and_heals(site: Site) -> None:
    """A prefix that WireGuard refuses is reported and tried again; the others go on."""
    other = px.parse("10.10.0.0/16")
    site.device.refuse = {NET}
    site.table.user_add(NET, via(A))
    site.table.user_add(other, via(A))
    await site.settle(poll=False)
    assert site.device.map.get(other) == A
    assert NET in site.interface.failures
    assert any(isinstance(event, ClaimRefused) for event in site.events)
    site.device.refuse = set()
    await site.settle()
    assert site.device.map[NET] == A
    assert not site.interface.failures


async def test_each_refused_prefix_is_tried_again_at_its_own_time(site: Site) -> None:
    """What has failed for long waits a minute; what fails anew is tried after a second, whatever else failed before."""
    other = px.parse("10.10.0.0/16")
    site.device.refuse = {NET}
    site.table.user_add(NET, via(A))
    for _ in range(8):
        await site.settle()
    assert site.interface.failures[NET].due == site.now + 60
    site.device.refuse = {NET, other}
    site.table.user_add(other, via(A))
    await site.settle(poll=False)
    assert site.engine.deadline == site.interface.failures[other].due == site.now + 1
    site.device.refuse = {NET}
    site.now += 1
    await site.settle(poll=False)
    assert site.device.map.get(other) == A
    assert site.interface.failures.keys() == {NET}
    assert site.interface.failures[NET].due == site.now + 59


async def test_a_sync_tries_again_what_failed(site: Site) -> None:
    """Who asks for a sync does not wait for the next attempt."""
    site.device.refuse = {NET}
    site.table.user_add(NET, via(A))
    await site.settle()
    site.device.refuse = set()
    done = asyncio.ensure_future(site.engine.sync())
    await asyncio.sleep(0)
    await site.settle(poll=False)
    await done
    assert site.device.map[NET] == A


async def test_a_ledger_that_could_not_be_written_is_written_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the store is full behind a plan, the state says so until the ledger could be written, by itself."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.table.user_delete(NET, via(A))
    real = site.store.append
    monkeypatch.setattr(site.store, "append", full)
    await site.settle(poll=False)
    assert "No space" in site.interface.errors["ledger"]
    monkeypatch.setattr(site.store, "append", real)
    await site.settle()
    assert not site.interface.errors


async def test_one_refused_address_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two derived addresses one is refused: the other is set, and the first one too when it can."""
    site = Site(policy=Policy(prefixes=(px.parse("fd00::/64"), px.parse("fe80::/64"))))
    add = site.table.add_address

    def refuse(address: Address) -> None:
        if not px.is_link_local(address.address):
            raise OSError(errno.EACCES, "IPv6 is disabled")
        add(address)

    monkeypatch.setattr(site.table, "add_address", refuse)
    await site.settle()
    assert [px.is_link_local(address.address) for address in site.table.all_addresses] == [True]
    assert "IPv6 is disabled" in site.interface.errors["address"]
    monkeypatch.setattr(site.table, "add_address", add)
    await site.settle()
    assert len(site.table.all_addresses) == 2
    assert not site.interface.errors


async def test_a_failure_in_the_middle_is_sorted_out(site: Site) -> None:
    """After an error of the device it is read again, and the rest is done at the next attempt."""
    nets = [px.parse(f"10.{number}.0.0/16") for number in range(6)]
    site.device.fail_after = 3
    for net in nets:
        site.table.user_add(net, via(A))
    await site.settle(poll=False)
    assert len(site.interface.failures) == 6
    await site.settle()
    assert all(site.device.map.get(net) == A for net in nets)
    assert site.interface.counts[A] == 6
    assert not site.interface.failures


async def test_restart_knows_its_own_from_the_ledger(site: Site) -> None:
    """A new process takes back what a killed one gave, if its route went meanwhile, and nothing else."""
    pinned = px.parse("10.1.0.0/16")
    site.device.map[pinned] = B
    site.table.user_add(NET, via(A))
    await site.settle()
    site.table.user_delete(NET, via(A))
    site.start()
    await site.settle()
    assert NET not in site.device.map
    assert site.device.map[pinned] == B


async def test_a_notification_that_waits_at_the_start_hides_no_interface(site: Site) -> None:
    """A link that comes while the daemon starts is not the only one: the ledger of the others is not forgotten."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.table.user_delete(NET, via(A))
    site.start()
    site.table.set_link(Link(8, "pwmon0", "nlmon", up=True))
    await site.settle()
    assert NET not in site.device.map


async def test_a_restart_knows_its_own_though_a_link_came_at_that_instant(site: Site) -> None:
    """A notification of another link at the start leaves neither the device unseen nor the ledger forgotten."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.table.user_delete(NET, via(A))
    site.start()
    tap = Link(8, "pwmon0", "nlmon", up=True)
    site.table.set_link(tap)
    await site.engine.step()
    assert list(site.world.interfaces) == [WG]
    assert NET not in site.device.map


async def test_a_restart_knows_its_own_though_the_device_is_busy(site: Site) -> None:
    """A device that cannot be read at the start keeps its ledger until it can; that of a device that is gone goes."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.table.user_delete(NET, via(A))
    site.store.data["boot-99"] = b"of another device"
    site.start()
    site.device.busy = True
    await site.engine.step()
    site.device.busy = False
    await site.settle()
    assert NET not in site.device.map
    assert list(site.store.data) == [f"boot-{WG}"]


async def test_a_pin_that_was_about_to_yield_is_not_lost_with_the_peer_that_took_its_prefix() -> None:
    """Killed right after a pinned prefix went to a route's peer, which is gone at the restart: it is pinned again."""
    site = Site(policy=Policy(pinned=Pinned.YIELDS))
    site.device.map[NET] = A
    await site.settle()
    site.table.user_add(NET, via(B))
    site.fate.left = 2  # the ledger ahead, the addition
    with pytest.raises(Killed):
        await site.settle()
    assert site.device.map[NET] == B
    site.device.remove_peer(B)
    site.start()
    await site.settle()
    assert site.device.map[NET] == A


async def test_a_pin_that_came_back_and_was_taken_away_stays_away() -> None:
    """Killed right after a pinned prefix was given back; what its user takes away then is not given again."""
    site = Site(policy=Policy(pinned=Pinned.YIELDS))
    site.device.map[NET] = A
    site.table.user_add(NET, via(B))
    await site.settle()
    site.table.user_delete(NET, via(B))
    site.fate.left = 2  # the ledger ahead, the addition
    with pytest.raises(Killed):
        await site.settle()
    assert site.device.map.pop(NET) == A
    site.start()
    await site.settle()
    assert NET not in site.device.map


async def test_a_damaged_ledger_takes_nothing_from_anybody(site: Site) -> None:
    """Without a trustworthy ledger all AllowedIPs count as pinned."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.table.user_delete(NET, via(A))
    for name, data in site.store.data.items():
        site.store.data[name] = data[:-3] + b"???"
    site.start()
    await site.settle()
    assert site.device.map[NET] == A


async def test_flush_takes_away_all_that_is_ours() -> None:
    """`on_stop: flush` leaves the pinned AllowedIPs and the foreign routes, and nothing of ours."""
    site = Site(policy=Policy(on_stop=OnStop.FLUSH, pinned=Pinned.YIELDS))
    pinned = px.parse("10.1.0.0/16")
    site.device.map |= {pinned: B, NET: C}
    site.table.user_add(NET, via(A))
    await site.settle()
    await site.engine.stop()
    assert site.device.map == {pinned: B, NET: C}
    assert [path for paths in site.table.all.values() for path in paths] == [via(A)]
    assert not site.table.all_addresses


async def test_keep_leaves_everything(site: Site) -> None:
    """`on_stop: keep` changes nothing at a clean stop."""
    site.table.user_add(NET, via(A))
    await site.settle()
    before = dict(site.device.map)
    await site.engine.stop()
    assert site.device.map == before


async def test_a_new_policy_decides_anew(site: Site) -> None:
    """After a reload that turns a direction off, what it gave goes; turned on, it comes back."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.policy = Policy(route_sync=RouteSync.OFF)
    site.watcher.set_policies(lambda _: site.policy, 1.0)
    await site.settle()
    assert NET not in site.device.map
    site.policy = replace(site.policy, route_sync=RouteSync.BOTH)
    site.watcher.set_policies(lambda _: site.policy, 1.0)
    await site.settle()
    assert site.device.map[NET] == A


async def test_every_change_is_an_event(site: Site) -> None:
    """Peers, routes and AllowedIPs that change are told, our own changes included."""
    site.events.clear()
    site.device.peers[key(8)] = Peer(key(8))
    site.table.user_add(NET, via(A))
    await site.settle()
    assert PeerAdded("wg0", key(8)) in site.events
    assert RouteAdded("wg0", NET, via(A)) in site.events
    assert AllowedIPAdded("wg0", A, NET) in site.events


async def test_a_renamed_interface_keeps_its_state(site: Site) -> None:
    """A rename is no removal: what was learned stays, and nothing is given twice."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.device.deltas.clear()
    site.table.set_link(Link(WG, "wg9", "wireguard", up=True))
    await site.settle(poll=False)
    assert site.interface.name == "wg9"
    assert not site.device.deltas


async def test_two_rounds_without_news_do_nothing(site: Site) -> None:
    """Plan, apply, plan again is empty."""
    site.device.map[px.parse("10.1.0.0/16")] = B
    site.table.user_add(NET, via(A))
    await site.settle()
    site.device.deltas.clear()
    routes = {prefix: list(paths) for prefix, paths in site.table.all.items()}
    site.watcher.look_again()
    site.world.dirty_all(site.interface)
    await site.settle()
    assert not site.device.deltas
    assert {prefix: list(paths) for prefix, paths in site.table.all.items()} == routes


async def test_what_others_did_before_a_failure_is_seen(site: Site) -> None:
    """A reading after a failure shows other programs' changes too: they are told and decided like any."""
    kept, lost, pinned = px.parse("10.1.0.0/16"), px.parse("10.2.0.0/16"), px.parse("10.3.0.0/16")
    for prefix in (kept, lost):
        site.table.user_add(prefix, via(A))
    await site.settle()
    site.device.map[pinned] = B
    del site.device.map[lost]
    site.device.fail_after = 0
    site.table.user_add(NET, via(A))
    await site.settle(poll=False)
    assert site.events.count(AllowedIPAdded("wg0", B, pinned)) == 1
    await site.settle()
    assert site.device.map[lost] == A
    assert [prefix for prefix, _ in site.table.added] == [pinned]


@pytest.mark.parametrize("done", [False, True])
async def test_a_device_that_falls_silent_in_the_middle_is_sorted_out_when_it_speaks(site: Site, done: bool) -> None:
    """Until the device can be read nobody knows what a failed change did; then what is ours is known again."""
    moved, gone, new, last = (px.parse(f"10.{number}.0.0/16") for number in range(1, 5))
    for prefix in (moved, gone, last):
        site.table.user_add(prefix, via(A))
    await site.settle()
    site.device.fail_after = 3 if done else 0  # of four operations
    site.device.busy = True
    site.table.user_add(moved, via(B), RouteChangeKind.REPLACED)
    site.table.user_add(new, via(B))
    for prefix in (gone, last):
        site.table.user_delete(prefix, via(A))
    await site.settle()
    for prefix in (moved, new):
        site.table.user_delete(prefix, via(B))
    await site.settle()
    assert (new in site.device.map, gone in site.device.map) == (done, not done)
    site.device.busy = False
    await site.settle()
    assert {moved, gone, new, last}.isdisjoint(site.device.map)
    assert {moved, gone, new, last}.isdisjoint(site.interface.ledger.ours)
    assert not site.table.added


async def test_a_key_that_is_seen_in_between_has_its_address_at_once(site: Site) -> None:
    """A reading before something is given may show another private key: its address does not wait for the next one."""
    site.device.public_key = key(101)
    site.now += 0.1
    site.table.user_add(NET, via(B))
    await site.settle(poll=False)
    assert gateway(key(101)) in {address.address for address in site.table.all_addresses}
    assert gateway(key(100)) not in {address.address for address in site.table.all_addresses}


async def test_settled_waits_for_what_a_plan_left_to_the_next() -> None:
    """A prefix that is refused just before another makes room is decided twice, and has it when it is settled."""
    site = Site(policy=Policy(max_prefixes=1))
    other = px.parse("10.10.0.0/16")
    site.table.user_add(NET, via(B))
    site.table.user_add(other, via(A))
    await site.settle()
    site.table.user_add(NET, via(A), RouteChangeKind.REPLACED)
    await site.settle()
    assert site.interface.notes[NET].refused == ((A, Reason.LIMIT),)
    site.table.user_delete(NET, via(A))
    site.table.user_add(NET, via(A, metric=64))
    site.table.user_delete(other, via(A))
    settled = asyncio.ensure_future(site.engine.settled())
    await asyncio.sleep(0)
    rounds = 0
    while not settled.done():
        await site.engine.step()
        await asyncio.sleep(0)
        rounds += 1
    assert rounds == 2
    assert not site.interface.dirty
    assert site.device.map[NET] == A
    assert other not in site.device.map


async def test_who_waits_for_a_round_waits_for_the_next_when_one_fails(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that the kernel does not answer is none: a sync ends with the first whole one."""
    await site.settle()
    done = asyncio.ensure_future(site.engine.sync())
    await asyncio.sleep(0)
    with monkeypatch.context() as patch:
        patch.setattr(site.table, "routes", lambda _keep: full("", b""))
        with pytest.raises(OSError, match="No space"):
            await site.engine.step()
    await asyncio.sleep(0)
    assert not done.done()
    await site.engine.step()
    await asyncio.wait_for(done, 1)


async def test_what_we_set_is_set_again_if_it_went_unheard() -> None:
    """Our address and route vanish before we heard of them, and what told of both is lost: they are set again."""
    site, pinned = Site(), px.parse("10.50.0.0/16")
    site.device.map[pinned] = A
    await site.engine.step()
    assert (len(site.table.all[pinned]), len(site.table.all_addresses)) == (1, 1)
    site.table.all[pinned].clear()
    site.table.all_addresses.clear()
    site.table.lose_notifications()
    await site.settle()
    assert [path.protocol for path in site.table.all[pinned]] == [87]
    assert len(site.table.all_addresses) == 1


async def test_addresses_of_others_stay(site: Site) -> None:
    """Our derived address goes with its prefix; an address that somebody else set stays, whoever made it."""
    await site.settle()
    (ours,) = [address for address in site.table.all_addresses if address.ifindex == WG]
    others = {Address(WG, px.parse(f"10.250.0.{number}"), 24, protocol=number) for number in (0, 1, 4)}
    for address in sorted(others):
        site.table.add_address(address)
    site.policy = replace(site.policy, prefixes=(px.parse("fd00::/64"),))
    site.watcher.set_policies(lambda _: site.policy, 1.0)
    await site.settle()
    now = {address for address in site.table.all_addresses if address.ifindex == WG}
    assert ours not in now
    assert others < now
    assert len(now) == len(others) + 1


async def test_a_link_that_goes_down_and_up_has_its_routes_again(site: Site) -> None:
    """While a link is down no route of ours is wanted through it; when it is up again they come back."""
    pinned = px.parse("10.50.0.0/16")
    site.device.map[pinned] = A
    await site.settle()
    assert site.table.all[pinned]
    for _ in range(2):
        site.table.set_link(Link(WG, "wg0", "wireguard", up=False))
        await site.settle()
        assert not site.table.all[pinned]
        site.table.set_link(Link(WG, "wg0", "wireguard", up=True))
        await site.settle()
        assert [path.protocol for path in site.table.all[pinned]] == [87]


@pytest.mark.parametrize("large", [0, 1000])
async def test_large_work_gives_its_memory_back(site: Site, large: int) -> None:
    """After a large plan, reading or dump memory is given back, once, and equal columns are one; not after others."""
    trims = list[int]()
    site.engine.trim = lambda: trims.append(1)
    with (
        patch("peerway.engine.LARGE", large),
        patch("peerway.watcher.LARGE", large),
        patch("peerway.readings.LARGE", large),
    ):
        site.table.user_add(NET, via(B))
        await site.settle(poll=False)
        assert bool(trims) == (not large)
        for occasion in (partial(site.watcher.read_soon, WG), site.watcher.look_again):
            trims.clear()
            occasion()
            await site.engine.step()
            assert len(trims) == (not large)
    interface = site.world.interfaces[WG]
    columns = [table.ipv4.rows()[0] for table in (interface.held, interface.ledger.ours, site.world.rib.entries)]
    assert (len({*map(id, columns)}) == 1) == (not large)


async def test_a_limit_is_no_reason_against_a_pinned_owner() -> None:
    """Whom a multipath route names keeps what was pinned to it, also when its limit is reached by another prefix."""
    site = Site(policy=Policy(pinned=Pinned.YIELDS, max_prefixes=1))
    one, other = px.parse("10.0.0.0/8"), px.parse("10.9.0.0/16")
    site.device.map[one] = B
    site.table.user_add(one, via(B, C))
    site.table.user_add(other, via(B))
    await site.settle()
    assert (site.device.map[one], site.device.map[other]) == (B, B)
    assert site.engine.council.verdict(site.interface, one).owner == B
    site.table.user_delete(other, via(B))
    site.table.user_add(other, via(B))
    await site.settle()
    assert site.device.map[one] == B
