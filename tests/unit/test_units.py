"""The shipped systemd units: how little they allow, by systemd's own judgement, and that they fit the daemon."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from peerway.config import DaemonSettings
from tests.harness.need import need_program

ETC = Path(__file__).resolve().parents[2] / "etc"
MOST = 2.0  # of 10, where 10 is no sandbox at all


def exposure(text: str, tmp_path: Path) -> float:
    """What `systemd-analyze security` says of a unit."""
    analyze = need_program("systemd-analyze", "systemd")
    unit = tmp_path / "peerway.service"
    unit.write_text(text)
    words = [analyze, "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for peerway.service: ([\d.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])


def test_the_service_is_shut_in(tmp_path: Path) -> None:
    """The exposure is at most 2.0, also with what userspace devices need."""
    service = (ETC / "peerway.service").read_text()
    assert exposure(service, tmp_path) <= MOST
    assert exposure(service + (ETC / "peerway.service.d" / "userspace.conf").read_text(), tmp_path) <= MOST


def test_the_judgement_would_notice(tmp_path: Path) -> None:
    """A service without its sandbox is judged worse."""
    assert exposure("[Service]\nExecStart=/usr/bin/peerway run\n", tmp_path) > 9


def test_the_units_and_the_settings_name_the_same_places() -> None:
    """The socket unit listens where the command line looks, and both units know one user."""
    socket, service = (ETC / "peerway.socket").read_text(), (ETC / "peerway.service").read_text()
    assert f"ListenStream={DaemonSettings().control_socket}\n" in socket
    (user,) = re.findall(r"^User=(\w+)$", service, re.MULTILINE)
    assert f"SocketUser={user}\nSocketGroup={user}\n" in socket
    assert f"\nu {user} - " in (ETC / "peerway.sysusers").read_text()
    assert re.search(r"^RuntimeDirectory=peerway$", service, re.MULTILINE)
    assert DaemonSettings().state_directory == Path("/run/peerway")
