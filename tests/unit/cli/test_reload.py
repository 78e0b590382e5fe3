from __future__ import annotations

from tests.unit.cli.conftest import Peerway
from tests.unit.control.fake_daemon import FakeDaemon


def test_reload_reaches_the_daemon(daemon: FakeDaemon, peerway: Peerway) -> None:
    """Success is silent."""
    done = peerway("reload")
    assert (done.exit_code, done.output) == (0, "")
    assert daemon.asked == ["reload"]


def test_a_broken_configuration_is_told_and_exit_2(daemon: FakeDaemon, peerway: Peerway) -> None:
    """All errors of the file come through, line by line."""
    daemon.broken_config = "f.yaml:1: a: 1: unknown key; b\nf.yaml:2: c: 2: unknown key; d"
    done = peerway("reload")
    assert done.exit_code == 2
    assert done.stderr == f"peerway: {daemon.broken_config}\n"
