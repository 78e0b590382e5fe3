from __future__ import annotations

from tests.unit.cli.conftest import Peerway
from tests.unit.control.fake_daemon import FakeDaemon


def test_sync_reaches_the_daemon(daemon: FakeDaemon, peerway: Peerway) -> None:
    """All interfaces or one look again; success is silent."""
    assert peerway("sync").exit_code == 0
    done = peerway("sync", "wg0")
    assert (done.exit_code, done.output) == (0, "")
    assert daemon.asked == [("sync", None), ("sync", "wg0")]


def test_a_failure_of_the_daemon_is_told(daemon: FakeDaemon, peerway: Peerway) -> None:
    """What the daemon could not do ends with its sentence and exit 1."""
    daemon.failure = OSError(19, "no such device")
    done = peerway("sync")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no such device" in done.stderr
