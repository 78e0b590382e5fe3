"""Trains of packets through a tunnel: numbered datagrams that are answered by the site where they arrive.

The answer comes from an address of the site's own, for WireGuard drops what comes from an address that has moved to
another peer meanwhile: an echo from the address that was asked would not tell a lost packet from a late answer.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from peerway.lab.namespace import Namespace

PORT = 4444
LINGER = 5.0  # seconds that the last answers may take, on a slow machine


@dataclass(frozen=True, slots=True)
class Stop:
    """A site that answers: where it is, and the IPv4 address that its answers come from."""

    name: str
    namespace: Namespace
    address: str


class Train:
    """
    Sends from `source` to `target` every `interval` seconds while the `with` lasts. `answers` has the name of the site
    for each number that came back; it is complete after the `with`.
    """

    def __init__(self, here: Namespace, source: str, target: str, stops: Iterable[Stop], interval: float) -> None:
        self.sent = 0
        self.answers: dict[int, str] = {}
        self.twice = 0
        self._target, self._interval = target, interval
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._sender = self._open(here, source)
        self._selector.register(self._sender, selectors.EVENT_READ, None)
        for stop in stops:
            answering = self._open(stop.namespace, stop.address)
            self._selector.register(self._open(stop.namespace, target, PORT), selectors.EVENT_READ, (stop, answering))

    def _open(self, namespace: Namespace, address: str, port: int = 0) -> socket.socket:
        with namespace.enter():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        made.bind((address, port))
        self._sockets.append(made)
        return made

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()
        self._selector.close()
        for one in self._sockets:
            one.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.is_set():
            now = time.monotonic()
            if now >= due:
                self._sender.sendto(self.sent.to_bytes(4, "big"), (self._target, PORT))
                self.sent += 1
                due = max(due + self._interval, now)  # a machine that was busy does not catch up with a burst
            self._listen(due - now)
        end = time.monotonic() + LINGER
        while len(self.answers) < self.sent and time.monotonic() < end:
            self._listen(0.05)

    def _listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(max(0.0, seconds)):
            assert isinstance(key.fileobj, socket.socket)
            data, sender = key.fileobj.recvfrom(100)
            if key.data is None:
                self._note(data)
            else:
                stop, answering = key.data
                answering.sendto(data + stop.name.encode(), sender)

    def _note(self, data: bytes) -> None:
        number = int.from_bytes(data[:4], "big")
        self.twice += number in self.answers
        self.answers[number] = data[4:].decode()

    def is_at(self, site: str) -> bool:
        """Whether the latest number that came back was answered there."""
        return self.answers.get(max(self.answers, default=0)) == site

    def lost(self) -> list[int]:
        """The numbers without an answer; after the `with`."""
        return [number for number in range(self.sent) if number not in self.answers]
