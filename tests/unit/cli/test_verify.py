from __future__ import annotations

import json

from peerway.control.api import Drift
from tests.unit.cli.conftest import Peerway
from tests.unit.control.fake_daemon import FakeDaemon


def test_agreement_is_exit_0(peerway: Peerway) -> None:
    """Nothing differs: a sentence with the number of prefixes, exit code 0."""
    done = peerway("verify")
    assert (done.exit_code, done.stdout) == (0, "Kernel, WireGuard and ledger agree (7 prefixes).\n")
    assert json.loads(peerway("verify", "--json").stdout) == {"version": 1, "differences": [], "checked": 7}


def test_drift_is_listed_and_exit_1(daemon: FakeDaemon, peerway: Peerway) -> None:
    """Each difference is a line, or an entry of the JSON, and the exit code is 1."""
    daemon.drift = Drift(["10.0.0.0/8 is missing", "fe80::/64 is too much"], 9)
    done = peerway("verify", "wg0")
    assert (done.exit_code, done.stdout.splitlines()) == (1, daemon.drift.differences)
    done = peerway("verify", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["differences"] == daemon.drift.differences
