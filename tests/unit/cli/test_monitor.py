from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from peerway.cli.monitor import _line
from tests.unit.cli.conftest import Peerway
from tests.unit.control.fake_daemon import KEY, FakeDaemon, running

EVENT = {"time": "2026-11-22T10:00:00.000Z", "event": "allowed-ip-added", "interface": "wg0"}
EVENT |= {"peer": KEY, "prefix": "10.0.0.0/8"}


def test_events_are_printed_as_they_come(tmp_path: Path) -> None:
    """One JSON object a line with --json, at once, until the daemon ends the stream, which is exit 3."""
    daemon = FakeDaemon()
    with running(daemon, tmp_path / "s") as loop:
        code = "from peerway.cli.main import main; main()"
        command = [sys.executable, "-c", code, "-s", str(tmp_path / "s"), "monitor", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert daemon.subscribed.wait(30)
        for number in range(3):
            loop.call_soon_threadsafe(daemon.happen, EVENT | {"number": number})
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == EVENT | {"number": number}
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (3, "")
    assert "the daemon ended the stream" in err


def test_an_interrupt_is_the_orderly_end(daemon: FakeDaemon, peerway: Peerway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C ends the monitor with 0 and without a word."""

    def interrupted(_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("peerway.control.client.Client.events", interrupted)
    done = peerway("monitor")
    assert (done.exit_code, done.output) == (0, "")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (EVENT, f"2026-11-22T10:00:00.000Z wg0 allowed-ip-added peer {KEY[:8]} prefix 10.0.0.0/8"),
        ({"time": "t", "event": "stream-broken", "interface": "", "reason": "lost"}, "t - stream-broken reason lost"),
        (
            {"event": "route-added", "interface": "wg0", "path": {"table": "main", "protocol": "bird", "metric": 32,
             "nexthops": [{"ifindex": 3, "gateway": "fe80::1", "weight": 1}]}},
            " wg0 route-added via fe80::1 table main protocol bird metric 32",
        ),
        ({"time": "t", "event": "e", "interface": "a\x1b[2J\n", "x": None, "y": [1]}, "t a?[2J? e x - y [1]"),
    ],
)  # fmt: skip
def test_an_event_is_one_line_of_plain_text(event: dict[str, object], line: str) -> None:
    """Time, interface, event, then its fields; nothing in it steers the terminal."""
    assert _line(event) == line
