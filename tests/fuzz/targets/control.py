"""The control socket: raw bytes to a real server on a real unix socket."""

from __future__ import annotations

import asyncio
import functools
import http.client
import logging
import socket
import tempfile
import threading
from pathlib import Path

from typing_extensions import override

from peerway.control.server import serve
from tests.unit.control.fake_daemon import FakeDaemon

HANGS = 30.0  # seconds
DIRECTORY = tempfile.TemporaryDirectory(prefix="peerway-fuzz-")


def seeds() -> list[bytes]:
    body = b'{"prefix": "10.0.0.0/8", "peer": "berlin"}'
    length = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    return [
        b"GET /v1/status?interface=wg0&peer=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/routes HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/why?target=10.0.0.1 HTTP/1.0\r\n\r\n",
        b"POST /v1/routes HTTP/1.1\r\nHost: x\r\n" + length,
        b"DELETE /v1/routes HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain; charset=nonsense\r\n" + length,
        b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /v1/sync HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        b"GET /v1/events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    ]


class Finds(logging.Handler):
    """What the server logs as its own failure."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


FINDS = Finds()


@functools.cache
def _socket() -> str:
    """Where the server listens, in a thread that ends with the process."""
    path = Path(DIRECTORY.name) / "s"
    ready = threading.Event()

    async def run() -> None:
        async with serve(FakeDaemon(), path):
            ready.set()
            await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    ready.wait()
    for name in ("peerway.control.server", "asyncio"):
        logging.getLogger(name).addHandler(FINDS)
        logging.getLogger(name).propagate = False
    return str(path)


def one(data: bytes) -> None:
    """
    Whatever bytes a client sends, the server answers or hangs up when the client has no more to say, logs no failure of
    its own, and answers the next client.
    """
    with _connected() as hostile:
        try:
            hostile.sendall(data)
            hostile.shutdown(socket.SHUT_WR)
            while hostile.recv(1 << 16):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # it hung up
    with _connected() as good:
        good.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(good)
        answer.begin()
        assert answer.status == 200
        assert answer.read().startswith(b'{"version": 1')
    found, FINDS.found = FINDS.found, []
    assert not found, found[0]


def _connected() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(HANGS)
    connection.connect(_socket())
    return connection
