"""The client of the control socket, for the command line: synchronous, and cheap to import.

Long answers are read as they come: `routes` relies on the server's promise of one entry per line.
"""

from __future__ import annotations

import errno
import grp
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from typing_extensions import override

from peerway.control.api import Drift, Json, RouteRequest, UnknownError, UnusableError

DEFAULT_SOCKET: Final = Path("/run/peerway/control.sock")
PATIENCE: Final = 300.0  # seconds; a daemon that verifies a full table is silent for a while
_CHUNK: Final = 1 << 16
Query = dict[str, str | None]


class NoDaemonError(ConnectionError):
    """
    Nobody answers on the socket, or not to the end. The text says what to do.
    """


class NoPrivilegeError(PermissionError):
    """
    The caller may not open the socket, or may not do this. The text says who may.
    """


class DaemonFailedError(RuntimeError):
    """
    The daemon could not do it, and says why.
    """


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """
    Asks the daemon that listens at `path`. Each method may raise NoDaemonError, NoPrivilegeError, DaemonFailedError,
    and UnknownError and UnusableError as DaemonApi does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self, interface: str | None = None, peer: str | None = None) -> Json:
        """DaemonApi.status."""
        return self._ask("GET", "status", {"interface": interface, "peer": peer})

    def why(self, target: str) -> Json:
        """DaemonApi.why."""
        return self._ask("GET", "why", {"target": target})

    def verify(self, interface: str | None = None) -> Drift:
        """DaemonApi.verify."""
        answer = self._ask("POST", "verify", {"interface": interface})
        return Drift(answer["differences"], answer["checked"])

    def sync(self, interface: str | None = None) -> None:
        """DaemonApi.sync."""
        self._ask("POST", "sync", {"interface": interface})

    def reload(self) -> None:
        """DaemonApi.reload."""
        self._ask("POST", "reload")

    def add_route(self, request: RouteRequest) -> Json:
        """DaemonApi.add_route."""
        return self._ask("POST", "routes", body=request)

    def delete_route(self, request: RouteRequest) -> Json:
        """DaemonApi.delete_route."""
        return self._ask("DELETE", "routes", body=request)

    def routes_text(self, interface: str | None = None) -> Iterator[bytes]:
        """The answer of `routes` as it comes: JSON, in pieces."""
        with self._answer("GET", "routes", {"interface": interface}) as answer:
            while piece := answer.read1(_CHUNK):
                yield piece

    def routes(self, interface: str | None = None) -> Iterator[Json]:
        """DaemonApi.routes, entry by entry."""
        rest = b""
        for piece in self.routes_text(interface):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.startswith(b'{"') and not line.endswith(b"["):
                    yield json.loads(line.removesuffix(b","))

    def events(self) -> Iterator[Json]:
        """DaemonApi.events, until the daemon stops. The first item is empty: the stream is open."""
        with self._answer("GET", "events", patience=None) as answer:
            yield {}
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    def _ask(self, method: str, what: str, query: Query | None = None, body: RouteRequest | None = None) -> Json:
        with self._answer(method, what, query, body) as answer:
            result: Json = json.load(answer)
            return result

    @contextmanager
    def _answer(
        self,
        method: str,
        what: str,
        query: Query | None = None,
        body: RouteRequest | None = None,
        patience: float | None = PATIENCE,
    ) -> Iterator[HTTPResponse]:
        given = urlencode({key: value for key, value in (query or {}).items() if value is not None})
        text = json.dumps({key: getattr(body, key) for key in body.__slots__}) if body else None
        connection = _UnixConnection(self._path, patience)
        try:
            with self._translated():
                connection.connect()
            try:
                connection.request(method, f"/v1/{what}?{given}", text, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                _raise_for(answer)
                yield answer
            except (HTTPException, ConnectionError, TimeoutError, json.JSONDecodeError) as error:
                raise NoDaemonError(
                    f"the daemon on {self._path} did not answer to the end; see its log (`journalctl -u peerway`)"
                ) from error
        finally:
            connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise NoPrivilegeError(f"permission denied: {self._path}; be root (sudo){self._group_hint()}") from error
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR, errno.ENOTSOCK, errno.EPROTOTYPE}:
                raise NoDaemonError(f"{self._path}: {error.strerror or error}; set the socket with -s PATH") from error
            raise NoDaemonError(
                f"no peerway daemon answers on {self._path}; start it with `systemctl start peerway` or `peerway run`"
            ) from error

    def _group_hint(self) -> str:
        try:
            group = grp.getgrgid(self._path.stat().st_gid).gr_name
        except (OSError, KeyError):
            return ""
        return "" if group == "root" else f", or a member of the group {group}"


def _raise_for(answer: HTTPResponse) -> None:
    if answer.status == 200:
        return
    try:
        sentence = str(json.load(answer)["error"])
    except (ValueError, LookupError, TypeError):
        raise DaemonFailedError(f"the answer is HTTP {answer.status}; is this socket peerway's?") from None
    kinds = {400: UnusableError, 403: NoPrivilegeError, 404: UnknownError}
    raise kinds.get(answer.status, DaemonFailedError)(sentence)
