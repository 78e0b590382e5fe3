"""Snapshots compared: each change of a field is exactly its event, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import events as ev
from peerway.model import prefix as px
from peerway.model.device import Backend, Device, Peer
from peerway.model.diff import allowed_ip_events, device_events, peer_events, route_events
from peerway.model.keys import PublicKey
from peerway.model.prefix import Prefix
from peerway.model.route import Path
from tests.harness.site import key, via
from tests.harness.wg_strategies import ALLOWED_IPS, PREFIXES

PEER = Peer(key(1), "192.0.2.1:5", 10, 100, 200, 25, b"digest-of-a-psk")
DEVICE = Device("wg0", 7, Backend.KERNEL, key(9), 51820, 0, {PEER.public_key: PEER})
KEYS = [key(number) for number in range(1, 5)]
PREFIX = px.parse("10.0.0.0/8")


# Each state that a peer can have, with few values for each field; a device has some peers, each in one of them.
STATES = list(product(("", "192.0.2.1:5"), (0, 1), (0, 1), (0, 1), (0, 1), (b"", b"psk-one", b"psk-two")))
PEERS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(STATES), max_size=3).map(
    lambda states: {public_key: Peer(public_key, *state) for public_key, state in states.items()}
)
DEVICES = st.builds(
    lambda own, peers: Device("wg0", 7, Backend.KERNEL, own[0], own[1], own[2], peers),
    st.sampled_from(list(product((None, *KEYS), (0, 1), (0, 1)))),
    PEERS,
)


@pytest.mark.parametrize(
    ("change", "event"),
    [
        ({"endpoint": "192.0.2.2:6"}, ev.EndpointChanged("wg0", key(1), "192.0.2.2:6")),
        ({"endpoint": ""}, ev.EndpointChanged("wg0", key(1), "")),
        ({"psk": b"digest-of-another"}, ev.PresharedKeyChanged("wg0", key(1), is_set=True)),
        ({"psk": b""}, ev.PresharedKeyChanged("wg0", key(1), is_set=False)),
        ({"keepalive": 0}, ev.KeepaliveChanged("wg0", key(1), 0)),
        ({"latest_handshake": 11}, ev.HandshakeSeen("wg0", key(1), 11)),
        ({"rx_bytes": 101}, ev.CountersMoved("wg0", key(1), 101, 200)),
        ({"tx_bytes": 201}, ev.CountersMoved("wg0", key(1), 100, 201)),
    ],
)
def test_each_change_of_a_peer_is_one_event(change: dict[str, object], event: ev.Event) -> None:
    """A field of a peer that differs gives its own event, and no other."""
    new = replace(PEER, **change)  # type: ignore[arg-type]
    assert list(peer_events("wg0", PEER, new)) == [event]
    assert list(device_events(DEVICE, replace(DEVICE, peers={new.public_key: new}))) == [event]


@pytest.mark.parametrize(
    ("change", "event"),
    [
        ({"public_key": key(8)}, ev.PublicKeyChanged("wg0", key(8))),
        ({"public_key": None}, ev.PublicKeyChanged("wg0", None)),
        ({"listen_port": 1}, ev.ListenPortChanged("wg0", 1)),
        ({"fwmark": 5}, ev.FirewallMarkChanged("wg0", 5)),
        ({"peers": {}}, ev.PeerRemoved("wg0", key(1))),
    ],
)
def test_each_change_of_a_device_is_one_event(change: dict[str, object], event: ev.Event) -> None:
    """A field of the device that differs gives its own event, and no other."""
    assert list(device_events(DEVICE, replace(DEVICE, **change))) == [event]  # type: ignore[arg-type]


def test_a_handshake_that_is_forgotten_is_no_handshake() -> None:
    """A peer that was set anew has no handshake: nothing was seen."""
    assert not list(peer_events("wg0", PEER, replace(PEER, latest_handshake=0)))


def test_a_new_peer_is_told_with_all_it_has() -> None:
    """First that the peer came, then its endpoint and the rest, so that a listener needs no second look."""
    told = list(device_events(replace(DEVICE, peers={}), DEVICE))
    assert told[0] == ev.PeerAdded("wg0", key(1))
    assert {type(event) for event in told[1:]} == {
        ev.EndpointChanged,
        ev.PresharedKeyChanged,
        ev.KeepaliveChanged,
        ev.HandshakeSeen,
        ev.CountersMoved,
    }


@given(DEVICES, DEVICES)
def test_events_are_empty_exactly_if_nothing_changed(old: Device, new: Device) -> None:
    """Equal snapshots give no event; different ones give at least one, but for a forgotten handshake."""
    assert not list(device_events(old, old))
    forgetful = {
        name: replace(peer, latest_handshake=0) if not new.peers[name].latest_handshake else peer
        for name, peer in old.peers.items()
        if name in new.peers
    }
    if old.peers.keys() == new.peers.keys():
        assert bool(list(device_events(old, new))) == (replace(old, peers=forgetful) != new)


@given(DEVICES, DEVICES)
def test_peers_that_come_and_go_are_told(old: Device, new: Device) -> None:
    """Every peer that came has its event, every one that went, and no other; removals first."""
    told = list(device_events(old, new))
    assert {e.peer for e in told if isinstance(e, ev.PeerAdded)} == new.peers.keys() - old.peers.keys()
    assert {e.peer for e in told if isinstance(e, ev.PeerRemoved)} == old.peers.keys() - new.peers.keys()
    removed = [isinstance(e, ev.PeerRemoved) for e in told if isinstance(e, ev.PeerEvent)]
    assert removed == sorted(removed, reverse=True)


@given(DEVICES, DEVICES)
def test_no_event_carries_a_secret(old: Device, new: Device) -> None:
    """Not even the digest of a preshared key is in an event."""
    for event in device_events(old, new):
        assert "psk-" not in repr(event)


@given(ALLOWED_IPS, ALLOWED_IPS)
def test_allowed_ip_events_lead_from_one_map_to_the_other(
    old: dict[Prefix, PublicKey], new: dict[Prefix, PublicKey]
) -> None:
    """Removals and additions, done in their order, make the new map of the old one; equal maps give none."""
    present = set(old.items())
    for event in allowed_ip_events("wg0", old.get, new.get, old.keys() | new.keys()):
        if isinstance(event, ev.AllowedIPAdded):
            assert (event.prefix, event.peer) not in present
            assert event.prefix not in {prefix for prefix, _ in present}
            present.add((event.prefix, event.peer))
        else:
            assert isinstance(event, ev.AllowedIPRemoved)
            present.remove((event.prefix, event.peer))
    assert present == set(new.items())
    assert not list(allowed_ip_events("wg0", new.get, new.get, new))


@given(ALLOWED_IPS, st.lists(PREFIXES, max_size=3))
def test_only_the_prefixes_that_are_named_are_looked_at(new: dict[Prefix, PublicKey], asked: list[Prefix]) -> None:
    """The caller knows what differs; other prefixes are not told."""
    told = list(allowed_ip_events("wg0", lambda _: None, new.get, asked))
    assert {event.prefix for event in told if isinstance(event, ev.AllowedIPAdded)} == new.keys() & set(asked)


ROUTES = st.lists(st.sampled_from([via(key(1)), via(key(2)), via(key(1), metric=5)]), unique=True).map(tuple)


@given(ROUTES, ROUTES)
def test_route_events_lead_from_one_set_to_the_other(old: tuple[Path, ...], new: tuple[Path, ...]) -> None:
    """Routes that went are removed, then those that came are added; what stayed is not told."""
    told = list(route_events("wg0", PREFIX, old, new))
    gone = [event.path for event in told if isinstance(event, ev.RouteRemoved)]
    come = [event.path for event in told if isinstance(event, ev.RouteAdded)]
    assert set(gone) == set(old) - set(new)
    assert set(come) == set(new) - set(old)
    assert [type(event) for event in told] == [ev.RouteRemoved] * len(gone) + [ev.RouteAdded] * len(come)
