"""Requests to the kernel: a naive reader of the wire, which knows nothing of our builder, finds what was meant."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.keys import PublicKey, Secret
from peerway.model.prefix import Prefix
from peerway.model.setup import DeviceConfig, PeerConfig
from peerway.protocols import wireguard as wg
from peerway.protocols import wireguard_set as ws
from tests.harness.columns import groups
from tests.harness.wg_strategies import ALLOWED_IPS, KEYS, PREFIXES, SECRETS

A, B = (PublicKey(bytes([number]) * 32) for number in (1, 2))
T = PublicKey(bytes([99]) * 32)


def split(data: bytes) -> list[tuple[int, bytes]]:
    """The attributes of a payload; stricter than the kernel."""
    found = []
    while data:
        length, kind = struct.unpack_from("=HH", data)
        assert 4 <= length <= len(data)
        found.append((kind & 0x3FFF, data[4:length]))
        padded = -(-length // 4) * 4
        assert not any(data[length:padded])
        data = data[padded:]
    return found


def prefix_of(nest: bytes) -> tuple[str, bool]:
    """A prefix as text, and whether it is to be removed."""
    attributes = dict(split(nest))
    (family,) = struct.unpack("=H", attributes[1])
    address = ipaddress.ip_address(attributes[2])
    assert (family, address.version) in ((2, 4), (10, 6))
    flags = struct.unpack("=I", attributes[4])[0] if 4 in attributes else 0
    return f"{address}/{attributes[3][0]}", flags == 1


@dataclass
class Kernel:
    """Does to a map what WG_CMD_SET_DEVICE does to a device."""

    peers: set[bytes]
    allowed_ips: dict[str, bytes]
    seen: list[dict[int, bytes]] = field(default_factory=list)

    def hear(self, payload: bytes) -> None:
        assert payload[:4] == bytes([1, 1, 0, 0])
        attributes = split(payload[4:])
        assert len({kind for kind, _ in attributes}) == len(attributes), "of two nests only the last would count"
        device = dict(attributes)
        assert struct.unpack("=I", device[1]) == (7,)
        for _, nest in split(device.get(8, b"")):
            self.peer(dict(split(nest)))

    def peer(self, attributes: dict[int, bytes]) -> None:
        self.seen.append(attributes)
        key = attributes[1]
        flags = struct.unpack("=I", attributes[3])[0] if 3 in attributes else 0
        if key not in self.peers:
            if flags & 5:
                return
            self.peers.add(key)
        if flags & 1:
            self.peers.discard(key)
            self.allowed_ips = {prefix: owner for prefix, owner in self.allowed_ips.items() if owner != key}
            return
        if flags & 2:
            self.allowed_ips = {prefix: owner for prefix, owner in self.allowed_ips.items() if owner != key}
        for _, nest in split(attributes.get(9, b"")):
            prefix, remove = prefix_of(nest)
            if not remove:
                self.allowed_ips[prefix] = key
            elif self.allowed_ips.get(prefix) == key:
                del self.allowed_ips[prefix]


def texts(ips: dict[Prefix, PublicKey]) -> dict[str, bytes]:
    return {px.text(prefix): bytes(key) for prefix, key in ips.items()}


@given(ALLOWED_IPS, ALLOWED_IPS)
def test_giving_gives_and_creates_nobody(before: dict[Prefix, PublicKey], wanted: dict[Prefix, PublicKey]) -> None:
    """Each prefix is at its peer afterwards; peers that are not there stay away."""
    kernel = Kernel(set(before.values()), texts(before))
    peers = set(kernel.peers)
    kernel.hear(ws.give(7, groups(wanted.items())))
    assert kernel.allowed_ips == texts(before) | {p: k for p, k in texts(wanted).items() if k in peers}
    assert kernel.peers == peers


@given(ALLOWED_IPS, ALLOWED_IPS)
def test_taking_takes_from_the_named_peer_only(before: dict[Prefix, PublicKey], named: dict[Prefix, PublicKey]) -> None:
    """What another peer holds stays."""
    kernel = Kernel(set(before.values()), texts(before))
    kernel.hear(ws.take(7, groups(named.items())))
    assert kernel.allowed_ips == texts({prefix: key for prefix, key in before.items() if named.get(prefix) != key})
    assert kernel.peers == set(before.values())


@given(ALLOWED_IPS, ALLOWED_IPS)
def test_discarding_takes_from_whoever_holds_it(before: dict[Prefix, PublicKey], some: dict[Prefix, PublicKey]) -> None:
    """In one message the prefixes go with a peer that nobody sees."""
    kernel = Kernel(set(before.values()), texts(before))
    kernel.hear(ws.discard(7, cl.columns(some), T))
    assert kernel.allowed_ips == texts({prefix: key for prefix, key in before.items() if prefix not in some})
    assert kernel.peers == set(before.values())


def test_a_peer_is_removed_and_never_created() -> None:
    """A missing peer stays missing."""
    kernel = Kernel({bytes(A)}, {"10.0.0.0/8": bytes(A)})
    kernel.hear(ws.remove_peer(7, T))
    assert kernel.peers == {bytes(A)}
    kernel.hear(ws.remove_peer(7, A))
    assert (kernel.peers, kernel.allowed_ips) == (set(), {})


def test_costs_are_upper_bounds() -> None:
    """A request that is counted as BUDGET fits into the 16 bits of a nest's length."""
    v6 = [px.make(px.AF_INET6, number.to_bytes(16, "big"), 128) for number in range(2000)]
    one_peer = [(prefix, A) for prefix in v6[: (ws.BUDGET - ws.PEER_COST) // ws.PREFIX_COST]]
    count = ws.BUDGET // (ws.PEER_COST + ws.PREFIX_COST)
    many_peers = [(prefix, PublicKey(number.to_bytes(32, "big"))) for number, prefix in enumerate(v6[:count])]
    for pairs in (one_peer, many_peers):
        assert len(ws.take(7, groups(pairs))) <= ws.BUDGET + 16
        assert len(ws.give(7, groups(pairs))) <= ws.BUDGET + 16


PEER_CONFIGS = st.builds(
    PeerConfig,
    KEYS,
    psk=st.none() | SECRETS,
    endpoint=st.sampled_from([None, "192.0.2.1:1", "[2001:db8::1]:65535", "[fe80::1%9]:2"]),
    keepalive=st.none() | st.integers(0, 65535),
    allowed_ips=st.lists(PREFIXES, max_size=5).map(tuple),
)


@given(st.lists(PEER_CONFIGS, max_size=5, unique_by=lambda peer: peer.public_key))
def test_configuration_is_what_was_asked(peers: list[PeerConfig]) -> None:
    """A reading of the kernel's side of the wire finds each setting, and none that was not asked for."""
    kernel = Kernel(set(), {})
    for payload in ws.configure(7, DeviceConfig(listen_port=5, peers=tuple(peers))):
        kernel.hear(payload)
    assert [attributes[1] for attributes in kernel.seen] == [peer.public_key for peer in peers]
    for attributes, peer in zip(kernel.seen, peers, strict=True):
        assert attributes.get(2) == (peer.psk.reveal() if peer.psk else None)
        told = attributes.get(5)
        assert (struct.unpack("=H", told)[0] if told else None) == peer.keepalive
        assert (wg._endpoint(memoryview(attributes[4])) if 4 in attributes else None) == peer.endpoint
        assert [prefix_of(nest)[0] for _, nest in split(attributes.get(9, b""))] == list(
            map(px.text, sorted(set(peer.allowed_ips)))
        )


def test_device_settings_are_said_once() -> None:
    """Key, port, mark and REPLACE_PEERS stand in the first of several requests only, or what follows undoes it."""
    peers = tuple(PeerConfig(PublicKey(number.to_bytes(32, "big")), keepalive=1) for number in range(2000))
    config = DeviceConfig(Secret(bytes([7] * 32)), 51820, 0, peers, replace_peers=True)
    first, *others = (dict(split(payload[4:])) for payload in ws.configure(7, config))
    assert (first[3], first[6], first[7]) == (bytes([7] * 32), struct.pack("=H", 51820), bytes(4))
    assert first[5] == struct.pack("=I", 1)
    assert others
    assert all(set(other) == {1, 8} for other in others)


def test_long_list_of_a_peer_is_continued() -> None:
    """More AllowedIPs than a request can hold are said in several, and replace only once."""
    prefixes = tuple(px.make(px.AF_INET6, number.to_bytes(16, "big"), 128) for number in range(5000))
    kernel = Kernel({bytes(A), bytes(B)}, {"10.0.0.0/8": bytes(A), "10.1.0.0/16": bytes(B)})
    config = DeviceConfig(peers=(PeerConfig(A, allowed_ips=prefixes, replace_allowed_ips=True),))
    payloads = list(ws.configure(7, config))
    assert len(payloads) > 1
    for payload in payloads:
        kernel.hear(payload)
    assert kernel.allowed_ips == {px.text(prefix): bytes(A) for prefix in prefixes} | {"10.1.0.0/16": bytes(B)}


def test_nothing_asked_is_nothing_said() -> None:
    """An empty configuration sends no request."""
    assert list(ws.configure(7, DeviceConfig())) == []


def test_zone_by_name_is_refused() -> None:
    """This layer cannot look a name up, and says so."""
    with pytest.raises(ValueError, match="eth0"):
        list(ws.configure(7, DeviceConfig(peers=(PeerConfig(A, endpoint="[fe80::1%eth0]:1"),))))
