from __future__ import annotations

import json

from tests.unit.cli.conftest import Peerway
from tests.unit.control.fake_daemon import FakeDaemon


def test_the_way_is_told_step_by_step(peerway: Peerway) -> None:
    """One sentence a line, exit code 0 when the packet gets to a peer."""
    done = peerway("why", "10.0.0.1")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 2)


def test_an_unreachable_target_is_exit_1(daemon: FakeDaemon, peerway: Peerway) -> None:
    """The way is told all the same, in text and in JSON."""
    daemon.reachable = False
    assert peerway("why", "10.0.0.1").exit_code == 1
    done = peerway("why", "10.0.0.1", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["reachable"] is False


def test_a_target_that_is_no_address_is_exit_2(peerway: Peerway) -> None:
    """Nonsense is wrong usage."""
    done = peerway("why", "nonsense")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "not an IPv4 or IPv6 prefix" in done.stderr
