"""Devices as seen: nothing secret in them prints, and an empty delta is false."""

from __future__ import annotations

import pytest

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.device import AllowedIPsDelta, Backend, Device, Peer
from tests.harness.columns import groups
from tests.harness.site import key

NET = px.parse("10.0.0.0/8")


def test_the_digest_of_a_preshared_key_does_not_print() -> None:
    """Whoever prints a device or a peer sees no byte of what was made of the PSK."""
    peer = Peer(key(1), psk=b"digest")
    assert "digest" not in repr(Device("wg0", 7, Backend.KERNEL, peers={key(1): peer}))
    assert peer != Peer(key(1), psk=b"other")


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        (AllowedIPsDelta(), False),
        (AllowedIPsDelta(add=groups([(NET, key(1))])), True),
        (AllowedIPsDelta(remove=groups([(NET, key(1))])), True),
    ],
)
def test_a_delta_is_true_if_it_changes_anything(delta: AllowedIPsDelta, expected: bool) -> None:
    """An addition or a removal makes it worth sending."""
    assert bool(delta) is expected


def test_devices_share_no_peers() -> None:
    """Two devices without peers do not have the same dictionary."""
    one, other = (Device(name, 7, Backend.USERSPACE) for name in ("wg0", "wg1"))
    assert one.peers == other.peers == {}
    assert one.peers is not other.peers


def test_in_turn_longer_prefixes_come_first_and_shorter_ones_go_first() -> None:
    """Each step has prefixes of one length; nothing is left out, and adds come before removals."""
    texts = ("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "2001:db8::/32")
    some = [(px.parse(text), key(number)) for number, text in enumerate(texts, 1)]
    delta = AllowedIPsDelta(groups(some), groups(some))
    told = [
        (len(step.add), len(step.remove), {int(cl.lengths(c)[0]) for _, c in (*step.add, *step.remove)})
        for step in delta.in_turn()
    ]
    assert told == [(1, 0, {32}), (2, 0, {16}), (1, 0, {8}), (0, 1, {8}), (0, 2, {16}), (0, 1, {32})]
    assert list(AllowedIPsDelta().in_turn()) == []
