"""Requests of the userspace protocol: a naive program, which does what they say, ends with what was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.keys import PublicKey, Secret
from peerway.model.prefix import Prefix
from peerway.model.setup import NO_KEY, DeviceConfig, PeerConfig
from peerway.protocols import uapi_set as us
from tests.harness.columns import groups
from tests.harness.wg_strategies import ALLOWED_IPS, KEYS

A, B = (PublicKey(bytes([number]) * 32) for number in (1, 2))
PRIVATE = bytes(range(32))


class Daemon:
    """A naive userspace WireGuard: does what a set request says, line by line."""

    def __init__(self, peers: set[PublicKey], allowed_ips: dict[Prefix, PublicKey]) -> None:
        self.peers, self.allowed_ips = set(peers), dict(allowed_ips)

    def hear(self, request: bytes) -> None:
        assert request.startswith(b"set=1\n")
        assert request.endswith(b"\n\n")
        key, dummy = PublicKey(bytes(32)), True
        for line in request.decode().splitlines()[1:-1]:
            name, _, value = line.partition("=")
            match name:
                case "public_key":
                    key, dummy = PublicKey(bytes.fromhex(value)), False
                    created = key not in self.peers
                    self.peers.add(key)
                case "update_only":
                    if created:
                        self.peers.discard(key)
                        dummy = True
                case "remove":
                    self.peers.discard(key)
                    self.allowed_ips = {p: k for p, k in self.allowed_ips.items() if k != key}
                case "allowed_ip" if value.startswith("-"):
                    if self.allowed_ips.get(px.parse(value[1:], strict=True)) == key:
                        del self.allowed_ips[px.parse(value[1:])]
                case "allowed_ip" if not dummy:
                    self.allowed_ips[px.parse(value, strict=True)] = key
                case "allowed_ip":
                    pass
                case _:
                    raise AssertionError(line)


@given(ALLOWED_IPS, ALLOWED_IPS, st.sets(KEYS, max_size=2))
def test_giving_gives_and_creates_nobody(
    before: dict[Prefix, PublicKey], wanted: dict[Prefix, PublicKey], more: set[PublicKey]
) -> None:
    """Each prefix is at its peer afterwards; peers that are not there stay away."""
    daemon = Daemon({*before.values(), *more}, before)
    peers = set(daemon.peers)
    daemon.hear(us.give(groups(wanted.items())))
    assert daemon.allowed_ips == before | {prefix: key for prefix, key in wanted.items() if key in peers}
    assert daemon.peers == peers


@given(ALLOWED_IPS, ALLOWED_IPS)
def test_taking_takes_from_the_named_peer_only(before: dict[Prefix, PublicKey], named: dict[Prefix, PublicKey]) -> None:
    """What another peer holds stays."""
    daemon = Daemon(set(before.values()), before)
    daemon.hear(us.take(groups(named.items())))
    assert daemon.allowed_ips == {prefix: key for prefix, key in before.items() if named.get(prefix) != key}
    assert daemon.peers == set(before.values())


@given(ALLOWED_IPS, ALLOWED_IPS)
def test_discarding_takes_from_whoever_holds_it(before: dict[Prefix, PublicKey], some: dict[Prefix, PublicKey]) -> None:
    """The prefixes are gone, the throwaway peer too, all else stays."""
    throwaway = PublicKey(bytes([99]) * 32)
    daemon = Daemon(set(before.values()), before)
    daemon.hear(us.discard(cl.columns(some), throwaway))
    assert daemon.allowed_ips == {prefix: key for prefix, key in before.items() if prefix not in some}
    assert daemon.peers == set(before.values())


def test_a_peer_is_removed() -> None:
    """Removing a peer takes its prefixes along, and no other's."""
    one, two = px.parse("10.1.0.0/16"), px.parse("10.2.0.0/16")
    daemon = Daemon({A, B}, {one: A, two: B})
    daemon.hear(us.remove_peer(A))
    assert (daemon.peers, daemon.allowed_ips) == ({B}, {two: B})


def test_configuration_says_only_what_is_asked() -> None:
    """None leaves alone, zero is said."""
    assert us.configure(DeviceConfig()) == b"set=1\n\n"
    peer = PeerConfig(A, keepalive=0, update_only=True)
    expected = f"set=1\nfwmark=0\npublic_key={A.hex()}\nupdate_only=true\npersistent_keepalive_interval=0\n\n"
    assert us.configure(DeviceConfig(fwmark=0, peers=(peer,))) == expected.encode()


def test_whole_configuration_is_said() -> None:
    """Every setting has its line, in an order that the protocol allows."""
    peers = (
        PeerConfig(
            A, psk=NO_KEY, endpoint="[::1]:9", keepalive=5, allowed_ips=(px.parse("::/0"),), replace_allowed_ips=True
        ),
        PeerConfig(B, remove=True),
    )
    config = DeviceConfig(Secret(PRIVATE), 51820, 3, peers, replace_peers=True)
    assert us.configure(config).decode().splitlines() == [
        "set=1", f"private_key={PRIVATE.hex()}", "listen_port=51820", "fwmark=3", "replace_peers=true",
        f"public_key={A.hex()}", f"preshared_key={'00' * 32}", "endpoint=[::1]:9", "persistent_keepalive_interval=5",
        "replace_allowed_ips=true", "allowed_ip=::/0", f"public_key={B.hex()}", "remove=true", "",
    ]  # fmt: skip


def test_bad_endpoint_is_refused() -> None:
    """A line break in an endpoint cannot smuggle another line in."""
    with pytest.raises(ValueError, match="is not an endpoint"):
        us.configure(DeviceConfig(peers=(PeerConfig(A, endpoint="192.0.2.1:5\nreplace_peers=true"),)))
