"""Devices, found and read: when, how often, and what a reading changes."""

from __future__ import annotations

import errno
import math
from dataclasses import replace

import pytest
from typing_extensions import override

from peerway import readings as readings_module
from peerway.model import columns as cl
from peerway.model import events as ev
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.device import Backend, Peer, Reading
from peerway.model.link import Link
from peerway.model.policy import Policy
from peerway.model.prefix import AF_INET
from peerway.model.table import Table
from peerway.model.world import World
from peerway.readings import CARE_SHARE, ENTRY, FIND_AGAIN, POLL_SHARE, Readings
from tests.harness.columns import dumped
from tests.harness.memory import Fate, MemoryDevice, MemoryDevices
from tests.harness.site import OTHER, WG, gateway, key, via

A, B, C = key(1), key(2), key(3)
NET, HOST = px.parse("10.0.0.0/8"), px.parse("10.0.0.2")


class Device(MemoryDevice):
    """A device that counts readings, takes its time for them, or fails with an error."""

    def __init__(self, bench: Bench, ifindex: int = WG, name: str = "wg0") -> None:
        super().__init__(Fate(), name, ifindex, key(100))
        self.bench, self.count, self.cost, self.error = bench, 0, 0.0, 0
        self.peers = {peer: Peer(peer) for peer in (A, B)}

    @override
    async def read(self) -> Reading:
        self.count += 1
        self.bench.now += self.cost
        if self.error:
            raise OSError(self.error, "the test let it fail")
        return await super().read()


class Hints(MemoryDevices):
    """Devices with a socket directory that says something or not."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptor: int | None = 5
        self.hint = False

    @override
    def fileno(self) -> int | None:
        return self.descriptor

    @override
    def read_hints(self) -> bool:
        return self.hint


class Tap:
    """A tap that says what the test wants."""

    def __init__(self) -> None:
        self.hints: set[int | str] | None = set()
        self.lost = False

    def fileno(self) -> int:
        return 6

    def read_hints(self) -> set[int | str] | None:
        if self.lost:
            raise OSError(errno.ENETDOWN, "Network is down")
        return self.hints

    def close(self) -> None:
        """Nothing to close."""


class Bench:
    """Readings over two links, of which one is a device."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.world = World()
        self.world.links = {OTHER: Link(OTHER, "eth0", "", up=True), WG: Link(WG, "wg0", "wireguard", up=True)}
        self.devices, self.tap = Hints(), Tap()
        self.device = Device(self)
        self.devices.present[WG] = self.device
        self.events: list[ev.Event] = []
        self.policy = Policy()
        self.readings = Readings(
            self.world,
            self.devices,
            self.tap,
            policies=lambda name: self.policy if name == "wg0" else Policy(metric=1),
            publish=self.events.append,
            clock=lambda: self.now,
            poll_interval=1.0,
        )

    async def look(self) -> None:
        await self.readings.find()
        await self.readings.read_due()


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.look()
    made.events.clear()
    return made


async def test_a_device_that_is_found_is_an_interface() -> None:
    """The first reading makes the interface, with its settings and what it holds, and tells it with its peers."""
    bench = Bench()
    bench.device.map = {NET: A}
    await bench.look()
    interface = bench.world.interfaces[WG]
    assert (interface.name, interface.policy, dict(interface.held)) == ("wg0", bench.policy, {NET: A})
    assert bench.readings.started == [interface]
    assert bench.readings.dump_due
    assert bench.events == [ev.InterfaceAdded("wg0", WG, "kernel"), ev.PeerAdded("wg0", A), ev.PeerAdded("wg0", B)]


async def test_a_device_is_read_when_its_time_has_come(bench: Bench) -> None:
    """Not before the poll interval, and at once when all are due."""
    await bench.readings.read_due()
    assert bench.device.count == 1
    bench.now += 1.0
    await bench.readings.read_due()
    assert bench.device.count == 2
    bench.readings.all_due()
    await bench.readings.read_due()
    assert bench.device.count == 3


async def test_a_costly_device_is_read_less_often(bench: Bench) -> None:
    """A reading may cost one hundredth of the time between two of them."""
    bench.device.cost = bench.readings.watched[WG].last_cost = 0.5
    bench.now += 1.0
    await bench.readings.read_due()
    assert bench.readings.watched[WG].due == bench.now + POLL_SHARE * 0.5


async def test_large_devices_are_foreseen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a loss much may have to go, where much is ours; else a reading is soon made when it is needed."""
    monkeypatch.setattr(readings_module, "MANY", 2)
    ours = bench.world.interfaces[WG].ledger.ours
    ours[NET] = A
    bench.readings.foresee()
    assert bench.device.foreseen == 0
    ours[HOST] = A
    bench.readings.foresee()
    assert bench.device.foreseen == 1


@pytest.mark.parametrize(
    ("hints", "due"), [(set(), False), ({WG}, True), ({"wg0"}, True), ({99, "wg1"}, False), (None, True)]
)
async def test_the_tap_says_which_device_to_read(bench: Bench, hints: set[int | str] | None, due: bool) -> None:
    """A device that somebody changed, by index or name, is read at once; so is any when it is unclear."""
    bench.tap.hints = hints
    bench.readings.take_hints()
    await bench.readings.read_due()
    assert bench.device.count == 1 + due


async def test_a_lost_tap_is_told_once_and_done_without(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """When the tap fails it is asked no more; devices are polled."""
    assert bench.readings.descriptors() == [6, 5]
    bench.tap.lost = True
    bench.readings.take_hints()
    bench.readings.take_hints()
    assert caplog.text.count("the nlmon tap is lost") == 1
    assert bench.readings.moved
    assert bench.readings.descriptors() == [5]


async def test_the_socket_directory_says_when_to_look_for_devices(bench: Bench) -> None:
    """A hint there means that devices are looked for; without one, or without a directory, not."""
    bench.readings.take_hints()
    assert not bench.readings.find_due
    bench.devices.hint = True
    bench.devices.descriptor = None
    bench.readings.take_hints()
    assert not bench.readings.find_due
    assert bench.readings.descriptors() == [6]
    bench.devices.descriptor = 5
    bench.readings.take_hints()
    assert bench.readings.find_due


async def test_devices_are_looked_for_again_after_a_hint(bench: Bench) -> None:
    """A socket's file may be there before its program listens at it: there is a second look, and none for ever."""
    bench.devices.hint = True
    bench.readings.take_hints()
    bench.devices.hint = False
    seen: list[float] = []
    for _ in range(len(FIND_AGAIN)):
        await bench.readings.find()
        bench.readings.take_hints()
        assert not bench.readings.find_due
        bench.readings.watched.clear()  # it is the only one with a deadline
        bench.now = bench.readings.deadline
        bench.readings.take_hints()
        assert bench.readings.find_due
        seen.append(bench.now - 1000.0)
    assert seen == pytest.approx(list(FIND_AGAIN))
    assert min(seen) < 1 < max(seen)
    await bench.readings.find()
    bench.readings.watched.clear()
    assert bench.readings.deadline == math.inf


async def test_a_device_that_is_gone_is_no_interface(bench: Bench) -> None:
    """When it is no longer found, the interface goes, is told, and its routes are looked at again."""
    interface = bench.world.interfaces[WG]
    bench.readings.dump_due = False
    bench.devices.present.clear()
    await bench.look()
    assert WG not in bench.world.interfaces
    assert bench.readings.stopped == [interface]
    assert bench.readings.dump_due
    assert bench.events == [ev.InterfaceRemoved("wg0", WG)]
    assert not bench.readings.watched


async def test_another_device_of_the_same_index_is_a_new_one(bench: Bench) -> None:
    """A handle that is another object means that the device was made anew."""
    bench.devices.present[WG] = Device(bench)
    await bench.look()
    assert [type(event) for event in bench.events[:2]] == [ev.InterfaceRemoved, ev.InterfaceAdded]
    assert len(bench.readings.started) == 2
    await bench.look()
    assert len(bench.readings.started) == 2


@pytest.mark.parametrize(
    ("error", "find"), [(errno.ENODEV, True), (errno.ECONNREFUSED, True), (errno.ENOENT, True), (errno.EBUSY, False)]
)
async def test_a_device_that_does_not_answer_is_told_and_tried_again(bench: Bench, error: int, find: bool) -> None:
    """The error stands at the interface until a reading works; one that says `gone` makes us look."""
    interface = bench.world.interfaces[WG]
    bench.device.error = error
    bench.readings.all_due()
    await bench.readings.read_due()
    assert "the test let it fail" in interface.errors["read"]
    assert bench.readings.find_due is find
    assert bench.readings.watched[WG].due == bench.now + 1.0
    bench.device.error, bench.now = 0, bench.now + 1.0
    await bench.readings.read_due()
    assert not interface.errors


async def test_a_device_that_never_answered_is_no_interface_yet(caplog: pytest.LogCaptureFixture) -> None:
    """Without a reading nothing is known of it, which is told once; with the first one it comes."""
    bench = Bench()
    bench.device.error = errno.EACCES
    for _ in range(2):
        await bench.look()
        assert not bench.world.interfaces
        bench.now += 1.0
    assert [record.message for record in caplog.records] == [
        "a device that was never read cannot be read: the test let it fail"
    ]
    bench.device.error, bench.now = 0, bench.now + 1.0
    await bench.look()
    assert WG in bench.world.interfaces


async def test_a_device_whose_link_is_gone_already_is_no_interface() -> None:
    """A reading that is older than the link's end makes nothing."""
    bench = Bench()
    await bench.readings.find()
    bench.world.links.clear()
    await bench.readings.read_due()
    assert not bench.world.interfaces


async def read_again(bench: Bench) -> None:
    bench.readings.all_due()
    await bench.readings.read_due()


async def test_what_others_changed_is_told_and_decided_again(bench: Bench) -> None:
    """AllowedIPs, peers, key: each change of a reading is an event, and the prefixes are dirty."""
    interface = bench.world.interfaces[WG]
    interface.small_dirty = False
    bench.device.map = {NET: A}
    await read_again(bench)
    assert bench.events == [ev.AllowedIPAdded("wg0", A, NET)]
    assert NET in interface.dirty
    assert not interface.small_dirty
    bench.device.public_key = key(101)
    await read_again(bench)
    assert bench.events[1:] == [ev.PublicKeyChanged("wg0", key(101))]
    assert interface.small_dirty
    await read_again(bench)
    assert len(bench.events) == 2


async def test_a_new_peer_has_what_is_routed_to_it_decided_again(bench: Bench) -> None:
    """Routes by the gateway of a peer that comes are decided again, and its address."""
    interface = bench.world.interfaces[WG]
    bench.world.rib.load(dumped({NET: via(C), px.parse("10.9.0.0/16"): via(A)}))
    interface.refresh_gateways()
    interface.dirty.clear()
    bench.device.peers[C] = Peer(C)
    await read_again(bench)
    assert interface.dirty == {NET, gateway(C)}


async def test_a_pinned_gateway_that_moves_has_its_peers_prefixes_decided_again(bench: Bench) -> None:
    """When an address names another peer, all that either peer holds, or waits for, may be routed otherwise."""
    interface = bench.world.interfaces[WG]
    bench.device.map = {HOST: A, NET: A, px.parse("10.9.0.0/16"): B}
    await read_again(bench)
    interface.ledger.displaced[px.parse("10.8.0.0/16")] = B
    interface.dirty.clear()
    bench.device.map = {**bench.device.map, HOST: B}
    await read_again(bench)
    assert interface.dirty == {HOST, NET, px.parse("10.9.0.0/16"), px.parse("10.8.0.0/16")}


async def test_pins_that_wait_go_with_their_peer(bench: Bench) -> None:
    """A peer that goes takes its displaced prefixes along."""
    interface = bench.world.interfaces[WG]
    interface.ledger.displaced = Table({NET: B})
    bench.device.remove_peer(B)
    await read_again(bench)
    assert not interface.ledger.displaced
    assert NET in interface.dirty


async def test_new_settings_decide_again_only_where_they_differ(bench: Bench) -> None:
    """Equal settings change nothing; others take hold, with gateways and selection made anew."""
    interface = bench.world.interfaces[WG]
    interface.refresh_gateways()
    interface.dirty.clear()
    interface.small_dirty = False
    bench.readings.set_policies(lambda _: Policy(), 5.0)
    assert not interface.dirty
    assert bench.readings.poll_interval == 5.0
    selector = interface.selector
    bench.world.rib.load(dumped({NET: via(A)}))
    bench.readings.set_policies(lambda _: Policy(protocols=frozenset({4})), 5.0)
    assert interface.policy.protocols == {4}
    assert interface.small_dirty
    assert NET in interface.dirty
    assert interface.selector is not selector


async def test_a_renamed_interface_takes_the_settings_of_its_name(bench: Bench) -> None:
    """Settings are found by the name that an interface has now."""
    interface = bench.world.interfaces[WG]
    interface.link = replace(interface.link, name="wg9")
    bench.readings.resettle(interface)
    assert interface.policy.metric == 1


async def test_without_its_tap_every_device_is_read_at_once(bench: Bench) -> None:
    """What the lost tap would have said may be of any device."""
    bench.tap.lost = True
    bench.readings.take_hints()
    await bench.readings.read_due()
    assert bench.device.count == 2


async def test_a_device_that_cannot_be_read_keeps_its_state(bench: Bench) -> None:
    """Nothing is torn down, told or decided because a reading failed."""
    bench.device.map = {NET: A}
    await read_again(bench)
    interface = bench.world.interfaces[WG]
    interface.dirty.clear()
    bench.events.clear()
    bench.device.error = errno.EBUSY
    await read_again(bench)
    assert bench.world.interfaces[WG] is interface
    assert interface.held == {NET: A}
    assert set(interface.device.peers) == {A, B}
    assert not interface.dirty
    assert not bench.events


async def test_new_prefixes_to_derive_from_make_new_gateways(bench: Bench) -> None:
    """With other settings the gateways are others, and those of before and of now are decided again."""
    interface = bench.world.interfaces[WG]
    interface.refresh_gateways()
    bench.device.map = {gateway(A): A}
    await read_again(bench)
    interface.dirty.clear()
    there = px.parse("fd00::/64")
    bench.readings.set_policies(lambda _: Policy(prefixes=(there,)), 1.0)
    assert interface.gateways.peer(derived_address(there, A)) == A
    assert interface.gateways.derived.keys() == {derived_address(there, peer) for peer in (A, B)}
    assert set(interface.dirty) >= {gateway(A), derived_address(there, A), derived_address(there, B)}


async def test_a_shorter_interval_holds_at_once(bench: Bench) -> None:
    """After a reload nobody waits out the former interval; a longer one begins after the reading that is due."""
    bench.readings.set_policies(bench.readings.policies, 3600.0)
    assert bench.readings.watched[WG].due == bench.now + 1.0
    bench.now += 1.0
    await bench.readings.read_due()
    assert bench.readings.watched[WG].due == bench.now + 3600.0
    bench.readings.set_policies(bench.readings.policies, 5.0)
    assert bench.readings.watched[WG].due == bench.now + 5.0


async def test_one_slow_answer_does_not_put_off_the_next_reading(bench: Bench) -> None:
    """A program that was busy once is looked at again soon; one that is always slow is looked at less often."""
    await bench.look()
    bench.device.cost = 5.0
    for pause in (1.0, POLL_SHARE * 5.0):
        bench.now = bench.readings.watched[WG].due
        await bench.look()
        assert bench.readings.watched[WG].due == bench.now + pause


async def test_a_shorter_interval_does_not_make_a_costly_device_cheap(bench: Bench) -> None:
    """The share of time that readings may take holds after a reload too."""
    bench.device.cost = bench.readings.watched[WG].last_cost = 2.0
    await read_again(bench)
    bench.readings.set_policies(bench.readings.policies, 1.0)
    assert bench.readings.watched[WG].due == bench.now + POLL_SHARE * 2.0


@pytest.mark.parametrize("covered", ["kernel", "userspace", "no tap"])
async def test_before_something_is_given_a_device_without_a_tap_is_read(covered: str) -> None:
    """A tap speaks for kernel devices alone; what it does not cover is read, for somebody may have pinned just now."""
    bench = Bench()
    if covered == "userspace":
        bench.device.backend = Backend.USERSPACE
    bench.tap.lost = covered == "no tap"
    bench.readings.take_hints()
    await bench.look()
    bench.device.map = {NET: A}
    interface = bench.world.interfaces[WG]
    await bench.readings.freshen(interface)
    assert (interface.held == {NET: A}) == (covered != "kernel")


async def test_before_something_is_given_the_tap_is_heard(bench: Bench) -> None:
    """A device that somebody changed a moment ago is read first, also one that is covered."""
    bench.device.map = {NET: A}
    bench.tap.hints = {WG}
    interface = bench.world.interfaces[WG]
    await bench.readings.freshen(interface)
    assert interface.held == {NET: A}


async def test_a_costly_device_is_not_read_before_each_gift(bench: Bench) -> None:
    """Also before something is given, readings keep to their share of the time."""
    bench.device.backend, bench.device.cost = Backend.USERSPACE, 0.5
    bench.readings.watched[WG].last_cost = 0.5
    await read_again(bench)
    interface, begun = bench.world.interfaces[WG], bench.now - 0.5
    await bench.readings.freshen(interface)
    assert bench.device.count == 2
    bench.now = begun + POLL_SHARE * 0.5
    await bench.readings.freshen(interface)
    assert bench.device.count == 3


async def test_what_a_device_got_since_it_was_read_counts_as_its_cost(bench: Bench) -> None:
    """A device that was empty when it was read, quickly, and is full by now is not read before a gift soon after."""
    bench.device.backend, bench.device.cost = Backend.USERSPACE, 0.0
    await bench.look()
    interface = bench.world.interfaces[WG]
    interface.held.put(cl.make(AF_INET, [*range(24, 24 + (1_000_000 << 8), 256)]), A)
    count = bench.device.count
    bench.now += CARE_SHARE * ENTRY * 1_000_000 / 2
    bench.readings.watched[WG].due = bench.now + 3600
    await bench.readings.freshen(interface)
    assert bench.device.count == count
    bench.now += CARE_SHARE * ENTRY * 1_000_000
    await bench.readings.freshen(interface)
    assert bench.device.count == count + 1
