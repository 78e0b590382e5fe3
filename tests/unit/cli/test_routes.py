from __future__ import annotations

import json

from peerway.cli.routes import HEADERS
from tests.unit.cli.conftest import Peerway
from tests.unit.control.fake_daemon import KEY, OTHER, FakeDaemon, route


def test_json_is_one_document_with_all_entries(daemon: FakeDaemon, peerway: Peerway) -> None:
    """--json prints what DESIGN section 7 documents."""
    daemon.entries = [route(number) for number in range(1000)]
    assert json.loads(peerway("routes", "--json").stdout) == {"version": 1, "routes": daemon.entries}


def test_an_empty_table_is_still_a_document(daemon: FakeDaemon, peerway: Peerway) -> None:
    """No route gives an empty list for programs, and only the headers for people."""
    daemon.entries = []
    assert json.loads(peerway("routes", "--json").stdout) == {"version": 1, "routes": []}
    assert peerway("routes").stdout.split() == list(HEADERS)


def test_people_see_owner_way_and_reasons(daemon: FakeDaemon, peerway: Peerway) -> None:
    """Peers appear by name where they have one, and losers with the reason."""
    lost = {
        "shadowed": [{"peer": OTHER, "reason": "multipath"}],
        "refused": [{"peer": KEY, "reason": "over the limit"}],
    }
    nobody = {"origin": "unresolved", "owner": None, "gateway": None, "reason": "the gateway fe80::9 names no peer"}
    daemon.entries = [route(0), route(1) | lost, route(2) | nobody]
    first, second, third = peerway("routes").stdout.splitlines()[1:]
    assert first.split() == ["10.0.0.0/24", "learned", "berlin", "fe80::a605:9cb1:27:11d6", "wg0", "main", "bird", "32"]
    assert second.endswith(f"32      shadowed: {OTHER[:8]} (multipath); refused: berlin (over the limit)")
    assert third.split()[:4] == ["10.0.2.0/24", "unresolved", "-", "-"]
    assert third.endswith("the gateway fe80::9 names no peer")


def test_an_unknown_interface_is_exit_1_and_prints_nothing(peerway: Peerway) -> None:
    """What is not there is told before the first byte of an answer."""
    for words in (["routes", "wg9"], ["routes", "wg9", "--json"]):
        done = peerway(*words)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "no WireGuard interface wg9" in done.stderr
