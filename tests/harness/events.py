"""The daemon's event stream beside a test: a thread reads `/v1/events` and keeps what comes."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.harness.daemon import Daemon
from tests.harness.waiting import TIMEOUT, settle

Event = dict[str, Any]
QUIET = 0.1  # seconds without an event after which what was known is told


class Listener:
    """Listens from `with` on; each event is kept with the moment (time.time) at which it came, under "heard"."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._socket = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._open = threading.Event()
        self._events: list[Event] = []

    def __enter__(self) -> Self:
        self._socket.connect(str(self._daemon.control_socket))
        self._socket.sendall(b"GET /v1/events HTTP/1.0\r\nHost: peerway\r\n\r\n")
        self._thread.start()
        assert self._open.wait(TIMEOUT), "the event stream does not begin"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT)
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
            for line in stream:
                if line.startswith(b": peerway"):
                    self._open.set()
                elif line.startswith(b"data: "):
                    self._events.append({**json.loads(line[6:]), "heard": time.time()})

    def mark(self) -> int:
        """How many events there were up to now, after everything was read again and told."""
        self._daemon.request("POST", "/v1/sync")
        count = -1
        while count != len(self._events):  # the stream is beside the answer, perhaps a little behind
            count = len(self._events)
            time.sleep(QUIET)
        return count

    def since(self, mark: int) -> list[Event]:
        """The events since a mark."""
        return self._events[mark:]

    def wait(self, predicate: Callable[[Event], bool], mark: int = 0, *, what: str) -> Event:
        """Wait for an event; it is returned. Fails with those that came instead."""
        found = settle(
            lambda: [event for event in self.since(mark) if predicate(event)],
            what=what,
            tell=lambda: "\n".join(map(str, self.since(mark)[-40:])) + "\n" + self._daemon.tell(),
        )
        return found[0]
