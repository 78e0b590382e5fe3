"""What systemd is told and hands over; a socket of the test's own stands for systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from peerway.backends.systemd import FIRST, Watchdog, listening_socket, notify


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The socket at which systemd listens."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    channel.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return channel


def test_systemd_is_told(channel: socket.socket) -> None:
    """A state is one datagram to the socket that systemd named."""
    notify("READY=1")
    notify("STOPPING=1")
    assert [channel.recv(100), channel.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_an_abstract_socket_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading @ stands for the null byte of an abstract address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
        channel.bind(f"\0peerway-test-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@peerway-test-{os.getpid()}")
        notify("READY=1")
        assert channel.recv(100) == b"READY=1"


def test_nobody_needs_to_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd, or when its socket is gone, the daemon works all the same."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


def test_signs_of_life_are_half_as_long_apart_as_systemd_waits(
    channel: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is sent before it is due, and one when it is, however much later that is seen."""
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    watchdog = Watchdog(100.0)
    assert watchdog.deadline == 105.0
    watchdog.alive(104.9)
    watchdog.alive(107.0)
    watchdog.alive(111.9)
    assert channel.recv(100) == b"WATCHDOG=1"
    with pytest.raises(BlockingIOError):
        channel.recv(100)
    assert watchdog.deadline == 112.0


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}])
def test_without_a_watchdog_none_is_due(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, a broken one, or one for another process: never."""
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Watchdog(0.0).deadline == float("inf")


def handed_over(given: list[socket.socket], check: Callable[[socket.socket | None], bool], pid: str = "") -> bool:
    """Whether `check` holds in a process that was started with these sockets as systemd would hand them over."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            high = [os.dup2(one.fileno(), 200 + number) for number, one in enumerate(given)]
            for number, descriptor in enumerate(high):
                os.dup2(descriptor, FIRST + number)
            os.environ |= {"LISTEN_FDS": str(len(given)), "LISTEN_PID": pid or str(os.getpid())}
            status = int(not (check(listening_socket()) and "LISTEN_FDS" not in os.environ))
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_socket_is_handed_over(tmp_path: Path) -> None:
    """The first unix socket that listens is taken, and no program that is started inherits it; the rest is closed."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connected, _ = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def ours(found: socket.socket | None) -> bool:
            return (
                found is not None
                and found.getsockname() == str(tmp_path / "s")
                and not os.get_inheritable(found.fileno())
                and listening_socket() is None
            )

        assert handed_over([listener], ours)
        assert handed_over([udp, connected, listener], ours)
        assert handed_over([udp, connected], lambda found: found is None)
        assert handed_over([listener], lambda found: found is None, pid="1")
