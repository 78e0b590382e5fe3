"""What other programs set on a kernel device is an event at once, by the tap: here nothing is ever polled."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon
from tests.harness.events import Event, Listener
from tests.harness.hand import Hand
from tests.harness.need import need

KEY, OTHER = (PublicKey(bytes([number]) * 32) for number in (1, 2))
NEVER = {"daemon": {"poll_interval": "3600s"}}
SAMPLES = 10
ROUTED = "10.9.0.0/16"


@pytest.fixture
def device(namespace: Namespace) -> WireGuard:
    need(wireguard.kernel_has_wireguard(), "the kernel has no WireGuard module: run it with `make kernel`")
    made = wireguard.create(namespace, userspace=False)
    made.set_peer(str(KEY))
    return made


@pytest.fixture
def listener(device: WireGuard, namespace: Namespace, daemon: Callable[..., Daemon]) -> Iterator[Listener]:
    running = daemon(namespace, NEVER)
    assert "nlmon" in namespace.ip("-d", "link", "show"), running.log()
    with Listener(running) as listening:
        yield listening


def matches(name: str, value: object, event: Event) -> bool:
    return event["event"] == name and value in event.values()


def test_an_allowed_ip_is_an_event_without_polling(
    device: WireGuard, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    """`wg set` in another process is told as an event though the next reading is an hour away; its delay is shown."""
    delays = []
    for number in range(SAMPLES):
        net = f"10.{number}.0.0/16"
        device.set_peer(str(KEY), allowed_ips=[net])
        done = time.time()
        event = listener.wait(partial(matches, "allowed-ip-added", net), what=f"the event of {net}")
        delays.append(event["heard"] - done)
    with capsys.disabled():
        middle, worst = statistics.median(delays) * 1000, max(delays) * 1000
        print(f"\nnlmon: an AllowedIP is told {middle:.0f} ms after `wg set` ended (median; at most {worst:.0f} ms)")


def test_each_setting_of_a_peer_is_an_event_without_polling(device: WireGuard, listener: Listener) -> None:
    """Peers, endpoints, keepalives and preshared keys that another program sets are told."""
    run = partial(device.namespace.run, "wg", "set", device.name, "peer")
    deeds = (
        (partial(run, str(OTHER)), "peer-added", str(OTHER)),
        (partial(run, str(OTHER), "endpoint", "203.0.113.7:7"), "endpoint-changed", "203.0.113.7:7"),
        (partial(run, str(OTHER), "persistent-keepalive", "77"), "keepalive-changed", 77),
        (
            partial(run, str(OTHER), "preshared-key", "/proc/self/fd/0", input=wireguard.new_private_key()),
            "preshared-key-changed",
            str(OTHER),
        ),
        (partial(run, str(OTHER), "remove"), "peer-removed", str(OTHER)),
    )
    for act, name, value in deeds:
        act()
        listener.wait(partial(matches, name, value), what=f"{name} {value}")
    names = [event["event"] for event in listener.since(0)]
    assert all(names.count(name) == 1 for _, name, _ in deeds)


def test_what_follows_from_it_is_done_at_once(device: WireGuard, listener: Listener, namespace: Namespace) -> None:
    """A pin gets its route, and a route that waited for its peer its AllowedIP, without polling."""
    gateway = px.address_text(derived_address(px.parse("fe80::/64"), OTHER))
    namespace.ip("route", "add", ROUTED, "via", "inet6", gateway, "dev", device.name)
    device.set_peer(str(KEY), allowed_ips=["10.1.0.0/16"])
    listener.wait(partial(matches, "route-added", "10.1.0.0/16"), what="our route to 10.1.0.0/16")
    device.set_peer(str(OTHER))
    listener.wait(partial(matches, "allowed-ip-added", ROUTED), what=f"the AllowedIP {ROUTED}")
    assert ROUTED in device.allowed_ips()[str(OTHER)]


def test_a_storm_by_another_program_is_told_to_the_last_prefix(device: WireGuard, listener: Listener) -> None:
    """A thousand AllowedIPs in many requests, perhaps more than the tap's buffer holds, are all told once."""
    nets = [px.Prefix((20 << 24 | number << 8) << 8 | 24) for number in range(1000)]
    hand = Hand(device)
    for begin in range(0, len(nets), 100):
        hand.give((net, KEY) for net in nets[begin : begin + 100])
    wanted = sorted(map(px.text, nets))

    def told() -> list[str]:
        added = [event for event in listener.since(0) if event["event"] == "allowed-ip-added"]
        return sorted(event["prefix"] for event in added if event["prefix"].startswith("20."))

    listener.wait(lambda _: len(told()) >= len(wanted), what=f"{len(wanted)} events")
    assert told() == wanted


def test_a_lost_tap_is_said_and_polling_takes_over(
    device: WireGuard, namespace: Namespace, daemon: Callable[..., Daemon]
) -> None:
    """If somebody removes the tap's link, the daemon says so once, and lives on by polling."""
    running = daemon(namespace, {"daemon": {"poll_interval": "1s"}})
    tap = namespace.ip("-br", "link", "show", "type", "nlmon").split()[0]
    namespace.ip("link", "del", tap)
    running.settle(lambda: "tap is lost" in running.log(), what="a word about the tap")
    device.set_peer(str(KEY), allowed_ips=["10.1.0.0/16"])
    running.settle(lambda: "10.1.0.0/16" in namespace.ip("route", "show", "proto", "87"), what="our route")
    assert running.log().count("tap is lost") == 1
