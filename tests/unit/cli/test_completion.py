from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peerway.cli import session
from tests.unit.cli.conftest import Peerway


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(alone: Peerway, shell: str) -> None:
    """The script binds the completion of our name."""
    done = alone("completion", shell)
    assert done.exit_code == 0
    assert "_PEERWAY_COMPLETE" in done.stdout


def test_an_unknown_shell_is_exit_2(alone: Peerway) -> None:
    """Only the three are known."""
    assert alone("completion", "tcsh").exit_code == 2


def complete(*words: str) -> list[str]:
    environment = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    environment["_PEERWAY_COMPLETE"] = "bash_complete"
    code = "from peerway.cli.main import main; main()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    return [line.split(",")[1] for line in done.stdout.splitlines()]


def test_verbs_and_their_verbs_are_completed() -> None:
    """Words are completed without a daemon."""
    assert complete("peerway", "ro") == ["routes", "route"]
    assert complete("peerway", "config", "s") == ["schema", "show"]


def test_interfaces_come_from_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WireGuard links and userspace sockets are offered, other links are not, and nobody is asked."""
    (tmp_path / "run/wireguard").mkdir(parents=True)
    (tmp_path / "run/wireguard/tun5.sock").touch()
    for name, text in (("wg0", "DEVTYPE=wireguard\nINTERFACE=wg0\n"), ("eth0", "INTERFACE=eth0\n")):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
        (tmp_path / "sys/class/net" / name / "uevent").write_text(text)
    monkeypatch.setattr(session, "Path", lambda path: tmp_path / path.removeprefix("/"))
    assert session._interfaces(None, None, "") == ["tun5", "wg0"]  # type: ignore[arg-type]
    assert session._interfaces(None, None, "w") == ["wg0"]  # type: ignore[arg-type]
