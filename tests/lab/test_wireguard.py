"""WireGuard devices of the laboratory, of both backends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from peerway.lab import wireguard
from peerway.lab.namespace import CommandError, Namespace, link
from peerway.lab.wireguard import WireGuard


def test_wireguard_carries_packets_between_namespaces(namespaces: Callable[[str], Namespace]) -> None:
    """Two devices that know each other carry a ping, and `wg` shows the AllowedIPs that it needs."""
    left, right = namespaces("left"), namespaces("right")
    link(left, right, ["192.0.2.1/24"], ["192.0.2.2/24"])
    here, there = wireguard.create(left), wireguard.create(right)
    wireguard.connect(here, there, "192.0.2.1", "192.0.2.2")
    assert here.allowed_ips() == {there.public_key: set()}
    here.set_peer(there.public_key, allowed_ips=["10.0.0.2/32"])
    there.set_peer(here.public_key, allowed_ips=["10.0.0.1/32"])
    left.ip("address", "add", "10.0.0.1/24", "dev", here.name)
    right.ip("address", "add", "10.0.0.2/24", "dev", there.name)
    left.run("ping", "-c1", "-W5", "10.0.0.2")
    assert here.allowed_ips() == {there.public_key: {"10.0.0.2/32"}}


def test_wireguard_go_ends_with_its_namespace(namespaces: Callable[[str], Namespace]) -> None:
    """A userspace device is there beside a kernel that has its own, and leaves no socket behind."""
    namespace = namespaces("user")
    device = wireguard.create(namespace, userspace=True)
    path = wireguard.SOCKETS / f"{device.name}.sock"
    assert device.userspace
    assert path.is_socket()
    assert namespace.run("wg", "show", device.name, "public-key").strip() == device.public_key
    namespace.delete()
    assert not path.exists()


def test_peers_come_and_go(wg: WireGuard) -> None:
    """A peer that is set has the AllowedIPs that were named, in place of those before; a removed one is gone."""
    key = wireguard.public_key_of(wireguard.new_private_key())
    wg.set_peer(key, allowed_ips=["10.1.0.0/16", "2001:db8::/32"])
    assert wg.allowed_ips() == {key: {"10.1.0.0/16", "2001:db8::/32"}}
    wg.set_peer(key, allowed_ips=["10.2.0.0/16"])
    assert wg.allowed_ips() == {key: {"10.2.0.0/16"}}
    wg.remove_peer(key)
    assert wg.allowed_ips() == {}


def test_a_deleted_device_is_gone(wg: WireGuard) -> None:
    """After its deletion the device answers nobody."""
    wg.delete()
    with pytest.raises(CommandError):
        wg.allowed_ips()
