"""A DaemonApi in memory, and a real server for it on a real socket in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from peerway.control.api import Drift, Hear, Json, RouteRequest, UnknownError, UnusableError
from peerway.control.server import serve

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="

STATUS: Json = {
    "version": 1,
    "interfaces": [
        {
            "name": "wg0",
            "backend": "kernel",
            "public_key": OTHER,
            "state": "in-sync",
            "counts": {"learned": 2, "pinned": 1, "derived": 2, "shadowed": 0, "refused": 1, "unresolved": 0},
            "errors": ["route 10.9.9.0/24: no gateway"],
            "peers": [
                {
                    "name": "berlin",
                    "public_key": KEY,
                    "gateways": ["fe80::a605:9cb1:27:11d6"],
                    "endpoint": "192.0.2.1:51820",
                    "latest_handshake": "2026-11-22T10:00:00Z",
                    "rx_bytes": 2048,
                    "tx_bytes": 17,
                }
            ],
        }
    ],
}


def route(number: int) -> Json:
    """One entry of `peerway routes --json`."""
    return {
        "interface": "wg0",
        "prefix": f"10.{number >> 8 & 255}.{number & 255}.0/24",
        "origin": "learned",
        "owner": KEY,
        "gateway": "fe80::a605:9cb1:27:11d6",
        "table": "main",
        "protocol": "bird",
        "metric": 32,
        "shadowed": [],
        "refused": [],
    }


class FakeDaemon:
    """Answers from memory; remembers what it was asked."""

    def __init__(self, routes: int = 3) -> None:
        self.asked: list[object] = []
        self.entries = [route(number) for number in range(routes)]
        self.pulled = 0
        self.listed = threading.Event()
        self.drift = Drift([], 7)
        self.reachable = True
        self.broken_config = ""
        self.failure: Exception | None = None
        self.subscribed = threading.Event()
        self.unsubscribed = threading.Event()
        self.hear: Hear = lambda _: None

    def _check(self, interface: str | None) -> None:
        if self.failure:
            raise self.failure
        if interface not in (None, "wg0"):
            raise UnknownError(f"no WireGuard interface {interface}; there is wg0")

    def status(self, interface: str | None, peer: str | None) -> Json:
        self._check(interface)
        self.asked.append(("status", interface, peer))
        return STATUS

    def routes(self, interface: str | None) -> Iterator[str]:
        self._check(interface)
        try:
            for entry in self.entries:
                self.pulled += 1
                yield json.dumps(entry)
            if self.failure:
                raise self.failure
        finally:
            self.listed.set()

    async def why(self, target: str) -> Json:
        if target == "nonsense":
            raise UnusableError("'nonsense' is not an IPv4 or IPv6 prefix such as 10.0.0.0/8")
        steps = ["10.0.0.1 follows 10.0.0.0/24 via fe80::1", "fe80::1 names berlin"]
        return {"version": 1, "target": target, "reachable": self.reachable, "steps": steps, "route": None}

    def listen(self, hear: Hear) -> Callable[[], None]:
        self.hear = hear
        self.subscribed.set()
        return self.unsubscribed.set

    def happen(self, *events: Json) -> None:
        """Tell of events, in the thread of the loop."""
        for event in events:
            self.hear(partial(self._told, event))

    def _told(self, event: Json) -> Json:
        if self.failure:
            raise self.failure
        return event

    async def verify(self, interface: str | None) -> Drift:
        self._check(interface)
        return self.drift

    async def sync(self, interface: str | None) -> None:
        self._check(interface)
        self.asked.append(("sync", interface))

    async def reload(self) -> None:
        if self.broken_config:
            raise UnusableError(self.broken_config)
        self.asked.append("reload")

    async def add_route(self, request: RouteRequest) -> Json:
        self._check(request.interface)
        self.asked.append(("add", request))
        return {"route": f"{request.prefix} via inet6 fe80::1 dev wg0"}

    async def delete_route(self, request: RouteRequest) -> Json:
        self._check(request.interface)
        self.asked.append(("delete", request))
        return {"route": f"{request.prefix} via inet6 fe80::1 dev wg0"}


@contextmanager
def running(daemon: FakeDaemon, path: Path, *, events_held: int = 1000) -> Iterator[asyncio.AbstractEventLoop]:
    """The daemon on `path`, in a thread; gives its loop."""
    ready, failed = threading.Event(), list[BaseException]()
    state: dict[str, asyncio.AbstractEventLoop | asyncio.Event] = {}

    async def run() -> None:
        stop = asyncio.Event()
        state.update(loop=asyncio.get_running_loop(), stop=stop)
        async with serve(daemon, path, events_held=events_held):
            ready.set()
            await stop.wait()

    def body() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001  it is told to the test's own thread
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=body)
    thread.start()
    ready.wait()
    if failed:
        thread.join()
        raise failed[0]
    loop, stop = state["loop"], state["stop"]
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(stop, asyncio.Event)
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
