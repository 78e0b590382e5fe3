"""The laboratory itself: it holds what it promises, and leaves no trace."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from peerway.lab import netns
from peerway.lab.namespace import CommandError, Namespace, link, sweep
from tests.harness.waiting import settle


def test_what_is_opened_inside_belongs_to_the_namespace(namespace: Namespace) -> None:
    """A socket opened inside sees only the namespace's own interfaces, and the thread is back afterwards."""
    before = netns.OWN.stat().st_ino
    with namespace.enter(), socket.socket(socket.AF_INET) as inside:
        assert netns.OWN.stat().st_ino == namespace.path.stat().st_ino
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
        assert inside.getsockname() == ("0.0.0.0", 0)
    assert netns.OWN.stat().st_ino == before


def test_a_namespace_ends_with_everything_in_it() -> None:
    """Started processes, their detached children and the name are gone after the body, also when it raises."""
    with contextlib.suppress(ZeroDivisionError), Namespace("ends") as namespace:
        child = namespace.popen("sleep", "1000")
        namespace.run("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
        settle(lambda: len(netns.members(namespace.name)) == 2, what="both sleepers are there")
        detached = [pid for pid in netns.members(namespace.name) if pid != child.pid]
        _ = 1 / 0
    assert child.returncode == -signal.SIGTERM
    assert not namespace.path.exists()
    settle(lambda: not _alive(detached[0]), what="the detached child ended")


def test_a_failed_command_tells_what_it_printed(namespace: Namespace) -> None:
    """The error of a failed command holds its words, its status and its complaint."""
    with pytest.raises(CommandError, match=r"`ip link show nowhere` ended with status 1: .*does not exist"):
        namespace.ip("link", "show", "nowhere")
    assert not namespace.succeeds("ip", "link", "show", "nowhere")


def test_linked_namespaces_reach_each_other(namespaces: Callable[[str], Namespace]) -> None:
    """Two namespaces joined by a link reach each other at once, over both families."""
    left, right = namespaces("left"), namespaces("right")
    assert link(left, right, ["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.2/24", "2001:db8::2/64"]) == (
        "to-right",
        "to-left",
    )
    left.run("ping", "-c1", "-W5", "192.0.2.2")
    left.run("ping", "-c1", "-W5", "2001:db8::2")


def test_a_killed_program_is_swept_up_after() -> None:
    """What a killed program left is removed by the next one, with what runs in it."""
    body = (
        "from peerway.lab.namespace import Namespace\n"
        "import os\n"
        "n = Namespace('kill').create(); p = n.popen('sleep', '1000'); print(n.name, p.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    told = subprocess.run([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True, check=False).stdout
    name, pid = told.split()
    assert netns.path_of(name).exists()
    assert name in sweep()
    assert not netns.path_of(name).exists()
    settle(lambda: not _alive(int(pid)), what="the sleeper ended")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
