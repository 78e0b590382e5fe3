from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerway.backends.names import Names
from peerway.config import Config, load, parse
from peerway.config_reference import schema, show
from tests.unit.cli.conftest import Peerway


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "peerway.yaml"
    path.write_text("interfaces: {wg0: {metric: 5}}")
    return path


def test_a_good_file_is_exit_0(alone: Peerway, file: Path) -> None:
    """A file without errors is told as such."""
    done = alone("config", "check", str(file))
    assert (done.exit_code, done.stdout) == (0, f"{file}: no errors\n")


def test_all_errors_are_told_and_exit_2(alone: Peerway, file: Path) -> None:
    """Each error is a line on standard error."""
    file.write_text("mtric: 1\ninterfaces: {wg0: {metric: x, tables: [mian]}}")
    for words in (["config", "check", str(file)], ["config", "show", "-c", str(file)]):
        done = alone(*words)
        assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 3)
        assert done.stderr.startswith(f"{file}:1: mtric: 1: unknown key; ")


def test_a_missing_file_is_an_error_only_if_it_was_named(
    alone: Peerway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file at the default path the defaults hold."""
    monkeypatch.setattr("peerway.config.DEFAULT_FILE", tmp_path / "missing")
    done = alone("config", "check")
    assert (done.exit_code, done.stdout) == (0, "no file: the defaults hold\n")
    assert alone("config", "check", str(tmp_path / "missing")).exit_code == 2
    assert parse(alone("config", "show").stdout, "shown") == parse(show(Config(), Names()), "shown")


def test_the_schema_is_json(alone: Peerway) -> None:
    """The schema is printed as it is generated."""
    assert json.loads(alone("config", "schema").stdout) == schema()


def test_what_is_shown_reads_as_the_same(alone: Peerway, file: Path) -> None:
    """The printed YAML, whole or for one interface, gives the same policy."""
    for words in (["config", "show", "-c", str(file)], ["config", "show", "-c", str(file), "wg0"]):
        done = alone(*words)
        assert done.exit_code == 0
        assert parse(done.stdout, "shown", Names.read()).policy("wg0") == load(file).policy("wg0")
