"""The daemon's answers to its control socket: control.api.DaemonApi over the engine."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial

from peerway.control.api import Drift, Hear, Json, RouteRequest, UnknownError, UnusableError
from peerway.control.drift import verify
from peerway.control.explain import explain
from peerway.control.views import Views
from peerway.control.words import Names, event_json
from peerway.engine import Engine
from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.events import Event
from peerway.model.interface import Interface
from peerway.model.keys import PublicKey
from peerway.model.ports import RoutingTable
from peerway.model.prefix import Prefix
from peerway.model.route import RTPROT_STATIC, NextHop, Path

IPV6_DEFAULT_METRIC = 1024  # the kernel's, where none is given or 0 (IP6_RT_PRIO_USER)
MAX_METRIC = 0xFFFFFFFF


class Bulletin:
    """
    Tells of events to whoever listens, at once and in the order of their coming. Nobody is waited for.
    """

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[Event], None]] = {}

    @property
    def has_listeners(self) -> bool:
        """
        Whether anybody listens.
        """
        return bool(self._listeners)

    def publish(self, event: Event) -> None:
        """
        Hand an event to every listener.
        """
        for hear in list(self._listeners.values()):
            hear(event)

    def listen(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """
        Hear all events from now on, until the returned function is called.
        """
        key = object()
        self._listeners[key] = hear
        return lambda: self._listeners.pop(key, None) and None


class Service:
    """
    Implements control.api.DaemonApi.
    """

    def __init__(
        self,
        engine: Engine,
        table: RoutingTable,
        bulletin: Bulletin,
        names: Names,
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        """
        `reload` reads the configuration again; it raises UnusableError and keeps the old one if that is broken.
        """
        self._engine, self._table, self._bulletin, self._names = engine, table, bulletin, names
        self._reload = reload
        self.views = Views(engine.world, engine.council, names)

    def status(self, interface: str | None, peer: str | None) -> Json:
        """
        See DaemonApi.
        """
        return self.views.status(interface, peer)

    def routes(self, interface: str | None) -> Iterator[str]:
        """
        See DaemonApi.
        """
        return self.views.routes(interface)

    async def why(self, target: str) -> Json:
        """
        See DaemonApi.
        """
        return explain(self.views, self._table, target)

    def listen(self, hear: Hear) -> Callable[[], None]:
        """
        See DaemonApi.
        """
        return self._bulletin.listen(lambda event: hear(partial(event_json, event, time.time(), self._names)))

    async def verify(self, interface: str | None) -> Drift:
        """
        See DaemonApi.
        """
        await self._engine.settled()
        handles = {ifindex: watched.handle for ifindex, watched in self._engine.watcher.readings.watched.items()}
        return await verify(self.views, self._table, handles, interface)

    async def sync(self, interface: str | None) -> None:
        """
        See DaemonApi.
        """
        if interface is not None:
            self.views.interface(interface)
        await self._engine.sync()

    async def reload(self) -> None:
        """
        See DaemonApi.
        """
        await self._reload()
        await self._engine.sync()

    async def add_route(self, request: RouteRequest) -> Json:
        """
        See DaemonApi.
        """
        interface, prefix, path = self._route(request)
        refusals = self._table.add_routes([(path, cl.make(px.family(prefix), [prefix]))])
        await self._engine.settled()
        text = self._route_text(interface, prefix, path)
        for refusal in refusals:
            if refusal.errno != errno.EEXIST:
                raise OSError(refusal.errno, f"the kernel refused {text}: {refusal.reason}")
            if path in self._engine.world.rib.paths(prefix):
                raise UnusableError(f"the route stands already: {text}")
            raise UnusableError(f"another route stands in the place of {text}: delete it, or give another metric")
        return {"route": text}

    async def delete_route(self, request: RouteRequest) -> Json:
        """
        See DaemonApi.
        """
        interface, prefix, path = self._route(request)
        await self._engine.settled()
        if path not in self._engine.world.rib.paths(prefix):
            raise UnknownError(f"there is no route {self._route_text(interface, prefix, path)}")
        for refusal in self._table.delete_routes([(path, cl.make(px.family(prefix), [prefix]))]):
            raise OSError(refusal.errno, f"the kernel refused: {refusal.reason or os.strerror(refusal.errno)}")
        await self._engine.settled()
        return {"route": self._route_text(interface, prefix, path)}

    def _route(self, request: RouteRequest) -> tuple[Interface, Prefix, Path]:
        """The kernel route that a request means."""
        try:
            prefix = px.parse(request.prefix, strict=True)
            table = self._names.table(request.table) if request.table is not None else None
        except ValueError as error:
            raise UnusableError(str(error)) from None
        interface, peer = self._peer(request)
        gateway = interface.gateways.best(peer, px.family(prefix))
        if gateway is None:
            raise UnusableError(f"{request.peer!r} has no gateway: its addresses are also those of other peers")
        metric = request.metric or 0
        if not 0 <= metric <= MAX_METRIC:
            raise UnusableError(f"metric {metric} is not a number from 0 to {MAX_METRIC}")
        if not metric and px.family(prefix) == px.AF_INET6:
            metric = IPV6_DEFAULT_METRIC
        hop = NextHop(interface.ifindex, gateway)
        table = table if table is not None else interface.policy.tables[0]
        return interface, prefix, Path(table, RTPROT_STATIC, metric, (hop,))

    def _peer(self, request: RouteRequest) -> tuple[Interface, PublicKey]:
        found: list[tuple[Interface, PublicKey]] = []
        for interface in self.views.interfaces(request.interface):
            with suppress(UnknownError):
                found.append((interface, self.views.peer(interface, request.peer)))
        if not found:
            raise UnknownError(f"no interface has a peer {request.peer!r}: `peerway status` lists them")
        if len(found) > 1:
            names = ", ".join(interface.name for interface, _ in found)
            raise UnusableError(f"{request.peer!r} is a peer of {names}: say which with `dev`")
        return found[0]

    def _route_text(self, interface: Interface, prefix: Prefix, path: Path) -> str:
        gateway = path.nexthops[0].gateway
        via = "" if gateway is None else px.address_text(gateway)
        inet6 = "inet6 " if gateway is not None and px.family(gateway) != px.family(prefix) else ""
        metric = f" metric {path.metric}" if path.metric else ""
        table = self._names.table_name(path.table)
        return f"{px.text(prefix)} via {inet6}{via} dev {interface.name} proto static table {table}{metric}"
