from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerway.control.api import Drift, RouteRequest, UnknownError, UnusableError
from peerway.control.client import Client, DaemonFailedError, NoDaemonError, NoPrivilegeError
from tests.unit.control.fake_daemon import STATUS, FakeDaemon, route, running


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def client(daemon: FakeDaemon, tmp_path: Path) -> Iterator[Client]:
    with running(daemon, tmp_path / "s"):
        yield Client(tmp_path / "s")


def test_questions_reach_the_daemon_and_answers_come_back(daemon: FakeDaemon, client: Client) -> None:
    """Each method of the client is the daemon's method of that name, across the socket."""
    request = RouteRequest("10.0.0.0/8", "berlin", metric=3)
    assert client.status("wg0", "berlin") == STATUS
    assert client.why("10.0.0.1")["reachable"] is True
    assert client.verify() == Drift([], 7)
    client.sync("wg0")
    client.reload()
    assert client.add_route(request) == client.delete_route(request)
    assert daemon.asked == [
        ("status", "wg0", "berlin"),
        ("sync", "wg0"),
        "reload",
        ("add", request),
        ("delete", request),
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_routes_come_entry_by_entry(daemon: FakeDaemon, client: Client, count: int) -> None:
    """The entries are those of the daemon, in its order."""
    daemon.entries = [route(number) for number in range(count)]
    assert list(client.routes()) == daemon.entries


def test_the_first_route_is_there_long_before_the_last(daemon: FakeDaemon, client: Client) -> None:
    """Taking one entry of many does not make the daemon give all."""
    daemon.entries = [route(number) for number in range(100_000)]
    entries = client.routes()
    assert next(entries) == route(0)
    assert daemon.pulled < 50_000
    del entries


def test_events_come_as_they_happen(tmp_path: Path) -> None:
    """The stream opens with an empty item, gives each event, and ends with the daemon."""
    daemon = FakeDaemon()
    with running(daemon, tmp_path / "s") as loop:
        events = Client(tmp_path / "s").events()
        assert next(events) == {}
        loop.call_soon_threadsafe(daemon.happen, {"event": "peer-added"})
        assert next(events) == {"event": "peer-added"}
    assert list(events) == []


def test_errors_are_those_that_the_daemon_raised(daemon: FakeDaemon, client: Client) -> None:
    """Unknown, unusable and failed come back as the same kind of error with the same sentence."""
    with pytest.raises(UnknownError, match="no WireGuard interface wg9; there is wg0"):
        client.status("wg9")
    with pytest.raises(UnknownError, match="wg9"):
        list(client.routes("wg9"))
    with pytest.raises(UnusableError, match="not an IPv4"):
        client.why("nonsense")
    daemon.failure = OSError(16, "busy")
    with pytest.raises(DaemonFailedError, match="busy"):
        client.status()
    daemon.failure = None


def test_no_daemon_is_told_with_the_cure(tmp_path: Path) -> None:
    """No socket, or one that nobody listens on, names the path and the command that starts the daemon."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    (tmp_path / "file").touch()
    for name in ("missing", "dead", "file", "missing/s", "file/s"):
        with pytest.raises(NoDaemonError, match=rf"answers on .*{name}; start it with `systemctl start peerway` or"):
            Client(tmp_path / name).status()
    with pytest.raises(NoDaemonError, match="-s PATH"):
        Client(tmp_path / ("x" * 200)).status()


def test_a_closed_door_is_told_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that may not be opened says to be root."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("peerway.control.client.socket.socket.connect", refuse)
    (tmp_path / "s").touch()
    os.chown(tmp_path / "s", -1, os.getgid())
    with pytest.raises(NoPrivilegeError, match=r"permission denied: .*s; be root \(sudo\)"):
        Client(tmp_path / "s").status()


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nno json"],
)
def test_an_answer_that_breaks_off_is_no_answer(tmp_path: Path, said: bytes) -> None:
    """A daemon that dies in the middle of its answer, or something else on the socket, is told as such."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NoDaemonError, match="did not answer to the end"):
            Client(tmp_path / "s").status()
        thread.join()


def test_another_programs_socket_is_recognised(tmp_path: Path) -> None:
    """An HTTP error without our sentence asks whether the socket is peerway's."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DaemonFailedError, match=r"HTTP 404; is this socket peerway's\?"):
            Client(tmp_path / "s").status()
        thread.join()
