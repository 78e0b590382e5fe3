from __future__ import annotations

import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from peerway.control import door
from peerway.control.access import Credentials
from peerway.control.api import RouteRequest
from tests.unit.control.fake_daemon import STATUS, FakeDaemon, route, running


class Http(http.client.HTTPConnection):
    """Plain HTTP on a unix socket, as curl would speak it."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(path))

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        self.request(method, path, None if body is None else json.dumps(body))
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def path(daemon: FakeDaemon, tmp_path: Path) -> Iterator[Path]:
    with running(daemon, tmp_path / "s"):
        yield tmp_path / "s"


@pytest.fixture
def http_client(path: Path) -> Iterator[Http]:
    connection = Http(path)
    yield connection
    connection.close()


def test_status_is_answered(daemon: FakeDaemon, http_client: Http) -> None:
    """The status is the daemon's, for the interface and peer that were asked for."""
    assert http_client.ask("GET", "/v1/status") == (200, STATUS)
    http_client.ask("GET", "/v1/status?interface=wg0&peer=berlin")
    assert daemon.asked == [("status", None, None), ("status", "wg0", "berlin")]


@pytest.mark.parametrize("count", [0, 1, 2, 3000])
def test_routes_are_one_json_document_with_a_line_per_entry(daemon: FakeDaemon, http_client: Http, count: int) -> None:
    """However many entries there are, the whole is valid JSON, and each entry has its own line."""
    daemon.entries = [route(number) for number in range(count)]
    http_client.request("GET", "/v1/routes")
    text = http_client.getresponse().read()
    assert json.loads(text) == {"version": 1, "routes": daemon.entries}
    assert [json.loads(line.rstrip(b",")) for line in text.splitlines()[1:-1]] == daemon.entries


def test_routes_are_never_built_whole(daemon: FakeDaemon, path: Path, http_client: Http) -> None:
    """A client that reads only the beginning of a long answer costs what is on its way, and holds up nobody."""
    daemon.entries = [route(number) for number in range(100_000)]
    http_client.request("GET", "/v1/routes")
    assert http_client.getresponse().read(40).startswith(b'{"version": 1, "routes": [\n{"interface"')
    other = Http(path)
    for _ in range(5):  # time enough to make them all, if it did not wait for its client
        assert other.ask("GET", "/v1/why?target=10.0.0.1")[0] == 200
    other.close()
    assert 0 < daemon.pulled < 20_000


@pytest.mark.parametrize("reading", [0, 100, 1_000_000])
def test_a_client_that_goes_away_ends_its_listing(
    daemon: FakeDaemon, path: Path, caplog: pytest.LogCaptureFixture, reading: int
) -> None:
    """However much was read, what is left of the listing is never made, and that is no error worth a line."""
    daemon.entries = [route(number) for number in range(100_000)]
    client = Http(path)
    client.request("GET", "/v1/routes")
    if reading:
        client.getresponse().read(reading)
    client.close()
    assert daemon.listed.wait(20)
    assert daemon.pulled < 50_000
    other = Http(path)
    assert other.ask("GET", "/v1/status")[0] == 200
    other.close()
    assert not caplog.records


def test_an_answer_that_fails_in_the_middle_is_broken_off(daemon: FakeDaemon, http_client: Http) -> None:
    """What went wrong after the beginning cannot pass for a whole answer."""

    class Entries(list[Any]):
        @override
        def __iter__(self) -> Iterator[Any]:
            yield from (route(number) for number in range(1000))
            raise ConnectionRefusedError("the device went away")

    daemon.entries = Entries()
    http_client.request("GET", "/v1/routes")
    answer = http_client.getresponse()
    assert answer.status == 200
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()


def test_why_verify_sync_and_reload_are_answered(daemon: FakeDaemon, http_client: Http) -> None:
    """The small questions reach the daemon and come back as JSON with a version."""
    status, answer = http_client.ask("GET", "/v1/why?target=10.0.0.1")
    assert (status, answer["target"], answer["version"]) == (200, "10.0.0.1", 1)
    assert http_client.ask("POST", "/v1/verify") == (200, {"version": 1, "differences": [], "checked": 7})
    assert http_client.ask("POST", "/v1/sync?interface=wg0") == (200, {"version": 1})
    assert http_client.ask("POST", "/v1/reload") == (200, {"version": 1})
    assert daemon.asked == [("sync", "wg0"), "reload"]


def test_routes_are_added_and_deleted(daemon: FakeDaemon, http_client: Http) -> None:
    """A route request arrives with all its parts."""
    body = {"prefix": "10.0.0.0/8", "peer": "berlin", "interface": "wg0", "metric": 5, "table": "main"}
    assert http_client.ask("POST", "/v1/routes", body)[0] == 200
    assert http_client.ask("DELETE", "/v1/routes", {"prefix": "10.0.0.0/8", "peer": "berlin"})[0] == 200
    assert daemon.asked == [("add", RouteRequest(**body)), ("delete", RouteRequest("10.0.0.0/8", "berlin"))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[" * 60_000, "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"{}", "application/json; charset=nonsense"),
        (b'{"prefix": "10.0.0.0/8", "peer": "x", "metric": ' + b"9" * 5000 + b"}", "application/json"),
    ],
)
def test_a_hostile_body_is_no_failure_of_the_daemon(http_client: Http, body: bytes, kind: str) -> None:
    """However deep, long or oddly encoded a body is, it is the client's mistake."""
    http_client.request("POST", "/v1/routes", body, {"Content-Type": kind})
    answer = http_client.getresponse()
    assert (answer.status, "not a route" in json.loads(answer.read())["error"]) == (400, True)


@pytest.mark.parametrize(
    ("request_", "body", "status", "words"),
    [
        ("GET /v1/status?interface=wg9", None, 404, "no WireGuard interface wg9"),
        ("GET /v1/routes?interface=wg9", None, 404, "no WireGuard interface wg9"),
        ("GET /v1/why", None, 400, "add \\?target="),
        ("GET /v1/why?target=nonsense", None, 400, "not an IPv4 or IPv6 prefix"),
        ("POST /v1/routes", [1], 400, "not a route"),
        ("POST /v1/routes", {"prefix": "x"}, 400, "not a route"),
        ("POST /v1/routes", {"prefix": 1, "peer": "x"}, 400, "all else is text"),
        ("POST /v1/routes", {"prefix": "x", "peer": "x", "metric": "9"}, 400, "metric is a number"),
        ("POST /v1/routes", {"prefix": "x", "peer": "x", "metric": True}, 400, "metric is a number"),
        ("GET /v2/status", None, 404, "nothing is at /v2/status"),
        ("PUT /v1/status", None, 405, "Not Allowed"),
    ],
)
def test_errors_are_json_with_a_fitting_status(
    http_client: Http, request_: str, body: object, status: int, words: str
) -> None:
    """What is not there is 404, what is malformed 400, each with a sentence."""
    method, target = request_.split()
    found, answer = http_client.ask(method, target, body)
    assert found == status
    assert re.search(words, answer["error"])


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError(16, "the device is busy"), "the device is busy"),
        (ZeroDivisionError("inner"), "its log has the details"),
    ],
)
def test_a_failure_of_the_daemon_is_500(daemon: FakeDaemon, http_client: Http, failure: Exception, words: str) -> None:
    """An error of the system is told; an error of ours is not spread, and the server lives on."""
    daemon.failure = failure
    status, answer = http_client.ask("GET", "/v1/status")
    assert status == 500
    assert words in answer["error"]
    assert "inner" not in answer["error"]
    daemon.failure = None
    assert http_client.ask("GET", "/v1/status")[0] == 200


CHANGES = [("POST", "/v1/sync"), ("POST", "/v1/reload"), ("POST", "/v1/routes"), ("DELETE", "/v1/routes")]
READINGS = [("GET", "/v1/status"), ("GET", "/v1/routes"), ("GET", "/v1/why?target=10.0.0.1"), ("POST", "/v1/verify")]


ANYBODY = Credentials(1, 65534, 65534)


def be(caller: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects from now on is this one."""
    monkeypatch.setattr(door, "credentials_of", lambda _: caller)


@pytest.mark.parametrize(
    ("caller", "may_read", "may_change"),
    [
        (ANYBODY, False, False),
        (replace(ANYBODY, groups=frozenset({os.getegid()})), True, False),
        (replace(ANYBODY, uid=os.geteuid()), True, True),
        (replace(ANYBODY, uid=0), True, True),
    ],
)
def test_who_may_read_and_who_may_change(  # noqa: PLR0917 - three of these are one row
    daemon: FakeDaemon,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caller: Credentials,
    may_read: bool,
    may_change: bool,
) -> None:
    """Root and the daemon's own user may do all, the group may ask, and others get no answer but no."""
    be(caller, monkeypatch)
    client = Http(path)
    for method, path_ in CHANGES:
        status, answer = client.ask(method, path_, {"prefix": "10.0.0.0/8", "peer": "berlin"})
        assert status == (200 if may_change else 403)
        assert may_change or answer["error"].startswith("permission denied: be root")
    for method, path_ in READINGS:
        status, answer = client.ask(method, path_)
        assert status == (200 if may_read else 403)
        assert may_read or answer["error"].startswith("permission denied")
    assert client.ask("GET", "/v1/nothing")[0] == (404 if may_read else 403)
    client.close()
    assert may_change or [asked for asked in daemon.asked if asked != ("status", None, None)] == []


def test_a_client_without_room_is_told_so(daemon: FakeDaemon, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reader more than there may be of a user gets 503; when one leaves, there is room again; root comes in."""
    monkeypatch.setattr(door, "CLIENTS_OF_USER", 2)
    be(replace(ANYBODY, groups=frozenset({os.getegid()})), monkeypatch)
    clients = [Http(path) for _ in range(3)]
    answers = [client.ask("GET", "/v1/status") for client in clients]
    assert [status for status, _ in answers] == [200, 200, 503]
    assert "as many clients as it takes" in answers[2][1]["error"]
    clients.pop(0).close()
    clients.append(Http(path))
    assert clients[-1].ask("GET", "/v1/status")[0] == 200
    be(replace(ANYBODY, uid=0), monkeypatch)
    clients.append(Http(path))
    assert clients[-1].ask("GET", "/v1/status")[0] == 200
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    "text",
    [
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: 1\r\n" % number for number in range(1000)) + b"\r\n",
        b"POST /v1/routes HTTP/1.1\r\nHost: p\r\nContent-Length: 1000000\r\n\r\n" + b" " * 1_000_000,
        b"POST /v1/routes HTTP/1.1\r\nHost: p\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000,
        b"\0" * 100,
    ],
)
def test_a_message_that_is_too_large_is_refused(
    daemon: FakeDaemon, path: Path, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    """Requests have a size; what is over it, or no request, is answered with 4xx, and reaches nobody, nor the log."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        with suppress(BrokenPipeError):
            client.sendall(text)
        assert re.match(rb"HTTP/1.[01] 4\d\d ", client.recv(100))
    assert not [record for record in caplog.records if record.levelname != "INFO"]
    assert daemon.asked == []


def test_events_come_as_they_happen(tmp_path: Path) -> None:
    """The stream is open before its beginning is seen, and each event is one SSE message; at the stop it ends."""
    daemon = FakeDaemon()
    with running(daemon, tmp_path / "s") as loop:
        connection = Http(tmp_path / "s")
        connection.request("GET", "/v1/events")
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "text/event-stream"
        assert daemon.subscribed.is_set()
        assert answer.readline() + answer.readline() == b": peerway\n\n"
        for number in range(3):
            loop.call_soon_threadsafe(daemon.happen, {"event": "peer-added", "number": number})
            assert json.loads(answer.readline().removeprefix(b"data: "))["number"] == number
            assert answer.readline() == b"\n"
    assert answer.read() == b""
    assert daemon.unsubscribed.is_set()
    connection.close()


def test_a_burst_is_no_reason_to_drop_a_client(tmp_path: Path) -> None:
    """More events at once than are held for a client reach it all the same, as it takes them meanwhile."""
    daemon = FakeDaemon()
    with running(daemon, tmp_path / "s", events_held=500) as loop:
        connection = Http(tmp_path / "s")
        connection.request("GET", "/v1/events")
        answer = connection.getresponse()

        def burst() -> None:
            for number in range(1000):
                daemon.happen({"number": number})

        loop.call_soon_threadsafe(burst)
        lines = (answer.readline() for _ in range(2 + 2 * 1000))
        numbers = [json.loads(line[6:])["number"] for line in lines if line.startswith(b"data: ")]
        assert numbers == list(range(1000))
        connection.close()


def test_a_client_that_does_not_read_its_events_is_dropped(tmp_path: Path) -> None:
    """A stalled client loses its stream, and neither the daemon nor another client waits for it."""
    daemon = FakeDaemon()
    with running(daemon, tmp_path / "s") as loop:
        stalled = Http(tmp_path / "s")
        stalled.request("GET", "/v1/events")
        answer = stalled.getresponse()

        def flood() -> None:
            for number in range(20_000):
                daemon.happen({"event": "counters-moved", "text": "x" * 500, "number": number})

        loop.call_soon_threadsafe(flood)
        assert daemon.unsubscribed.wait(30)
        other = Http(tmp_path / "s")
        assert other.ask("GET", "/v1/status")[0] == 200
        other.close()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
        stalled.close()


def test_an_event_stream_that_fails_is_broken_off(tmp_path: Path) -> None:
    """An error inside the daemon's events ends this stream only."""
    daemon = FakeDaemon()
    with running(daemon, tmp_path / "s") as loop:
        connection = Http(tmp_path / "s")
        connection.request("GET", "/v1/events")
        answer = connection.getresponse()
        daemon.failure = ZeroDivisionError("inner")
        loop.call_soon_threadsafe(daemon.happen, {})
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
        daemon.failure = None
        connection.close()
        other = Http(tmp_path / "s")
        assert other.ask("GET", "/v1/status")[0] == 200
        other.close()


def test_the_socket_goes_with_the_server(tmp_path: Path) -> None:
    """After a clean stop nothing is left of the socket."""
    with running(FakeDaemon(), tmp_path / "s"):
        assert (tmp_path / "s").is_socket()
    assert list(tmp_path.iterdir()) == []
