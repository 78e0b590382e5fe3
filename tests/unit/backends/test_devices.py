"""Which links are devices: decided by kind, by the socket's file, and by who listens in our namespace."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerway.backends import devices as module
from peerway.backends.devices import WireguardDevices, listeners
from peerway.backends.kernel import KernelDevice
from peerway.model.device import Backend
from peerway.model.link import Link

KERNEL = Link(3, "wg0", "wireguard", up=True)
TUN = Link(4, "wg1", "tun", up=True)
OTHERS = (Link(1, "lo", "", up=True), Link(2, "eth0", "veth", up=True))


@pytest.fixture
def wg1(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that listens at wg1.sock, in this network namespace."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "wg1.sock"))
        made.listen()
        yield made


async def test_devices_are_told_by_kind_and_socket(tmp_path: Path, wg1: socket.socket) -> None:
    """A kernel device needs no socket, a TUN needs one, and other links are none."""
    devices = WireguardDevices(tmp_path)
    found = await devices.find([*OTHERS, KERNEL, TUN, Link(5, "tun0", "tun", up=True)])
    assert {ifindex: handle.backend for ifindex, handle in found.items()} == {3: Backend.KERNEL, 4: Backend.USERSPACE}
    await devices.close()


async def test_requests_to_the_kernel_bear_our_mark(tmp_path: Path) -> None:
    """The tap leaves out what bears it, so it is never 0, which other programs' requests bear."""
    devices = WireguardDevices(tmp_path)
    handle = (await devices.find([KERNEL]))[3]
    assert isinstance(handle, KernelDevice)
    assert handle.mark == devices.mark != 0
    await devices.close()


async def test_handles_live_as_long_as_their_links(tmp_path: Path, wg1: socket.socket) -> None:
    """The same link gives the same object; another index, or another kind, another one."""
    devices = WireguardDevices(tmp_path)
    first = await devices.find([KERNEL, TUN])
    again = await devices.find([TUN, KERNEL])
    assert all(again[ifindex] is first[ifindex] for ifindex in (3, 4))
    swapped = await devices.find([Link(4, "wg0", "wireguard", up=True), Link(3, "wg1", "tun", up=True)])
    assert {ifindex: handle.backend for ifindex, handle in swapped.items()} == {4: Backend.KERNEL, 3: Backend.USERSPACE}
    await devices.close()


async def test_renamed_devices(tmp_path: Path, wg1: socket.socket) -> None:
    """The kernel's keeps its handle under the new name; a userspace one loses its socket's name."""
    devices = WireguardDevices(tmp_path)
    first = await devices.find([KERNEL, TUN])
    again = await devices.find([Link(3, "berlin", "wireguard", up=True), Link(4, "paris", "tun", up=True)])
    assert list(again) == [3]
    assert again[3] is first[3]
    assert again[3].name == "berlin"
    await devices.close()


async def test_file_without_a_listener_is_no_device(tmp_path: Path, wg1: socket.socket) -> None:
    """What a killed program left, and a file that is no socket."""
    devices = WireguardDevices(tmp_path)
    wg1.close()
    assert await devices.find([TUN]) == {}
    (tmp_path / "wg1.sock").unlink()
    (tmp_path / "wg1.sock").touch()
    assert await devices.find([TUN]) == {}
    await devices.close()


async def test_listener_of_another_namespace_is_no_device(
    tmp_path: Path, wg1: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel does not show us its socket, though its file is here."""
    monkeypatch.setattr(module, "listeners", list)
    devices = WireguardDevices(tmp_path)
    assert await devices.find([TUN]) == {}
    await devices.close()


async def test_listener_of_another_name_is_no_device(tmp_path: Path, wg1: socket.socket) -> None:
    """An inode number may come again in another file system, so the name counts too."""
    (tmp_path / "wg2.sock").hardlink_to(tmp_path / "wg1.sock")
    devices = WireguardDevices(tmp_path)
    assert await devices.find([Link(9, "wg2", "tun", up=True)]) == {}
    await devices.close()


async def test_no_tun_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a candidate the kernel is not asked for sockets."""
    monkeypatch.setattr(module, "listeners", None)
    devices = WireguardDevices(tmp_path)
    assert list(await devices.find([*OTHERS, KERNEL, TUN])) == [3]
    await devices.close()


def test_listeners_are_those_with_a_file(tmp_path: Path, wg1: socket.socket) -> None:
    """Each is told by its path and the inode of its file."""
    path = tmp_path / "wg1.sock"
    found = {one.path: one.inode for one in listeners()}
    assert found[str(path)] == path.stat().st_ino & 0xFFFFFFFF


async def test_close_is_final_and_harmless(tmp_path: Path) -> None:
    """After it there is no descriptor, and hints are not read."""
    devices = WireguardDevices(tmp_path)
    assert devices.fileno() is not None
    await devices.close()
    await devices.close()
    assert devices.fileno() is None
    devices.read_hints()
