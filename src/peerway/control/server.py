"""The daemon's API as HTTP with JSON on a unix socket, so that `curl --unix-socket` works too.

`DaemonApi` answers, this module carries: paths, parameters, errors, who may do what, and streams. Long answers go out
entry by entry; a client that does not read its events is dropped, never waited for.

Who may do what is in access.py, who is let in at all in door.py. One listing is continued at a time, and one
verification made, so that those who may only ask cannot keep the daemon from its work.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Final

from aiohttp import web

from peerway.control import feed
from peerway.control.access import Access, Level
from peerway.control.answers import FullError, Handler, NotAllowedError, abort, answer, errors_as_json, unbroken
from peerway.control.api import DaemonApi, RouteRequest, UnusableError
from peerway.control.door import Door, Guest
from peerway.control.feed import Feed
from peerway.control.listener import BACKLOG, Listener, SocketTakenError, listen

__all__ = ["FullError", "NotAllowedError", "Server", "SocketTakenError", "serve"]

LOG: Final = logging.getLogger(__name__)
_SILENT: Final = logging.getLogger(f"{__name__}.http")  # a malformed request is no reason to fill the log
_SILENT.setLevel(logging.CRITICAL)
ENTRIES_AT_ONCE: Final = 256
MOMENT: Final = 0.001  # seconds of work on one answer, then others have their turn
KEEP_ALIVE: Final = 15.0  # seconds; a comment in a quiet event stream shows that the client has gone
BODY: Final = 64 << 10  # bytes of a request's body
BODY_COMES: Final = 10.0  # seconds in which it has to be there
QUIET: Final = 30.0  # seconds that a client may be connected and ask nothing
AT_ONCE: Final = 4  # connections that are accepted between two turns of the event loop
_SHUTDOWN: Final = 1.0


class Server:
    """
    Carries requests to a DaemonApi. `application` may be given more routes (metrics, a page) before it is started.
    """

    def __init__(self, api: DaemonApi, access: Access, *, events_held: int = feed.HELD) -> None:
        """
        Only in a running event loop.
        """
        self._api = api
        self._access = access
        self._feed = Feed(api.listen, held=events_held)
        self._listing, self._verifying = asyncio.Lock(), asyncio.Lock()
        self.door: Door | None = None
        self.application = web.Application(middlewares=[errors_as_json, self._guard], client_max_size=BODY)
        self.application.add_routes(
            [
                web.get("/v1/status", self._status),
                web.get("/v1/routes", self._routes),
                web.get("/v1/why", self._why),
                web.get("/v1/events", self._events),
                web.post("/v1/verify", self._verify),
                web.post("/v1/sync", self._privileged(self._sync)),
                web.post("/v1/reload", self._privileged(self._reload)),
                web.post("/v1/routes", self._privileged(self._add_route)),
                web.delete("/v1/routes", self._privileged(self._delete_route)),
            ]
        )
        self.application.on_shutdown.append(self._end_streams)

    @asynccontextmanager
    async def listening(self, listener: socket.socket) -> AsyncIterator[None]:
        """
        Answer on a listening socket while the block runs.
        """
        runner = web.AppRunner(
            self.application,
            logger=_SILENT,
            access_log=None,
            shutdown_timeout=_SHUTDOWN,
            keepalive_timeout=QUIET,
            tcp_keepalive=False,
        )
        await runner.setup()
        try:
            if runner.server is None:
                raise AssertionError
            self.door = Door(self._access, runner.server)
            accepting = await asyncio.get_running_loop().create_server(self.door, sock=listener, backlog=AT_ONCE)
            listener.listen(BACKLOG)  # how many may wait is another number than how many come in at once
            try:
                yield
            finally:
                accepting.close()
                self.door.close()
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guest = self._guest(request)
        if guest.level is Level.NOTHING:
            raise NotAllowedError(self._access.refusal(Level.READ))
        if guest.full:
            raise FullError("the daemon has as many clients as it takes; end some, such as `peerway monitor`")
        return await handler(request)

    def _guest(self, request: web.Request) -> Guest:
        guest = self.door.guest(request.transport) if self.door else None
        if guest is None:
            raise ConnectionResetError("the client went away")
        return guest

    def _privileged(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            guest = self._guest(request)
            if guest.level is not Level.CHANGE:
                raise NotAllowedError(self._access.refusal(Level.CHANGE))
            LOG.info("%s %s by uid %d, pid %d", request.method, request.path, guest.caller.uid, guest.caller.pid)
            return await handler(request)

        return checked

    async def _status(self, request: web.Request) -> web.StreamResponse:
        return answer(self._api.status(request.query.get("interface"), request.query.get("peer")))

    async def _why(self, request: web.Request) -> web.StreamResponse:
        target = request.query.get("target")
        if not target:
            raise UnusableError("no target; add ?target=ADDRESS or ?target=PREFIX")
        return answer(await self._api.why(target))

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        async with self._verifying:
            drift = await self._api.verify(request.query.get("interface"))
        return answer({"version": 1, "differences": drift.differences, "checked": drift.checked})

    async def _sync(self, request: web.Request) -> web.StreamResponse:
        await self._api.sync(request.query.get("interface"))
        return answer({"version": 1})

    async def _reload(self, _: web.Request) -> web.StreamResponse:
        await self._api.reload()
        return answer({"version": 1})

    async def _add_route(self, request: web.Request) -> web.StreamResponse:
        return answer(await self._api.add_route(await _route_request(request)))

    async def _delete_route(self, request: web.Request) -> web.StreamResponse:
        return answer(await self._api.delete_route(await _route_request(request)))

    async def _routes(self, request: web.Request) -> web.StreamResponse:
        entries = self._api.routes(request.query.get("interface"))
        first = list(islice(entries, 1))  # an unknown interface is told here, while the answer can still be 404
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            with unbroken(request):
                await response.prepare(request)
                await response.write(b'{"version": 1, "routes": [')
                lines = _lines(chain(first, entries))
                while True:
                    async with self._listing:
                        await asyncio.sleep(0)  # fast readers would keep the loop here
                        chunk = next(lines, None)
                    if chunk is None:
                        break
                    await response.write(chunk)
                await response.write(b"\n]}\n")
                await response.write_eof()
        finally:
            if isinstance(entries, Generator):
                entries.close()  # an error that ended it keeps it alive otherwise, until garbage is collected
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        # The stream is open when the client sees that it is.
        with self._feed.listen(lambda: abort(request)) as listener, unbroken(request):
            await response.prepare(request)
            await response.write(b": peerway\n\n")
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE):
                        some = await self._feed.next(listener)
                except TimeoutError:
                    some = b": still here\n\n"
                if some is None:
                    break
                await response.write(some)
            await response.write_eof()
        return response

    async def _end_streams(self, _: web.Application) -> None:
        self._feed.end()


@asynccontextmanager
async def serve(
    api: DaemonApi, path: Path, access: Access | None = None, *, events_held: int = feed.HELD
) -> AsyncIterator[Server]:
    """
    Serve on the unix socket at `path` while the block runs. Raises SocketTakenError and OSError (listener.listen).
    """
    access = access or Access.of()
    listener = listen(path, access.groups)
    try:
        async with serve_at(api, listener, access, events_held=events_held) as server:
            yield server
    finally:
        listener.close()


@asynccontextmanager
async def serve_at(
    api: DaemonApi, listener: Listener, access: Access, *, events_held: int = feed.HELD
) -> AsyncIterator[Server]:
    """
    The same on a socket that listens already; it stays open.
    """
    server = Server(api, access, events_held=events_held)
    async with server.listening(listener.socket):
        yield server


def _lines(entries: Iterator[str]) -> Iterator[bytes]:
    """Entries, each on a line of its own, joined by commas: the first alone, to be there at once, then as they come."""
    separator, waiting, until = "\n", list[str](), 0.0
    for entry in entries:
        waiting.append(entry)
        if len(waiting) >= ENTRIES_AT_ONCE or monotonic() >= until:
            yield (separator + ",\n".join(waiting)).encode()
            separator, waiting, until = ",\n", [], monotonic() + MOMENT
    if waiting:
        yield (separator + ",\n".join(waiting)).encode()


async def _route_request(request: web.Request) -> RouteRequest:
    try:
        async with asyncio.timeout(BODY_COMES):
            wanted = RouteRequest(**json.loads(await request.read()))
    except (ValueError, TypeError, TimeoutError, RecursionError):
        raise UnusableError("not a route; send JSON with prefix, peer, and maybe interface, metric and table") from None
    texts = (wanted.prefix, wanted.peer, wanted.interface or "", wanted.table or "")
    if not all(isinstance(text, str) for text in texts) or type(wanted.metric or 0) is not int:
        raise UnusableError("not a route; metric is a number, all else is text")
    return wanted
