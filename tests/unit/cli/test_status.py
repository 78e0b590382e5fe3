from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Peerway
from tests.unit.control import fake_daemon
from tests.unit.control.fake_daemon import KEY, STATUS, FakeDaemon


def test_json_is_the_daemons_answer(peerway: Peerway) -> None:
    """--json prints what DESIGN section 7 documents, unchanged."""
    assert json.loads(peerway("status", "--json").stdout) == STATUS


def test_people_see_interfaces_peers_counts_and_errors(peerway: Peerway) -> None:
    """The text has the state, the counts, the last errors, and a line for each peer."""
    text = peerway("status").stdout
    for words in ("wg0 (kernel): in-sync", "2 learned, 1 pinned", "error: route 10.9.9.0/24: no gateway"):
        assert words in text
    row = text.splitlines()[-1].split()
    assert row[:4] == ["berlin", KEY[:8], "fe80::a605:9cb1:27:11d6", "192.0.2.1:51820"]
    assert text.endswith("2.00 KiB  17 B\n")


def test_a_peer_of_which_nothing_is_known_yet_is_shown(peerway: Peerway, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name, endpoint or handshake, and no key of the interface, are told as such."""
    peer: dict[str, object] = {
        "name": None,
        "public_key": KEY,
        "gateways": [],
        "endpoint": None,
        "latest_handshake": None,
    }
    found = STATUS["interfaces"][0] | {"public_key": None, "peers": [peer | {"rx_bytes": 0, "tx_bytes": 0}]}
    monkeypatch.setattr(fake_daemon, "STATUS", {"version": 1, "interfaces": [found, found]})
    text = peerway("status").stdout
    assert text.splitlines()[-1].split() == ["-", KEY[:8], "-", "-", "never", "0", "B", "0", "B"]
    assert "public key: -" in text


def test_a_peer_of_which_prefixes_failed_has_its_line(peerway: Peerway, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many prefixes failed, why, and when they are tried again is told of each peer."""
    interface = STATUS["interfaces"][0]
    failed = {"prefixes": 3, "error": "Device or resource busy", "attempts": 2, "retry_in": 1.7}
    peers = [peer | {"failed": failed} for peer in interface["peers"]]
    monkeypatch.setattr(fake_daemon, "STATUS", {"version": 1, "interfaces": [interface | {"peers": peers}]})
    text = peerway("status").stdout
    assert "  failed at berlin: 3 prefixes, Device or resource busy; again in 2 s\n" in text


def test_no_interface_is_told(peerway: Peerway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without WireGuard gets a sentence, and exit code 0."""
    monkeypatch.setattr(fake_daemon, "STATUS", {"version": 1, "interfaces": []})
    done = peerway("status")
    assert (done.exit_code, done.stdout) == (0, "There is no WireGuard interface.\n")


def test_interface_and_peer_are_asked_for(daemon: FakeDaemon, peerway: Peerway) -> None:
    """The arguments reach the daemon; an unknown interface is exit 1 with its sentence."""
    peerway("status", "wg0", "berlin")
    assert daemon.asked == [("status", "wg0", "berlin")]
    done = peerway("status", "wg9")
    assert (done.exit_code, done.stderr) == (1, "peerway: no WireGuard interface wg9; there is wg0\n")
