"""The watcher: when it reads, dumps and audits, and that a loss of notifications costs nothing but a dump."""

from __future__ import annotations

import logging

import pytest

from peerway import readings
from peerway.model import prefix as px
from peerway.model.device import Reading
from peerway.model.events import RouteAdded, StreamBroken
from peerway.model.link import Address, Link
from peerway.model.policy import Policy
from peerway.model.ports import Gap
from peerway.model.route import NextHop, NexthopObject, Path, RouteChange, RouteChangeKind
from peerway.watcher import AUDIT_INTERVAL, AUDIT_SHARE
from tests.harness.memory import MemoryDevice
from tests.harness.site import OTHER, WG, Site, gateway, key, via

A, B = key(1), key(2)
NET, NET2 = px.parse("10.0.0.0/8"), px.parse("10.9.0.0/16")


@pytest.fixture
async def site() -> Site:
    made = Site()
    await made.settle()
    made.events.clear()
    return made


def count_dumps(site: Site) -> list[str]:
    """What is dumped from now on."""
    found: list[str] = []
    for name in ("links", "addresses", "nexthops"):
        real = getattr(site.table, name)

        def counted(real: object = real, name: str = name) -> object:
            found.append(name)
            return real()  # type: ignore[operator]

        setattr(site.table, name, counted)
    return found


async def test_at_rest_nothing_is_read(site: Site) -> None:
    """A look without news, before anything is due, dumps nothing and marks nothing."""
    dumped = count_dumps(site)
    await site.watcher.look()
    assert not dumped
    assert not site.watcher.restless
    assert site.watcher.deadline > site.now
    assert not site.interface.dirty


async def test_the_first_look_finds_all_that_is_there() -> None:
    """Routes, addresses, objects and devices that stood before are known after two looks."""
    site = Site()
    site.table.set_nexthop(NexthopObject(1, NextHop(WG, gateway(A))))
    site.table.user_add(NET, via(A))
    site.table.all_addresses.add(Address(WG, px.parse("10.0.0.1"), 24))
    site.table.waiting.clear()
    while site.watcher.restless:
        await site.watcher.look()
    assert site.world.rib.paths(NET) == (via(A),)
    assert site.world.links.keys() == site.table.all_links.keys()
    assert site.world.addresses == site.table.all_addresses
    assert site.world.nexthops.objects == site.table.objects
    assert site.world.interfaces.keys() == {WG}


async def test_after_a_gap_removals_are_foreseen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose prefixes may have to go begins to be read before the dump."""
    monkeypatch.setattr(readings, "MANY", 1)
    site.interface.ledger.ours[NET] = A
    site.table.lose_notifications()
    seen: list[int] = []
    dump = site.table.links

    def links() -> dict[int, Link]:
        seen.append(site.device.foreseen)
        return dump()

    monkeypatch.setattr(site.table, "links", links)
    await site.watcher.look()
    assert seen == [1]


async def test_a_gap_is_told_and_everything_is_dumped(site: Site) -> None:
    """After lost notifications all is dumped, devices are looked for, and what differs is told as if it were heard."""
    dumped = count_dumps(site)
    site.table.user_add(NET, via(A))
    site.table.lose_notifications()
    other = MemoryDevice(site.fate, "wg0", WG, key(100))
    other.peers = dict(site.device.peers)
    other.map[NET2] = B
    site.devices.present[WG] = other
    await site.watcher.look()
    assert dumped == ["links", "addresses", "nexthops"]
    assert StreamBroken("", "the test dropped them") in site.events
    assert RouteAdded("wg0", NET, via(A)) in site.events
    assert site.interface.held == {NET2: B}
    assert NET in site.interface.dirty


async def test_an_order_that_is_not_known_is_no_loss(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The routes are dumped, and nobody is told that anything was lost."""
    dumps = count_dumps(site)
    site.table.waiting.append(Gap("who was first?", lost=False))
    site.events.clear()
    await site.watcher.look()
    assert dumps
    assert not [event for event in site.events if isinstance(event, StreamBroken)]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_doubt_in_the_table_ends_with_a_dump(site: Site) -> None:
    """When a notification leaves the table uncertain, the same look dumps it."""
    for peer, kind in ((A, RouteChangeKind.ADDED), (B, RouteChangeKind.APPENDED), (key(3), RouteChangeKind.REPLACED)):
        site.table.user_add(NET, via(peer), kind)
    await site.watcher.look()
    assert not site.world.rib.uncertain
    assert not site.watcher.restless
    assert site.world.rib.paths(NET) == (via(key(3)), via(B))


async def test_routes_that_vanish_with_their_link_are_found(site: Site) -> None:
    """A link that goes down is followed by a dump in the same look."""
    site.table.user_add(NET, via(A))
    await site.watcher.look()
    site.table.set_link(Link(WG, "wg0", "wireguard", up=False))
    await site.watcher.look()
    assert not site.world.rib.paths(NET)


async def test_an_unbroken_stream_leaves_an_audit_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The audit dumps when it is due, finds nothing, and says nothing."""
    site.table.user_add(NET, via(A))
    site.table.user_add(NET, via(B, metric=5))
    await site.settle()
    dumped = count_dumps(site)
    site.now += AUDIT_INTERVAL
    site.table.user_add(NET2, via(A))
    await site.watcher.look()
    assert dumped
    assert site.watcher.drifted == 0
    assert not caplog.text
    dumped.clear()
    await site.watcher.look()
    assert not dumped


async def test_what_no_notification_told_is_found_by_the_audit(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A difference that nobody told of is counted, told as a warning, and healed."""
    site.table.user_add(NET, via(A))
    site.table.waiting.clear()
    site.now += AUDIT_INTERVAL
    await site.watcher.look()
    assert site.watcher.drifted == 1
    assert "an audit found 1 prefixes that no notification had told of" in caplog.text
    assert site.world.rib.paths(NET) == (via(A),)
    assert NET in site.interface.dirty


@pytest.mark.parametrize("kind", ["route", "link", "nexthop"])
async def test_what_happens_during_an_audit_is_no_drift(
    site: Site, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A change between the last notification and the dump is in the dump, and is told right after."""
    site.table.set_nexthop(NexthopObject(1, NextHop(WG, gateway(A))))
    site.table.user_add(NET, via(A))
    site.table.user_add(NET2, Path(254, 12, 0, nexthop_id=1))
    await site.settle()
    real = site.table.addresses

    def meanwhile() -> list[Address]:
        match kind:
            case "route":
                site.table.user_delete(NET, via(A))
            case "link":
                site.table.set_link(Link(WG, "wg0", "wireguard", up=False))
            case _:
                site.table.delete_nexthop(1)
        site.table.addresses = real  # type: ignore[method-assign]
        return real()

    site.table.addresses = meanwhile  # type: ignore[method-assign]
    site.now += AUDIT_INTERVAL
    await site.watcher.look()
    assert site.watcher.drifted == 0
    assert "an audit" not in caplog.text
    await site.settle(poll=False)
    assert not site.world.rib.differing(site.table.routes(site.world.is_relevant))


async def test_a_costly_audit_is_made_less_often(site: Site) -> None:
    """An audit costs at most one thousandth of the time until the next."""
    real = site.table.addresses

    def slow() -> list[Address]:
        site.now += 1.0
        return real()

    site.table.addresses = slow  # type: ignore[method-assign]
    site.now += AUDIT_INTERVAL
    await site.watcher.look()
    assert site.watcher._audit_at == site.now + AUDIT_SHARE


async def test_one_device_can_be_read_soon(site: Site) -> None:
    """The next look reads it, and asking for one that is gone is fine."""
    site.device.map[NET] = A
    await site.watcher.look()
    assert NET not in site.interface.held
    site.watcher.read_soon(WG)
    site.watcher.read_soon(99)
    assert site.watcher.deadline == site.now
    await site.watcher.look()
    assert site.interface.held[NET] == A


async def test_looking_again_reads_everything(site: Site) -> None:
    """`sync` means: devices are looked for and read, and all is dumped."""
    dumped = count_dumps(site)
    site.device.map[NET] = A
    site.watcher.look_again()
    assert site.watcher.restless
    await site.watcher.look()
    assert dumped == ["links", "addresses", "nexthops"]
    assert site.interface.held[NET] == A
    assert not site.watcher.restless


def test_a_notification_is_taken_though_its_interface_is_not_known(site: Site) -> None:
    """A route out of a link that is none of ours is nothing to us."""
    site.watcher.deltas.take(RouteChange(RouteChangeKind.ADDED, NET, Path(254, 4, 0, (NextHop(99),))))
    assert not site.world.rib.paths(NET)


async def test_notifications_that_wait_at_the_start_are_not_all_there_is() -> None:
    """The first look knows all links before it looks for devices, though a notification told of one only."""
    site = Site()
    site.table.set_link(site.table.all_links[OTHER])
    await site.watcher.look()
    assert site.world.interfaces.keys() == {WG}


async def test_a_gap_tears_nothing_down(site: Site) -> None:
    """Where the dump says what was known already, nothing is decided, told or made anew after a gap."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.events.clear()
    interface = site.interface
    site.table.lose_notifications()
    await site.watcher.look()
    assert site.interface is interface
    assert not interface.dirty
    assert site.events == [StreamBroken("", "the test dropped them")]


async def test_a_gap_finds_devices_that_came_and_went(site: Site) -> None:
    """After a gap devices are looked for, though no notification tells of a link."""
    await site.watcher.look()
    site.devices.present[OTHER] = MemoryDevice(site.fate, "eth0", OTHER, key(101))
    del site.devices.present[WG]
    site.table.lose_notifications()
    await site.watcher.look()
    assert site.world.interfaces.keys() == {OTHER}


async def test_a_device_that_comes_brings_its_routes(site: Site) -> None:
    """Routes of a link that was none of ours were not kept: they are read in the look that finds the device."""
    route = Path(254, 12, 32, (NextHop(8, gateway(A)),))
    site.table.user_add(NET, route)
    await site.watcher.look()
    assert not site.world.rib.paths(NET)
    site.devices.present[8] = MemoryDevice(site.fate, "wg1", 8, key(101))
    site.table.set_link(Link(8, "wg1", "wireguard", up=True))
    await site.watcher.look()
    assert site.world.rib.paths(NET) == (route,)
    assert RouteAdded("wg1", NET, route) in site.events


async def test_a_device_that_goes_takes_its_routes_along(site: Site) -> None:
    """When a device is no longer one of ours, its routes are no longer kept."""
    site.table.user_add(NET, via(A))
    await site.settle()
    site.devices.present.clear()
    site.table.set_link(Link(WG, "wg0", "dummy", up=True))
    await site.watcher.look()
    assert not site.world.interfaces
    assert not site.world.rib.paths(NET)


async def test_a_hint_of_the_socket_directory_finds_a_device(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A userspace device has its link before its socket: when that comes, the same look finds it."""
    site.devices.present[OTHER] = MemoryDevice(site.fate, "eth0", OTHER, key(101))
    await site.watcher.look()
    assert OTHER not in site.world.interfaces
    monkeypatch.setattr(site.devices, "fileno", lambda: 5)
    monkeypatch.setattr(site.devices, "read_hints", lambda: True)
    await site.watcher.look()
    assert OTHER in site.world.interfaces


async def test_the_audit_is_due_though_no_device_is(site: Site) -> None:
    """Without any device to read the watcher still wakes for its audit."""
    site.devices.present.clear()
    site.watcher.look_again()
    await site.watcher.look()
    assert site.watcher.deadline == site.watcher._audit_at
    assert site.watcher.deadline > site.now


async def test_what_came_during_an_audit_is_not_lost(site: Site) -> None:
    """Notifications that the audit read beside its dump are taken: an address is known though the dump missed it."""
    address = Address(WG, px.parse("10.0.0.1"), 24)
    real = site.table.nexthops

    def meanwhile() -> dict[int, NexthopObject]:
        if address not in site.table.all_addresses:
            site.table.add_address(address)
        return real()

    site.table.nexthops = meanwhile  # type: ignore[method-assign]
    site.now += AUDIT_INTERVAL
    await site.watcher.look()
    assert not site.table.waiting
    assert address in site.world.addresses


@pytest.mark.parametrize("told", [True, False])
async def test_what_comes_while_devices_are_read_is_no_drift(site: Site, told: bool) -> None:
    """A link that goes down right before an audit takes its routes without a word, which is no drift of the stream."""
    site.table.user_add(NET, via(A))
    await site.settle()
    real = site.device.read

    async def meanwhile() -> Reading:
        if told:
            site.table.set_link(Link(WG, "wg0", "wireguard", up=False))
        else:
            site.table.all[NET].clear()
        return await real()

    site.device.read = meanwhile  # type: ignore[method-assign]
    site.now += AUDIT_INTERVAL
    await site.watcher.look()
    assert not site.world.rib.paths(NET)
    assert site.watcher.drifted == (0 if told else 1)


async def test_the_audit_hears_before_it_compares(site: Site) -> None:
    """A route that came while devices were read is heard of, not found."""
    real = site.device.read

    async def meanwhile() -> Reading:
        site.table.user_add(NET, via(A))
        return await real()

    site.device.read = meanwhile  # type: ignore[method-assign]
    site.now += AUDIT_INTERVAL
    await site.watcher.look()
    assert site.world.rib.paths(NET) == (via(A),)
    assert site.watcher.drifted == 0


async def test_a_renamed_interface_takes_the_settings_of_its_name(site: Site) -> None:
    """With the new name come its settings, in the look that hears of it; everything is decided by them."""
    other = Policy(metric=1)
    site.watcher.set_policies(lambda name: other if name == "wg9" else site.policy, 1.0)
    assert site.interface.policy is site.policy
    site.table.set_link(Link(WG, "wg9", "wireguard", up=True))
    await site.watcher.look()
    assert site.interface.policy is other
    assert set(site.interface.dirty) >= {gateway(A), gateway(B)}


async def test_new_settings_reach_interfaces_that_stand(site: Site) -> None:
    """A reload goes to the readings: settings and interval."""
    other = Policy(metric=1)
    site.watcher.set_policies(lambda _: other, 7.0)
    assert site.interface.policy is other
    assert site.watcher.readings.poll_interval == 7.0


async def test_only_where_news_are_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that knows where something waits asks the socket directory only if it waits there."""
    asked: list[bool] = []
    monkeypatch.setattr(site.devices, "fileno", lambda: 5)
    monkeypatch.setattr(site.devices, "read_hints", lambda: asked.append(True))
    await site.watcher.look({4})
    assert not asked
    await site.watcher.look({4, 5})
    await site.watcher.look(None)
    assert len(asked) == 2


async def test_after_a_loss_the_descriptors_are_others(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told when the table may have another socket, and when all is to be read anew."""
    monkeypatch.setattr(site.table, "fileno", lambda: 4)
    site.watcher.descriptors()
    await site.watcher.look()
    assert not site.watcher.moved
    site.table.lose_notifications()
    await site.watcher.look()
    assert site.watcher.moved
    assert site.watcher.descriptors() == [4]
    assert not site.watcher.moved
    site.watcher.look_again()
    assert site.watcher.moved
