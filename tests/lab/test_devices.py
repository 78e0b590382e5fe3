"""The contract of devices: one body for each backend that this machine has, kernel and userspace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from peerway.backends.device import BaseDevice
from peerway.backends.devices import SOCKETS, WireguardDevices
from peerway.backends.kernel import KernelDevice
from peerway.backends.userspace import UserspaceDevice
from peerway.lab import wireguard
from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.device import AllowedIPsDelta, Backend
from peerway.model.keys import PublicKey, Secret
from peerway.model.link import Link
from peerway.model.prefix import Prefix
from peerway.model.setup import NO_KEY, DeviceConfig, PeerConfig
from tests.harness.columns import groups
from tests.harness.need import need_kernel_wireguard, need_program

A, B, STRANGER = (PublicKey(bytes([number] * 32)) for number in (17, 34, 51))
ONE, TWO, SIX = map(px.parse, ("10.1.0.0/16", "10.2.0.0/16", "2001:db8::/32"))


@pytest.fixture(params=["kernel", "userspace"])
def device(request: pytest.FixtureRequest, namespace: Namespace) -> WireGuard:
    """A device with the peers A and B, which have no AllowedIPs."""
    if request.param == "kernel":
        need_kernel_wireguard()
        made = wireguard.create(namespace, userspace=False)
    else:
        need_program("wireguard-go", "wireguard-go")
        if not Path("/dev/net/tun").exists():
            subprocess.run(["modprobe", "tun"], check=True)
        made = wireguard.create(namespace, userspace=True)
    for key in (A, B):
        made.set_peer(str(key))
    return made


def link_of(device: WireGuard) -> Link:
    """The device's link, as rtnetlink tells it."""
    with device.namespace.enter():
        return Link(
            socket.if_nametoindex(device.name), device.name, "tun" if device.userspace else "wireguard", up=True
        )


def made_handle(device: WireGuard) -> BaseDevice:
    """A new handle."""
    link = link_of(device)
    if device.userspace:
        return UserspaceDevice(link.name, link.ifindex, SOCKETS / f"{link.name}.sock")
    return KernelDevice(link.name, link.ifindex)


@pytest.fixture
async def handle(device: WireGuard) -> AsyncIterator[BaseDevice]:
    with device.namespace.enter():
        made = made_handle(device)
        await made.read()
        yield made
        await made.close()


def adds(*pairs: tuple[Prefix, PublicKey]) -> AllowedIPsDelta:
    return AllowedIPsDelta(add=groups(pairs))


def removes(*pairs: tuple[Prefix, PublicKey]) -> AllowedIPsDelta:
    return AllowedIPsDelta(remove=groups(pairs))


def many(count: int) -> list[Prefix]:
    """That many prefixes, of both families."""
    v4 = [Prefix((10 << 24 | number << 8) << 8 | 24) for number in range(count // 2)]
    v6 = [Prefix(px.V6 | (0x20010DB8 << 96 | number << 64) << 8 | 64) for number in range(count - count // 2)]
    return v4 + v6


async def for_ever(operation: Callable[[], Awaitable[object]]) -> None:
    """Do it until it raises."""
    while True:
        await operation()
        await asyncio.sleep(0)


async def test_what_is_set_is_read_back(device: WireGuard, handle: BaseDevice) -> None:
    """Both families and each peer come back, with the device's key, port and peers."""
    assert await handle.apply(adds((ONE, A), (SIX, A), (TWO, B))) == []
    reading = await handle.read()
    assert reading.allowed_ips == {ONE: A, SIX: A, TWO: B}
    assert (reading.device.name, reading.device.ifindex) == (handle.name, handle.ifindex)
    assert str(reading.device.public_key) == device.public_key
    assert reading.device.listen_port == device.listen_port
    assert set(reading.device.peers) == {A, B}
    assert reading.device.backend is (Backend.USERSPACE if device.userspace else Backend.KERNEL)
    assert device.allowed_ips() == {str(A): {"10.1.0.0/16", "2001:db8::/32"}, str(B): {"10.2.0.0/16"}}


async def test_edges_of_both_families(handle: BaseDevice) -> None:
    """Default routes and single addresses are prefixes like others."""
    texts = ("0.0.0.0/0", "::/0", "192.0.2.1/32", "fe80::1/128", "255.255.255.255/32", "128.0.0.0/1")
    edges = {px.parse(value): A for value in texts}
    assert await handle.apply(adds(*edges.items())) == []
    assert (await handle.read()).allowed_ips == edges
    assert await handle.apply(removes(*edges.items())) == []
    assert (await handle.read()).allowed_ips == {}


async def test_move_is_one_add(handle: BaseDevice) -> None:
    """Giving a prefix to another peer takes it from the first, without a removal."""
    await handle.apply(adds((ONE, A), (TWO, A)))
    await handle.apply(adds((ONE, B)))
    assert (await handle.read()).allowed_ips == {ONE: B, TWO: A}


async def test_removal_of_one_leaves_the_others(handle: BaseDevice) -> None:
    """One prefix goes, all else stays: other prefixes, longer and shorter ones, and the peers."""
    inner, outer = px.parse("10.1.2.0/24"), px.parse("10.0.0.0/8")
    await handle.apply(adds((ONE, A), (inner, A), (outer, B), (SIX, B)))
    before = (await handle.read()).device.peers
    assert await handle.apply(removes((ONE, A))) == []
    reading = await handle.read()
    assert reading.allowed_ips == {inner: A, outer: B, SIX: B}
    assert reading.device.peers == before


async def test_removal_that_names_another_peer_does_nothing(handle: BaseDevice) -> None:
    """A removal takes a prefix from the peer that is named, never from the one that holds it."""
    await handle.apply(adds((ONE, A), (TWO, B)))
    assert await handle.apply(removes((ONE, B), (TWO, STRANGER), (SIX, A))) == []
    reading = await handle.read()
    assert reading.allowed_ips == {ONE: A, TWO: B}
    assert set(reading.device.peers) == {A, B}


async def test_moved_and_removed_in_one_delta(handle: BaseDevice) -> None:
    """Adds are done first, so a prefix that moves on survives its removal from the peer that had it."""
    await handle.apply(adds((ONE, A), (TWO, A)))
    delta = AllowedIPsDelta(groups(((ONE, B),)), groups(((ONE, A), (TWO, A))))
    assert await handle.apply(delta) == []
    assert (await handle.read()).allowed_ips == {ONE: B}


async def test_unknown_peer_is_never_created(handle: BaseDevice) -> None:
    """A prefix for a peer that is not there goes nowhere, and takes nothing from anybody."""
    await handle.apply(adds((ONE, A)))
    await handle.apply(adds((ONE, STRANGER), (TWO, STRANGER), (SIX, B)))
    reading = await handle.read()
    assert reading.allowed_ips == {ONE: A, SIX: B}
    assert set(reading.device.peers) == {A, B}


async def test_five_thousand_at_once(handle: BaseDevice) -> None:
    """A batch of more than a request can hold is given, moved and taken, and the rest stays."""
    prefixes = many(5000)
    assert await handle.apply(adds(*((prefix, A) for prefix in prefixes))) == []
    assert (await handle.read()).allowed_ips == dict.fromkeys(prefixes, A)
    assert await handle.apply(adds(*((prefix, B) for prefix in prefixes[::2]))) == []
    expected = {prefix: (B, A)[index % 2] for index, prefix in enumerate(prefixes)}
    assert (await handle.read()).allowed_ips == expected
    assert await handle.apply(removes(*((prefix, B) for prefix in prefixes[:4000]))) == []
    left = {prefix: key for prefix, key in expected.items() if key == A or prefix in prefixes[4000:]}
    reading = await handle.read()
    assert reading.allowed_ips == left
    assert set(reading.device.peers) == {A, B}


async def test_many_peers_at_once(handle: BaseDevice) -> None:
    """A thousand peers with one prefix each are more than a request can hold, too."""
    keys = [PublicKey(bytes([5]) * 28 + number.to_bytes(4, "big")) for number in range(1000)]
    await handle.configure(DeviceConfig(peers=tuple(PeerConfig(key) for key in keys)))
    wanted = dict(zip(many(1000), keys, strict=True))
    assert await handle.apply(adds(*wanted.items())) == []
    assert (await handle.read()).allowed_ips == wanted
    assert await handle.apply(removes(*wanted.items())) == []
    reading = await handle.read()
    assert reading.allowed_ips == {}
    assert set(reading.device.peers) == {A, B, *keys}


async def test_foreign_change_is_seen(device: WireGuard, handle: BaseDevice) -> None:
    """What `wg set` changes is in the next reading."""
    device.set_peer(str(A), allowed_ips=["10.1.0.0/16"], endpoint="[2001:db8::7]:1234", keepalive=25)
    reading = await handle.read()
    assert reading.allowed_ips == {ONE: A}
    assert (reading.device.peers[A].endpoint, reading.device.peers[A].keepalive) == ("[2001:db8::7]:1234", 25)
    device.remove_peer(str(A))
    reading = await handle.read()
    assert reading.allowed_ips == {}
    assert set(reading.device.peers) == {B}


async def test_refused_prefix_does_not_stop_the_others(handle: BaseDevice) -> None:
    """One that the device cannot take is told, all others of the same request are there."""
    bad = Prefix(px.parse("10.9.0.0/24") & ~0xFF | 33)
    prefixes = [*many(100), ONE]
    pairs = [(prefix, A) for prefix in (*prefixes[:50], bad, *prefixes[50:])]
    refusals = await handle.apply(adds(*pairs))
    assert [refusal.prefix for refusal in refusals] == [bad]
    assert refusals[0].errno > 0
    assert (await handle.read()).allowed_ips == dict.fromkeys(prefixes, A)


async def test_a_gone_device_is_an_error(device: WireGuard, handle: BaseDevice) -> None:
    """Reading and changing a device that was removed raises OSError, and hangs nowhere."""
    device.delete()
    with pytest.raises(OSError, match=device.name):
        await asyncio.wait_for(for_ever(handle.read), 60)  # a userspace program takes a moment to go
    operations: list[Callable[[], Awaitable[object]]] = [
        lambda: handle.apply(adds((ONE, A))),
        lambda: handle.apply(removes((ONE, A))),
        lambda: handle.configure(DeviceConfig(fwmark=1)),
    ]
    for operation in operations:
        with pytest.raises(OSError, match=device.name):
            await operation()


async def test_device_that_vanishes_in_the_middle_is_an_error(device: WireGuard, handle: BaseDevice) -> None:
    """A device that goes between two chunks ends the operation with OSError."""
    delta = adds(*((prefix, A) for prefix in many(20000)))
    task = asyncio.ensure_future(for_ever(lambda: handle.apply(delta)))
    await asyncio.sleep(0)
    device.delete()
    with pytest.raises(OSError, match=device.name):
        await asyncio.wait_for(task, 60)


async def test_keys_ports_and_peers_are_configured(device: WireGuard, handle: BaseDevice) -> None:
    """Each setting is made, and None leaves it alone."""
    psk = Secret(bytes([9] * 32))
    new = PeerConfig(
        STRANGER, psk=psk, endpoint="192.0.2.7:4000", keepalive=21, allowed_ips=(ONE, SIX), replace_allowed_ips=True
    )
    private = Secret(bytes([7] * 32))
    await handle.configure(DeviceConfig(private_key=private, listen_port=40123, fwmark=77, peers=(new,)))
    reading = await handle.read()
    assert (reading.device.listen_port, reading.device.fwmark) == (40123, 77)
    assert str(reading.device.public_key) != device.public_key
    peer = reading.device.peers[STRANGER]
    assert (peer.endpoint, peer.keepalive, bool(peer.psk)) == ("192.0.2.7:4000", 21, True)
    assert reading.allowed_ips == {ONE: STRANGER, SIX: STRANGER}

    await handle.configure(
        DeviceConfig(peers=(PeerConfig(A, update_only=True, keepalive=3), PeerConfig(B, remove=True)))
    )
    again = await handle.read()
    assert again.device.public_key == reading.device.public_key
    assert again.device.peers[STRANGER] == peer
    assert (again.device.peers[A].keepalive, B in again.device.peers) == (3, False)

    await handle.configure(DeviceConfig(private_key=NO_KEY, peers=(PeerConfig(STRANGER, psk=NO_KEY),)))
    bare = await handle.read()
    assert bare.device.public_key is None
    assert bare.device.peers[STRANGER].psk == b""


async def test_preshared_keys_are_told_apart_and_never_shown(handle: BaseDevice) -> None:
    """A reading shows that a preshared key changed, and holds nothing of the key itself."""
    seen = []
    for byte in (1, 2, 1):
        await handle.configure(DeviceConfig(peers=(PeerConfig(A, psk=Secret(bytes([byte] * 32))),)))
        seen.append((await handle.read()).device.peers[A].psk)
    assert seen[0] == seen[2] != seen[1]
    assert bytes([1] * 8) not in seen[0]


async def test_link_local_endpoint_keeps_its_zone(device: WireGuard, handle: BaseDevice) -> None:
    """A zone is given by name or number, and the kernel tells it by number."""
    device.namespace.ip("link", "add", "pw-z", "type", "veth", "peer", "name", "pw-zz")
    with device.namespace.enter():
        index = socket.if_nametoindex("pw-z")
    for zone in ("pw-z", str(index)):
        config = PeerConfig(A, endpoint=f"[fe80::1%{zone}]:99")
        await handle.configure(DeviceConfig(peers=(config,)))
        told = (await handle.read()).device.peers[A].endpoint
        # wireguard-go tells it as it was given, and in older versions not at all.
        names = {"[fe80::1]:99", "[fe80::1%pw-z]:99", f"[fe80::1%{index}]:99"}
        assert told in (names if device.userspace else {f"[fe80::1%{index}]:99"})


async def test_reading_is_whole_while_others_change(device: WireGuard, handle: BaseDevice) -> None:
    """A reading during which another program adds a prefix lacks nothing that stood before."""
    prefixes = many(2000 if device.userspace else 20000)
    await handle.apply(adds(*((prefix, A) for prefix in prefixes)))
    stop = asyncio.Event()

    async def disturb() -> None:
        with device.namespace.enter():
            other = made_handle(device)
            try:
                while not stop.is_set():
                    await other.apply(AllowedIPsDelta(groups(((ONE, B),)), groups(((TWO, B),))))
                    await asyncio.sleep(0.02)
            finally:
                await other.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(disturb())
        whole = 0
        for _ in range(5):
            with contextlib.suppress(OSError):
                reading = await handle.read()
                assert reading.allowed_ips.keys() >= set(prefixes)
                whole += 1
        stop.set()
    assert whole


async def test_devices_are_found(device: WireGuard) -> None:
    """A device is found by its link, its handle stays the same object, and goes when the link goes."""
    link = link_of(device)
    other = Link(link.ifindex + 1, "eth0", "veth", up=True)
    with device.namespace.enter():
        devices = WireguardDevices()
        found = await devices.find([other, link])
        assert list(found) == [link.ifindex]
        handle = found[link.ifindex]
        assert (handle.name, handle.ifindex) == (link.name, link.ifindex)
        assert (await handle.read()).device.peers.keys() == {A, B}
        assert (await devices.find([link]))[link.ifindex] is handle
        reborn = Link(link.ifindex + 7, link.name, link.kind, up=True)
        assert (await devices.find([reborn])).get(reborn.ifindex) is not handle
        assert await devices.find([other]) == {}
        await devices.close()


async def test_renamed_kernel_device_keeps_its_handle(device: WireGuard) -> None:
    """The kernel's device is known by its index, so a new name changes nothing but the name."""
    if device.userspace:
        pytest.skip("a userspace program keeps the socket of the old name: such a device is lost")
    link = link_of(device)
    with device.namespace.enter():
        devices = WireguardDevices()
        handle = (await devices.find([link]))[link.ifindex]
        device.namespace.ip("link", "set", device.name, "down")
        device.namespace.ip("link", "set", device.name, "name", "pw-other")
        again = await devices.find([Link(link.ifindex, "pw-other", "wireguard", up=False)])
        assert again[link.ifindex] is handle
        assert handle.name == (await handle.read()).device.name == "pw-other"
        await devices.close()


async def test_socket_of_another_namespace_is_no_device(
    device: WireGuard, namespaces: Callable[[str], Namespace]
) -> None:
    """All namespaces share the sockets' directory; a link of the same name here is not that device."""
    if not device.userspace:
        pytest.skip("kernel devices have no sockets")
    other = namespaces("there")
    other.ip("tuntap", "add", device.name, "mode", "tun")
    with other.enter():
        link = Link(socket.if_nametoindex(device.name), device.name, "tun", up=True)
        devices = WireguardDevices()
        assert await devices.find([link]) == {}
        await devices.close()


async def test_dead_socket_is_no_device(device: WireGuard) -> None:
    """A file that a killed program left is no device; nor is one that somebody else put there."""
    if not device.userspace:
        pytest.skip("kernel devices have no sockets")
    namespace, name = device.namespace, wireguard.unique_name()
    path = SOCKETS / f"{name}.sock"
    namespace.ip("tuntap", "add", name, "mode", "tun")
    try:
        with namespace.enter():
            devices = WireguardDevices()
            link = Link(socket.if_nametoindex(name), name, "tun", up=True)
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(path))
                assert await devices.find([link]) == {}
            assert await devices.find([link]) == {}
            await devices.close()
    finally:
        path.unlink()


async def test_new_socket_gives_a_hint(namespace: Namespace, tmp_path: Path) -> None:
    """The descriptor becomes readable when a socket comes, also in a directory that came later."""
    devices = WireguardDevices(tmp_path / "not" / "yet")
    watched = devices.fileno()
    assert watched is not None
    for directory in (tmp_path / "not", tmp_path / "not" / "yet"):
        directory.mkdir()
        assert select.select([watched], [], [], 20)[0]
        devices.read_hints()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tmp_path / "not" / "yet" / "wg0.sock"))
        assert select.select([watched], [], [], 20)[0]
    await devices.close()
