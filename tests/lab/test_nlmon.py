"""The tap on other programs' changes, on a kernel that has WireGuard and nlmon."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator

import pytest

from peerway.backends.kernel import KernelDevice, wireguard_family
from peerway.backends.netlink import NETLINK_GENERIC, NETLINK_ROUTE, NetlinkSocket
from peerway.backends.nlmon import ALIAS, NlmonTap, remove_leftovers
from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.device import AllowedIPsDelta
from peerway.model.keys import PublicKey
from peerway.protocols import netlink as nl
from peerway.protocols import wireguard_set
from tests.harness.columns import groups
from tests.harness.need import need, need_kernel_wireguard

KEY = PublicKey(bytes(range(32)))
TIMEOUT = 20.0
MARK = 4711


@pytest.fixture
def device(namespace: Namespace) -> WireGuard:
    need_kernel_wireguard()
    need(namespace.succeeds("ip", "link", "add", "probe", "type", "nlmon"), "the kernel has no nlmon module")
    namespace.ip("link", "del", "probe")
    made = wireguard.create(namespace, userspace=False)
    made.set_peer(str(KEY))
    return made


@pytest.fixture
def tap(device: WireGuard) -> Iterator[NlmonTap]:
    with device.namespace.enter():
        made = NlmonTap(MARK)
    yield made
    made.close()


def next_hints(tap: NlmonTap) -> set[int | str] | None:
    """What the tap tells next, once it has something to tell."""
    for _ in range(10):
        assert select.select([tap], [], [], TIMEOUT)[0], "the tap is silent"
        hints = tap.read_hints()
        if hints is None or hints:
            return hints
    raise AssertionError("the tap wakes us and tells nothing")


def drained(tap: NlmonTap) -> bool:
    """Whether the tap is silent."""
    tap.read_hints()
    return not select.select([tap], [], [], 0)[0]


def test_change_by_wg_is_told_when_it_took_effect(device: WireGuard, tap: NlmonTap) -> None:
    """After `wg set` ended, the tap tells the device by the name that wg used."""
    device.set_peer(str(KEY), allowed_ips=["10.1.0.0/16"])
    assert next_hints(tap) == {device.name}


def test_reading_is_not_told(device: WireGuard, tap: NlmonTap) -> None:
    """`wg show` changes nothing, so nothing is told."""
    drained(tap)
    device.allowed_ips()
    assert drained(tap)


def test_failed_change_is_told(device: WireGuard, tap: NlmonTap) -> None:
    """A request that fails may have had an effect before it failed, so its device is told."""
    with device.namespace.enter(), NetlinkSocket(NETLINK_GENERIC) as sock:
        family = wireguard_family(sock)
        ifindex = socket.if_nametoindex(device.name)
        bad = wireguard_set.give(ifindex, groups([(px.Prefix(10 << 32 | 77), KEY)]))
        with pytest.raises(OSError, match=r".") as told:
            sock.request(family, 0, bad)
    assert told.value.errno == 22
    assert next_hints(tap) == {ifindex}


async def test_our_own_changes_are_not_told(device: WireGuard) -> None:
    """They do not even wake us; what another program does meanwhile is told."""
    with device.namespace.enter():
        handle = KernelDevice(device.name, socket.if_nametoindex(device.name), MARK)
        tap = NlmonTap(MARK)
        try:
            await handle.apply(AllowedIPsDelta(add=groups([(px.parse("10.1.0.0/16"), KEY)])))
            await handle.apply(AllowedIPsDelta(remove=groups([(px.parse("10.1.0.0/16"), KEY)])))
            assert not select.select([tap], [], [], 0)[0]
            device.set_peer(str(KEY), keepalive=5)
            assert next_hints(tap) == {device.name}
        finally:
            tap.close()
            await handle.close()


def test_request_without_acknowledgement_is_told_twice(device: WireGuard, tap: NlmonTap) -> None:
    """Nothing tells when it took effect, so the device is told at once and a moment later."""
    with device.namespace.enter(), NetlinkSocket(NETLINK_GENERIC) as sock:
        family = wireguard_family(sock)
        ifindex = socket.if_nametoindex(device.name)
        request = wireguard_set.give(ifindex, groups([(px.parse("10.2.0.0/16"), KEY)]))
        sender = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        sender.send(nl.message(family, nl.NLM_F_REQUEST, 7, request))
        sender.close()
    assert next_hints(tap) == {ifindex}
    assert next_hints(tap) == {ifindex}
    assert drained(tap)


def test_no_key_reaches_us(device: WireGuard, tap: NlmonTap) -> None:
    """Of a request only the headers and the device's name are copied to the tap's socket."""
    drained(tap)
    device.namespace.run("wg", "set", device.name, "private-key", "/proc/self/fd/0", input=wireguard.new_private_key())
    frames = []
    while select.select([tap._socket], [], [], 0)[0]:
        frames.append(tap._socket.recv(65536))
    assert len(frames) == 2
    assert max(map(len, frames)) <= 40


def test_overflow_means_any_device(device: WireGuard, tap: NlmonTap) -> None:
    """Frames that did not fit in the buffer may have told of any device."""
    tap._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    prefixes = [(px.Prefix((10 << 24 | number << 8) << 8 | 24), KEY) for number in range(1000)]
    with device.namespace.enter(), NetlinkSocket(NETLINK_GENERIC) as sock:
        family = wireguard_family(sock)
        for _ in range(10):
            sock.request(family, 0, wireguard_set.give(socket.if_nametoindex(device.name), groups(prefixes)))
    assert next_hints(tap) is None


def test_other_namespaces_are_not_seen(
    device: WireGuard, tap: NlmonTap, namespaces: Callable[[str], Namespace]
) -> None:
    """A tap sees its own network namespace only."""
    other = wireguard.create(namespaces("there"), userspace=False)
    drained(tap)
    other.set_peer(str(KEY))
    assert drained(tap)


def test_tap_is_removed(device: WireGuard, tap: NlmonTap) -> None:
    """Closing removes the link, and doing it again does no harm."""
    assert tap.name in device.namespace.ip("link", "show", "type", "nlmon")
    tap.close()
    assert tap.name not in device.namespace.ip("link", "show", "type", "nlmon")
    tap.close()


def test_leftover_of_a_dead_peerway_is_removed(device: WireGuard, tap: NlmonTap) -> None:
    """A tap without a listener goes at the next start; one that is listened to stays, and so does somebody else's."""
    namespace = device.namespace
    for name in ("pwmon7", "foreign"):
        namespace.ip("link", "add", name, "type", "nlmon")
    namespace.ip("link", "set", "pwmon7", "alias", ALIAS)
    with namespace.enter(), NetlinkSocket(NETLINK_ROUTE) as route:
        remove_leftovers(route)
    left = namespace.ip("link", "show", "type", "nlmon")
    assert "pwmon7" not in left
    assert "foreign" in left
    assert tap.name in left


def test_lost_tap_is_an_error(device: WireGuard, tap: NlmonTap) -> None:
    """If somebody removes the link, the tap says so instead of being silent forever."""
    drained(tap)
    device.namespace.ip("link", "del", tap.name)
    assert select.select([tap], [], [], TIMEOUT)[0]
    with pytest.raises(OSError, match=r"."):
        tap.read_hints()


def test_kernel_without_the_modules_says_so(namespace: Namespace) -> None:
    """Where there is no WireGuard or no nlmon, making a tap fails and leaves nothing behind."""
    if wireguard.kernel_has_wireguard() and namespace.succeeds("ip", "link", "add", "probe", "type", "nlmon"):
        pytest.skip("this kernel has both")
    before = namespace.ip("link")
    with namespace.enter(), pytest.raises(OSError, match=r"WireGuard|nlmon"):
        NlmonTap(MARK)
    assert namespace.ip("link") == before
