"""One daemon for each network namespace; the namespaces are in tests/lab/test_privileges.py."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from peerway.backends import sole
from peerway.backends.sole import Sole


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A name of the test's own."""
    return f"\0{tmp_path}"


def test_the_second_one_finds_the_first(name: str) -> None:
    """The place is taken once; the other is told who has it, and gets it when it is free."""
    first = Sole(name)
    second = Sole(name)
    assert (first.taken, first.held_by_a_daemon) == (True, False)
    assert (second.taken, second.held_by_a_daemon) == (False, True)
    assert second.holder == (os.getpid(), os.geteuid())
    first.close()
    third = Sole(name)
    assert third.taken
    third.close()


def test_one_that_never_listened_is_no_daemon(name: str) -> None:
    """A name alone proves nothing."""
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(name)
        found = Sole(name)
    assert (found.taken, found.holder, found.held_by_a_daemon) == (False, None, False)


@pytest.mark.parametrize(("privileged", "daemon"), [(True, True), (False, False)])
def test_another_user_is_a_daemon_if_it_may_change_networks(
    name: str, monkeypatch: pytest.MonkeyPatch, privileged: bool, daemon: bool
) -> None:
    """Anybody can take the name; it keeps no daemon from its work."""
    first = Sole(name)
    second = Sole(name)
    second.holder = (os.getpid(), os.geteuid() + 1)
    monkeypatch.setattr(sole, "process_has", lambda pid, _: privileged and pid == os.getpid())
    assert second.held_by_a_daemon is daemon
    first.close()
