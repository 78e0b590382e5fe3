"""A fake daemon on a real socket, and the command line to ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from peerway.cli.main import cli
from tests.unit.control.fake_daemon import FakeDaemon, running

Peerway = Callable[..., Result]


def run(*words: str, **options: Any) -> Result:
    return CliRunner().invoke(cli, words, **options)


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def peerway(daemon: FakeDaemon, tmp_path: Path) -> Iterator[Peerway]:
    """Run `peerway -s SOCKET WORDS`, with the daemon listening there."""
    with running(daemon, tmp_path / "s"):
        yield partial(run, "-s", str(tmp_path / "s"))


@pytest.fixture
def alone(tmp_path: Path) -> Peerway:
    """The same without a daemon."""
    return partial(run, "-s", str(tmp_path / "s"))
