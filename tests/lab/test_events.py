"""What other programs do to a WireGuard interface is told on the event stream: each change as one event of its kind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from peerway.lab import wireguard
from peerway.lab.namespace import Namespace, link
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from tests.harness.daemon import Daemon
from tests.harness.events import Event, Listener
from tests.harness.need import need_root

KEY, LATE = (str(PublicKey(bytes([number]) * 32)) for number in (1, 2))
PSK = wireguard.new_private_key()
STORM = 500 if os.environ.get("IN_GUEST") else 5000
UNTOLD = ("time", "heard")
OF_THEMSELVES = ("counters-moved", "handshake-seen")  # a peer with an endpoint is called at any time


def gateway(key: str) -> str:
    return px.address_text(derived_address(px.parse("fe80::/64"), PublicKey.parse(key)))


class Stage:
    """A daemon with one interface that has one quiet peer and one far one that answers, and a listener."""

    def __init__(self, wg: WireGuard, far: WireGuard, daemon: Daemon, listener: Listener) -> None:
        self.wg, self.far, self.daemon, self.listener = wg, far, daemon, listener

    def ip(self, command: str) -> None:
        self.wg.namespace.ip(*command.format(dev=self.wg.name, gw=gateway(KEY)).split())

    def set(self, words: str) -> None:
        """`wg set DEV WORDS`."""
        self.wg.namespace.run("wg", "set", self.wg.name, *words.split())

    def told(self, act: Callable[[], object], *expected: tuple[str, dict[str, Any]], alone: bool = True) -> list[Event]:
        """
        Do it, and see that each expected event comes by itself, exactly once, and stays the only one of its kind, also
        after everything was read again; `alone`: nothing else is told.
        """
        mark = self.listener.mark()
        act()
        for name, fields in expected:
            self.listener.wait(partial(matches, name, fields), mark, what=f"the event {name} {fields}")
        self.listener.mark()
        events = self.listener.since(mark)
        bare = [{k: v for k, v in e.items() if k not in UNTOLD} for e in events if e["event"] not in OF_THEMSELVES]
        assert all(bare.count(event) == 1 for event in bare), f"told twice: {bare}"
        for name, fields in expected:
            assert sum(matches(name, fields, event) for event in events) == 1, f"{name} {fields} in {events}"
        if alone:
            wanted = sorted(name for name, _ in expected if name not in OF_THEMSELVES)
            assert sorted(event["event"] for event in bare) == wanted, bare
        return events


def matches(name: str, fields: dict[str, Any], event: Event) -> bool:
    return event["event"] == name and all(event.get(key) == value for key, value in fields.items())


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One for all tests of this file; each leaves it as it was."""
    need_root()
    with contextlib.ExitStack() as stack:
        here, there = (stack.enter_context(Namespace(label)) for label in ("events", "far"))
        link(here, there, ["192.0.2.1/24"], ["192.0.2.2/24"])
        wg, far = wireguard.create(here), wireguard.create(there)
        far.set_peer(wg.public_key, allowed_ips=["fe80::/64"])
        wg.set_peer(far.public_key)
        wg.set_peer(KEY)
        there.ip("address", "add", f"{gateway(far.public_key)}/64", "dev", far.name)
        daemon = stack.enter_context(Daemon(here))
        yield Stage(wg, far, daemon, stack.enter_context(Listener(daemon)))


def test_interface_added_and_removed(stage: Stage) -> None:
    """A WireGuard interface that comes is told once with its backend, and once when it goes."""
    made: list[WireGuard] = []
    kind = "userspace" if stage.wg.userspace else "kernel"
    name = wireguard.unique_name()
    stage.told(
        lambda: made.append(wireguard.create(stage.wg.namespace, name, listen_port=51999)),
        ("interface-added", {"interface": name, "backend": kind}),
        alone=False,
    )
    stage.told(made[0].delete, ("interface-removed", {"interface": name}), alone=False)


def test_interface_down_and_up(stage: Stage) -> None:
    """A link that goes down and up is told once each."""
    for way in ("down", "up"):
        stage.told(
            partial(stage.ip, f"link set {{dev}} {way}"),
            (f"interface-{way}", {"interface": stage.wg.name}),
            alone=False,
        )


def test_interface_renamed(stage: Stage) -> None:
    """A new name is told once, with the old one; a userspace device is lost by it, which is told too."""
    name = wireguard.unique_name()
    other = wireguard.create(stage.wg.namespace, name, listen_port=51998)
    stage.listener.wait(partial(matches, "interface-added", {"interface": name}), what="the interface")
    other.namespace.ip("link", "set", name, "down")
    lost = [("interface-removed", {"interface": f"{name}x"})] if other.userspace else []
    stage.told(
        lambda: other.namespace.ip("link", "set", name, "name", f"{name}x"),
        ("interface-renamed", {"interface": f"{name}x", "old_name": name}),
        *lost,
        alone=False,
    )
    other.namespace.ip("link", "del", f"{name}x")


def test_peer_added_and_removed(stage: Stage) -> None:
    """A peer that comes is told, then the derived address that it is given; one that goes is told with what it had."""
    own = {"peer": LATE, "prefix": f"{gateway(LATE)}/128"}
    peer = {"interface": stage.wg.name, "peer": LATE}
    stage.told(lambda: stage.set(f"peer {LATE}"), ("peer-added", peer), ("allowed-ip-added", own))
    stage.told(lambda: stage.set(f"peer {LATE} remove"), ("peer-removed", peer), ("allowed-ip-removed", own))


def test_settings_of_a_peer(stage: Stage) -> None:
    """Endpoint, keepalive and preshared key are told once each, the key never."""
    peer: dict[str, Any] = {"interface": stage.wg.name, "peer": KEY}
    for endpoint in ("203.0.113.7:1", "203.0.113.7:2"):
        event = ("endpoint-changed", {**peer, "endpoint": endpoint})
        stage.told(partial(stage.set, f"peer {KEY} endpoint {endpoint}"), event)
    for seconds in (60, 0):
        event = ("keepalive-changed", {**peer, "keepalive": seconds})
        stage.told(partial(stage.set, f"peer {KEY} persistent-keepalive {seconds}"), event)
    for psk, is_set in ((PSK, True), (wireguard.new_private_key(), True), ("", False)):
        file = "/proc/self/fd/0" if psk else "/dev/null"
        words = ("wg", "set", stage.wg.name, "peer", KEY, "preshared-key", file)
        stage.told(
            partial(stage.wg.namespace.run, *words, input=psk), ("preshared-key-changed", {**peer, "is_set": is_set})
        )


def test_settings_of_an_interface(stage: Stage) -> None:
    """A new port and mark are told once each."""
    here: dict[str, Any] = {"interface": stage.wg.name}
    for port in (40001, stage.wg.listen_port):
        event = ("listen-port-changed", {**here, "listen_port": port})
        stage.told(partial(stage.set, f"listen-port {port}"), event)
    for mark in (7, 0):
        event = ("firewall-mark-changed", {**here, "fwmark": mark})
        stage.told(partial(stage.set, f"fwmark {mark}"), event)


def test_allowed_ips(stage: Stage) -> None:
    """An AllowedIP that another program sets, moves or takes away is told once at each peer that it concerns."""
    far, net = stage.far.public_key, "198.51.100.0/24"
    both = {key: f"{gateway(key)}/128" for key in (KEY, far)}
    added, removed = ("allowed-ip-added", "allowed-ip-removed")
    stage.told(
        lambda: stage.set(f"peer {KEY} allowed-ips {both[KEY]},{net}"),
        (added, {"peer": KEY, "prefix": net}),
        ("route-added", {"prefix": net}),  # ours
    )
    stage.told(
        lambda: stage.set(f"peer {far} allowed-ips {both[far]},{net}"),
        (removed, {"peer": KEY, "prefix": net}),
        (added, {"peer": far, "prefix": net}),
        ("route-added", {"prefix": net}),
        ("route-removed", {"prefix": net}),
    )
    stage.told(
        lambda: stage.set(f"peer {far} allowed-ips {both[far]}"),
        (removed, {"peer": far, "prefix": net}),
        ("route-removed", {"prefix": net}),
    )


@pytest.mark.parametrize(
    ("address", "its_route"), [("10.3.3.3/24", "10.3.3.0/24"), ("2001:db8:3::3/64", "2001:db8:3::/64")]
)
def test_addresses(stage: Stage, address: str, its_route: str) -> None:
    """An address that comes or goes is told once, and so is the kernel's route for it."""
    for verb, kind in (("add", "added"), ("del", "removed")):
        stage.told(
            partial(stage.ip, f"address {verb} {address} dev {{dev}}"),
            (f"address-{kind}", {"interface": stage.wg.name, "address": address}),
            (f"route-{kind}", {"prefix": its_route}),
        )


@pytest.mark.parametrize(("net", "via"), [("10.4.0.0/16", "via inet6"), ("2001:db8:4::/48", "via")])
def test_routes(stage: Stage, net: str, via: str) -> None:
    """A route that comes, changes or goes is told once, and what it does to the AllowedIPs once."""
    route, ip = {"interface": stage.wg.name, "prefix": net}, {"peer": KEY, "prefix": net}
    stage.told(
        lambda: stage.ip(f"route add {net} {via} {{gw}} dev {{dev}} metric 7"),
        ("route-added", route),
        ("allowed-ip-added", ip),
    )
    events = stage.told(
        lambda: stage.ip(f"route replace {net} {via} {{gw}} dev {{dev}} metric 7 proto bird"),
        ("route-added", route),
        ("route-removed", route),
    )
    assert [event["path"]["protocol"] for event in events if event["event"] == "route-added"] == ["bird"]
    stage.told(lambda: stage.ip(f"route del {net} metric 7"), ("route-removed", route), ("allowed-ip-removed", ip))


def test_handshakes_and_counters(stage: Stage) -> None:
    """A handshake is told once, at the time that `wg show` has; bytes are told until they are those of `wg show`."""
    far, wg = stage.far.public_key, stage.wg
    mark = stage.listener.mark()
    stage.set(f"peer {far} endpoint 192.0.2.2:{stage.far.listen_port}")
    wg.namespace.run("ping", "-c", "1", "-W", "10", f"{gateway(far)}%{wg.name}")
    stage.listener.wait(partial(matches, "handshake-seen", {"peer": far}), mark, what="the handshake")

    def latest() -> tuple[int, int]:
        moved = [e for e in stage.listener.since(mark) if matches("counters-moved", {"peer": far}, e)]
        return (moved[-1]["rx_bytes"], moved[-1]["tx_bytes"]) if moved else (0, 0)

    def shown() -> tuple[int, int]:
        lines = wg.namespace.run("wg", "show", wg.name, "transfer").splitlines()
        return next((int(line.split()[1]), int(line.split()[2])) for line in lines if line.startswith(far))

    stage.daemon.settle(lambda: latest() == shown() != (0, 0), what="the counters of wg show")
    stage.listener.mark()
    (handshake,) = [e for e in stage.listener.since(mark) if matches("handshake-seen", {"peer": far}, e)]
    times = wg.namespace.run("wg", "show", wg.name, "latest-handshakes").splitlines()
    seconds = next(line.split()[1] for line in times if line.startswith(far))
    date = wg.namespace.run("date", "-u", "-d", f"@{seconds}", "+%Y-%m-%dT%H:%M:%SZ").strip()
    assert handshake["latest_handshake"] == date
    (endpoint,) = [e for e in stage.listener.since(mark) if matches("endpoint-changed", {"peer": far}, e)]
    assert endpoint["endpoint"] == f"192.0.2.2:{stage.far.listen_port}"


def test_a_storm(stage: Stage) -> None:
    """Thousands of routes at once, more than a buffer may hold, are told once each; so are their AllowedIPs."""
    nets = [f"10.{64 + (number >> 8)}.{number & 255}.0/24" for number in range(STORM)]
    for verb, kind in (("add", "added"), ("del", "removed")):
        mark = stage.listener.mark()
        stage.wg.namespace.batch([f"route {verb} {net} via inet6 {gateway(KEY)} dev {stage.wg.name}" for net in nets])
        for name in (f"route-{kind}", f"allowed-ip-{kind}"):
            stage.daemon.settle(partial(all_told, stage, mark, name, len(nets)), what=f"{len(nets)} times {name}")
        stage.listener.mark()
        for name in (f"route-{kind}", f"allowed-ip-{kind}"):
            told = [event["prefix"] for event in stage.listener.since(mark) if event["event"] == name]
            assert sorted(told) == sorted(nets)


def all_told(stage: Stage, mark: int, name: str, count: int) -> bool:
    return len([event for event in stage.listener.since(mark) if event["event"] == name]) >= count
