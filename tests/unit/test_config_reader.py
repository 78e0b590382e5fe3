"""A process of its own reads the configuration as the command line would."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from peerway import config_reader
from peerway.config import load
from peerway.config_errors import ConfigError
from peerway.config_reader import read
from peerway.settings import Settings


def test_a_file_is_read(tmp_path: Path) -> None:
    """It means what it means to everybody."""
    file = tmp_path / "peerway.yaml"
    file.write_text("daemon: {poll_interval: 3s}\ninterfaces:\n  wg*: {metric: 7, tables: [254, 100]}\n")
    assert read(file) == load(file).resolved()
    assert read(file).policy("wg0").metric == 7


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    """Each error comes with its place, as it would without another process."""
    file = tmp_path / "peerway.yaml"
    file.write_text("daemon: {poll_interval: never}\ninterfaces:\n  wg0: {metric: 0}\n")
    with pytest.raises(ConfigError) as here:
        load(file)
    with pytest.raises(ConfigError) as there:
        read(file)
    assert there.value.problems == here.value.problems
    assert len(there.value.problems) == 2


def test_no_default_file_needs_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a file the defaults hold."""
    monkeypatch.setattr(config_reader, "DEFAULT_FILE", tmp_path / "none")
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert read(None) == Settings()


@pytest.mark.parametrize("program", ["/bin/false", "/bin/true", "/nonexistent"])
def test_a_reader_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    """Whatever happens to the process, there is a sentence, and no half of a configuration."""
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(ConfigError, match=r"p\.yaml: its reader"):
        read(tmp_path / "p.yaml")
