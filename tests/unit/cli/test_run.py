from __future__ import annotations

from pathlib import Path

import pytest

import peerway.daemon
from tests.unit.cli.conftest import Peerway


def test_run_hands_over_to_the_daemon(alone: Peerway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon gets the file that was named, or none, and its exit code is the command's."""
    asked: list[Path | None] = []

    def main(file: Path | None) -> int:
        asked.append(file)
        return 4

    monkeypatch.setattr(peerway.daemon, "main", main)
    assert alone("run").exit_code == 4
    assert alone("run", "-c", "x.yaml").exit_code == 4
    assert asked == [None, Path("x.yaml")]


def test_a_broken_configuration_is_exit_2(alone: Peerway, tmp_path: Path) -> None:
    """The daemon does not start with a file that has errors, or that is not there."""
    (tmp_path / "x.yaml").write_text("mtric: 1")
    assert alone("run", "-c", str(tmp_path / "x.yaml")).exit_code == 2
    assert alone("run", "-c", str(tmp_path / "y.yaml")).exit_code == 2
